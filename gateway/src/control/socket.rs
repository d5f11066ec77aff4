//! The unix socket that the control API listens on.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// How long a process behind an existing socket has to accept before it counts as alive anyway.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket that listens at a path; the path is removed on drop, unless another has taken it over.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl ControlSocket {
    /// Listens at `path`. A socket that nobody answers on is replaced, one that is answered is refused.
    pub async fn bind(path: &Path) -> Result<Self> {
        let bound = Self::try_bind(path).await;
        bound.with_context(|| format!("listen on the control socket {}", path.display()))
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    async fn try_bind(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make its folder {}", folder.display()))?;
        }
        clear(path).await?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Before it listens: nobody connects while the mode is the umask's.
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).context("set its mode")?;
        let listener = socket.listen(BACKLOG)?;
        let inode = fs::metadata(path)?.ino();
        Ok(Self { listener, path: path.to_owned(), inode })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("cannot remove the control socket {}: {error}", self.path.display());
        }
    }
}

/// Whether a process answers on the socket at `path`.
pub async fn is_answered(path: &Path) -> io::Result<bool> {
    match tokio::time::timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        // Nobody accepts, but somebody listens.
        Err(_) | Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            Ok(false)
        }
        Ok(Err(error)) => Err(error),
    }
}

/// Removes what a gateway that is gone has left at `path`.
async fn clear(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !metadata.file_type().is_socket() {
        bail!("there is something else than a socket; move it away or name another path");
    }
    if is_answered(path).await? {
        bail!("another gateway is running and answers there; stop it, or name another path");
    }
    log::info!("removing the control socket that a stopped gateway left at {}", path.display());
    fs::remove_file(path).context("remove the socket of a gateway that is gone")
}
