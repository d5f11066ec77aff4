//! `gateway detach`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{exit::Refused, output::print, pins::Pins};
use crate::{control, datapath::Detached};

/// Take the datapath off and remove what is pinned; works without a daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  systemctl stop gateway && gateway detach")]
pub struct Detach {
    #[command(flatten)]
    pins: Pins,
}

impl Detach {
    /// Detaches, unless a daemon answers on `socket`: it would lose the datapath under its hands.
    pub async fn execute(self, socket: &Path, detach: impl AsyncFnOnce(&Path) -> Result<Detached>) -> Result<()> {
        let answered = control::is_answered(socket).await;
        if answered.with_context(|| format!("look for a running gateway on {}", socket.display()))? {
            bail!(Refused(format!("a gateway is running and answers on {}; stop it first", socket.display())));
        }
        let detached = detach(&self.pins.folder).await.context("detach the datapath")?;
        for path in &detached.foreign {
            eprintln!("{} is not the gateway's and was left alone", path.display());
        }
        print(if detached.was_there { "the datapath is off" } else { "there was no datapath" })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn verb() -> Detach {
        Detach { pins: Pins { folder: "/pins".into() } }
    }

    #[tokio::test]
    async fn running_daemon_keeps_its_datapath() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let _daemon = UnixListener::bind(&socket).unwrap();
        let error = verb().execute(&socket, async |_: &Path| panic!("detached")).await.unwrap_err();
        assert!(error.to_string().contains("stop it first"), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_in_the_way_without_a_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let mut detached = false;
        let detach = async |pins: &Path| {
            detached = pins == Path::new("/pins");
            Ok(Detached::default())
        };
        verb().execute(&folder.path().join("gateway.sock"), detach).await.unwrap();
        assert!(detached);
    }
}
