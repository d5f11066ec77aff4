//! Ends all flows of a backend at once, and tells both ends of each.
//!
//! Entries are marked by replacing them, so a packet that is being handled meanwhile may still go through; the next one
//! is turned away. The resets follow when all entries are marked.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
};

use anyhow::{Context, Result};
use aya::maps::{Map, MapData};
use gateway_common::{
    abi::{Answer, Direction, Flow, Seen, Tuple},
    nat::{State, cut, state},
};

use super::{clock, flows::FlowTable, mapped::MappedArray, syscall};
use crate::host::resets::{self, Reset};

/// Handles of the maps that hold flows.
pub struct Cutter {
    flows: FlowTable,
    half_open: FlowTable,
    open_flows: MappedArray<i64>,
}

impl Cutter {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        Ok(Self {
            flows: FlowTable::new(Map::HashMap(open("FLOWS")?), open("FLOWS")?)?,
            half_open: FlowTable::new(Map::LruHashMap(open("HALF_OPEN")?), open("HALF_OPEN")?)?,
            open_flows: MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
        })
    }

    /// Ends the flows of `backends`, which are to get no new ones. Returns how many were open.
    pub fn cut(&mut self, backends: &HashSet<u32>, answer: Answer) -> Result<u64> {
        // Half-open ones first: what is promoted meanwhile is then found among the established.
        let mut resets = self.end_half_open(backends)?;
        let mut open = 0;
        for tuple in self.originals(backends)? {
            if let Some([original, reply]) = self.end_established(&tuple, answer)? {
                open += 1;
                resets.extend(cut::expected(&reply, &original).map(|seq| reset(&reply.to, seq)));
                resets.extend(cut::expected(&original, &reply).map(|seq| reset(&original.to, seq)));
            }
        }
        if answer == Answer::Reset {
            // With nothing under way both numbers are the same.
            resets.dedup();
            if let Err(error) = resets::send(&resets) {
                log::warn!("{error:#}; who has got none is reset on the next segment");
            }
        }
        Ok(open)
    }

    fn end_half_open(&self, backends: &HashSet<u32>) -> Result<Vec<Reset>> {
        let mut entries: HashMap<Tuple, Flow> = HashMap::new();
        self.half_open.visit(|tuple, entry| {
            if backends.contains(&entry.backend) {
                entries.insert(*tuple, *entry);
            }
        })?;
        let mut resets = Vec::new();
        for (tuple, entry) in &entries {
            // By now the tuple may be another attempt's.
            let unchanged = |present: Flow| (present.backend, present.created) == (entry.backend, entry.created);
            if self.half_open.get(tuple).is_some_and(unchanged) {
                syscall::take::<_, Flow>(self.half_open.raw(), tuple).context("remove a half-open flow")?;
            }
            // An end that has seen the other's SYN believes that there is a connection, or soon will.
            let twin = entries.get(&entry.to.reversed());
            if twin.is_some_and(|twin| twin.seen.contains(Seen::SYN)) && entry.seen.contains(Seen::SYN) {
                resets.push(reset(&entry.to, entry.next_seq));
            }
        }
        Ok(resets)
    }

    fn originals(&self, backends: &HashSet<u32>) -> Result<Vec<Tuple>> {
        let mut originals = Vec::new();
        self.flows.visit(|tuple, entry| {
            if entry.direction == Direction::Original && backends.contains(&entry.backend) {
                originals.push(*tuple);
            }
        })?;
        Ok(originals)
    }

    /// Marks a flow as cut and returns both directions of it as they were, if it was open.
    fn end_established(&mut self, tuple: &Tuple, answer: Answer) -> Result<Option<[Flow; 2]>> {
        let Some(original) = self.flows.get(tuple) else { return Ok(None) };
        let reply_tuple = original.to.reversed();
        let Some(reply) = self.flows.get(&reply_tuple) else { return Ok(None) };
        let state = state(original.seen, reply.seen);
        // What both ends have closed may still repeat its last segments.
        if state == State::TimeWait {
            return Ok(None);
        }
        let now = clock::now()?;
        for (tuple, mut entry) in [(&reply_tuple, reply), (tuple, original)] {
            cut::mark(&mut entry, answer, now);
            self.flows.replace(tuple, &entry)?;
        }
        if state.is_finished() {
            return Ok(None);
        }
        self.open_flows.counter(original.backend).fetch_sub(1, Ordering::Relaxed);
        Ok(Some([original, reply]))
    }
}

/// A reset with the tuple of the segments it stands for.
fn reset(tuple: &Tuple, seq: u32) -> Reset {
    Reset { from: tuple.source(), to: tuple.destination(), seq }
}
