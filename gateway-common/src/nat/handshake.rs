//! Packets of half-open flows: from the SYN that opened one to the client's acknowledgement, which promotes it.

use super::{
    Reason, Verdict, flow,
    frame::Frame,
    open,
    parse::Segment,
    tables::{FlowTable, Tables},
    tcp::{self, Flags},
};
use crate::abi::{Direction, Flow, Seen, Tuple};

/// How far an acknowledgement may lie behind what the backend has sent before the handshake is complete:
/// one window without scaling, for servers that speak before the ACK arrives (RFC 7413).
const EARLY_DATA: u32 = 0xffff;

/// A segment of a half-open flow. `Ok(None)`: a SYN whose attempt cannot go on, to be opened anew.
#[inline(never)]
pub fn half_open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    entry: &mut Flow,
) -> Result<Option<Verdict>, Reason> {
    flow::find_hop(frame, tables, entry)?;
    flow::check_size_and_life(frame, segment, &entry.hop)?;
    if entry.direction == Direction::Original {
        if segment.flags.opens() {
            if entry.packets != 0 && was_refused(tables, segment, entry) {
                return Ok(None);
            }
        } else if !segment.flags.contains(Flags::RST) {
            return acknowledge(frame, tables, segment, entry).map(Some);
        }
    }
    entry.seen = tcp::next_seen(entry.seen, segment.flags, true);
    let first = entry.packets == 0;
    if first || numbers_anew(segment, entry) {
        (entry.next_seq, entry.acked) = (segment.next_seq(), segment.ack);
    }
    flow::record(tables, segment, entry);
    let opened = first && entry.direction == Direction::Original;
    flow::send(frame, segment, entry, if opened { Reason::Opened } else { Reason::Forwarded }).map(Some)
}

/// Whether a SYN is another attempt's, with an initial sequence number of its own, and not a repetition: both ends
/// may give up and start over while the gateway still knows the tuple.
#[inline(always)]
fn numbers_anew(segment: &Segment, entry: &Flow) -> bool {
    segment.flags.contains(Flags::SYN) && entry.next_seq.wrapping_sub(segment.next_seq()) > EARLY_DATA
}

/// Whether the attempt that a repeated SYN belongs to cannot go on: the backend has reset it, or its reply tuple
/// has gone to another flow. A reply entry that was only forgotten under pressure is put back.
#[inline(never)]
fn was_refused<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> bool {
    let half_open = tables.half_open();
    let reply = entry.to.reversed();
    match half_open.get(&reply) {
        Some(twin) => twin.seen.contains(Seen::RST) || !open::belongs_to(twin, segment.tuple()),
        None => {
            let Some(scratch) = tables.scratch() else { return true };
            flow::start(&mut scratch.reply, Direction::Reply, entry.backend, entry.created);
            scratch.reply.to = segment.tuple().reversed();
            !open::reserve(tables, &reply, &scratch.reply)
        }
    }
}

/// The client's first segment after its SYN: if it acknowledges the backend's SYN, the flow is established.
#[inline(always)]
fn acknowledge<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    entry: &mut Flow,
) -> Result<Verdict, Reason> {
    let reply = entry.to.reversed();
    promote(tables, segment, entry, &reply)?;
    let Some(flow) = tables.flows().get(segment.tuple()) else { return Err(Reason::OpenRace) };
    flow::forward(frame, tables, segment, flow)
}

/// Moves the pair to the flow table: both entries, or none.
#[inline(never)]
fn promote<T: Tables>(tables: &T, segment: &Segment, entry: &mut Flow, reply: &Tuple) -> Result<(), Reason> {
    let Some(twin) = tables.half_open().get(reply) else { return Err(Reason::HandshakeMismatch) };
    let behind = twin.next_seq.wrapping_sub(segment.ack);
    let fits = twin.seen.contains(Seen::SYN) && behind <= EARLY_DATA && open::belongs_to(twin, segment.tuple());
    if !segment.flags.contains(Flags::ACK) || !fits {
        return Err(Reason::HandshakeMismatch);
    }
    entry.acked = segment.ack;
    let flows = tables.flows();
    flows.insert(reply, twin).map_err(|_| Reason::TableFull)?;
    if flows.insert(segment.tuple(), entry).is_err() {
        flows.remove(reply);
        return Err(Reason::TableFull);
    }
    tables.half_open().remove(segment.tuple());
    tables.half_open().remove(reply);
    tables.add_open_flows(0, 1);
    // A reset may have been seen before; what revives the flow then counts it.
    if !tcp::state(entry.seen, twin.seen).is_finished() {
        tables.add_open_flows(entry.backend, 1);
    }
    if let Some(counters) = tables.counters(entry.backend) {
        counters.connections += 1;
    }
    Ok(())
}
