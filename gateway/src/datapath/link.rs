//! Taking a pinned link off its interface.
#![expect(unsafe_code, reason = "BPF_LINK_DETACH, which aya does not have")]

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use super::object_kind;

const BPF_LINK_DETACH: libc::c_long = 34;

/// `union bpf_attr` for the command.
#[repr(C)]
struct Attributes {
    link_fd: u32,
}

/// Takes the program of the link that is pinned at `path` off its interface, and removes the pin. `false`: nothing is
/// pinned there.
///
/// A link goes when its pin has gone, but some time after: until then its interface takes no program of another mode.
pub fn detach(path: &Path) -> io::Result<bool> {
    match object_kind::open(path) {
        Ok(link) => detach_now(&link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    fs::remove_file(path)?;
    Ok(true)
}

fn detach_now(link: impl AsFd) -> io::Result<()> {
    let attributes = Attributes { link_fd: link.as_fd().as_raw_fd() as u32 };
    // SAFETY: the attributes are those of the command and of the given size.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const attributes, size_of::<Attributes>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
