//! The flow tables read from this side: listing.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::{Context, Result};
use aya::maps::{HashMap as BpfHashMap, Map, MapData, MapError};
use gateway_common::{
    abi::{Direction, Flow as Entry, Seen, Tuple},
    nat::{State, state},
};

use super::{backends::Backends, clock, syscall::Batches};
use crate::model::flow::{Flow, FlowFilter, FlowPage, FlowState, Traffic};

/// A flow table in the kernel.
pub struct FlowTable {
    entries: BpfHashMap<MapData, Tuple, Entry>,
    raw: MapData,
}

impl FlowTable {
    /// `entries` and `raw` are two handles of the same map.
    pub fn new(entries: Map, raw: MapData) -> Result<Self> {
        Ok(Self { entries: BpfHashMap::try_from(entries).context("open a flow table")?, raw })
    }

    pub fn get(&self, tuple: &Tuple) -> Option<Entry> {
        self.entries.get(tuple, 0).ok()
    }

    /// Puts `entry` in the place of the present one. False if there is none any more.
    pub fn replace(&mut self, tuple: &Tuple, entry: &Entry) -> Result<bool> {
        const BPF_EXIST: u64 = 2;
        match self.entries.insert(tuple, entry, BPF_EXIST) {
            Ok(()) => Ok(true),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error).context("write to a flow table"),
        }
    }

    /// Visits every entry, of both directions.
    pub fn visit(&self, mut visit: impl FnMut(&Tuple, &Entry)) -> Result<()> {
        let mut batches = Batches::new(&self.raw);
        while let Some(batch) = batches.read().context("read a flow table")? {
            batch.for_each(|(tuple, entry)| visit(tuple, entry));
        }
        Ok(())
    }

    pub fn raw(&self) -> &MapData {
        &self.raw
    }

    pub fn capacity(&self) -> Result<u32> {
        Ok(self.raw.info().context("ask for the size of a flow table")?.max_entries())
    }
}

/// Lists the flows of both tables that match, the first `limit` of them in full.
pub fn list(
    established: &FlowTable,
    half_open: &FlowTable,
    backends: &Backends,
    filter: &FlowFilter,
    limit: usize,
) -> Result<FlowPage> {
    let now = clock::now()?;
    let mut page = FlowPage::default();
    for (table, handshake_done) in [(half_open, false), (established, true)] {
        let mut originals: HashMap<Tuple, (Tuple, Entry)> = HashMap::new();
        let mut replies: HashMap<Tuple, Entry> = HashMap::new();
        table.visit(|tuple, entry| match entry.direction {
            Direction::Original if may_match(tuple, entry, backends, filter) => {
                originals.insert(entry.to.reversed(), (*tuple, *entry));
            }
            Direction::Reply if filter.state.is_some() || replies.len() < limit.saturating_mul(2) => {
                replies.insert(*tuple, *entry);
            }
            _ => {}
        })?;
        for (reply_tuple, (tuple, original)) in originals {
            if page.flows.len() >= limit && filter.state.is_none() {
                page.total += 1;
                continue;
            }
            let reply = replies.get(&reply_tuple).copied().or_else(|| table.get(&reply_tuple));
            let flow = flow(&tuple, &original, reply.as_ref(), backends, handshake_done, now);
            if filter.matches(&flow) {
                page.total += 1;
                if page.flows.len() < limit {
                    page.flows.push(flow);
                }
            }
        }
    }
    page.flows.sort_by_key(|flow| (flow.service.clone(), flow.client));
    Ok(page)
}

/// Whether an original direction can belong to a flow that matches: all but the state, which takes both.
fn may_match(tuple: &Tuple, entry: &Entry, backends: &Backends, filter: &FlowFilter) -> bool {
    let name = backends.name(entry.backend);
    filter.client.is_none_or(|client| client == tuple.source().ip())
        && filter.backend.is_none_or(|backend| backend == entry.to.destination())
        && filter.service.as_ref().is_none_or(|service| name.is_some_and(|name| name.service == *service))
}

fn flow(
    tuple: &Tuple,
    original: &Entry,
    reply: Option<&Entry>,
    backends: &Backends,
    handshake_done: bool,
    now: u32,
) -> Flow {
    let reply_seen = reply.map_or(Seen::NOTHING, |reply| reply.seen);
    let state = match state(original.seen, reply_seen) {
        State::Established if !handshake_done && reply_seen.contains(Seen::SYN) => State::SynReceived,
        State::Established if !handshake_done => State::SynSent,
        state => state,
    };
    let idle = |entry: &Entry| clock::seconds_between(entry.last_seen, now);
    let traffic = |entry: &Entry| Traffic { packets: entry.packets, bytes: entry.bytes };
    let backend: SocketAddr = original.to.destination();
    Flow {
        service: backends.name(original.backend).map(|name| name.service.clone()).unwrap_or_default(),
        backend,
        client: tuple.source(),
        public: tuple.destination(),
        snat: original.to.source(),
        state: flow_state(state),
        age_seconds: clock::seconds_between(original.created, now),
        idle_seconds: reply.map_or(u64::MAX, idle).min(idle(original)),
        original: traffic(original),
        reply: reply.map(traffic).unwrap_or_default(),
    }
}

fn flow_state(state: State) -> FlowState {
    match state {
        State::SynSent => FlowState::SynSent,
        State::SynReceived => FlowState::SynReceived,
        State::Established => FlowState::Established,
        State::FinWait => FlowState::FinWait,
        State::CloseWait => FlowState::CloseWait,
        State::TimeWait => FlowState::TimeWait,
        State::Closed => FlowState::Closed,
    }
}
