//! A process namespace as a guard: every process in it ends with the value.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Process, eventually};

const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What unshare(1) started in a process namespace of its own.
#[derive(Debug)]
pub(crate) struct ProcessNamespace {
    /// unshare(1) itself, which waits for the namespace's first process.
    unshare: Process,
}

impl ProcessNamespace {
    /// Runs a command that becomes `unshare --pid --fork --kill-child …`.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { unshare: Process::start(command) }
    }

    /// The namespace's first process, by its id outside of it.
    #[track_caller]
    pub(crate) fn first(&self) -> i32 {
        first_child(self.unshare.id())
    }

    /// What the first process has written.
    pub(crate) fn output(&self) -> String {
        self.unshare.stdout() + &self.unshare.stderr()
    }
}

impl Drop for ProcessNamespace {
    fn drop(&mut self) {
        // Kills all processes of the namespace, and waits for them: unshare(1) waits for the first one.
        if let Some(first) = child_of(self.unshare.id()) {
            let _ = kill(Pid::from_raw(first), Signal::SIGKILL);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.unshare.exit_status().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The program that unshare(1) or nsenter(1) starts in another process namespace.
#[track_caller]
pub(crate) fn first_child(process: u32) -> i32 {
    eventually(Duration::from_secs(5), || child_of(process).ok_or_else(|| format!("{process} has no child")))
}

fn child_of(process: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
