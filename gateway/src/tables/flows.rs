//! The flow tables read from this side: listing.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::Result;
use gateway_common::{
    abi::{Direction, Flow as Entry, Seen, Tuple},
    nat::{State, state},
};

use super::{backends::Backends, clock, flow_table::FlowTable};
use crate::model::flow::{Flow, FlowFilter, FlowPage, FlowState, Traffic};

/// Lists the flows of both tables that match, the first `limit` of them in full.
pub fn list(
    established: &dyn FlowTable,
    half_open: &dyn FlowTable,
    backends: &Backends,
    filter: &FlowFilter,
    limit: usize,
) -> Result<FlowPage> {
    let now = clock::now()?;
    let mut page = FlowPage::default();
    for (table, handshake_done) in [(half_open, false), (established, true)] {
        let mut originals: HashMap<Tuple, Entry> = HashMap::new();
        let mut replies: HashMap<Tuple, Entry> = HashMap::new();
        table.visit(&mut |entry| match entry.direction {
            Direction::Original if may_match(entry, backends, filter) => {
                originals.insert(entry.to.reversed(), *entry);
            }
            Direction::Reply if filter.state.is_some() || replies.len() < limit.saturating_mul(2) => {
                replies.insert(entry.from, *entry);
            }
            _ => {}
        })?;
        for (reply_tuple, original) in originals {
            if page.flows.len() >= limit && filter.state.is_none() {
                page.total += 1;
                continue;
            }
            let reply = replies.get(&reply_tuple).copied().or_else(|| table.get(&reply_tuple));
            let flow = flow(&original, reply.as_ref(), backends, handshake_done, now);
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
fn may_match(entry: &Entry, backends: &Backends, filter: &FlowFilter) -> bool {
    let name = backends.name(entry.backend);
    filter.client.is_none_or(|client| client == entry.from.source().ip())
        && filter.backend.is_none_or(|backend| backend == entry.to.destination())
        && filter.service.as_ref().is_none_or(|service| name.is_some_and(|name| name.service == *service))
}

fn flow(original: &Entry, reply: Option<&Entry>, backends: &Backends, handshake_done: bool, now: u32) -> Flow {
    let reply_seen = reply.map_or(Seen::NOTHING, |reply| reply.seen);
    let state = match state(original.seen, reply_seen) {
        State::Established if !handshake_done && reply_seen.contains(Seen::SYN) => State::SynReceived,
        State::Established if !handshake_done => State::SynSent,
        state => state,
    };
    let idle = |entry: &Entry| clock::seconds_between(entry.last_seen, now);
    let traffic = |entry: &Entry| Traffic { packets: entry.traffic.packets(), bytes: entry.traffic.bytes() };
    let backend: SocketAddr = original.to.destination();
    Flow {
        service: backends.name(original.backend).map(|name| name.service.clone()).unwrap_or_default(),
        backend,
        client: original.from.source(),
        public: original.from.destination(),
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
