//! A terminal of a given size that a program runs in, keys that are pressed there, and what it shows: tmux with a server
//! of its own.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Lab, gateway};

/// In seconds.
const LIFETIME: &str = "300";

/// A terminal. Dropping it ends what runs in it.
#[derive(Debug)]
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs a script of the shell in a terminal of so many columns and rows, for five minutes at most: a killed test
    /// leaves nothing for good. In it `$GATEWAY` is the program under test, which finds the daemon of the lab.
    #[track_caller]
    pub fn start(lab: &Lab, script: &str, (columns, rows): (u16, u16)) -> Self {
        // A server that ends still has its socket for a while.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { socket: lab.directory().join(format!("tmux-{number}.sock")) };
        let size = [columns.to_string(), rows.to_string()];
        let mut tmux = terminal.tmux();
        tmux.env("GATEWAY", gateway::program()).env("GATEWAY_SOCKET", lab.directory().join("gateway.sock"));
        tmux.args(["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], "--"]);
        checked(tmux.args(["timeout", "--foreground", LIFETIME, "sh", "-c", script]));
        terminal
    }

    /// Presses keys, by tmux's names: `Down`, `F6`, `C-c`, or characters.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        checked(self.tmux().arg("send-keys").args(keys));
    }

    /// What is shown, as text.
    #[track_caller]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&checked(self.tmux().args(["capture-pane", "-p"])).stdout).into_owned()
    }

    /// The same with the escape sequences of its colours.
    #[track_caller]
    pub fn coloured(&self) -> String {
        String::from_utf8_lossy(&checked(self.tmux().args(["capture-pane", "-p", "-e"])).stdout).into_owned()
    }

    #[track_caller]
    pub fn resize(&self, (columns, rows): (u16, u16)) {
        let size = [columns.to_string(), rows.to_string()];
        checked(self.tmux().args(["resize-window", "-x", &size[0], "-y", &size[1]]));
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.env("LC_ALL", "C.UTF-8").env_remove("TMUX").env_remove("NO_COLOR").arg("-S").arg(&self.socket);
        tmux
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already where what ran in it has.
        let _ = self.tmux().arg("kill-server").output();
    }
}

#[track_caller]
fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; is tmux installed?"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
