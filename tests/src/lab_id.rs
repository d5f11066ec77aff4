//! Names that belong to one lab of one test process, so that tests can run at once and leftovers can be told
//! from what is in use.

use std::{
    fmt,
    path::{Path, PathBuf},
    process,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

pub(crate) const NETNS_DIRECTORY: &str = "/run/netns";
pub(crate) const BPFFS: &str = "/sys/fs/bpf";
/// With cgroup v1 the hierarchies are one folder further down.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// Process id and counter; unique among the test processes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabId {
    pub(crate) process: u32,
    counter: u32,
}

impl LabId {
    /// An identity that no other lab has.
    #[expect(clippy::new_without_default, reason = "every call gives another value")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self { process: process::id(), counter: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The name of this lab's namespace for a role such as `front`.
    pub fn namespace(&self, role: &str) -> String {
        format!("gw{self}-{role}")
    }

    /// The bpffs folder for this lab's pins.
    pub fn pin_directory(&self) -> PathBuf {
        Path::new(BPFFS).join(format!("gwtest-{self}"))
    }

    /// The folder for this lab's files: configuration, sockets, state.
    pub fn file_directory(&self) -> PathBuf {
        std::env::temp_dir().join(format!("gwtest-{self}"))
    }

    /// The control group of this lab's containers.
    pub fn control_group(&self) -> String {
        format!("gwtest-{self}")
    }

    /// The owner of a namespace, folder or control group, when the name is one of ours.
    pub(crate) fn owner_of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("gwtest-").or_else(|| name.strip_prefix("gw"))?;
        let mut parts = rest.splitn(3, '-');
        format!("{}-{}", parts.next()?, parts.next()?).parse().ok()
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process, self.counter)
    }
}

impl FromStr for LabId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (process, counter) = text.split_once('-').ok_or(())?;
        Ok(Self { process: process.parse().map_err(drop)?, counter: counter.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        let id = LabId::new();
        for name in [id.namespace("front"), format!("gwtest-{id}")] {
            assert_eq!(LabId::owner_of(&name), Some(id));
        }
        for foreign in ["gwx", "docker", "gw12", "gateway"] {
            assert_eq!(LabId::owner_of(foreign), None);
        }
    }
}
