//! What the tests put on the machine outside their own process: found by name, removed by name.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
        statfs::{BPF_FS_MAGIC, statfs},
    },
    unistd::{Pid, Uid},
};

use crate::{
    disk,
    lab_id::{BPFFS, CGROUPS, LabId, NETNS_DIRECTORY},
};

/// Makes the machine ready for labs, once per test process: bpffs mounted, enough file descriptors, and
/// everything removed that test processes left behind which are dead.
#[track_caller]
pub fn prepare_machine() {
    static ONCE: Once = Once::new();
    assert!(Uid::effective().is_root(), "network namespaces need root: run `cargo xtask test`");
    ONCE.call_once(|| {
        mount_bpffs();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("own limits are readable");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a soft limit can be raised to the hard one");
        sweep();
    });
}

/// Names of all namespaces, pin folders, file folders and running programs of the lab `id`.
pub fn leftovers_of(id: LabId) -> Vec<String> {
    all().into_iter().filter(|(owner, _)| *owner == id).flat_map(|(_, thing)| thing.describe()).collect()
}

/// Everything that is pinned for the lab `id`, in order.
pub fn pins_of(id: LabId) -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { collect(&path, into) } else { into.push(path) }
        }
    }
    let mut pins = Vec::new();
    collect(&id.pin_directory(), &mut pins);
    pins.sort();
    pins
}

/// Removes what belongs to test processes that are dead.
pub fn sweep() {
    for (_, thing) in all().into_iter().filter(|(owner, _)| !is_alive(owner.process)) {
        eprintln!("sweep: {:?} of a dead test process", thing.describe());
        thing.remove();
    }
}

/// Removes every lab of this process. For a process that is about to end without dropping them.
pub fn remove_own() {
    for (_, thing) in all().into_iter().filter(|(owner, _)| owner.process == std::process::id()) {
        thing.remove();
    }
}

enum Thing {
    Namespace(String),
    Directory(PathBuf),
    ControlGroup(PathBuf),
}

impl Thing {
    fn describe(&self) -> Vec<String> {
        match self {
            Self::Namespace(name) => {
                let programs = programs_in(name).into_iter().map(|id| format!("process {id} in {name}"));
                std::iter::once(format!("namespace {name}")).chain(programs).collect()
            }
            Self::Directory(path) => vec![format!("directory {}", path.display())],
            Self::ControlGroup(path) => vec![format!("control group {}", path.display())],
        }
    }

    fn remove(&self) {
        match self {
            Self::Namespace(name) => remove_namespace(name),
            Self::Directory(path) => remove_directory(path),
            Self::ControlGroup(path) => remove_control_group(path),
        }
    }
}

fn all() -> Vec<(LabId, Thing)> {
    let namespaces = names_in(Path::new(NETNS_DIRECTORY)).into_iter().map(|(owner, path)| {
        let name = path.file_name().expect("a directory entry has a name").to_string_lossy().into_owned();
        (owner, Thing::Namespace(name))
    });
    let directories = [Path::new(BPFFS), &std::env::temp_dir()].map(names_in).into_iter().flatten();
    let directories = directories.map(|(owner, path)| (owner, Thing::Directory(path)));
    let groups = control_groups().into_iter().map(|(owner, path)| (owner, Thing::ControlGroup(path)));
    // Namespaces first: the programs in them use the rest.
    namespaces.chain(directories).chain(groups).collect()
}

/// Of cgroup v2, and of every hierarchy of v1.
fn control_groups() -> Vec<(LabId, PathBuf)> {
    let root = Path::new(CGROUPS);
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies.chain([root.to_owned()]).flat_map(|hierarchy| names_in(&hierarchy)).collect()
}

fn names_in(directory: &Path) -> Vec<(LabId, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let owned = |entry: fs::DirEntry| Some((LabId::owner_of(&entry.file_name().to_string_lossy())?, entry.path()));
    entries.filter_map(owned).collect()
}

/// Kills the programs inside a namespace and removes it. Does not panic: it runs while tests unwind.
pub(crate) fn remove_namespace(name: &str) {
    for program in programs_in(name) {
        // Fails when it has ended by itself.
        let _ = kill(Pid::from_raw(program), Signal::SIGKILL);
    }
    let removed = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::piped()).output();
    if let Ok(output) = removed
        && !output.status.success()
    {
        eprintln!("remove namespace {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Removes a folder of files or of pins. Does not panic: it runs while tests unwind.
pub(crate) fn remove_directory(path: &Path) {
    disk::unmount_below(path);
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => eprintln!("remove {}: {e}", path.display()),
        _ => (),
    }
}

/// Removes the control groups of a lab once they are empty. Does not panic: it runs while tests unwind.
pub(crate) fn remove_control_groups(id: LabId) {
    control_groups().iter().filter(|(owner, _)| *owner == id).for_each(|(_, path)| remove_control_group(path));
}

/// A control group goes with rmdir(2), after those below it; what looks like files in it goes with it.
fn remove_control_group(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir()).for_each(|path| remove_control_group(&path));
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => eprintln!("remove {}: {e}", path.display()),
        _ => (),
    }
}

fn programs_in(namespace: &str) -> Vec<i32> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let own = std::process::id().cast_signed();
    text.lines().filter_map(|line| line.trim().parse().ok()).filter(|id| *id != own).collect()
}

fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

fn mount_bpffs() {
    if statfs(BPFFS).is_ok_and(|filesystem| filesystem.filesystem_type() == BPF_FS_MAGIC) {
        return;
    }
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
        .unwrap_or_else(|e| panic!("mount bpffs at {BPFFS}: {e}"));
}
