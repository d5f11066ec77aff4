//! The element of the flow table that is an array: fifteen flow directions behind their tags.

use super::Flow;

/// Slots of a bucket: the head takes the place of the first one, so that a slot's number is its distance.
pub const SLOTS: u32 = 16;

/// Buckets in which an entry may be: its home and those after it.
pub const REACH: u32 = 8;

/// Entries per bucket when the table is as full as it may get: at two thirds of its slots an insertion finds room within
/// reach all but certainly, and one entry in twenty is not in its home.
const ENTRIES: u32 = 10;

/// How many buckets a table of `entries` has.
pub const fn buckets_for(entries: u32) -> u32 {
    let buckets = entries.div_ceil(ENTRIES);
    // So that no search comes by the same one twice.
    if buckets < REACH { REACH } else { buckets }
}

/// How many entries a table of `buckets` is made for.
pub const fn entries_in(buckets: u32) -> u32 {
    buckets.saturating_mul(ENTRIES)
}

/// A bucket of the flow table.
///
/// Layout: the head 128, fifteen flow directions of 128 each = 2048 bytes, so a bucket lies within a page. Slot `n`, from
/// 1 to 15, starts at byte `128 n`.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub struct Bucket {
    pub head: Head,
    pub flows: [Flow; SLOTS as usize - 1],
}

/// What tells which slots of a bucket hold what: one cache line, and one that is seldom read.
///
/// Layout: the number of entries that live in later buckets because this one was full 4, the tags of slots 1 to 15 4 each,
/// times 64 = 128 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Head {
    /// Changed atomically.
    pub words: [u32; SLOTS as usize],
    /// In a table that forgets, the ticks at which each slot was filled; of slot 0 the last of them.
    pub filled: [u32; SLOTS as usize],
}

/// State of a slot, and part of the hash of the tuple in it.
///
/// Layout, in host order: bit 31 taken, bit 30 live, below that the hash. Without bit 31: 0 free, 1 retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tag(pub u32);

impl Tag {
    pub const FREE: Self = Self(0);
    /// Holds nothing any more, but somebody may still be reading what it held.
    pub const RETIRED: Self = Self(1);

    const TAKEN: u32 = 1 << 31;
    const LIVE: u32 = 1 << 30;

    /// Of a slot that is being filled.
    #[inline(always)]
    pub const fn claimed(hash: u32) -> Self {
        Self((hash & (Self::LIVE - 1)) | Self::TAKEN)
    }

    /// The same slot, filled.
    #[inline(always)]
    pub const fn live(self) -> Self {
        Self(self.0 | Self::LIVE)
    }

    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self.0 >= Self::TAKEN | Self::LIVE
    }
}
