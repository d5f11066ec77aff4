//! Packets of half-open flows: from the SYN that opened one to the client's acknowledgement, which promotes it.

use super::{
    Reason, Verdict,
    fail_over::{self, Attempt},
    flow,
    frame::Frame,
    latency, limits, open,
    parse::Segment,
    pressure,
    tables::{FlowTable, Tables},
    tcp::{self, Flags},
};
use crate::abi::{Change, Direction, Flow, Retry, Seen, Tuple};

/// How far an acknowledgement may lie behind what the backend has sent before the handshake is complete:
/// one window without scaling, for servers that speak before the ACK arrives (RFC 7413).
const EARLY_DATA: u32 = 0xffff;

/// A segment of a half-open flow. `Ok(None)`: its attempt cannot go on, and the SYN is to be opened anew, with the backend
/// that the scratch room names, if it says that it fails over.
#[inline(never)]
pub fn half_open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    entry: &mut Flow,
) -> Result<Option<Verdict>, Reason> {
    let original = entry.direction == Direction::Original;
    let before = entry.seen;
    let attempt = fail_over::attempt(tables, segment, entry);
    if matches!(attempt, Attempt::Refused | Attempt::Unanswered) {
        let another = fail_over::another(tables, segment, entry);
        if another != 0 && (original || fail_over::is_remembered(tables, segment, entry)) {
            return open_anew(tables, another, Retry::AnotherBackend);
        }
        if another != 0 {
            fail_over::record_refusal(tables, entry);
            account(tables, entry, before);
            return Err(Reason::RefusalWithheld);
        }
    }
    if attempt == Attempt::Occupied {
        let backend = fail_over::again(tables, entry);
        if backend != 0 {
            return open_anew(tables, backend, Retry::AnotherPort);
        }
    }
    if attempt == Attempt::Lost || (attempt == Attempt::Refused && original) {
        return open_anew(tables, 0, Retry::None);
    }
    flow::find_hop(frame, tables, entry)?;
    flow::check_size_and_life(frame, segment, &entry.hop)?;
    if attempt == Attempt::Forgotten && !put_back(tables, segment, entry) {
        return open_anew(tables, 0, Retry::None);
    }
    if original && !segment.flags.opens() && !segment.flags.contains(Flags::RST) {
        return acknowledge(frame, tables, segment, entry).map(Some);
    }
    match attempt {
        Attempt::Refused => fail_over::record_refusal(tables, entry),
        Attempt::Unanswered => {
            fail_over::count_unanswered(tables, entry.backend);
            fail_over::count_attempt(tables, entry.backend);
        }
        _ => {}
    }
    if original && segment.flags.opens() {
        fail_over::remember(frame, tables, segment, entry.backend);
    }
    if !original && segment.flags.contains(Flags::SYN.with(Flags::ACK)) && fail_over::is_silent(entry) {
        latency::measure(tables, entry);
    }
    record(tables, segment, entry);
    if entry.seen != before {
        account(tables, entry, before);
    }
    flow::send(frame, segment, entry, Reason::Forwarded).map(Some)
}

/// An attempt may have ended, or go on after all, since its direction `entry` had seen `before`.
#[inline(never)]
pub(super) fn account<T: Tables>(tables: &T, entry: &Flow, before: Seen) {
    let Some(twin) = tables.half_open().get(&entry.to.reversed()) else { return };
    let finished = |own| tcp::state(own, twin.seen).is_finished();
    let change = i64::from(finished(before)) - i64::from(finished(entry.seen));
    if change != 0 {
        limits::count(tables, entry, twin, change);
    }
}

/// The SYN of a flow that has just been opened.
#[inline(never)]
pub fn begin<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    original: &mut Flow,
) -> Result<Verdict, Reason> {
    flow::find_hop(frame, tables, original)?;
    flow::check_size_and_life(frame, segment, &original.hop)?;
    fail_over::count_attempt(tables, original.backend);
    fail_over::remember(frame, tables, segment, original.backend);
    record(tables, segment, original);
    let reason = match tables.scratch() {
        Some(scratch) if scratch.retry == Retry::AnotherPort => Reason::PortChanged,
        Some(scratch) if scratch.retry == Retry::AnotherBackend => Reason::FailedOver,
        Some(scratch) if scratch.client.known != 0 => Reason::OpenedByCookie,
        Some(scratch) if scratch.elsewhere != 0 => Reason::OpenedElsewhere,
        _ => Reason::Opened,
    };
    flow::send(frame, segment, original, reason)
}

/// Does the books of a half-open flow's segment.
#[inline(always)]
pub(super) fn record<T: Tables>(tables: &T, segment: &Segment, entry: &mut Flow) {
    // A segment of another connection may have come before.
    let begins = segment.flags.contains(Flags::SYN) && !entry.seen.contains(Seen::SYN);
    entry.seen = tcp::next_seen(entry.seen, segment.flags, true);
    if entry.traffic.is_empty() || begins || numbers_anew(segment, entry) {
        (entry.next_seq, entry.acked) = (segment.next_seq(), segment.ack);
    }
    flow::record(tables, segment, entry);
}

/// Whether a SYN is another attempt's, with an initial sequence number of its own, and not a repetition: both ends
/// may give up and start over while the gateway still knows the tuple.
#[inline(always)]
fn numbers_anew(segment: &Segment, entry: &Flow) -> bool {
    segment.flags.contains(Flags::SYN) && entry.next_seq.wrapping_sub(segment.next_seq()) > EARLY_DATA
}

/// Has the SYN opened anew with this backend, or (0) with one that the service's algorithm picks.
#[inline(always)]
fn open_anew<T: Tables>(tables: &T, backend: u32, retry: Retry) -> Result<Option<Verdict>, Reason> {
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    (scratch.backend, scratch.retry) = (backend, retry);
    Ok(None)
}

/// Puts back the reply entry of the flow of a repeated SYN, unless its tuple has gone to another flow.
#[inline(never)]
fn put_back<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> bool {
    let Some(scratch) = tables.scratch() else { return false };
    flow::start(&mut scratch.reply, Direction::Reply, entry.backend, entry.created);
    scratch.reply.from = entry.to.reversed();
    scratch.reply.to = segment.tuple().reversed();
    open::reserve(tables, &scratch.reply)
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

/// Makes the flow an established one, if that is what `segment` does.
#[inline(never)]
fn promote<T: Tables>(tables: &T, segment: &Segment, entry: &mut Flow, reply: &Tuple) -> Result<(), Reason> {
    let Some(twin) = tables.half_open().get(reply) else { return Err(Reason::HandshakeMismatch) };
    let behind = twin.next_seq.wrapping_sub(segment.ack);
    let fits = twin.seen.contains(Seen::SYN) && behind <= EARLY_DATA && open::belongs_to(twin, segment.tuple());
    if !segment.flags.contains(Flags::ACK) || !fits {
        return Err(Reason::HandshakeMismatch);
    }
    entry.acked = segment.ack;
    establish(tables, entry, twin)?;
    pressure::fall(tables, entry.backend);
    Ok(())
}

/// Moves a pair to the flow table: both entries, or none.
#[inline(never)]
pub(super) fn establish<T: Tables>(tables: &T, original: &Flow, reply: &Flow) -> Result<(), Reason> {
    let flows = tables.flows();
    flows.insert(reply).map_err(|_| Reason::TableFull)?;
    if flows.insert(original).is_err() {
        flows.remove(&reply.from);
        return Err(Reason::TableFull);
    }
    tables.add_open_flows(0, 1);
    // A reset may have been seen before; what revives the flow then counts it.
    if !tcp::state(original.seen, reply.seen).is_finished() {
        tables.add_open_flows(original.backend, 1);
    }
    if let Some(counters) = tables.counters(original.backend) {
        counters.connections += 1;
    }
    tables.note(Change::Opened);
    tables.half_open().remove(&original.from);
    tables.half_open().remove(&reply.from);
    Ok(())
}
