//! Who is at the other end of a control connection, and whether they may use the gateway.
//!
//! The mode of the socket says who can connect. This is for the day on which it says too much: root, the user that the
//! gateway runs as and members of the socket's group are served, and nobody else, whatever the mode.

use std::{fmt, fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use nix::unistd::geteuid;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time,
};

use super::ApiError;
use crate::host::peer_groups;

/// How long a peer that is turned away has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the kernel says about the process that connected, as it was then.
///
/// Users and groups are as this process's user namespace has them; one that it has no number for is the overflow user.
#[derive(Clone, Debug)]
pub struct Peer {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    pid: Option<i32>,
}

impl Peer {
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let groups = peer_groups::of(stream)?;
        Ok(Self { uid: credentials.uid(), gid: credentials.gid(), groups, pid: credentials.pid() })
    }

    /// Whether this peer is to be served on the socket at `path`.
    pub fn may_use(&self, path: &Path) -> io::Result<bool> {
        if self.uid == 0 || self.uid == geteuid().as_raw() {
            return Ok(true);
        }
        let group = fs::metadata(path)?.gid();
        // A group of the namespace's that has no number here is no group to be a member of.
        Ok(group != OVERFLOW && (self.gid == group || self.groups.contains(&group)))
    }
}

/// What users and groups from elsewhere look like (`/proc/sys/kernel/overflowgid`).
const OVERFLOW: u32 = 65_534;

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, pid ", self.uid)?;
        // A process of another process namespace has no id here.
        match self.pid.filter(|pid| *pid > 0) {
            Some(pid) => write!(f, "{pid}"),
            None => f.write_str("unknown"),
        }
    }
}

/// Tells a peer that it is not served, whatever it wants.
pub async fn turn_away(mut stream: UnixStream) {
    let body = serde_json::to_string(&ApiError::forbidden()).unwrap_or_default();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let farewell = async {
        // An answer that comes before the request surprises clients.
        let _ = stream.read(&mut [0; 1024]).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with bytes unread would take the answer back.
        tokio::io::copy(&mut (&mut stream).take(1 << 20), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = time::timeout(FAREWELL, farewell).await {
        log::debug!("a peer that was turned away has not read why: {error}");
    }
}
