//! Ends all flows of a backend at once, and tells both ends of each.
//!
//! A packet that is being handled while its flow is marked may still go through; the next one is turned away. The resets
//! follow when all entries are marked, with the numbers that the flows have then.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
};

use anyhow::{Context, Result};
use aya::maps::MapData;
use gateway_common::{
    abi::{Answer, Direction, Flow, Seen, Tuple},
    nat::{State, cut, state},
};

use super::{
    clock,
    flow_table::{self, FLOWS, FlowTable, HALF_OPEN},
    mapped::MappedArray,
};
use crate::host::resets::{self, Reset};

/// Handles of the maps that hold flows.
pub struct Cutter {
    flows: Box<dyn FlowTable>,
    half_open: Box<dyn FlowTable>,
    open_flows: MappedArray<i64>,
}

impl Cutter {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        Ok(Self {
            flows: flow_table::open(FLOWS, &open)?,
            half_open: flow_table::open(HALF_OPEN, &open)?,
            open_flows: MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
        })
    }

    /// Ends the flows of `backends`, which are to get no new ones. Returns how many were open.
    pub fn cut(&mut self, backends: &HashSet<u32>, answer: Answer) -> Result<u64> {
        // Half-open ones first: what is promoted meanwhile is then found among the established.
        let mut resets = self.end_half_open(backends)?;
        let open = self.end_established(backends, answer)?;
        for tuple in &open {
            let Some((original, reply)) = self.pair(tuple) else { continue };
            // Not if its client has begun another connection meanwhile.
            if !original.seen.contains(Seen::CUT) || !reply.seen.contains(Seen::CUT) {
                continue;
            }
            resets.extend(cut::expected(&reply, &original).map(|seq| reset(&reply.to, seq)));
            resets.extend(cut::expected(&original, &reply).map(|seq| reset(&original.to, seq)));
        }
        if answer == Answer::Reset {
            // With nothing under way both numbers are the same.
            resets.dedup();
            if let Err(error) = resets::send(&resets) {
                log::warn!("{error:#}; who has got none is reset on the next segment");
            }
        }
        Ok(open.len() as u64)
    }

    fn end_half_open(&mut self, backends: &HashSet<u32>) -> Result<Vec<Reset>> {
        let mut entries: HashMap<Tuple, Flow> = HashMap::new();
        self.half_open.visit(&mut |entry| {
            if backends.contains(&entry.backend) {
                entries.insert(entry.from, *entry);
            }
        })?;
        let mut resets = Vec::new();
        for (tuple, entry) in &entries {
            // By now the tuple may be another attempt's.
            let same = |present: &Flow| (present.backend, present.created) == (entry.backend, entry.created);
            if !self.half_open.remove(tuple, &same)? {
                continue;
            }
            // An end that has seen the other's SYN believes that there is a connection, or soon will.
            if entry.seen.contains(Seen::COOKIE) && entry.direction == Direction::Reply {
                // The gateway has answered the client itself, with this number.
                resets.push(reset(&entry.to, entry.shift().wrapping_add(1)));
                continue;
            }
            let twin = entries.get(&entry.to.reversed());
            if twin.is_some_and(|twin| twin.seen.contains(Seen::SYN)) && entry.seen.contains(Seen::SYN) {
                resets.push(reset(&entry.to, entry.next_seq));
            }
        }
        Ok(resets)
    }

    /// Marks the flows of `backends` as cut, in both directions, and returns the original tuples of those that were open.
    fn end_established(&mut self, backends: &HashSet<u32>, answer: Answer) -> Result<Vec<Tuple>> {
        let mut originals = Vec::new();
        self.flows.visit(&mut |entry| {
            if entry.direction == Direction::Original && backends.contains(&entry.backend) {
                originals.push(entry.from);
            }
        })?;
        let mut open = Vec::new();
        let mut ended = Vec::new();
        for tuple in originals {
            let Some((original, reply)) = self.pair(&tuple) else { continue };
            if !backends.contains(&original.backend) {
                continue;
            }
            let state = state(original.seen, reply.seen);
            // What both ends have closed may still repeat its last segments.
            if state == State::TimeWait {
                continue;
            }
            ended.extend([reply, original]);
            if !state.is_finished() {
                self.open_flows.counter(original.backend).fetch_sub(1, Ordering::Relaxed);
                open.push(tuple);
            }
        }
        self.flows.cut(&ended, answer, clock::now()?)?;
        Ok(open)
    }

    /// Both directions of a flow, by its original tuple.
    fn pair(&self, tuple: &Tuple) -> Option<(Flow, Flow)> {
        let original = self.flows.get(tuple)?;
        Some((original, self.flows.get(&original.to.reversed())?))
    }
}

/// A reset with the tuple of the segments it stands for.
fn reset(tuple: &Tuple, seq: u32) -> Reset {
    Reset { from: tuple.source(), to: tuple.destination(), seq }
}
