//! Removes flows that are over, and keeps the counts of open flows true.
//!
//! A sweep reads the tables in batches and judges most entries by themselves; only where one looks over is its
//! twin fetched. An entry is removed in one step with reading it a last time: had a packet revived it or a new
//! flow taken its place meanwhile, it is put back.

use std::{collections::HashMap, sync::atomic::Ordering};

use anyhow::{Context, Result};
use aya::maps::{HashMap as BpfHashMap, Map, MapData};
use gateway_common::{
    abi::{Direction, Flow, Seen, Tuple},
    nat::{self, timeout},
};

use super::{clock, drift::Drift, flows::FlowTable, limits::Accounts, mapped::MappedArray, syscall};

/// What one sweep saw and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Flows in the table after the sweep.
    pub flows: u64,
    pub half_open: u64,
    pub removed: u64,
    /// Flows of either table by backend, finished ones included: who names a backend still.
    pub by_backend: HashMap<u32, u64>,
}

/// The sweeper's own handles of the maps.
pub struct Sweeper {
    flows: FlowTable,
    half_open: FlowTable,
    /// For putting back what should not have been taken.
    writable: BpfHashMap<MapData, Tuple, Flow>,
    open_flows: MappedArray<i64>,
    /// Of the counts of open flows, by backend.
    drift: Drift<u32>,
    accounts: Accounts,
}

impl Sweeper {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        Ok(Self {
            flows: FlowTable::new(Map::HashMap(open("FLOWS")?), open("FLOWS")?)?,
            half_open: FlowTable::new(Map::LruHashMap(open("HALF_OPEN")?), open("HALF_OPEN")?)?,
            writable: BpfHashMap::try_from(Map::HashMap(open("FLOWS")?)).context("open the flow table")?,
            open_flows: MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
            drift: Drift::default(),
            accounts: Accounts::new(open)?,
        })
    }

    /// One pass over both tables. `idle_timeout` gives a backend's limit for established flows, in ticks.
    pub fn sweep(&mut self, idle_timeout: impl Fn(u32) -> u32) -> Result<Swept> {
        let now = clock::now()?;
        let mut swept = Swept::default();
        self.sweep_half_open(now, &mut swept)?;
        self.sweep_established(now, &idle_timeout, &mut swept)?;
        self.accounts.correct()?;
        Ok(swept)
    }

    fn sweep_half_open(&self, now: u32, swept: &mut Swept) -> Result<()> {
        let mut over = Vec::new();
        self.half_open.visit(|tuple, entry| {
            if now.wrapping_sub(entry.last_seen) >= timeout::TRANSITORY && entry.last_seen < now {
                over.push(*tuple);
            } else if entry.direction == Direction::Original {
                swept.half_open += 1;
                *swept.by_backend.entry(entry.backend).or_default() += 1;
            }
        })?;
        // Quiet for minutes in each direction by itself: a handshake is short.
        for tuple in over {
            if syscall::take::<_, Flow>(self.half_open.raw(), &tuple).context("remove a half-open flow")?.is_some() {
                swept.removed += 1;
            }
        }
        Ok(())
    }

    fn sweep_established(&mut self, now: u32, idle_timeout: &impl Fn(u32) -> u32, swept: &mut Swept) -> Result<()> {
        let mut suspects: Vec<(Tuple, Flow)> = Vec::new();
        let mut closing: Vec<(Tuple, Flow)> = Vec::new();
        let mut unfinished: HashMap<u32, i64> = HashMap::new();
        self.flows.visit(|tuple, entry| {
            if timeout::may_be_over(entry, idle_timeout(entry.backend), now) {
                suspects.push((*tuple, *entry));
            }
            if entry.direction == Direction::Original {
                swept.flows += 1;
                *swept.by_backend.entry(entry.backend).or_default() += 1;
                *unfinished.entry(entry.backend).or_default() += 1;
            } else {
                // A resting tuple has no flow but names its backend.
                swept.by_backend.entry(entry.backend).or_default();
            }
            let closes = Seen::FIN.with(Seen::RST).with(Seen::CUT);
            if entry.seen.intersects(closes) && !entry.seen.contains(Seen::RESTING) {
                closing.push((*tuple, *entry));
            }
        })?;
        self.count_finished(&closing, &mut unfinished);
        for (tuple, entry) in suspects {
            if self.remove_if_over(&tuple, &entry, idle_timeout(entry.backend), now)? {
                swept.removed += 1;
                swept.flows = swept.flows.saturating_sub(1);
            }
        }
        self.correct(unfinished, swept.flows);
        Ok(())
    }

    /// Takes the finished flows off the count of each backend.
    fn count_finished(&self, closing: &[(Tuple, Flow)], unfinished: &mut HashMap<u32, i64>) {
        let by_tuple: HashMap<Tuple, Seen> = closing.iter().map(|(tuple, entry)| (*tuple, entry.seen)).collect();
        for (_, entry) in closing {
            let twin = by_tuple.get(&entry.to.reversed());
            // Where the twin closes as well, the flow is counted once, by its original direction.
            let counted_by_twin = entry.direction == Direction::Reply && twin.is_some();
            let finished = nat::state(entry.seen, twin.copied().unwrap_or(Seen::NOTHING)).is_finished();
            if finished && !counted_by_twin {
                *unfinished.entry(entry.backend).or_default() -= 1;
            }
        }
    }

    /// Removes the flow that `entry` is one direction of, if it is over.
    fn remove_if_over(&mut self, tuple: &Tuple, entry: &Flow, established: u32, now: u32) -> Result<bool> {
        if entry.seen.contains(Seen::RESTING) {
            return self.remove(tuple, entry);
        }
        let twin_tuple = entry.to.reversed();
        let Some(twin) = self.flows.get(&twin_tuple) else {
            // Its twin came first in this sweep; or half a pair, the rest of a removal that was interrupted.
            return Ok(self.remove(tuple, entry)? && entry.direction == Direction::Original);
        };
        let (original, reply) = match entry.direction {
            Direction::Original => (entry, &twin),
            Direction::Reply => (&twin, entry),
        };
        if !timeout::is_over(original, reply, established, now) || !self.remove(tuple, entry)? {
            return Ok(false);
        }
        self.remove(&twin_tuple, &twin)?;
        Ok(true)
    }

    /// Takes an entry out if it still is what it was; otherwise it stays, or goes back.
    fn remove(&mut self, tuple: &Tuple, expected: &Flow) -> Result<bool> {
        let unchanged = |entry: &Flow| entry.last_seen == expected.last_seen && entry.created == expected.created;
        if !self.flows.get(tuple).is_some_and(|entry| unchanged(&entry)) {
            return Ok(false);
        }
        let Some(taken) = syscall::take::<_, Flow>(self.flows.raw(), tuple).context("remove a flow")? else {
            return Ok(false);
        };
        if !unchanged(&taken) {
            const BPF_NOEXIST: u64 = 1;
            // Existing again means that packets have made a new one in its place already.
            let _ = self.writable.insert(tuple, taken, BPF_NOEXIST);
            return Ok(false);
        }
        if expected.direction == Direction::Original {
            self.open_flows.counter(0).fetch_sub(1, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Corrects counters that have been wrong for longer than a sweep takes.
    fn correct(&mut self, mut truth: HashMap<u32, i64>, flows: u64) {
        truth.insert(0, i64::try_from(flows).unwrap_or(i64::MAX));
        for index in 0..self.open_flows.len() {
            let counter = self.open_flows.counter(index);
            let difference = truth.get(&index).copied().unwrap_or(0) - counter.load(Ordering::Relaxed);
            let correction = self.drift.lasting(index, difference);
            if correction != 0 {
                counter.fetch_add(correction, Ordering::Relaxed);
            }
        }
    }
}
