//! Packets of flows that exist: bookkeeping, then on their way.

use super::{
    Reason, Verdict, answer, cookie, cut,
    frame::Frame,
    limits,
    parse::Segment,
    rewrite,
    tables::{FlowTable, Tables},
    tcp::{self, Flags},
};
use crate::abi::{Change, Direction, Flow, Hop, Seen, Volume};

/// How far behind the end of what was sent a segment may begin for its numbers to be believed: a super-frame.
const RECENT: u32 = 1 << 16;

/// How far ahead of what was acknowledged a FIN may be: a wide window.
const AHEAD: u32 = 1 << 20;

/// A segment of a flow whose handshake is complete.
#[inline(never)]
pub fn established<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    flow: &mut Flow,
) -> Result<Verdict, Reason> {
    if flow.seen.intersects(Seen::RESTING.with(Seen::CUT)) {
        return Err(cut::turn_away(frame, tables, segment, flow));
    }
    forward(frame, tables, segment, flow)
}

/// Whether `segment` opens a flow anew on the tuple of a finished one.
#[inline(always)]
pub fn reopens<T: Tables>(tables: &T, segment: &Segment, flow: &Flow) -> bool {
    segment.flags.opens() && flow.direction == Direction::Original && is_finished(tables.flows(), flow)
}

/// Does the books of an established flow's segment and sends it on.
#[inline(always)]
pub fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    flow: &mut Flow,
) -> Result<Verdict, Reason> {
    find_hop(frame, tables, flow)?;
    check_size_and_life(frame, segment, &flow.hop)?;
    let seen = next_seen(tables.flows(), segment, flow);
    if flow.seen != seen {
        transition(tables, flow, seen);
    }
    record(tables, segment, flow);
    if flow.seen.contains(Seen::COOKIE) {
        cookie::translate(frame, tables, segment, flow)?;
    }
    send(frame, segment, flow, Reason::Forwarded)
}

/// Sees to it that the flow's next hop is current: routes, neighbours and links may have changed since it was
/// cached. A hook that cannot reach it leaves the packet as it is to the one that can.
#[inline(always)]
pub fn find_hop<F: Frame, T: Tables>(frame: &mut F, tables: &T, flow: &mut Flow) -> Result<(), Reason> {
    if flow.hop.generation != tables.settings().generation {
        frame.route(&flow.to, &mut flow.hop)?;
    }
    if flow.hop.egress.is_local() && !F::REACHES_LOCAL {
        return Err(Reason::HandedToTc);
    }
    Ok(())
}

/// Rewrites the segment and sends it to the flow's next hop.
#[inline(always)]
pub fn send<F: Frame>(frame: &mut F, segment: &Segment, flow: &Flow, reason: Reason) -> Result<Verdict, Reason> {
    rewrite::segment(frame, segment, &flow.to, &flow.hop)?;
    Ok(Verdict { reason, ifindex: flow.hop.device.get() })
}

/// Answers packets that end here, as a router does (RFC 1812 sections 5.3.1 and 5.2.6, RFC 4443 section 3).
#[inline(always)]
pub fn check_size_and_life<F: Frame>(frame: &mut F, segment: &Segment, hop: &Hop) -> Result<(), Reason> {
    if segment.ip.hop_limit <= 1 {
        return Err(answer::time_exceeded(frame, segment));
    }
    if frame.wire_len(segment.ip.packet_len, segment.headers) > u32::from(hop.mtu) {
        return Err(answer::packet_too_big(frame, segment, hop.mtu));
    }
    Ok(())
}

/// Counts the packet in its direction of the flow and in its backend's totals.
#[inline(always)]
pub fn record<T: Tables>(tables: &T, segment: &Segment, flow: &mut Flow) {
    flow.last_seen = tables.now();
    flow.traffic.add(segment.ip.packet_len);
    if !segment.flags.contains(Flags::RST) && follows(segment, flow) {
        let next_seq = segment.next_seq();
        if tcp::seq_after(next_seq, flow.next_seq) {
            flow.next_seq = next_seq;
        }
        if segment.flags.contains(Flags::ACK) && tcp::seq_after(segment.ack, flow.acked) {
            flow.acked = segment.ack;
        }
    }
    if let Some(counters) = tables.counters(flow.backend) {
        let traffic = &mut counters.traffic[flow.direction_index()];
        traffic.packets += 1;
        traffic.bytes += u64::from(segment.ip.packet_len);
    }
}

/// Whether neither end of the flow sends any more. A flow without its twin is of no use, and so finished.
#[inline(never)]
pub(super) fn is_finished<T: FlowTable>(flows: &T, flow: &Flow) -> bool {
    flows.get(&flow.to.reversed()).is_none_or(|twin| tcp::state(flow.seen, twin.seen).is_finished())
}

/// Whether the segment begins where the ones before it ended, or repeats some of what they had.
///
/// Numbers are believed of such segments alone: whoever does not see the connection would have to guess one of 2^32
/// within a few. So nobody can make the gateway expect a number that was chosen to be expected, and a reset that follows it.
#[inline(always)]
fn follows(segment: &Segment, flow: &Flow) -> bool {
    flow.next_seq.wrapping_sub(segment.seq) <= RECENT
}

/// What the flow's direction has seen after `segment`.
#[inline(always)]
fn next_seen<T: FlowTable>(flows: &T, segment: &Segment, flow: &mut Flow) -> Seen {
    let believed = (follows(segment, flow) && !segment.flags.ends()) || is_believed(flows, segment, flow);
    tcp::next_seen(flow.seen, segment.flags, believed)
}

/// Whether the receiver of a reset or FIN would believe it. For any segment that comes out of sequence, what the other end
/// has acknowledged is taken for sent: some was lost before it got here, or has been overtaken.
///
/// The sequence number of a reset has to be exactly what the receiver expects (RFC 9293 section 3.10.7.4, after RFC 5961
/// section 3.2), by the sender's count or by the receiver's last ACK. A FIN may have overtaken data, and so lie ahead.
#[inline(never)]
fn is_believed<T: FlowTable>(flows: &T, segment: &Segment, flow: &mut Flow) -> bool {
    let Some(twin) = flows.get(&flow.to.reversed()) else { return false };
    let acked = twin.acked.wrapping_add(flow.shift());
    if tcp::seq_after(acked, flow.next_seq) {
        flow.next_seq = acked;
    }
    if segment.flags.contains(Flags::RST) {
        segment.seq == flow.next_seq || segment.seq == acked
    } else {
        follows(segment, flow) || segment.seq.wrapping_sub(acked) <= AHEAD
    }
}

/// The state of the connection may change: keeps the count of open flows in step.
#[inline(never)]
fn transition<T: Tables>(tables: &T, flow: &mut Flow, seen: Seen) {
    let before = flow.seen;
    flow.seen = seen;
    let Some(twin) = tables.flows().get(&flow.to.reversed()) else { return };
    let finished = |own| tcp::state(own, twin.seen).is_finished();
    let change = i64::from(finished(before)) - i64::from(finished(flow.seen));
    if change != 0 {
        tables.add_open_flows(flow.backend, change);
        limits::count(tables, flow, twin, change);
        tables.note(if change < 0 { Change::Closed } else { Change::Opened });
    }
}

/// Makes `flow` a fresh direction, all but its tuples: nothing seen, next hop unknown. In place, for want of room on
/// the stack.
#[inline(always)]
pub fn start(flow: &mut Flow, direction: Direction, backend: u32, now: u32) {
    flow.hop = Hop::NONE;
    flow.traffic = Volume::EMPTY;
    flow.backend = backend;
    (flow.created, flow.last_seen) = (now, now);
    (flow.next_seq, flow.acked) = (0, 0);
    flow.direction = direction;
    flow.seen = Seen::NOTHING;
}
