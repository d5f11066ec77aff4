//! A SYN for a service: backend, next hop, source port, and the pair of half-open entries.

use core::num::NonZeroU32;

use super::{
    Reason, answer, flow,
    frame::Frame,
    parse::Segment,
    select,
    tables::{FlowTable, Tables},
    tcp,
};
use crate::abi::{Address, Answer, Direction, Family, Flow, MAX_SNAT, Seen, Service, Tuple, ticks_from_secs};

/// Source ports tried for a flow, over all source addresses.
const PROBES: u32 = 32;

/// Tuples of finished flows looked at when no port is free.
const TAKE_OVER_PROBES: u32 = 8;

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
        return Err(match service.no_backend {
            Answer::Reset => answer::reset(frame, segment, Reason::NoBackendReset),
            Answer::Drop => Reason::NoBackend,
        });
    };
    let mut ports = Ports::new(tables, segment.ip.family).ok_or(Reason::PortsExhausted)?;
    let mut to = Tuple { src: Address::UNSPECIFIED, dst: backend.address, src_port: [0; 2], dst_port: backend.port };
    (to.src, to.src_port) = ports.candidate(tables).ok_or(Reason::PortsExhausted)?;

    // The route comes first: a hook that cannot send the packet leaves nothing behind.
    let mut original = flow::direction(Direction::Original, to, index, tables.now());
    flow::find_hop(frame, tables, &mut original)?;

    allocate(tables, segment, &mut original, &mut ports)?;
    if tables.half_open().insert(segment.tuple(), &original).is_err() {
        tables.half_open().remove(&original.to.reversed());
        return Err(Reason::OpenRace);
    }
    Ok(())
}

/// Removes a finished flow, so that its tuple can be opened anew. The backend's end may be in TIME-WAIT, so
/// the reply direction stays and rests.
#[inline(never)]
pub fn recycle<T: Tables>(tables: &T, tuple: &Tuple, original: &Flow) {
    if let Some(reply) = tables.flows().get(&original.to.reversed()) {
        reply.seen = reply.seen.with(Seen::RESTING);
    }
    tables.flows().remove(tuple);
}

/// Reserves a source address and port towards the backend, and gives them to `original`: the insertion of the
/// reply entry is the allocation. The first candidate is in `original` already.
#[inline(never)]
fn allocate<T: Tables>(tables: &T, segment: &Segment, original: &mut Flow, ports: &mut Ports) -> Result<(), Reason> {
    let reply = flow::direction(Direction::Reply, segment.tuple().reversed(), original.backend, original.created);
    let to = &mut original.to;
    let first = *ports;
    for _ in 0..PROBES {
        if reserve(tables, &to.reversed(), &reply) {
            return Ok(());
        }
        (to.src, to.src_port) = ports.candidate(tables).ok_or(Reason::PortsExhausted)?;
    }
    *ports = first;
    for _ in 0..TAKE_OVER_PROBES {
        (to.src, to.src_port) = ports.candidate(tables).ok_or(Reason::PortsExhausted)?;
        let tuple = to.reversed();
        if release_finished(tables, &tuple) && reserve(tables, &tuple, &reply) {
            return Ok(());
        }
    }
    Err(Reason::PortsExhausted)
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
    }
    flows.remove(tuple);
    true
}

/// The source addresses and ports to try, from a random start.
#[derive(Clone, Copy)]
struct Ports {
    /// Index of the family's first address in the snat array.
    base: u32,
    addresses: NonZeroU32,
    ports: NonZeroU32,
    next: u32,
}

impl Ports {
    #[inline(always)]
    fn new<T: Tables>(tables: &T, family: Family) -> Option<Self> {
        let settings = tables.settings();
        let (base, addresses) = match family {
            Family::V4 => (0, settings.snat_v4),
            Family::V6 => (MAX_SNAT, settings.snat_v6),
        };
        Some(Self {
            base,
            addresses: NonZeroU32::new(addresses)?,
            ports: NonZeroU32::new(settings.ports.into())?,
            next: tables.random(),
        })
    }

    /// The next address and port: neighbouring numbers take turns over the addresses, then move on a port.
    #[inline(always)]
    fn candidate<T: Tables>(&mut self, tables: &T) -> Option<(Address, [u8; 2])> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        let address = tables.snat(self.base + number % self.addresses)?;
        let offset = number / self.addresses % self.ports;
        let port = tables.settings().first_port.wrapping_add(offset as u16);
        Some((*address, port.to_be_bytes()))
    }
}
