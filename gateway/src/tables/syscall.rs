//! Map operations of bpf(2) that aya does not have: reading many entries at once, and taking one out.
#![expect(unsafe_code, reason = "bpf(2) commands that aya does not have")]

use std::{
    io,
    marker::PhantomData,
    mem,
    os::fd::{AsFd, AsRawFd},
};

use aya::{Pod, maps::MapData};

use crate::host::bpf;

/// Entries read by one system call.
const BATCH: usize = 4096;

const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_long = 21;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// `union bpf_attr` for one element (linux/bpf.h, `BPF_MAP_*_ELEM`).
#[repr(C)]
struct ElementAttributes {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

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

/// A hash map read in batches. The kernel copies a bucket at a time, so packets wait for no reader; entries that
/// come or go meanwhile may be missed or seen.
pub struct Batches<'a, K, V> {
    map: &'a MapData,
    keys: Vec<K>,
    values: Vec<V>,
    position: Option<u32>,
    done: bool,
    entries: PhantomData<(K, V)>,
}

impl<'a, K: Pod, V: Pod> Batches<'a, K, V> {
    pub fn new(map: &'a MapData) -> Self {
        Self { map, keys: Vec::new(), values: Vec::new(), position: None, done: false, entries: PhantomData }
    }

    /// The next entries; none when the map has been read to its end.
    pub fn read(&mut self) -> io::Result<Option<impl Iterator<Item = (&K, &V)>>> {
        let mut room = BATCH;
        while !self.done {
            match self.read_batch(room) {
                // A bucket does not fit.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => room *= 2,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(Some(self.keys.iter().zip(&self.values))),
            }
        }
        Ok(None)
    }

    fn read_batch(&mut self, room: usize) -> io::Result<()> {
        self.keys.clear();
        self.values.clear();
        self.keys.reserve(room);
        self.values.reserve(room);
        let mut next = 0u32;
        let mut attributes = BatchAttributes {
            in_batch: self.position.as_ref().map_or(0, |position| std::ptr::from_ref(position) as u64),
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: room as u32,
            map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: both buffers have room for `count` entries of the map's key and value size.
        let result = unsafe { bpf::call(BPF_MAP_LOOKUP_BATCH, &mut attributes) };
        match result {
            Ok(_) => {}
            // The end of the map; what was read before it counts.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.done = true,
            Err(error) => return Err(error),
        }
        self.position = Some(next);
        // SAFETY: the kernel has written `count` entries, which is at most what was asked for.
        unsafe {
            self.keys.set_len(attributes.count as usize);
            self.values.set_len(attributes.count as usize);
        }
        Ok(())
    }
}

/// Removes an entry and returns what it was (kernel 5.14 and later for hash maps).
pub fn take<K: Pod, V: Pod>(map: &MapData, key: &K) -> io::Result<Option<V>> {
    let mut value = mem::MaybeUninit::<V>::uninit();
    let mut attributes = ElementAttributes {
        map_fd: map.fd().as_fd().as_raw_fd() as u32,
        padding: 0,
        key: std::ptr::from_ref(key) as u64,
        value: value.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: `key` and `value` have the sizes of the map's.
    match unsafe { bpf::call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &mut attributes) } {
        // SAFETY: the kernel has written it.
        Ok(_) => Ok(Some(unsafe { value.assume_init() })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
