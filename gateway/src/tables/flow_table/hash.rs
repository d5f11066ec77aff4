//! A flow table that is one of the kernel's hash maps.

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use gateway_common::{
    abi::{Answer, Flow, Tuple},
    nat::cut,
};

use super::FlowTable;
use crate::tables::syscall::{self, Batches};

const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

pub struct HashTable {
    entries: HashMap<MapData, Tuple, Flow>,
    raw: MapData,
    capacity: u32,
}

impl HashTable {
    /// `entries` and `raw` are two handles of the same map.
    pub fn new(entries: Map, raw: MapData) -> Result<Self> {
        let capacity = raw.info().context("ask for the size of a flow table")?.max_entries();
        Ok(Self { entries: HashMap::try_from(entries).context("open a flow table")?, raw, capacity })
    }

    /// Changes a copy of an entry and puts it in its place, if there is one.
    fn change(&mut self, tuple: &Tuple, change: impl Fn(&mut Flow)) -> Result<()> {
        let Some(mut entry) = self.get(tuple) else { return Ok(()) };
        change(&mut entry);
        match self.entries.insert(tuple, entry, BPF_EXIST) {
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result.context("write to a flow table"),
        }
    }
}

impl FlowTable for HashTable {
    fn visit(&self, visit: &mut dyn FnMut(&Flow)) -> Result<()> {
        let mut batches = Batches::<Tuple, Flow>::new(&self.raw);
        while let Some(batch) = batches.read().context("read a flow table")? {
            batch.for_each(|(_, entry)| visit(entry));
        }
        Ok(())
    }

    fn get(&self, tuple: &Tuple) -> Option<Flow> {
        self.entries.get(tuple, 0).ok()
    }

    fn insert(&mut self, flow: &Flow) -> Result<()> {
        self.entries.insert(flow.from, flow, BPF_NOEXIST).context("add to a flow table")
    }

    /// An entry is taken out in one step with reading it a last time: had a packet revived it or a new flow taken its
    /// place meanwhile, it is put back.
    fn remove(&mut self, tuple: &Tuple, wanted: &dyn Fn(&Flow) -> bool) -> Result<bool> {
        if !self.get(tuple).is_some_and(|entry| wanted(&entry)) {
            return Ok(false);
        }
        let Some(taken) = syscall::take::<_, Flow>(&self.raw, tuple).context("remove a flow")? else {
            return Ok(false);
        };
        if !wanted(&taken) {
            // Existing again means that packets have made a new one in its place already.
            let _ = self.entries.insert(tuple, taken, BPF_NOEXIST);
            return Ok(false);
        }
        Ok(true)
    }

    /// Entries are replaced: what a packet that is under way still writes, it writes to the old one.
    fn cut(&mut self, entries: &[Flow], answer: Answer, now: u32) -> Result<()> {
        entries.iter().try_for_each(|wanted| {
            self.change(&wanted.from, |entry| {
                if entry.to == wanted.to {
                    cut::mark(entry, answer, now);
                }
            })
        })
    }

    fn forget_hops(&mut self, current: u16) -> Result<()> {
        let mut stale = Vec::new();
        self.visit(&mut |entry| {
            if !matches!(entry.hop.generation, generation if generation == 0 || generation == current) {
                stale.push(entry.from);
            }
        })?;
        stale.iter().try_for_each(|tuple| self.change(tuple, |entry| entry.hop.generation = 0))
    }

    fn recycle(&mut self) -> Result<()> {
        Ok(())
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn places(&self) -> u32 {
        self.capacity
    }
}
