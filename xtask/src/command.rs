//! Starting programs: each step is named before it runs, and its exit code is kept.

use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use crate::workspace;

/// A step ended with another exit code than 0; what it had to say about that is on the terminal already.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` failed ({status})")]
pub struct Failed {
    command: String,
    status: ExitStatus,
}

impl Failed {
    /// The step's own exit code; 1 if a signal ended it.
    pub fn exit_code(&self) -> ExitCode {
        let code = self.status.code().and_then(|code| u8::try_from(code).ok());
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

/// Names a step, in the style of cargo's own output.
pub fn announce(verb: &str, what: &str) {
    eprintln!("{verb:>12} {what}");
}

/// Runs a command to its end.
///
/// # Errors
///
/// [`Failed`] if it exits with another code than 0; another error if it cannot be started.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start `{}`", spell(command)))?;
    if status.success() { Ok(()) } else { Err(Failed { command: spell(command), status }.into()) }
}

/// Whether a quiet question to a program is answered with exit code 0.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A cargo of the workspace's own toolchain, in the workspace's folder.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(workspace::root());
    command
}

/// The command as one would type it.
pub fn spell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
