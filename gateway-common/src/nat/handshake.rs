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

/// A segment of a half-open flow. `Ok(None)`: a SYN whose attempt the backend refused, to be opened anew.
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
    if first {
        (entry.next_seq, entry.acked) = (segment.next_seq(), segment.ack);
    }
    flow::record(tables, segment, entry);
    let opened = first && entry.direction == Direction::Original;
    flow::send(frame, segment, entry, if opened { Reason::Opened } else { Reason::Forwarded }).map(Some)
}

/// Whether the backend has reset the attempt that a repeated SYN belongs to; removes the attempt if so. The
/// reply entry may have been forgotten under pressure: it is put back.
#[inline(never)]
fn was_refused<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> bool {
    let half_open = tables.half_open();
    let reply = entry.to.reversed();
    let Some(twin) = half_open.get(&reply) else {
        if let Some(scratch) = tables.scratch() {
            flow::start(&mut scratch.reply, Direction::Reply, entry.backend, tables.now());
            scratch.reply.to = segment.tuple().reversed();
            if open::reserve(tables, &reply, &scratch.reply) {
                return false;
            }
        }
        // Taken by another flow meanwhile: this attempt cannot go on.
        half_open.remove(segment.tuple());
        return true;
    };
    if !twin.seen.contains(Seen::RST) {
        return false;
    }
    remove(tables, segment.tuple(), &reply);
    true
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
    if !segment.flags.contains(Flags::ACK) || !twin.seen.contains(Seen::SYN) || behind > EARLY_DATA {
        return Err(Reason::HandshakeMismatch);
    }
    entry.acked = segment.ack;
    let flows = tables.flows();
    flows.insert(reply, twin).map_err(|_| Reason::TableFull)?;
    if flows.insert(segment.tuple(), entry).is_err() {
        flows.remove(reply);
        return Err(Reason::TableFull);
    }
    remove(tables, segment.tuple(), reply);
    tables.add_open_flows(0, 1);
    tables.add_open_flows(entry.backend, 1);
    if let Some(counters) = tables.counters(entry.backend) {
        counters.connections += 1;
    }
    Ok(())
}

/// Removes both entries of a half-open flow.
#[inline(always)]
fn remove<T: Tables>(tables: &T, original: &Tuple, reply: &Tuple) {
    tables.half_open().remove(original);
    tables.half_open().remove(reply);
}
