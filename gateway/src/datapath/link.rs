//! Taking a pinned link off its interface.
#![expect(unsafe_code, reason = "BPF_LINK_DETACH, which aya does not have")]

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use super::object_kind::{self, Kind};
use crate::host::bpf;

const BPF_LINK_DETACH: libc::c_long = 34;

/// `union bpf_attr` for the command.
#[repr(C)]
struct Attributes {
    link_fd: u32,
}

/// Takes the program of the link that is pinned at `path` off its interface, and removes the pin, of whatever it is. `false`:
/// nothing is pinned there.
///
/// A link goes when its pin has gone, but some time after: until then its interface takes no program of another mode.
pub fn detach(path: &Path) -> io::Result<bool> {
    match Kind::of(path)? {
        None => return Ok(false),
        Some(Kind::Link) => match detach_now(object_kind::open(path)?) {
            // Of a kind that goes with its pin alone: nobody's link to an interface.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            detached => detached?,
        },
        Some(_) => {}
    }
    fs::remove_file(path)?;
    Ok(true)
}

fn detach_now(link: impl AsFd) -> io::Result<()> {
    let mut attributes = Attributes { link_fd: link.as_fd().as_raw_fd() as u32 };
    // SAFETY: the attributes are those of the command, without any address.
    unsafe { bpf::call(BPF_LINK_DETACH, &mut attributes) }.map(drop)
}
