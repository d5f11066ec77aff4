//! A SYN for a service: backend, next hop, source port, and the pair of half-open entries.

use super::{
    Reason, answer, fail_over, flow,
    frame::Frame,
    latency, limits, martian,
    parse::Segment,
    pressure, select,
    tables::{FlowTable, Tables},
    tcp,
};
use crate::abi::{
    Answer, Direction, Flow, MAX_SNAT, Retry, Scratch, Seen, Service, ServiceKey, Tuple, ticks_from_millis,
    ticks_from_secs,
};

/// Source ports tried for a flow, over all source addresses: first some anywhere, so that those in use do not come to lie
/// in runs, then neighbours, so that none of a small range is missed.
const SCATTERED_PROBES: u32 = 16;
const PROBES: u32 = 64;

/// Tuples looked at when no port is free, for one that nobody needs any more.
const TAKE_OVER_PROBES: u32 = 16;

/// How long a client that has not acknowledged keeps its tuple when ports are short: one that is there has answered by then,
/// or its backend has not.
const PATIENCE: u32 = ticks_from_secs(2);

/// How long a finished flow keeps its tuple even when ports are short: what is still under way in either
/// direction has arrived by then.
const REST: u32 = ticks_from_secs(2);

/// How long one that is occupied at the backend does: Linux answers for a connection in TIME-WAIT twice a second at most
/// (`net.ipv4.tcp_invalid_ratelimit`), and not at all in between.
const REST_OF_OCCUPIED: u32 = ticks_from_millis(600);

/// Names the backend of a flow that a SYN is to open in the scratch room. Where there is no room for it, or nobody to take it,
/// answers so.
#[inline(never)]
pub fn choose<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    service: &Service,
) -> Result<(), Reason> {
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    let settings = tables.settings();
    let (how, reset, drop) = if martian::cannot_open(frame, tables, segment) {
        (Answer::Drop, Reason::Martian, Reason::Martian)
    } else if tables.open_flows(0) >= i64::from(settings.capacity) {
        (settings.full, Reason::TableFullReset, Reason::TableFull)
    } else {
        match select::select(tables, service, segment.tuple()) {
            Some((index, _)) => {
                (scratch.backend, scratch.limited) = (index, service.limits());
                return Ok(());
            }
            None => (service.no_backend, Reason::NoBackendReset, Reason::NoBackend),
        }
    };
    Err(answer::refuse(frame, segment, how, reset, drop))
}

/// Prepares both directions of a flow from the client's `tuple` to the backend that the scratch room names, next hop
/// included. A hook that cannot send there has changed nothing.
#[inline(never)]
pub fn prepare<F: Frame, T: Tables>(frame: &mut F, tables: &T, tuple: &Tuple) -> Result<(), Reason> {
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    let now = tables.now();
    flow::start(&mut scratch.original, Direction::Original, scratch.backend, now);
    flow::start(&mut scratch.reply, Direction::Reply, scratch.backend, now);
    scratch.original.from = *tuple;
    scratch.reply.to = tuple.reversed();
    let backend = tables.backend(scratch.backend).ok_or(Reason::RewriteFailed)?;
    (scratch.reply.from.src, scratch.reply.from.src_port) = (backend.address, backend.port);
    // The route depends on the source address, but not on the port.
    Ports::new(tables, tuple).try_next(tables, &mut scratch.reply.from)?;
    scratch.original.to = scratch.reply.from.reversed();
    flow::find_hop(frame, tables, &mut scratch.original)
}

/// Opens the flow that was prepared: leaves both its entries in the half-open table, the SYN itself yet to be handled as
/// their first segment.
#[inline(never)]
pub fn open<T: Tables>(tables: &T, tuple: &Tuple) -> Result<(), Reason> {
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    if scratch.retry != Retry::AnotherPort && !limits::has_port_share(tables, scratch, tuple) {
        return Err(Reason::PortShareUsed);
    }
    latency::start(tables, &mut scratch.reply);
    let mut ports = Ports::new(tables, tuple);
    let reserved =
        allocate(tables, scratch, &mut ports) || take_over(tables, scratch, &mut ports) || take_back(tables, scratch);
    if !reserved {
        return Err(Reason::PortsExhausted);
    }
    // Not `tuple`: on Linux 6.1 a function's argument that is shared memory cannot be the key of a map.
    let is_free = make_way(tables, scratch.retry, &scratch.original.from, &scratch.reply.from);
    scratch.original.to = scratch.reply.from.reversed();
    if !is_free || tables.half_open().insert(&scratch.original).is_err() {
        tables.half_open().remove(&scratch.reply.from);
        return Err(Reason::OpenRace);
    }
    // Who has acknowledged a cookie is there, and a SYN whose port changes has been counted.
    if !scratch.original.seen.contains(Seen::COOKIE) && scratch.retry != Retry::AnotherPort {
        pressure::rise(tables, scratch.backend);
    }
    Ok(())
}

/// Names another backend in the scratch room for the SYN with `tuple`, if there is one.
#[inline(never)]
pub fn goes_elsewhere<T: Tables>(tables: &T, tuple: &Tuple) -> bool {
    let Some(service) = tables.service(&ServiceKey::new(tuple.dst, tuple.dst_port)) else { return false };
    let Some(scratch) = tables.scratch() else { return false };
    // What is a SYN by now cannot be left to the other hook any more, which may be the one that reaches the other backend.
    if scratch.rewritten != 0 {
        return false;
    }
    let another = tables.another(service, scratch.backend, false);
    if another == 0 {
        return false;
    }
    if let Some(free) = scratch.tried.iter_mut().find(|tried| **tried == 0) {
        *free = scratch.backend;
    }
    (scratch.backend, scratch.elsewhere) = (another, 1);
    true
}

/// Removes the finished flow or the failed attempt that `tuple` still belongs to, so that it can be opened anew with the
/// reply tuple `reserved`. The backend's end of a finished flow may be in TIME-WAIT, as that of an attempt is that gives up its
/// port, so the reply direction stays and rests.
/// False: another CPU has just established a flow.
#[inline(never)]
fn make_way<T: Tables>(tables: &T, retry: Retry, tuple: &Tuple, reserved: &Tuple) -> bool {
    if !retire_finished(tables, tuple) {
        return false;
    }
    if let Some(original) = tables.half_open().get(tuple) {
        let reply = original.to.reversed();
        if let Some(twin) = tables.half_open().get(&reply)
            && belongs_to(twin, tuple)
            && !reply.equals(reserved)
        {
            if !original.traffic.is_empty() && fail_over::is_silent(twin) {
                fail_over::count_unanswered(tables, original.backend);
            }
            if retry == Retry::AnotherPort {
                // Occupied at the backend: it rests as that of a finished flow does, but as if it had done so for a while.
                twin.seen = Seen::RESTING;
                twin.last_seen = tables.now().wrapping_sub(REST - REST_OF_OCCUPIED);
                let _ = tables.flows().insert(twin);
            }
            tables.half_open().remove(&reply);
        }
        tables.half_open().remove(tuple);
    }
    true
}

/// Removes the finished flow that `tuple` still belongs to, but for its reply tuple. False: the flow is open.
#[inline(always)]
pub(super) fn retire_finished<T: Tables>(tables: &T, tuple: &Tuple) -> bool {
    if let Some(original) = tables.flows().get(tuple) {
        if !flow::is_finished(tables.flows(), original) {
            return false;
        }
        if let Some(reply) = tables.flows().get(&original.to.reversed()) {
            reply.seen = reply.seen.with(Seen::RESTING);
        }
        tables.flows().remove(tuple);
        tables.add_open_flows(0, -1);
    }
    true
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
    for probe in 0..PROBES {
        if probe < SCATTERED_PROBES {
            ports.next = tables.random();
        }
        let Ok(()) = ports.try_next(tables, &mut scratch.reply.from) else { return false };
        if reserve(tables, &scratch.reply) {
            if let Some(counters) = tables.counters(scratch.backend) {
                counters.port_probes += u64::from(probe) + 1;
            }
            return true;
        }
    }
    false
}

/// The same at the expense of a finished flow that still keeps its tuple, or of an attempt that nobody completes.
#[inline(never)]
fn take_over<T: Tables>(tables: &T, scratch: &mut Scratch, ports: &mut Ports) -> bool {
    for _ in 0..TAKE_OVER_PROBES {
        let Ok(()) = ports.try_next(tables, &mut scratch.reply.from) else { return false };
        ports.next = tables.random();
        let tuple = &scratch.reply.from;
        let released = release_finished(tables, tuple) || release_abandoned(tables, tuple, &scratch.original.from);
        if released && reserve(tables, &scratch.reply) {
            return true;
        }
    }
    false
}

/// The same with what the client's own earlier attempt has towards the backend, unless it is that which is of no use.
#[inline(never)]
fn take_back<T: Tables>(tables: &T, scratch: &mut Scratch) -> bool {
    if scratch.retry == Retry::AnotherPort {
        return false;
    }
    let half_open = tables.half_open();
    let tuple = &scratch.original.from;
    let Some(original) = half_open.get(tuple) else { return false };
    let reply = original.to.reversed();
    if original.backend != scratch.backend || !half_open.get(&reply).is_some_and(|twin| belongs_to(twin, tuple)) {
        return false;
    }
    scratch.reply.from = reply;
    half_open.remove(&reply);
    reserve(tables, &scratch.reply)
}

/// Inserts the reply entry of a half-open flow, unless the tuple is taken in either table.
#[inline(always)]
pub(super) fn reserve<T: Tables>(tables: &T, reply: &Flow) -> bool {
    if tables.half_open().insert(reply).is_err() {
        return false;
    }
    // A flow is promoted by inserting it here before it leaves the half-open table, so whoever held the
    // tuple at the insertion above is seen now.
    if tables.flows().get(&reply.from).is_some() {
        tables.half_open().remove(&reply.from);
        return false;
    }
    true
}

/// Frees the reply tuple of a flow in its handshake that has ended, or that has been quiet for [`PATIENCE`]; but not that of the
/// attempt of `own`, the client's tuple, before this one.
#[inline(never)]
fn release_abandoned<T: Tables>(tables: &T, tuple: &Tuple, own: &Tuple) -> bool {
    let half_open = tables.half_open();
    let Some(reply) = half_open.get(tuple) else { return false };
    if belongs_to(reply, own) {
        return false;
    }
    let original = reply.to.reversed();
    let Some(twin) = half_open.get(&original) else { return false };
    let quiet = |flow: &Flow| tables.now().wrapping_sub(flow.last_seen) >= PATIENCE;
    let finished = tcp::state(twin.seen, reply.seen).is_finished();
    if !twin.to.is_reverse_of(tuple) || !(finished || (quiet(twin) && quiet(reply))) {
        return false;
    }
    if !finished {
        limits::count(tables, twin, reply, -1);
    }
    half_open.remove(&original);
    half_open.remove(tuple);
    true
}

/// Frees the reply tuple of a flow that is finished and has been quiet for [`REST`].
#[inline(never)]
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
    fn new<T: Tables>(tables: &T, tuple: &Tuple) -> Self {
        let settings = tables.settings();
        let (base, addresses) =
            if tuple.dst.is_v4_mapped() { (0, settings.snat_v4) } else { (MAX_SNAT, settings.snat_v6) };
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
