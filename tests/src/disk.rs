//! A small disk of its own below a lab's folder, to be filled up or made read-only.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

const SIZE: &str = "size=8m,mode=0755";
const FILLER: &str = "filler";

/// A file system in memory. Dropping it unmounts it. Programs see it that are started after it was mounted.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts an empty one, of 8 MiB.
    #[track_caller]
    pub fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("the lab's folder is writable");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(SIZE))
            .unwrap_or_else(|e| panic!("mount a disk at {}: {e}", path.display()));
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no room.
    #[track_caller]
    pub fn fill(&self) {
        let mut filler = File::create(self.path.join(FILLER)).expect("the disk has room for a name");
        let mut chunk = vec![1; 1 << 16];
        while !chunk.is_empty() {
            match filler.write_all(&chunk) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => chunk.truncate(chunk.len() / 2),
                Err(error) => panic!("fill {}: {error}", self.path.display()),
            }
        }
    }

    /// Makes the room again that [`Self::fill`] took.
    #[track_caller]
    pub fn make_room(&self) {
        fs::remove_file(self.path.join(FILLER)).expect("the disk was filled");
    }

    /// Refuses or takes writes. Nobody may have a file open for writing.
    #[track_caller]
    pub fn set_read_only(&self, read_only: bool) {
        let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() } | MsFlags::MS_REMOUNT;
        mount(None::<&str>, &self.path, None::<&str>, flags, Some(SIZE))
            .unwrap_or_else(|e| panic!("mount {} anew: {e}", self.path.display()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Unmounts what is mounted there, if anything is. Does not panic: it runs while tests unwind.
pub(crate) fn unmount(path: &Path) {
    // Programs that still have files open there keep them.
    let _ = umount2(path, MntFlags::MNT_DETACH);
}

/// Unmounts everything below a folder. Does not panic: it runs while tests unwind.
pub(crate) fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    points.filter(|point| point.starts_with(folder)).for_each(unmount);
}
