//! Removes flows that are over, and keeps the counts of open flows true.
//!
//! A sweep reads the tables once and judges most entries by themselves; only where one looks over is its twin fetched.
//! Finished flows rest before they go, unless the table is so full that new ones would soon be refused.

use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aya::maps::MapData;
use gateway_common::{
    abi::{Direction, Flow, Seen, Settings, Tuple},
    nat::{self, timeout},
};

use super::{
    clock,
    drift::Drift,
    flow_table::{self, FLOWS, FlowTable, HALF_OPEN},
    limits::Accounts,
    mapped::MappedArray,
};

/// Percent of the capacity from which on finished flows make room at once.
const SCARCE: i64 = 90;

/// What one sweep saw and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Flows in the table after the sweep.
    pub flows: u64,
    pub half_open: u64,
    pub removed: u64,
    pub took: Duration,
    /// What names each backend still.
    pub by_backend: HashMap<u32, Named>,
}

/// Entries of either table that name a backend, those of finished flows included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub flows: u64,
    /// Those of the table of half-open flows among them.
    pub half_open: u64,
    /// Source ports that are taken towards it, by resting tuples too.
    pub ports: u64,
}

/// The sweeper's own handles of the maps.
pub struct Sweeper {
    flows: Box<dyn FlowTable>,
    half_open: Box<dyn FlowTable>,
    open_flows: MappedArray<i64>,
    settings: MappedArray<Settings>,
    /// Of the counts of open flows, by backend.
    drift: Drift<u32>,
    accounts: Accounts,
}

impl Sweeper {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        Ok(Self {
            flows: flow_table::open(FLOWS, &open)?,
            half_open: flow_table::open(HALF_OPEN, &open)?,
            open_flows: MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
            settings: MappedArray::new(&open("SETTINGS")?).context("map the settings")?,
            drift: Drift::default(),
            accounts: Accounts::new(open)?,
        })
    }

    /// One pass over both tables. `idle_timeout` gives a backend's limit for established flows, in ticks.
    pub fn sweep(&mut self, idle_timeout: impl Fn(u32) -> u32) -> Result<Swept> {
        let (started, now) = (Instant::now(), clock::now()?);
        let mut swept = Swept::default();
        // By backend: there are fewer of them than flows by far.
        let mut named = vec![Named::default(); self.open_flows.len() as usize];
        self.sweep_half_open(now, &mut swept, &mut named)?;
        self.sweep_established(now, &idle_timeout, &mut swept, &mut named)?;
        swept.by_backend = (0..).zip(named).filter(|(_, named)| *named != Named::default()).collect();
        self.accounts.correct()?;
        self.flows.recycle()?;
        swept.took = started.elapsed();
        Ok(swept)
    }

    fn sweep_half_open(&mut self, now: u32, swept: &mut Swept, named: &mut [Named]) -> Result<()> {
        let mut over = Vec::new();
        let is_over = |entry: &Flow| now.wrapping_sub(entry.last_seen) >= timeout::TRANSITORY && entry.last_seen < now;
        self.half_open.visit(&mut |entry| {
            if is_over(entry) {
                over.push(entry.from);
            } else {
                name(named, entry);
                if entry.direction == Direction::Original {
                    swept.half_open += 1;
                    if let Some(named) = named.get_mut(entry.backend as usize) {
                        named.half_open += 1;
                    }
                }
            }
        })?;
        // Quiet for minutes in each direction by itself: a handshake is short.
        for tuple in over {
            swept.removed += u64::from(self.half_open.remove(&tuple, &is_over)?);
        }
        Ok(())
    }

    fn sweep_established(
        &mut self,
        now: u32,
        idle_timeout: &impl Fn(u32) -> u32,
        swept: &mut Swept,
        named: &mut [Named],
    ) -> Result<()> {
        let mut suspects: Vec<Flow> = Vec::new();
        let mut closing: Vec<Flow> = Vec::new();
        let mut unfinished = vec![0; named.len()];
        let scarce = self.is_room_scarce();
        self.flows.visit(&mut |entry| {
            let may_make_room = scarce && timeout::may_make_room(entry, now);
            if may_make_room || timeout::may_be_over(entry, idle_timeout(entry.backend), now) {
                suspects.push(*entry);
            }
            name(named, entry);
            if entry.direction == Direction::Original {
                swept.flows += 1;
                add(&mut unfinished, entry.backend, 1);
            }
            let closes = Seen::FIN.with(Seen::RST).with(Seen::CUT);
            if entry.seen.intersects(closes) && !entry.seen.contains(Seen::RESTING) {
                closing.push(*entry);
            }
        })?;
        take_finished_off(&closing, &mut unfinished);
        for entry in suspects {
            if self.remove_if_over(&entry, idle_timeout(entry.backend), now, scarce)? {
                swept.removed += 1;
                swept.flows = swept.flows.saturating_sub(1);
            }
        }
        self.correct(unfinished, swept.flows);
        Ok(())
    }

    fn is_room_scarce(&self) -> bool {
        let capacity = i64::from(self.settings.get(0).capacity);
        self.open_flows.get(0).saturating_mul(100) >= capacity.saturating_mul(SCARCE)
    }

    /// Removes the flow that `entry` is one direction of, if it is over, or finished where room is `scarce`.
    fn remove_if_over(&mut self, entry: &Flow, established: u32, now: u32, scarce: bool) -> Result<bool> {
        if entry.seen.contains(Seen::RESTING) {
            // It is no flow any more.
            self.remove(entry)?;
            return Ok(false);
        }
        let Some(twin) = self.flows.get(&entry.to.reversed()) else {
            // Its twin came first in this sweep; or half a pair, the rest of a removal that was interrupted.
            return Ok(self.remove(entry)? && entry.direction == Direction::Original);
        };
        let (original, reply) = match entry.direction {
            Direction::Original => (entry, &twin),
            Direction::Reply => (&twin, entry),
        };
        let makes_room = scarce && timeout::makes_room(original, reply, now);
        let over = makes_room || timeout::is_over(original, reply, established, now);
        if !over || !self.remove(entry)? {
            return Ok(false);
        }
        self.remove(&twin)?;
        Ok(true)
    }

    /// Removes an entry if it still is what it was.
    fn remove(&mut self, entry: &Flow) -> Result<bool> {
        let unchanged = |present: &Flow| present.last_seen == entry.last_seen && present.created == entry.created;
        let removed = self.flows.remove(&entry.from, &unchanged)?;
        if removed && entry.direction == Direction::Original {
            self.open_flows.counter(0).fetch_sub(1, Ordering::Relaxed);
        }
        Ok(removed)
    }

    /// Corrects counters that have been wrong for longer than a sweep takes.
    fn correct(&mut self, mut truth: Vec<i64>, flows: u64) {
        if let Some(all) = truth.first_mut() {
            *all = i64::try_from(flows).unwrap_or(i64::MAX);
        }
        for (index, truth) in (0..).zip(truth) {
            let counter = self.open_flows.counter(index);
            let correction = self.drift.lasting(index, truth - counter.load(Ordering::Relaxed));
            if correction != 0 {
                counter.fetch_add(correction, Ordering::Relaxed);
            }
        }
    }
}

/// Counts an entry for the backend that it names. A flow is its original direction, a source port the reply direction.
fn name(named: &mut [Named], entry: &Flow) {
    if let Some(named) = named.get_mut(entry.backend as usize) {
        let count = match entry.direction {
            Direction::Original => &mut named.flows,
            Direction::Reply => &mut named.ports,
        };
        *count += 1;
    }
}

fn add(numbers: &mut [i64], backend: u32, change: i64) {
    if let Some(number) = numbers.get_mut(backend as usize) {
        *number += change;
    }
}

/// Takes the finished flows off the count of each backend. `closing` are all directions that close.
fn take_finished_off(closing: &[Flow], unfinished: &mut [i64]) {
    let by_tuple: HashMap<Tuple, Seen> = closing.iter().map(|entry| (entry.from, entry.seen)).collect();
    for entry in closing {
        let twin = by_tuple.get(&entry.to.reversed());
        // Where the twin closes as well, the flow is counted once, by its original direction.
        let counted_by_twin = entry.direction == Direction::Reply && twin.is_some();
        let finished = nat::state(entry.seen, twin.copied().unwrap_or(Seen::NOTHING)).is_finished();
        if finished && !counted_by_twin {
            add(unfinished, entry.backend, -1);
        }
    }
}
