//! A flow table that is an array of buckets, shared with the packet programs as memory.
//!
//! Reading takes no system call and no lock. What is removed is retired, as in [`gateway_common::nat::buckets`], and its
//! slot free again after a grace period of RCU.
#![expect(unsafe_code, reason = "words and entries of a map's memory, which packet programs change meanwhile")]

use std::{
    mem::MaybeUninit,
    sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aya::maps::MapData;
use gateway_common::{
    abi::{self, Answer, Flow, SLOTS, Seen, Settings, Tag, Tuple, entries_in},
    nat::{
        InsertError,
        buckets::{self, Bucket, Buckets, Position},
        cut,
    },
};

use super::FlowTable;
use crate::{host::rcu, tables::mapped::MappedArray};

/// Where the kernel offers no grace period: no packet is under way for longer.
const GRACE: Duration = Duration::from_millis(100);

/// Such a table; one that forgets is that of half-open flows.
pub struct BucketTable<const FORGETS: bool> {
    buckets: MappedArray<abi::Bucket>,
    hash_keys: [u32; 10],
}

impl<const FORGETS: bool> BucketTable<FORGETS> {
    pub fn new(buckets: &MapData, settings: &MapData) -> Result<Self> {
        let buckets = MappedArray::new(buckets).context("map a flow table")?;
        let settings = MappedArray::<Settings>::new(settings).context("map the settings")?.get(0);
        let expected = if FORGETS { settings.half_open_buckets } else { settings.buckets };
        if expected != buckets.len() {
            bail!("a flow table has {} buckets, not {expected} as the settings say", buckets.len());
        }
        Ok(Self { buckets, hash_keys: settings.hash_keys })
    }

    fn at(&self, index: u32) -> MappedBucket {
        MappedBucket(self.buckets.element(index))
    }

    /// Where an entry of `tuple` is, live.
    fn find(&self, tuple: &Tuple) -> Option<(MappedBucket, u32)> {
        let found = buckets::find(self, tuple)?;
        Some((self.at(found.index()), found.slot()))
    }

    /// The slots of all buckets whose tag is wanted.
    fn slots(&self, wanted: impl Fn(Tag) -> bool) -> impl Iterator<Item = (Position, MappedBucket)> {
        (0..self.buckets.len() * SLOTS)
            .map(Position)
            .filter(|position| position.slot() != 0)
            .map(|position| (position, self.at(position.index())))
            .filter(move |(position, bucket)| wanted(Tag(bucket.word(position.slot()))))
    }
}

impl<const FORGETS: bool> FlowTable for BucketTable<FORGETS> {
    fn visit(&self, visit: &mut dyn FnMut(&Flow)) -> Result<()> {
        for (position, bucket) in self.slots(Tag::is_live) {
            visit(&bucket.copy(position.slot()));
        }
        Ok(())
    }

    fn get(&self, tuple: &Tuple) -> Option<Flow> {
        self.find(tuple).map(|(bucket, slot)| bucket.copy(slot))
    }

    fn insert(&mut self, flow: &Flow) -> Result<()> {
        match buckets::insert(self, flow) {
            Ok(()) => Ok(()),
            Err(InsertError::Exists) => bail!("the flow table has an entry of {:?}", flow.from),
            Err(InsertError::Full) => bail!("the flow table has no room for {:?}", flow.from),
        }
    }

    /// A packet that comes in the moment between looking and removing goes through, and is the last one of its flow.
    fn remove(&mut self, tuple: &Tuple, wanted: &dyn Fn(&Flow) -> bool) -> Result<bool> {
        let Some((bucket, slot)) = self.find(tuple) else { return Ok(false) };
        let (tag, entry) = (Tag(bucket.word(slot)), bucket.copy(slot));
        let same = tag.is_live() && entry.from == *tuple;
        let gone = if FORGETS { Tag::FREE } else { Tag::RETIRED };
        Ok(same && wanted(&entry) && bucket.exchange(slot, tag, gone))
    }

    /// A packet that was under way may have overwritten a mark: after a grace period all are looked at once more.
    fn cut(&mut self, entries: &[Flow], answer: Answer, now: u32) -> Result<()> {
        // While packets are waited for, a client may begin another connection with the tuple.
        let is_unmarked = |present: &Flow, wanted: &Flow| present.to == wanted.to && !present.seen.contains(Seen::CUT);
        let mut unmarked: Vec<Flow> = entries.to_vec();
        while !unmarked.is_empty() {
            for wanted in &unmarked {
                if let Some((bucket, slot)) = self.find(&wanted.from)
                    && is_unmarked(&bucket.copy(slot), wanted)
                {
                    bucket.mark(slot, answer, now);
                }
            }
            wait_for_packets();
            unmarked.retain(|wanted| self.get(&wanted.from).is_some_and(|present| is_unmarked(&present, wanted)));
        }
        Ok(())
    }

    fn forget_hops(&mut self, current: u16) -> Result<()> {
        for (position, bucket) in self.slots(Tag::is_live) {
            bucket.forget_hop(position.slot(), current);
        }
        Ok(())
    }

    fn recycle(&mut self) -> Result<()> {
        let retired: Vec<Position> = self.slots(|tag| tag == Tag::RETIRED).map(|(position, _)| position).collect();
        if !retired.is_empty() {
            wait_for_packets();
        }
        for position in retired {
            buckets::recycle(self, position, &self.at(position.index()).copy(position.slot()).from);
        }
        Ok(())
    }

    fn capacity(&self) -> u32 {
        entries_in(self.buckets.len())
    }

    fn places(&self) -> u32 {
        self.buckets.len().saturating_mul(SLOTS - 1)
    }
}

/// Waits until all packets that are being handled have been.
fn wait_for_packets() {
    if let Err(error) = rcu::synchronize() {
        log::debug!("{error}; waiting for {GRACE:?} instead");
        thread::sleep(GRACE);
    }
}

impl<const FORGETS: bool> Buckets for BucketTable<FORGETS> {
    type Bucket = MappedBucket;
    const FORGETS: bool = FORGETS;

    fn count(&self) -> u32 {
        self.buckets.len()
    }

    fn hash_keys(&self) -> &[u32; 10] {
        &self.hash_keys
    }

    fn bucket(&self, index: u32) -> Option<MappedBucket> {
        (index < self.buckets.len()).then(|| self.at(index))
    }
}

/// A bucket in the map's memory.
#[derive(Clone, Copy)]
pub struct MappedBucket(*mut abi::Bucket);

impl MappedBucket {
    fn atomic(&self, slot: u32) -> &AtomicU32 {
        // SAFETY: a word of the head, aligned, in memory that outlives every use of a bucket.
        unsafe { AtomicU32::from_ptr(self.0.cast::<u32>().add((slot % SLOTS) as usize)) }
    }

    fn time(&self, slot: u32) -> &AtomicU32 {
        // SAFETY: as above; the times follow the words.
        unsafe { AtomicU32::from_ptr(self.0.cast::<u32>().add((SLOTS + slot % SLOTS) as usize)) }
    }

    fn entry(self, slot: u32) -> *mut Flow {
        // SAFETY: within the bucket.
        unsafe { self.0.cast::<Flow>().add((slot % SLOTS) as usize) }
    }

    /// A copy of what is in a slot that is live or retired. Packets may change it meanwhile: each field is whole.
    fn copy(self, slot: u32) -> Flow {
        const WORDS: usize = size_of::<Flow>() / size_of::<u64>();
        let mut copy = MaybeUninit::<Flow>::uninit();
        for word in 0..WORDS {
            // SAFETY: both are as long and as aligned.
            unsafe {
                let value = self.entry(slot).cast::<u64>().add(word).read_volatile();
                copy.as_mut_ptr().cast::<u64>().add(word).write(value);
            }
        }
        // SAFETY: filled above; a slot that was ever live holds a `Flow`.
        unsafe { copy.assume_init() }
    }

    fn mark(self, slot: u32, answer: Answer, now: u32) {
        let mut marked = self.copy(slot);
        cut::mark(&mut marked, answer, now);
        let entry = self.entry(slot);
        // SAFETY: fields of the entry, aligned, in memory that outlives every use of a bucket.
        let (seen, last_seen) =
            unsafe { (AtomicU8::from_ptr(&raw mut (*entry).seen.0), AtomicU32::from_ptr(&raw mut (*entry).last_seen)) };
        seen.fetch_or(marked.seen.0, Ordering::Relaxed);
        last_seen.store(marked.last_seen, Ordering::Relaxed);
    }

    fn forget_hop(self, slot: u32, current: u16) {
        // SAFETY: as above.
        let generation = unsafe { AtomicU16::from_ptr(&raw mut (*self.entry(slot)).hop.generation) };
        if generation.load(Ordering::Relaxed) != current {
            generation.store(0, Ordering::Relaxed);
        }
    }
}

impl Bucket for MappedBucket {
    fn word(self, slot: u32) -> u32 {
        self.atomic(slot).load(Ordering::Acquire)
    }

    fn exchange(self, slot: u32, old: Tag, new: Tag) -> bool {
        self.atomic(slot).compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn pass(self, change: i32) {
        self.atomic(0).fetch_add(change.cast_unsigned(), Ordering::SeqCst);
    }

    fn holds(self, slot: u32, tuple: &Tuple) -> bool {
        self.copy(slot).from == *tuple
    }

    fn filled(self, slot: u32) -> u32 {
        self.time(slot).load(Ordering::Relaxed)
    }

    fn set_filled(self, slot: u32, now: u32) {
        self.time(slot).store(now, Ordering::Relaxed);
    }

    fn fill(self, slot: u32, flow: &Flow) {
        // SAFETY: within the bucket; the caller has claimed the slot.
        unsafe { self.entry(slot).write_volatile(*flow) }
    }
}
