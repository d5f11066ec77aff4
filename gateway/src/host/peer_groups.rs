//! The supplementary groups of the process at the other end of a unix socket.
#![expect(unsafe_code, reason = "getsockopt(2) with SO_PEERGROUPS, which no library wraps")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// More than any process has: the kernel's limit (`NGROUPS_MAX`).
const MOST: usize = 65_536;

/// The groups that the process had when it connected.
pub fn of(socket: impl AsFd) -> io::Result<Vec<libc::gid_t>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut bytes = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `bytes` bytes to the vector, which has as many, and their number to `bytes`.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        match (result, io::Error::last_os_error()) {
            (0, _) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // There are more, and `bytes` says how many.
            (_, error) if error.raw_os_error() == Some(libc::ERANGE) && count <= MOST => groups.resize(count, 0),
            (_, error) => return Err(error),
        }
    }
}
