//! The flow tables read from this side: listing, counting, and whose connection one is.
//!
//! A listing visits both tables once and keeps no more than it is to show: flows are compared as the maps have them, and
//! only those that are shown become text. The other direction of a flow is fetched only where filter or order ask for it.

mod first;
mod wanted;

use std::net::SocketAddr;

use anyhow::Result;
use gateway_common::{
    abi::{Address, Direction, Flow as Entry, Port, Seen, Tuple},
    nat::{State, state},
};

use first::{First, Kept, Key};
use wanted::Wanted;

use super::{backends::Backends, clock, flow_table::FlowTable};
use crate::model::flow::{Flow, FlowFilter, FlowOrder, FlowPage, FlowSort, FlowState, Traffic};

/// Both tables, with the names of what their entries say by numbers.
pub struct FlowTables<'a> {
    established: &'a dyn FlowTable,
    half_open: &'a dyn FlowTable,
    backends: &'a Backends,
    /// The moment at which it is looked, in ticks.
    now: u32,
}

impl<'a> FlowTables<'a> {
    pub fn new(established: &'a dyn FlowTable, half_open: &'a dyn FlowTable, backends: &'a Backends) -> Result<Self> {
        Ok(Self { established, half_open, backends, now: clock::now()? })
    }

    /// Counts the flows that match and lists `limit` of them: the first by `order`, or without one, the first that are
    /// found, by service and client.
    pub fn list(&self, filter: &FlowFilter, order: Option<FlowOrder>, limit: usize) -> Result<FlowPage> {
        let wanted = Wanted::new(self.backends, filter);
        let ranks = self.service_ranks(order);
        let needs_reply = filter.state.is_some() || order.is_some_and(FlowOrder::needs_reply);
        let mut first = First::new(limit);
        let mut total = 0;
        for (table, handshake_done) in [(self.half_open, false), (self.established, true)] {
            table.visit(&mut |original| {
                if original.direction != Direction::Original || !wanted.matches(original) {
                    return;
                }
                let reply = if needs_reply { table.get(&original.to.reversed()) } else { None };
                let state = || flow_state(original.seen, seen_by(reply.as_ref()), handshake_done);
                if filter.state.is_some_and(|wanted| wanted != state()) {
                    return;
                }
                let key = order.map_or(Key::default(), |order| {
                    let rank = || ranks.get(original.backend as usize).copied().unwrap_or_default();
                    self.key(order, original, reply.as_ref(), rank, state)
                });
                first.offer((key, total), || (*original, reply, handshake_done));
                total += 1;
            })?;
        }
        let mut flows: Vec<Flow> = first.into_sorted().map(|kept| self.listed(kept, needs_reply)).collect();
        if order.is_none() {
            flows.sort_by(|a, b| (&a.service, a.client).cmp(&(&b.service, b.client)));
        }
        Ok(FlowPage { flows, total })
    }

    /// The flow that a backend sees as a connection from `snat`: open, in its handshake, or finished while its source port
    /// rests.
    pub fn who(&self, snat: SocketAddr, backend: SocketAddr) -> Option<Flow> {
        let tuple = Tuple::from_sockets(backend, snat);
        [(self.established, true), (self.half_open, false)].into_iter().find_map(|(table, handshake_done)| {
            let reply = table.get(&tuple).filter(|reply| reply.direction == Direction::Reply)?;
            // The client may have begun another connection with the same port since.
            let original = table.get(&reply.to.reversed()).filter(|original| original.to == tuple.reversed());
            Some(match original {
                Some(original) => self.flow(&original, Some(&reply), handshake_done),
                None => self.rest_of_flow(&reply),
            })
        })
    }

    fn listed(&self, (original, reply, handshake_done): Kept, has_reply: bool) -> Flow {
        let table = if handshake_done { self.established } else { self.half_open };
        let reply = if has_reply { reply } else { table.get(&original.to.reversed()) };
        self.flow(&original, reply.as_ref(), handshake_done)
    }

    fn flow(&self, original: &Entry, reply: Option<&Entry>, handshake_done: bool) -> Flow {
        Flow {
            service: self.service(original.backend),
            backend: original.to.destination(),
            client: original.from.source(),
            public: original.from.destination(),
            snat: original.to.source(),
            state: flow_state(original.seen, seen_by(reply), handshake_done),
            age_seconds: clock::seconds_between(original.created, self.now),
            idle_seconds: clock::seconds_between(last_seen(original, reply, self.now), self.now),
            original: traffic(original),
            reply: reply.map(traffic).unwrap_or_default(),
        }
    }

    /// The flow that a client's segments with this tuple belong to.
    pub fn of_client(&self, tuple: &Tuple) -> Option<Flow> {
        [(self.established, true), (self.half_open, false)].into_iter().find_map(|(table, handshake_done)| {
            let original = table.get(tuple).filter(|entry| entry.direction == Direction::Original)?;
            let reply = table.get(&original.to.reversed());
            Some(self.flow(&original, reply.as_ref(), handshake_done))
        })
    }

    /// A flow that is over, of which the source port rests.
    fn rest_of_flow(&self, reply: &Entry) -> Flow {
        // After a SYN cookie the field is another number.
        let created = if reply.seen.contains(Seen::COOKIE) { reply.last_seen } else { reply.created };
        Flow {
            service: self.service(reply.backend),
            backend: reply.from.source(),
            client: reply.to.destination(),
            public: reply.to.source(),
            snat: reply.from.destination(),
            state: FlowState::Closed,
            age_seconds: clock::seconds_between(created, self.now),
            idle_seconds: clock::seconds_between(reply.last_seen, self.now),
            original: Traffic::default(),
            reply: traffic(reply),
        }
    }

    fn service(&self, backend: u32) -> String {
        self.backends.name(backend).map(|name| name.service.clone()).unwrap_or_default()
    }

    /// The place of each backend's service in the order of the services' names, where that is what flows are sorted by.
    fn service_ranks(&self, order: Option<FlowOrder>) -> Vec<u64> {
        if order.is_none_or(|order| order.by != FlowSort::Service) {
            return Vec::new();
        }
        let mut services: Vec<&str> = self.backends.names().map(|(_, name)| name.service.as_str()).collect();
        services.sort_unstable();
        services.dedup();
        let highest = self.backends.names().map(|(index, _)| index).max().unwrap_or_default();
        let mut ranks = vec![0; highest as usize + 1];
        for (index, name) in self.backends.names() {
            ranks[index as usize] = services.binary_search(&name.service.as_str()).unwrap_or_default() as u64;
        }
        ranks
    }

    fn key(
        &self,
        order: FlowOrder,
        original: &Entry,
        reply: Option<&Entry>,
        rank: impl Fn() -> u64,
        state: impl Fn() -> FlowState,
    ) -> Key {
        let since = |then: u32| u128::from(clock::ticks_between(then, self.now));
        let both = |of: fn(&Entry) -> u64| u128::from(of(original)) + reply.map_or(0, |reply| of(reply).into());
        let end = |address: Address, port: Port| (u128::from_be_bytes(address.0), u16::from_be_bytes(port));
        let (number, port) = match order.by {
            FlowSort::Service => (rank().into(), 0),
            FlowSort::Backend => end(original.to.dst, original.to.dst_port),
            FlowSort::Client => end(original.from.src, original.from.src_port),
            FlowSort::State => (state() as u128, 0),
            FlowSort::Age => (since(original.created), 0),
            FlowSort::Idle => (since(last_seen(original, reply, self.now)), 0),
            FlowSort::Bytes => (both(|entry| entry.traffic.bytes()), 0),
            FlowSort::Packets => (both(|entry| entry.traffic.packets()), 0),
        };
        if order.is_descending() { (u128::MAX - number, u16::MAX - port) } else { (number, port) }
    }
}

/// When the last packet of either direction was seen, in ticks.
fn last_seen(original: &Entry, reply: Option<&Entry>, now: u32) -> u32 {
    let times = [Some(original.last_seen), reply.map(|reply| reply.last_seen)].into_iter().flatten();
    times.min_by_key(|then| clock::ticks_between(*then, now)).unwrap_or(now)
}

fn traffic(entry: &Entry) -> Traffic {
    Traffic { packets: entry.traffic.packets(), bytes: entry.traffic.bytes() }
}

fn seen_by(reply: Option<&Entry>) -> Seen {
    reply.map_or(Seen::NOTHING, |reply| reply.seen)
}

/// The state of a flow whose directions have seen this.
pub fn flow_state(original: Seen, reply: Seen, handshake_done: bool) -> FlowState {
    match state(original, reply) {
        State::Established if !handshake_done && reply.contains(Seen::SYN) => FlowState::SynReceived,
        State::Established if !handshake_done => FlowState::SynSent,
        State::SynSent => FlowState::SynSent,
        State::SynReceived => FlowState::SynReceived,
        State::Established => FlowState::Established,
        State::FinWait => FlowState::FinWait,
        State::CloseWait => FlowState::CloseWait,
        State::TimeWait => FlowState::TimeWait,
        State::Closed => FlowState::Closed,
    }
}
