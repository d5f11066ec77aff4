//! Running a step as root: directly, or through sudo, or not at all with a sentence that says why.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::command::{self, announce};

/// Whether this process has root's rights already.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `program` with root's rights; `purpose` completes "root is needed to …" where neither root nor sudo is there.
pub fn as_root(program: impl AsRef<OsStr>, purpose: &str) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    if which::which("sudo").is_err() {
        bail!("root is needed to {purpose}: run this as root, or install sudo and let this user use it");
    }
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    Ok(command)
}

/// Mounts bpffs where the datapath pins its maps and links, if it is not mounted yet.
pub fn mount_bpffs() -> Result<()> {
    const BPFFS: &str = "/sys/fs/bpf";
    let mounted = Command::new("findmnt").args(["--types", "bpf", BPFFS]).stdout(Stdio::null()).status();
    if mounted.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    announce("Mounting", &format!("bpffs on {BPFFS}, where the datapath pins its maps"));
    command::run(as_root("mount", "mount bpffs")?.args(["-t", "bpf", "bpf", BPFFS]))
}
