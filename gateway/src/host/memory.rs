//! The memory that this process, and the kernel on its behalf, can still take.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use procfs::{Current, Meminfo, process::Process};

/// In bytes: what the machine has to give, within the limits of the process's control groups.
pub fn available() -> Result<u64> {
    let machine = Meminfo::current().context("read /proc/meminfo")?.mem_available;
    let machine = machine.context("the kernel does not say how much memory is available")?;
    Ok(control_group().and_then(|group| left_in(&group)).map_or(machine, |left| left.min(machine)))
}

/// Of this process, where version 2 of control groups is mounted.
fn control_group() -> Option<PathBuf> {
    let groups = Process::myself().ok()?.cgroups().ok()?;
    let unified = groups.into_iter().find(|group| group.hierarchy == 0)?;
    let folder = Path::new("/sys/fs/cgroup").join(unified.pathname.trim_start_matches('/'));
    folder.is_dir().then_some(folder)
}

/// The least that any group from this one upwards has left; none without a limit.
fn left_in(group: &Path) -> Option<u64> {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = |folder: &Path| {
        let limit = number(folder.join("memory.max"))?;
        Some(limit.saturating_sub(number(folder.join("memory.current")).unwrap_or(0)))
    };
    group.ancestors().filter_map(left).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tightest_group_decides() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("outer/inner");
        fs::create_dir_all(&group).unwrap();
        let write = |folder: &Path, limit: &str, current: &str| {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), current).unwrap();
        };
        write(&group, "max\n", "100\n");
        assert_eq!(left_in(&group), None);
        write(group.parent().unwrap(), "1000\n", "400\n");
        assert_eq!(left_in(&group), Some(600));
        write(&group, "300\n", "100\n");
        assert_eq!(left_in(&group), Some(200));
    }

    #[test]
    fn machine_has_memory() {
        assert!(available().unwrap() > 0);
    }
}
