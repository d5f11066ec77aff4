//! The maps of a program, asked for by its descriptor.
//!
//! aya asks by the program's identifier, which the kernel allows to holders of `CAP_SYS_ADMIN` alone.
#![expect(unsafe_code, reason = "BPF_OBJ_GET_INFO_BY_FD, which aya does by the program's identifier")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use crate::host::bpf;

const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// The beginning of `struct bpf_prog_info` (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind_to_instructions: [u64; 5],
    load_time: u64,
    created_by: u32,
    map_count: u32,
    map_ids: u64,
}

/// `union bpf_attr` for the command.
#[repr(C)]
struct Attributes {
    program: u32,
    info_len: u32,
    info: u64,
}

/// The identifiers of all maps that the program uses.
pub fn map_ids(program: impl AsFd) -> io::Result<Vec<u32>> {
    let program = program.as_fd();
    let mut count = ProgramInfo::default();
    ask(program, &mut count)?;
    let mut ids = vec![0; count.map_count as usize];
    let mut info =
        ProgramInfo { map_count: count.map_count, map_ids: ids.as_mut_ptr() as u64, ..ProgramInfo::default() };
    ask(program, &mut info)?;
    ids.truncate(info.map_count as usize);
    Ok(ids)
}

fn ask(program: BorrowedFd<'_>, info: &mut ProgramInfo) -> io::Result<()> {
    let info_len = size_of::<ProgramInfo>() as u32;
    let info = std::ptr::from_mut(info) as u64;
    let mut attributes = Attributes { program: program.as_raw_fd() as u32, info_len, info };
    // SAFETY: the kernel reads and writes at most `info_len` bytes at `info`, which is a structure of that size, and writes
    // at most `map_count` identifiers at `map_ids`: the vector there has as many, or the count is 0.
    unsafe { bpf::call(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }.map(drop)
}
