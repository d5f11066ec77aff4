//! The flow table as an array of buckets: one cache line tells where an entry is, the entry is two more.
//!
//! A tuple's hash names its home bucket, the slot there that it would rather have, and a tag. A bucket that is full sends
//! an entry on to the next one, [`REACH`] buckets at most, and counts those that went past it, so that a search knows when
//! to stop.
//!
//! Many CPUs insert, find and retire at once, without a lock:
//!
//! - **Insertion** claims a free slot by compare-and-swap, then looks whether its tuple is in any other slot within reach,
//!   live or claimed; if so it gives the slot back. Of two that insert the same tuple at the same time, one at least looks
//!   after the other has claimed, so never do both stay; it may be that neither does. No two slots of a bucket have the
//!   same tag, also not of different tuples.
//! - An entry becomes **live** when it is complete. Nobody reads it before.
//! - **Retiring** takes an entry out of sight and keeps its memory. It is free again by [`recycle`], which is to be called
//!   only when nobody can still be reading: after a grace period of RCU, under which packet programs run.
//!
//! A table may be one that **forgets**: an entry is in its home bucket or nowhere, where that is full the oldest entry makes
//! way, and room is free again at once. Who still reads what was forgotten may see what came after it, as in the kernel's
//! LRU maps.
//!
//! The order of loads is that of x86-64; a processor that reorders them may at worst miss an entry in the moment in
//! which it becomes live.

use super::InsertError;
use crate::abi::{Flow, REACH, SLOTS, Tag, Tuple};

/// A bucket in memory that many CPUs share.
pub trait Bucket: Copy {
    /// The word of `slot`, or of slot 0 the number of entries that went past this bucket.
    fn word(self, slot: u32) -> u32;
    /// Puts `new` in the place of `old`, if that is the tag of `slot`. Ordered as a full barrier, as [`Self::pass`] is.
    fn exchange(self, slot: u32, old: Tag, new: Tag) -> bool;
    /// Adds to the number of entries that went past this bucket.
    fn pass(self, change: i32);
    /// Whether the entry in `slot` has this tuple. Only of slots that are not free.
    fn holds(self, slot: u32, tuple: &Tuple) -> bool;
    /// Fills a slot that the caller has claimed.
    fn fill(self, slot: u32, flow: &Flow);
    /// When `slot` was filled, in ticks; slot 0: the last one of all. Kept by tables that forget.
    fn filled(self, slot: u32) -> u32;
    fn set_filled(self, slot: u32, now: u32);
}

/// An array of buckets.
///
/// The steps of an insertion are methods, so that a packet program can make each a function that is verified on its own.
pub trait Buckets: Sized {
    type Bucket: Bucket;
    /// Whether it forgets.
    const FORGETS: bool;

    /// How many there are.
    fn count(&self) -> u32;
    /// The secret keys of the hash.
    fn hash_keys(&self) -> &[u32; 10];
    /// The bucket at `index`.
    fn bucket(&self, index: u32) -> Option<Self::Bucket>;

    fn claim(&self, tuple: &Tuple) -> Option<Position> {
        claim(self, tuple)
    }

    fn is_elsewhere(&self, tuple: &Tuple, claimed: Position) -> bool {
        is_elsewhere(self, tuple, claimed)
    }

    fn give_back(&self, tuple: &Tuple, claimed: Option<Position>) {
        give_back(self, tuple, claimed);
    }
}

/// A slot of the table: its number after all slots of the buckets before its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(pub u32);

impl Position {
    #[inline(always)]
    fn new(index: u32, slot: u32) -> Self {
        Self(index * SLOTS + slot)
    }

    /// Of its bucket.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 / SLOTS
    }

    #[inline(always)]
    pub const fn slot(self) -> u32 {
        self.0 % SLOTS
    }
}

/// Where an entry is to be looked for.
#[derive(Clone, Copy)]
struct Place {
    home: u32,
    /// The slot it would rather have.
    slot: u32,
    /// Its tag before it is live.
    tag: Tag,
}

impl Place {
    #[inline(always)]
    fn of<B: Buckets>(buckets: &B, tuple: &Tuple) -> Self {
        let hash = hash(tuple, buckets.hash_keys());
        // A multiplication maps 32 bits evenly to 0..buckets (Lemire, "Fast random integer generation in an interval").
        let home = ((hash >> 32) * u64::from(buckets.count())) >> 32;
        Self { home: home as u32, slot: hash as u32 % SLOTS, tag: Tag::claimed(hash as u32 >> 2) }
    }
}

/// Finds the live entry of `tuple`.
#[inline(always)]
pub fn find<B: Buckets>(buckets: &B, tuple: &Tuple) -> Option<Position> {
    let place = Place::of(buckets, tuple);
    let mut index = place.home;
    for _ in 0..reach::<B>() {
        let bucket = buckets.bucket(index)?;
        let slot = seek(bucket, place.slot, place.tag.live());
        if slot != 0 && bucket.holds(slot, tuple) {
            return Some(Position::new(index, slot));
        }
        if bucket.word(0) == 0 {
            return None;
        }
        index = next(buckets, index);
    }
    None
}

/// Inserts a copy of `flow`.
#[inline(always)]
pub fn insert<B: Buckets>(buckets: &B, flow: &Flow) -> Result<(), InsertError> {
    let Some(claimed) = buckets.claim(&flow.from) else {
        buckets.give_back(&flow.from, None);
        return Err(InsertError::Full);
    };
    if buckets.is_elsewhere(&flow.from, claimed) {
        buckets.give_back(&flow.from, Some(claimed));
        return Err(InsertError::Exists);
    }
    let bucket = buckets.bucket(claimed.index()).ok_or(InsertError::Full)?;
    let tag = Tag(bucket.word(claimed.slot()));
    bucket.fill(claimed.slot(), flow);
    if B::FORGETS {
        bucket.set_filled(claimed.slot(), flow.last_seen);
        bucket.set_filled(0, flow.last_seen);
    }
    bucket.exchange(claimed.slot(), tag, tag.live());
    Ok(())
}

/// Takes the entry of `tuple` out of sight.
#[inline(always)]
pub fn retire<B: Buckets>(buckets: &B, tuple: &Tuple) {
    let Some(found) = find(buckets, tuple) else { return };
    if let Some(bucket) = buckets.bucket(found.index()) {
        let gone = if B::FORGETS { Tag::FREE } else { Tag::RETIRED };
        // By the tuple's own tag, for a table that forgets may have given the slot to another one since.
        bucket.exchange(found.slot(), Place::of(buckets, tuple).tag.live(), gone);
    }
}

/// Makes a retired slot free again, whose entry was of `tuple`. To be called once, and by nobody else at the same time,
/// when everything that ran when it was retired has ended.
pub fn recycle<B: Buckets>(buckets: &B, retired: Position, tuple: &Tuple) {
    let Some(bucket) = buckets.bucket(retired.index()) else { return };
    if bucket.exchange(retired.slot(), Tag::RETIRED, Tag::FREE) {
        // In this order: a count that is too high, should the caller end between the two, only lengthens searches.
        unpass(buckets, tuple, Some(retired));
    }
}

/// The slot with this live tag, the preferred one or any other; 0 if there is none.
#[inline(always)]
fn seek<B: Bucket>(bucket: B, preferred: u32, tag: Tag) -> u32 {
    if bucket.word(preferred) == tag.0 { preferred } else { first(slots(bucket, |word| word ^ tag.0)) }
}

/// Claims a free slot for an entry of `tuple`. None: there is none within reach, all of which it is counted to have gone
/// past.
#[inline(always)]
pub fn claim<B: Buckets>(buckets: &B, tuple: &Tuple) -> Option<Position> {
    let place = Place::of(buckets, tuple);
    let mut index = place.home;
    for _ in 0..reach::<B>() {
        let bucket = buckets.bucket(index)?;
        let free = slots(bucket, |word| word);
        // The one that it would rather have, or its neighbour, whose lines a processor fetches along.
        let near = place.slot ^ (!free >> place.slot & 1);
        let slot = if free >> near & 1 != 0 { near } else { first(free) };
        if slot != 0 && taken(bucket, place.tag) == 0 && bucket.exchange(slot, Tag::FREE, place.tag) {
            return Some(Position::new(index, slot));
        }
        if B::FORGETS {
            return make_way(bucket, place).map(|slot| Position::new(index, slot));
        }
        bucket.pass(1);
        index = next(buckets, index);
    }
    None
}

/// Claims the slot of the bucket's oldest entry. None: that one is being changed, or the tag is taken.
#[inline(always)]
fn make_way<B: Bucket>(bucket: B, place: Place) -> Option<u32> {
    let last = bucket.filled(0);
    // The age above, the slot below, so that the greater number is all there is to keep.
    let aged = |slot| u64::from(last.wrapping_sub(bucket.filled(slot)) & i32::MAX as u32) << 32 | u64::from(slot);
    let slot = (1..SLOTS).map(aged).fold(0, greater) as u32 % SLOTS;
    let present = Tag(bucket.word(slot));
    let ready = slot != 0 && present.is_live() && taken(bucket, place.tag) == 0;
    (ready && bucket.exchange(slot, present, place.tag)).then_some(slot)
}

/// The greater of two numbers below 2^63, without a branch.
#[inline(always)]
fn greater(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    // All ones if `a` is less.
    let less = (difference >> 63).wrapping_neg();
    a.wrapping_sub(difference & less)
}

/// Whether `tuple` may be anywhere within reach but where it is `claimed`, live or about to be.
#[inline(always)]
pub fn is_elsewhere<B: Buckets>(buckets: &B, tuple: &Tuple, claimed: Position) -> bool {
    let place = Place::of(buckets, tuple);
    let mut index = place.home;
    for _ in 0..reach::<B>() {
        let Some(bucket) = buckets.bucket(index) else { return false };
        let own = if index == claimed.index() { 1 << claimed.slot() } else { 0 };
        let others = taken(bucket, place.tag) & !own;
        let other = first(others);
        // What is only claimed cannot be compared yet, and is taken for the same, as are two at once.
        let differs = others == 1 << other && bucket.word(other) == place.tag.live().0 && !bucket.holds(other, tuple);
        if others != 0 && !differs {
            return true;
        }
        if bucket.word(0) == 0 {
            return false;
        }
        index = next(buckets, index);
    }
    false
}

/// Takes an insertion back that has claimed a slot, or found none.
#[inline(always)]
pub fn give_back<B: Buckets>(buckets: &B, tuple: &Tuple, claimed: Option<Position>) {
    if let Some(claimed) = claimed
        && let Some(bucket) = buckets.bucket(claimed.index())
    {
        bucket.exchange(claimed.slot(), Tag(bucket.word(claimed.slot())), Tag::FREE);
    }
    if !B::FORGETS {
        unpass(buckets, tuple, claimed);
    }
}

/// Takes an entry of `tuple` off the counts of the buckets that it went past on the way to `position`, or of all within
/// reach.
#[inline(always)]
fn unpass<B: Buckets>(buckets: &B, tuple: &Tuple, position: Option<Position>) {
    let mut index = Place::of(buckets, tuple).home;
    for _ in 0..reach::<B>() {
        if position.is_some_and(|position| position.index() == index) {
            break;
        }
        if let Some(bucket) = buckets.bucket(index) {
            bucket.pass(-1);
        }
        index = next(buckets, index);
    }
}

/// The slots with this tag, live or claimed.
#[inline(always)]
fn taken<B: Bucket>(bucket: B, tag: Tag) -> u32 {
    slots(bucket, |word| Tag(word).live().0 ^ tag.live().0)
}

/// The slots for whose words `difference` is 0, as bits 1 to 15. Without a branch, which the verifier would follow both
/// ways at each slot.
#[inline(always)]
fn slots<B: Bucket>(bucket: B, difference: impl Fn(u32) -> u32) -> u32 {
    let mut slots = 0;
    for slot in 1..SLOTS {
        // Less than 2^32, so only 0 borrows from the highest bit.
        slots |= (u64::from(difference(bucket.word(slot))).wrapping_sub(1) >> 63) << slot;
    }
    slots as u32
}

/// The first of these slots, 0 if there is none.
#[inline(always)]
fn first(slots: u32) -> u32 {
    slots.trailing_zeros() % SLOTS
}

/// Buckets in which an entry of such a table may be.
#[inline(always)]
const fn reach<B: Buckets>() -> u32 {
    if B::FORGETS { 1 } else { REACH }
}

#[inline(always)]
fn next<B: Buckets>(buckets: &B, index: u32) -> u32 {
    if index + 1 < buckets.count() { index + 1 } else { 0 }
}

/// NH (RFC 4418 section 5.2.2) of the tuple's nine words, and a finish that spreads it over all bits: without the keys
/// nobody can choose tuples that collide.
#[inline(always)]
fn hash(tuple: &Tuple, keys: &[u32; 10]) -> u64 {
    let [s0, s1, s2, s3] = tuple.src.words();
    let [d0, d1, d2, d3] = tuple.dst.words();
    let product = |x: u32, i: usize, y: u32, j: usize| {
        u64::from(x.wrapping_add(keys[i])).wrapping_mul(u64::from(y.wrapping_add(keys[j])))
    };
    let sum = product(s0, 0, d0, 1)
        .wrapping_add(product(s1, 2, d1, 3))
        .wrapping_add(product(s2, 4, d2, 5))
        .wrapping_add(product(s3, 6, d3, 7))
        .wrapping_add(product(tuple.ports(), 8, 0, 9));
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}
