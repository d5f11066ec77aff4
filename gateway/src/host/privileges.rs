//! Giving up what the daemon has no use for: capabilities, and the way to gain any.
//!
//! Capabilities belong to threads and are inherited by new ones, so this is for the time before there is a second one.
//! `docs/security.md` says what each of those that are kept is for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    unistd::{AccessFlags, faccessat},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

/// What the datapath cannot do without.
pub const REQUIRED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::PERFMON).union(CapabilitySet::BPF);

/// What the daemon keeps if it has it: the required ones, raw sockets for resets, signals to processes of others.
pub const KEPT: CapabilitySet = REQUIRED.union(CapabilitySet::NET_RAW).union(CapabilitySet::KILL);

/// What the kernel takes in place of the capabilities that were split off from it.
const SPLIT: (CapabilitySet, CapabilitySet) =
    (CapabilitySet::SYS_ADMIN, CapabilitySet::PERFMON.union(CapabilitySet::BPF));

/// How the daemon uses a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Makes files in the folder.
    Fill,
}

/// The names of capabilities, as in `CAP_BPF, CAP_NET_ADMIN`.
pub fn names(set: CapabilitySet) -> Vec<String> {
    set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// Which of `wanted` are in force for the calling thread.
pub fn effective(wanted: CapabilitySet) -> Result<CapabilitySet> {
    let sets = capabilities(None).context("read the process's capabilities")?;
    Ok(wanted & with_implied(sets.effective))
}

/// Whether the calling thread may mount file systems.
pub fn may_mount() -> bool {
    effective(CapabilitySet::SYS_ADMIN).is_ok_and(|had| !had.is_empty())
}

/// Keeps [`KEPT`] for good, of what the process has, and gives the rest up; no program that it starts gains any.
///
/// A file that only root's right to all files can reach makes the process keep that right, with a warning.
pub fn confine(files: &[(PathBuf, Access)]) -> Result<()> {
    let had = capabilities(None).context("read the process's capabilities")?;
    let mut kept = had.permitted & KEPT;
    if !(REQUIRED - kept).is_empty() {
        kept |= had.permitted & SPLIT.0;
    }
    kept |= for_files(files, had, kept)?;
    forget_others(had, kept)?;
    set_no_new_privs(true).context("give up gaining privileges")?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: had.inheritable & kept };
    set_capabilities(None, sets).context("give capabilities up")?;
    log::debug!("capabilities kept: {}", names(kept).join(", "));
    Ok(())
}

fn with_implied(set: CapabilitySet) -> CapabilitySet {
    if set.contains(SPLIT.0) { set | SPLIT.1 } else { set }
}

/// The rights over files that the process has and `files` need, beyond those of their owners and modes.
fn for_files(files: &[(PathBuf, Access)], had: CapabilitySets, kept: CapabilitySet) -> Result<CapabilitySet> {
    set_capabilities(None, CapabilitySets { effective: kept, ..had }).context("try fewer capabilities")?;
    let refused: Vec<_> = files.iter().filter(|(path, access)| is_refused(path, *access)).collect();
    set_capabilities(None, had).context("take the capabilities back")?;
    let mut needed = CapabilitySet::empty();
    for (path, access) in refused {
        let right = match access {
            Access::Read => CapabilitySet::DAC_READ_SEARCH,
            Access::Fill => CapabilitySet::DAC_OVERRIDE,
        };
        if had.permitted.contains(right) {
            log::warn!(
                "{} belongs to another user, so the gateway keeps {}, a right over all files: give it to the user that \
                 the gateway runs as",
                path.display(),
                names(right).join(", ")
            );
            needed |= right;
        }
    }
    Ok(needed)
}

/// Whether owner and mode of the file, or of the folder that would hold it, are in the way.
fn is_refused(path: &Path, access: Access) -> bool {
    let flags = match access {
        Access::Read => AccessFlags::R_OK,
        Access::Fill => AccessFlags::W_OK | AccessFlags::X_OK,
    };
    for path in path.ancestors() {
        match faccessat(AT_FDCWD, path, flags, AtFlags::AT_EACCESS) {
            Err(Errno::ENOENT) => {}
            outcome => return outcome == Err(Errno::EACCES),
        }
    }
    false
}

/// Takes what is not kept out of reach of programs that are started.
fn forget_others(had: CapabilitySets, kept: CapabilitySet) -> Result<()> {
    let all = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    for other in all.filter(|one| !kept.contains(*one)) {
        // An error: the kernel knows no more of them.
        if capability_is_in_bounding_set(other) == Ok(true) && had.effective.contains(CapabilitySet::SETPCAP) {
            remove_capability_from_bounding_set(other).context("limit what started programs can have")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, thread};

    use super::*;

    /// Runs on a thread of its own, which takes its capabilities with it.
    fn confined(files: &[(PathBuf, Access)]) -> (CapabilitySets, CapabilitySet) {
        thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let had = capabilities(None).unwrap().permitted;
                confine(files).unwrap();
                assert!(rustix::thread::no_new_privs().unwrap());
                (capabilities(None).unwrap(), had)
            });
            confined.join().unwrap()
        })
    }

    #[test]
    fn nothing_but_what_is_kept_is_left() {
        let (sets, had) = confined(&[]);
        assert_eq!(sets.permitted, had & KEPT);
        assert_eq!(sets.effective, sets.permitted);
        assert_eq!(sets.inheritable - KEPT, CapabilitySet::empty());
    }

    #[test]
    fn file_of_another_user_keeps_the_right_to_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        fs::write(&file, "").unwrap();
        let (sets, _) = confined(&[(file.clone(), Access::Read), (folder.path().join("a/b"), Access::Fill)]);
        assert_eq!(sets.effective - KEPT, CapabilitySet::empty());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let (sets, had) = confined(&[(file, Access::Read)]);
        assert_eq!(sets.effective - KEPT, had & CapabilitySet::DAC_READ_SEARCH);
    }

    #[test]
    fn capabilities_are_named_as_the_kernel_does() {
        assert_eq!(names(REQUIRED), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(with_implied(CapabilitySet::SYS_ADMIN) & REQUIRED, SPLIT.1);
    }
}
