//! `gateway detach`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{exit::Refused, output::print};
use crate::control;

/// Take the datapath off and remove what is pinned; works without a daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  systemctl stop gateway && gateway detach")]
pub struct Detach {}

impl Detach {
    /// Detaches, unless a daemon answers on `socket`: it would lose the datapath under its hands.
    pub async fn execute(self, socket: &Path, detach: impl FnOnce() -> Result<()>) -> Result<()> {
        let answered = control::is_answered(socket).await;
        if answered.with_context(|| format!("look for a running gateway on {}", socket.display()))? {
            bail!(Refused(format!("a gateway is running and answers on {}; stop it first", socket.display())));
        }
        detach().context("detach the datapath")?;
        print("the datapath is off")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn running_daemon_keeps_its_datapath() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let _daemon = UnixListener::bind(&socket).unwrap();
        let error = Detach {}.execute(&socket, || panic!("detached")).await.unwrap_err();
        assert!(error.to_string().contains("stop it first"), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_in_the_way_without_a_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let mut detached = false;
        let detach = || {
            detached = true;
            Ok(())
        };
        Detach {}.execute(&folder.path().join("gateway.sock"), detach).await.unwrap();
        assert!(detached);
    }
}
