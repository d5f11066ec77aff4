//! Running a step as root: directly, or through sudo, or not at all with a sentence that says why.

use std::{
    ffi::{OsStr, OsString},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::command::{self, announce};

/// Whether this process has root's rights already.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `program` with root's rights, and with these variables in its environment, which sudo would not hand on.
///
/// # Errors
///
/// Neither root nor sudo: "root is needed to `purpose`", and what to do about it.
pub fn as_root(program: impl AsRef<OsStr>, variables: &[(&str, &OsStr)], purpose: &str) -> Result<Command> {
    if is_root() {
        let mut command = Command::new(program);
        command.envs(variables.iter().copied());
        return Ok(command);
    }
    if which::which("sudo").is_err() {
        bail!("root is needed to {purpose}: run this as root, or install sudo and allow this user to use it");
    }
    let mut command = Command::new("sudo");
    command.args(["--", "env"]).args(variables.iter().map(assignment)).arg(program);
    Ok(command)
}

fn assignment((name, value): &(&str, &OsStr)) -> OsString {
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(value);
    assignment
}

/// Mounts bpffs where the datapath pins its maps and links, if it is not mounted yet.
pub fn mount_bpffs() -> Result<()> {
    const BPFFS: &str = "/sys/fs/bpf";
    let mounted = Command::new("findmnt").args(["--types", "bpf", BPFFS]).stdout(Stdio::null()).status();
    if mounted.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    announce("Mounting", &format!("bpffs on {BPFFS}, where the datapath pins its maps"));
    command::run(as_root("mount", &[], "mount bpffs")?.args(["-t", "bpf", "bpf", BPFFS]))
}
