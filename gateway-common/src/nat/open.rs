//! A SYN for a service: backend, next hop, source port, and the pair of half-open entries.

use super::{
    Reason, answer, flow,
    frame::Frame,
    parse::Segment,
    select,
    tables::{FlowTable, Tables},
    tcp,
};
use crate::abi::{Direction, Family, Flow, MAX_SNAT, Scratch, Seen, Service, Tuple, ticks_from_secs};

/// Source ports tried for a flow, over all source addresses.
const PROBES: u32 = 16;

/// Tuples of finished flows looked at when no port is free.
const TAKE_OVER_PROBES: u32 = 4;

/// How long a finished flow keeps its tuple even when ports are short: what is still under way in either
/// direction has arrived by then.
const REST: u32 = ticks_from_secs(2);

/// Opens a flow for a SYN: leaves both its entries in the half-open table, the SYN itself yet to be handled as
/// their first segment. Where there is nobody to take it, answers so.
#[inline(never)]
pub fn open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    service: &Service,
) -> Result<(), Reason> {
    let settings = tables.settings();
    if tables.open_flows(0) >= i64::from(settings.capacity) {
        return Err(Reason::TableFull);
    }
    let Some((index, backend)) = select::select(tables, service, segment.tuple()) else {
        return Err(answer::refuse(frame, segment, service.no_backend, Reason::NoBackendReset, Reason::NoBackend));
    };
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    let now = tables.now();
    flow::start(&mut scratch.original, Direction::Original, index, now);
    flow::start(&mut scratch.reply, Direction::Reply, index, now);
    scratch.reply.to = segment.tuple().reversed();
    (scratch.reply_tuple.src, scratch.reply_tuple.src_port) = (backend.address, backend.port);
    let mut ports = Ports::new(tables, segment.ip.family);

    // The route comes first: a hook that cannot send the packet changes nothing. It does not depend on the port.
    ports.clone().try_next(tables, &mut scratch.reply_tuple)?;
    scratch.original.to = scratch.reply_tuple.reversed();
    flow::find_hop(frame, tables, &mut scratch.original)?;
    make_way(tables, segment.tuple());
    if !allocate(tables, scratch, &mut ports) && !take_over(tables, scratch, &mut ports) {
        return Err(Reason::PortsExhausted);
    }
    scratch.original.to = scratch.reply_tuple.reversed();
    if tables.half_open().insert(segment.tuple(), &scratch.original).is_err() {
        tables.half_open().remove(&scratch.reply_tuple);
        return Err(Reason::OpenRace);
    }
    Ok(())
}

/// Removes the finished flow or the failed attempt that `tuple` still belongs to, so that it can be opened anew.
/// The backend's end of a finished flow may be in TIME-WAIT, so the reply direction stays and rests.
#[inline(never)]
fn make_way<T: Tables>(tables: &T, tuple: &Tuple) {
    if let Some(original) = tables.flows().get(tuple) {
        if let Some(reply) = tables.flows().get(&original.to.reversed()) {
            reply.seen = reply.seen.with(Seen::RESTING);
        }
        tables.flows().remove(tuple);
        tables.add_open_flows(0, -1);
    }
    if let Some(original) = tables.half_open().get(tuple) {
        let reply = original.to.reversed();
        if tables.half_open().get(&reply).is_some_and(|twin| belongs_to(twin, tuple)) {
            tables.half_open().remove(&reply);
        }
        tables.half_open().remove(tuple);
    }
}

/// Whether a reply entry is of the flow with the original tuple `tuple`. Under pressure the half-open table may
/// forget an entry, whose tuple another flow then gets.
#[inline(always)]
pub(super) fn belongs_to(reply: &Flow, tuple: &Tuple) -> bool {
    reply.to.is_reverse_of(tuple)
}

/// Reserves a source address and port towards the backend, and completes the reply tuple with them: the insertion of
/// the reply entry is the allocation.
#[inline(never)]
fn allocate<T: Tables>(tables: &T, scratch: &mut Scratch, ports: &mut Ports) -> bool {
    for _ in 0..PROBES {
        let Ok(()) = ports.try_next(tables, &mut scratch.reply_tuple) else { return false };
        if reserve(tables, &scratch.reply_tuple, &scratch.reply) {
            return true;
        }
    }
    false
}

/// The same at the expense of a finished flow that still keeps its tuple.
#[inline(never)]
fn take_over<T: Tables>(tables: &T, scratch: &mut Scratch, ports: &mut Ports) -> bool {
    for _ in 0..TAKE_OVER_PROBES {
        let Ok(()) = ports.try_next(tables, &mut scratch.reply_tuple) else { return false };
        let tuple = &scratch.reply_tuple;
        if release_finished(tables, tuple) && reserve(tables, tuple, &scratch.reply) {
            return true;
        }
    }
    false
}

/// Inserts the reply entry of a half-open flow, unless the tuple is taken in either table.
#[inline(always)]
pub(super) fn reserve<T: Tables>(tables: &T, tuple: &Tuple, reply: &Flow) -> bool {
    if tables.half_open().insert(tuple, reply).is_err() {
        return false;
    }
    // A flow is promoted by inserting it here before it leaves the half-open table, so whoever held the
    // tuple at the insertion above is seen now.
    if tables.flows().get(tuple).is_some() {
        tables.half_open().remove(tuple);
        return false;
    }
    true
}

/// Frees the reply tuple of a flow that is finished and has been quiet for [`REST`].
#[inline(always)]
fn release_finished<T: Tables>(tables: &T, tuple: &Tuple) -> bool {
    let flows = tables.flows();
    let Some(reply) = flows.get(tuple) else { return false };
    if tables.now().wrapping_sub(reply.last_seen) < REST {
        return false;
    }
    let original = reply.to.reversed();
    if !reply.seen.contains(Seen::RESTING) {
        let Some(twin) = flows.get(&original) else { return false };
        let finished = tcp::state(twin.seen, reply.seen).is_finished();
        if !finished || tables.now().wrapping_sub(twin.last_seen) < REST {
            return false;
        }
        flows.remove(&original);
        tables.add_open_flows(0, -1);
    }
    flows.remove(tuple);
    true
}

/// The source addresses and ports to try, from a random start.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Ports {
    /// Index of the family's first address in the snat array.
    base: u32,
    /// How many addresses and ports there are.
    addresses: u32,
    ports: u32,
    next: u32,
}

impl Ports {
    #[inline(always)]
    fn new<T: Tables>(tables: &T, family: Family) -> Self {
        let settings = tables.settings();
        let (base, addresses) = match family {
            Family::V4 => (0, settings.snat_v4),
            Family::V6 => (MAX_SNAT, settings.snat_v6),
        };
        Self { base, addresses, ports: settings.ports.into(), next: tables.random() }
    }

    /// Makes the next address and port the destination of replies: neighbouring numbers take turns over the addresses,
    /// then move on a port.
    #[inline(always)]
    fn try_next<T: Tables>(&mut self, tables: &T, reply: &mut Tuple) -> Result<(), Reason> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        let port = number.checked_div(self.addresses).and_then(|turn| turn.checked_rem(self.ports));
        let address = number.checked_rem(self.addresses).and_then(|turn| tables.snat(self.base + turn));
        let (Some(offset), Some(address)) = (port, address) else { return Err(Reason::PortsExhausted) };
        let port = tables.settings().first_port.wrapping_add(offset as u16);
        reply.dst = *address;
        reply.dst_port = port.to_be_bytes();
        Ok(())
    }
}
