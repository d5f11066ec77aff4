//! Arrays of buckets as flow tables.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
    marker::PhantomData,
};

use gateway_common::{
    abi::{self, Flow, SLOTS, Settings, Tag, Tuple},
    nat::{
        FlowTable, InsertError,
        buckets::{self, Bucket, Buckets, Position},
    },
};

use crate::maps::{FLOWS, HALF_OPEN, SETTINGS};

/// Established flows.
pub struct Flows;
/// Half-open flows.
pub struct HalfOpen;

/// Makes a table of flow directions of a map: its size by the settings, whether it forgets, and the names of its functions.
///
/// The functions are global, so that the verifier looks at each once and not at each call again. It lets through pointers
/// of any origin and numbers as their arguments, and numbers as their results.
macro_rules! bucket_table {
    (
        $table:ident, $map:ident, $len:ident, forgets: $forgets:literal,
        $find:ident, $insert:ident, $remove:ident, $claim:ident, $is_elsewhere:ident, $give_back:ident
    ) => {
        impl FlowTable for $table {
            #[inline(always)]
            fn get(&self, tuple: &Tuple) -> Option<&mut Flow> {
                let found = Position($find(tuple));
                let bucket = MapBucket($map.get_ptr_mut(found.index())?);
                // SAFETY: a live local. Read here, or the compiler adds the slot before it looks whether there is a bucket,
                // which the verifier refuses.
                let found = unsafe { (&raw const found).read_volatile() };
                // SAFETY: map memory. It is used for another entry only after a grace period of RCU, under which this
                // program runs; or, in a table that forgets, at any time, as in the kernel's LRU maps. An entry is
                // written by packets of its own direction, in the usual case on one CPU; where they race, a count is
                // lost.
                Some(unsafe { &mut *bucket.flow(found.slot()) })
            }

            #[inline(always)]
            fn insert(&self, flow: &Flow) -> Result<(), InsertError> {
                match $insert(flow) {
                    INSERTED => Ok(()),
                    EXISTS => Err(InsertError::Exists),
                    _ => Err(InsertError::Full),
                }
            }

            #[inline(always)]
            fn remove(&self, tuple: &Tuple) {
                $remove(tuple);
            }
        }

        impl Buckets for Memory<$table> {
            type Bucket = MapBucket;
            const FORGETS: bool = $forgets;

            #[inline(always)]
            fn count(&self) -> u32 {
                self.settings.$len
            }

            #[inline(always)]
            fn hash_keys(&self) -> &[u32; 10] {
                &self.settings.hash_keys
            }

            #[inline(always)]
            fn bucket(&self, index: u32) -> Option<MapBucket> {
                $map.get_ptr_mut(index).map(MapBucket)
            }

            #[inline(always)]
            fn claim(&self, tuple: &Tuple) -> Option<Position> {
                Some(Position($claim(tuple))).filter(|claimed| claimed.0 != NOWHERE)
            }

            #[inline(always)]
            fn is_elsewhere(&self, tuple: &Tuple, claimed: Position) -> bool {
                $is_elsewhere(tuple, claimed.0) != 0
            }

            #[inline(always)]
            fn give_back(&self, tuple: &Tuple, claimed: Option<Position>) {
                $give_back(tuple, claimed.map_or(NOWHERE, |claimed| claimed.0));
            }
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $find(tuple: *const Tuple) -> u32 {
            let Some((memory, tuple)) = Memory::<$table>::with(tuple) else { return NOWHERE };
            buckets::find(&memory, tuple).map_or(NOWHERE, |found| found.0)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $insert(flow: *const Flow) -> u32 {
            let Some((memory, flow)) = Memory::<$table>::with(flow) else { return FULL };
            match buckets::insert(&memory, flow) {
                Ok(()) => INSERTED,
                Err(InsertError::Exists) => EXISTS,
                Err(InsertError::Full) => FULL,
            }
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $remove(tuple: *const Tuple) -> u32 {
            if let Some((memory, tuple)) = Memory::<$table>::with(tuple) {
                buckets::retire(&memory, tuple);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $claim(tuple: *const Tuple) -> u32 {
            let Some((memory, tuple)) = Memory::<$table>::with(tuple) else { return NOWHERE };
            buckets::claim(&memory, tuple).map_or(NOWHERE, |claimed| claimed.0)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $is_elsewhere(tuple: *const Tuple, claimed: u32) -> u32 {
            let Some((memory, tuple)) = Memory::<$table>::with(tuple) else { return 0 };
            buckets::is_elsewhere(&memory, tuple, Position(claimed)).into()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $give_back(tuple: *const Tuple, claimed: u32) -> u32 {
            if let Some((memory, tuple)) = Memory::<$table>::with(tuple) {
                buckets::give_back(&memory, tuple, Some(Position(claimed)).filter(|claimed| claimed.0 != NOWHERE));
            }
            0
        }
    };
}

bucket_table!(
    Flows, FLOWS, buckets, forgets: false,
    find_flow, insert_flow, remove_flow, claim_flow, flow_is_elsewhere, give_flow_back
);
bucket_table!(
    HalfOpen, HALF_OPEN, half_open_buckets, forgets: true,
    find_half_open, insert_half_open, remove_half_open, claim_half_open, half_open_is_elsewhere, give_half_open_back
);

/// Beyond the last bucket.
const NOWHERE: u32 = u32::MAX;
const INSERTED: u32 = 0;
const EXISTS: u32 = 1;
const FULL: u32 = 2;

/// A table's buckets.
struct Memory<T> {
    settings: &'static Settings,
    table: PhantomData<T>,
}

impl<T> Memory<T> {
    /// What every global function needs. None only on a kernel that has lost an array's first element.
    #[inline(always)]
    fn with<'a, A>(argument: *const A) -> Option<(Self, &'a A)> {
        let memory = Self { settings: SETTINGS.get(0)?, table: PhantomData };
        // SAFETY: null, or what the verifier has made sure of.
        Some((memory, unsafe { argument.as_ref() }?))
    }
}

/// An element of the map.
#[derive(Clone, Copy)]
struct MapBucket(*mut abi::Bucket);

impl MapBucket {
    // The remainder bounds the slot for the verifier.
    #[inline(always)]
    fn word_at(self, slot: u32) -> *mut u32 {
        // SAFETY: within the head.
        unsafe { self.0.cast::<u32>().add((slot % SLOTS) as usize) }
    }

    #[inline(always)]
    fn flow(self, slot: u32) -> *mut Flow {
        // SAFETY: within the bucket.
        unsafe { self.0.cast::<Flow>().add((slot % SLOTS) as usize) }
    }
}

impl Bucket for MapBucket {
    #[inline(always)]
    fn word(self, slot: u32) -> u32 {
        // SAFETY: aligned map memory.
        unsafe { self.word_at(slot).read_volatile() }
    }

    #[inline(always)]
    fn exchange(self, slot: u32, old: Tag, new: Tag) -> bool {
        const ORDER: AtomicOrdering = AtomicOrdering::SeqCst;
        // SAFETY: a live local. The compiler often knows the slot's bounds and would leave them out, and the verifier of
        // Linux 6.1 does not; what is read back it does not know either.
        let slot = unsafe { (&raw const slot).read_volatile() };
        // SAFETY: aligned map memory.
        unsafe { atomic_cxchg::<u32, ORDER, ORDER>(self.word_at(slot), old.0, new.0) }.1
    }

    #[inline(always)]
    fn pass(self, change: i32) {
        // SAFETY: as above.
        unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(self.word_at(0), change as u32) };
    }

    #[inline(always)]
    fn holds(self, slot: u32, tuple: &Tuple) -> bool {
        // SAFETY: map memory; what is read of a slot that is being filled is compared, no more.
        unsafe { (*self.flow(slot)).from.equals(tuple) }
    }

    #[inline(always)]
    fn filled(self, slot: u32) -> u32 {
        // SAFETY: as above; the times follow the words.
        unsafe { self.word_at(slot).add(SLOTS as usize).read_volatile() }
    }

    #[inline(always)]
    fn set_filled(self, slot: u32, now: u32) {
        // SAFETY: as above.
        unsafe { self.word_at(slot).add(SLOTS as usize).write_volatile(now) };
    }

    #[inline(always)]
    fn fill(self, slot: u32, flow: &Flow) {
        // SAFETY: the caller has claimed the slot.
        unsafe { *self.flow(slot) = *flow };
    }
}
