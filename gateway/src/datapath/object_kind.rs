//! What kind of thing is pinned at a path: the functions that open a pin take anything for what they want.
#![expect(unsafe_code, reason = "BPF_OBJ_GET, which aya does only for the kind that it expects")]

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::host::bpf;

const BPF_OBJ_GET: libc::c_long = 7;
/// Reading is all that is wanted of it (linux/bpf.h, `BPF_F_RDONLY`).
const READ_ONLY: u32 = 1 << 3;

/// `union bpf_attr` for pins (linux/bpf.h, `BPF_OBJ_*`).
#[repr(C)]
struct PinAttributes {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// What can be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Map,
    Program,
    Link,
    /// A folder, a file, or an object that is no eBPF.
    Foreign,
}

impl Kind {
    /// The kind of what is at `path`; nothing if nothing is there.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let kinds =
            [("bpf-map", Self::Map), ("bpf-prog", Self::Program), ("bpf_link", Self::Link), ("bpf-link", Self::Link)];
        let opened = match open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error),
            Err(_) => return Ok(Some(Self::Foreign)),
        };
        let name = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
        let name = name.to_string_lossy();
        let found = kinds.into_iter().find(|(kind, _)| name.contains(kind));
        Ok(Some(found.map_or(Self::Foreign, |(_, kind)| kind)))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "a map",
            Self::Program => "a program",
            Self::Link => "a link",
            Self::Foreign => "a file or a folder",
        }
    }
}

pub fn open(path: &Path) -> io::Result<OwnedFd> {
    // Programs and links know no access but the full one.
    open_as(path, 0).or_else(|_| open_as(path, READ_ONLY))
}

fn open_as(path: &Path, file_flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = PinAttributes { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags };
    // SAFETY: the attributes are those of the command, and the path in them ends with a zero byte and outlives the call.
    let opened = unsafe { bpf::call(BPF_OBJ_GET, &mut attributes) }?;
    // SAFETY: the kernel has just given this descriptor to us alone; it fits, being a small number.
    Ok(unsafe { OwnedFd::from_raw_fd(opened as i32) })
}
