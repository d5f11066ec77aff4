//! bpf(2) itself, for commands that aya does not have.
#![expect(unsafe_code, reason = "bpf(2), whose commands take addresses")]

use std::{ffi::c_long, io};

/// Runs a command; what it returns if that is no error, such as a descriptor.
///
/// # Safety
///
/// `attributes` are the part of `union bpf_attr` (linux/bpf.h) that belongs to `command`, and every address in them is good
/// for what the command does with it.
pub unsafe fn call<A>(command: c_long, attributes: &mut A) -> io::Result<c_long> {
    // SAFETY: the caller's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
