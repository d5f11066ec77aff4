//! Writing many entries of a map at once, which aya does not have.
#![expect(unsafe_code, reason = "a bpf(2) command that aya does not have")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use aya::{Pod, maps::MapData};

const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;

/// `union bpf_attr` for batches (linux/bpf.h, `BPF_MAP_*_BATCH`).
#[repr(C)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Writes entries, whatever was under their keys before.
pub fn update<K: Pod, V: Pod>(map: &MapData, keys: &[K], values: &[V]) -> io::Result<()> {
    assert_eq!(keys.len(), values.len(), "every key has a value");
    let info = map.info().map_err(io::Error::other)?;
    let sizes = (info.key_size() as usize, info.value_size() as usize);
    assert_eq!(sizes, (size_of::<K>(), size_of::<V>()), "the map has entries of these types");
    let mut attributes = BatchAttributes {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: u32::try_from(keys.len()).map_err(io::Error::other)?,
        map_fd: map.fd().as_fd().as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    let size = size_of::<BatchAttributes>();
    // SAFETY: the attributes of this command, with `count` keys and values of the map's sizes, which the kernel only reads.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, &raw mut attributes, size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
