//! Array maps as memory: what is stored here, a packet sees without a system call.
#![expect(unsafe_code, reason = "memory of a map, which the kernel and its packet programs share")]

use std::{
    ffi::c_void, io, marker::PhantomData, num::NonZeroUsize, os::fd::AsFd, ptr::NonNull, sync::atomic::AtomicI64,
};

use aya::{Pod, maps::MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// An `Array` map made with `BPF_F_MMAPABLE`, shared with the packet programs.
///
/// An element is written word by word, so readers in the kernel may see a mixture of two values: write elements
/// that nothing refers to yet, or values of one word.
pub struct MappedArray<T> {
    base: NonNull<c_void>,
    bytes: usize,
    len: u32,
    elements: PhantomData<T>,
}

// SAFETY: the memory belongs to the map, is valid from every thread, and is accessed by volatile copies only.
unsafe impl<T: Send> Send for MappedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for MappedArray<T> {}

impl<T: Pod> MappedArray<T> {
    /// The kernel rounds an element up to eight bytes.
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    pub fn new(map: &MapData) -> io::Result<Self> {
        let len = map.info().map_err(io::Error::other)?.max_entries();
        let bytes = (Self::STRIDE * len as usize).next_multiple_of(4096);
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh shared mapping, at an address that the kernel chooses.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) }?;
        Ok(Self { base, bytes, len, elements: PhantomData })
    }

    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn get(&self, index: u32) -> T {
        // SAFETY: within the mapping; `Pod` has no invalid value.
        unsafe { self.element(index).read_volatile() }
    }

    pub fn set(&self, index: u32, value: T) {
        // SAFETY: within the mapping.
        unsafe { self.element(index).write_volatile(value) }
    }

    /// Where the element is, for as long as this lives.
    pub fn element(&self, index: u32) -> *mut T {
        assert!(index < self.len, "index {index} of an array of {}", self.len);
        // SAFETY: within the mapping by the test above.
        unsafe { self.base.as_ptr().cast::<u8>().add(Self::STRIDE * index as usize).cast() }
    }
}

impl MappedArray<i64> {
    /// The element as a counter that the packet programs add to as well.
    pub fn counter(&self, index: u32) -> &AtomicI64 {
        // SAFETY: aligned to eight bytes, within the mapping, which lives as long as `self`.
        unsafe { AtomicI64::from_ptr(self.element(index)) }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nothing borrows from it any more.
        // It fails only for an address that was never mapped.
        let _ = unsafe { munmap(self.base, self.bytes) };
    }
}
