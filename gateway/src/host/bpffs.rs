//! The BPF file system that pinned maps and links live in.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Where bpffs is mounted by convention.
pub const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Whether there was something to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounted {
    Already,
    Freshly,
}

/// Sees to it that `folder` is a folder of a bpffs: mounts one on [`MOUNT_POINT`] if it is below that, and makes the
/// folders in between, for root alone.
pub fn ensure_mounted(folder: &Path) -> Result<Mounted> {
    let existing = nearest_existing(folder);
    let mounted = if is_bpffs(&existing)? {
        Mounted::Already
    } else if folder.starts_with(MOUNT_POINT) {
        mount_bpffs()?;
        Mounted::Freshly
    } else {
        let folder = folder.display();
        bail!(
            "{folder} is on no BPF file system: use a folder below {MOUNT_POINT}, or run \"mkdir -p {folder} && \
             mount -t bpf bpf {folder} -o mode=0700\""
        );
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make the folder {} on the BPF file system", folder.display()))?;
    Ok(mounted)
}

/// Whether `folder`, or what there is of the way to it, is on a bpffs.
pub fn is_below_bpffs(folder: &Path) -> Result<bool> {
    is_bpffs(&nearest_existing(folder))
}

fn nearest_existing(folder: &Path) -> PathBuf {
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    existing.unwrap_or(Path::new("/")).to_owned()
}

fn is_bpffs(folder: &Path) -> Result<bool> {
    let found = statfs(folder).with_context(|| format!("look at the file system of {}", folder.display()))?;
    Ok(found.filesystem_type() == BPF_FS_MAGIC)
}

fn mount_bpffs() -> Result<()> {
    match mount(Some("bpf"), MOUNT_POINT, Some("bpf"), MsFlags::empty(), Some("mode=0700")) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM | Errno::EACCES) => {
            bail!("{MOUNT_POINT} has no BPF file system: run \"mount -t bpf bpf {MOUNT_POINT}\" as root")
        }
        Err(Errno::ENOENT) => {
            bail!(
                "{MOUNT_POINT} does not exist: run \"mount -t sysfs sysfs /sys\", on a kernel with CONFIG_BPF_SYSCALL"
            )
        }
        Err(Errno::ENODEV) => bail!("the kernel has no BPF file system: it needs CONFIG_BPF_SYSCALL"),
        Err(error) => Err(io::Error::from(error)).context(format!("mount a BPF file system on {MOUNT_POINT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_elsewhere_is_refused_with_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("pins");
        let error = ensure_mounted(&pins).unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf"), "{error}");
        assert!(!pins.exists());
    }
}
