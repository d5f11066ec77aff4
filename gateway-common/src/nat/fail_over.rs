//! A SYN goes to another backend when the one that has it refuses it or does not answer, and once more to the same one when
//! its source port is not free there.
//!
//! - **Refused**: the backend's reset is turned into the client's SYN again, which is remembered for that, and goes to
//!   another backend at once. The client learns of a refusal only where no other backend is left to try.
//! - **Occupied**: the backend answers for another connection, by an ACK: it has closed that one first and keeps it in
//!   TIME-WAIT (RFC 9293 section 3.10.7.4; a new SYN gets through only with a later timestamp or sequence number, RFC 6191).
//!   The ACK is turned into the SYN as a reset is, which goes to the same backend from another source port.
//! - **Silent**: when the client repeats its SYN, the repetition goes to another backend, if there is one.
//!
//! A backend that has answered keeps its flow. What a backend says after its attempt was given up belongs to no flow, and
//! so goes to the kernel, which resets it; at a port that was given up, which rests, the gateway does.

use super::{
    Reason,
    checksum::Delta,
    compose,
    frame::Frame,
    headers::{Bytes2, TcpHeader, Words},
    open,
    parse::{Network, PROTOCOL_TCP, Segment},
    select::hash_tuple,
    tables::{FlowTable, Tables},
    tcp::Flags,
};
use crate::abi::{
    Direction, Flow, MAX_TRIED, Retry, Seen, ServiceKey, Syn, TCP_HEADER_WORDS, Tuple, ticks_from_millis,
};

/// Source ports that are given up for one SYN of a client at most, before the client gets what the backend answers.
const MAX_PORTS: u32 = 8;

/// Time after which a SYN that comes again is the client's repetition (RFC 6298 section 2: after a second), not a
/// duplicate that the network made.
const REPETITION: u32 = ticks_from_millis(200);

/// Words of a TCP header without options, and of options at most.
const FIXED_WORDS: usize = TcpHeader::LEN / 4;
const OPTION_WORDS: usize = TCP_HEADER_WORDS - FIXED_WORDS;

/// How a client's attempt to connect stands when a segment of it arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Attempt {
    GoesOn,
    /// The backend has answered the SYN by a reset: by this segment, if it is one.
    Refused,
    /// The backend has answered by a segment of another connection.
    Occupied,
    /// The client repeats its SYN, and nothing has come from the backend.
    Unanswered,
    /// The reply entry was forgotten under pressure.
    Forgotten,
    /// So it was, and its tuple has gone to another flow; or the SYN has never left.
    Lost,
}

/// How the attempt of `entry`, the half-open flow that `segment` belongs to, stands.
#[inline(always)]
pub fn attempt<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> Attempt {
    match entry.direction {
        Direction::Original if segment.flags.opens() => after_syn(tables, segment, entry),
        Direction::Reply
            if is_silent(entry) && segment.flags.contains(Flags::ACK) && !segment.flags.contains(Flags::SYN) =>
        {
            after_answer(tables, segment, entry)
        }
        _ => Attempt::GoesOn,
    }
}

/// Whether nothing has come from the backend of the reply direction `reply`.
#[inline(always)]
pub fn is_silent(reply: &Flow) -> bool {
    reply.traffic.is_empty() && reply.seen.without(Seen::COOKIE).0 == Seen::NOTHING.0
}

#[inline(never)]
fn after_syn<T: Tables>(tables: &T, segment: &Segment, original: &Flow) -> Attempt {
    let Some(reply) = tables.half_open().get(&original.to.reversed()) else { return Attempt::Forgotten };
    if original.traffic.is_empty() || !open::belongs_to(reply, segment.tuple()) {
        Attempt::Lost
    } else if reply.seen.contains(Seen::RST) {
        Attempt::Refused
    } else if is_silent(reply) && tables.now().wrapping_sub(original.last_seen) >= REPETITION {
        Attempt::Unanswered
    } else {
        Attempt::GoesOn
    }
}

/// A reset answers the SYN if it acknowledges it (RFC 9293 section 3.10.7.3); any other segment that does not is another
/// connection's.
#[inline(never)]
fn after_answer<T: Tables>(tables: &T, segment: &Segment, reply: &Flow) -> Attempt {
    let Some(original) = tables.half_open().get(&reply.to.reversed()) else { return Attempt::GoesOn };
    let sent = !original.traffic.is_empty() && original.to.is_reverse_of(segment.tuple());
    let answers = original.next_seq == segment.ack;
    if !sent || original.seen.contains(Seen::RST) || segment.flags.contains(Flags::RST) != answers {
        Attempt::GoesOn
    } else if answers {
        Attempt::Refused
    } else {
        Attempt::Occupied
    }
}

/// Draws the backend, by its index, that is to get the SYN of `entry`'s attempt after its present one. 0: there is none.
#[inline(never)]
pub fn another<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> u32 {
    let refused = entry.direction == Direction::Reply;
    let (address, port) =
        if refused { (entry.to.src, entry.to.src_port) } else { (segment.tuple().dst, segment.tuple().dst_port) };
    let Some(service) = tables.service(&ServiceKey::new(address, port)) else { return 0 };
    let Some(scratch) = tables.scratch() else { return 0 };
    (scratch.tried, scratch.limited) = ([0; MAX_TRIED], service.limits());
    if let Some(syn) = recall_attempt(tables, segment, entry) {
        if refused && syn.tried[MAX_TRIED - 1] != 0 {
            return 0;
        }
        scratch.tried = syn.tried;
    }
    // A client that repeats its SYN bounds its attempts itself: it may get a backend again.
    tables.another(service, entry.backend, !refused)
}

/// The backend of `reply` once more, if it is still there, for its attempt's SYN to be sent from another source port. 0: that
/// has been done often enough, or the SYN is not remembered.
#[inline(never)]
pub fn again<T: Tables>(tables: &T, reply: &Flow) -> u32 {
    let tuple = reply.to.reversed();
    let Some(original) = tables.half_open().get(&tuple) else { return 0 };
    let Some(syn) = recall(tables, &tuple, original.next_seq.wrapping_sub(1)) else { return 0 };
    let Some(service) = tables.service(&ServiceKey::new(tuple.dst, tuple.dst_port)) else { return 0 };
    let Some(scratch) = tables.scratch() else { return 0 };
    scratch.limited = service.limits();
    match tables.backend(reply.backend) {
        Some(backend) if backend.in_use != 0 && backend.service == service.id && syn.ports < MAX_PORTS => reply.backend,
        _ => 0,
    }
}

#[inline(always)]
fn changes_port<T: Tables>(tables: &T) -> bool {
    tables.scratch().is_some_and(|scratch| scratch.retry == Retry::AnotherPort)
}

/// Whether the SYN that the reset `segment` answers is remembered.
#[inline(never)]
pub fn is_remembered<T: Tables>(tables: &T, segment: &Segment, reply: &Flow) -> bool {
    recall_attempt(tables, segment, reply).is_some()
}

/// The SYN of `entry`'s attempt, which `segment` repeats or resets.
#[inline(always)]
fn recall_attempt<'a, T: Tables>(tables: &'a T, segment: &Segment, entry: &Flow) -> Option<&'a mut Syn> {
    let (tuple, isn) = match entry.direction {
        Direction::Original => (*segment.tuple(), segment.seq),
        Direction::Reply => (entry.to.reversed(), segment.ack.wrapping_sub(1)),
    };
    recall(tables, &tuple, isn)
}

#[inline(always)]
fn recall<'a, T: Tables>(tables: &'a T, tuple: &Tuple, isn: u32) -> Option<&'a mut Syn> {
    place(tables, tuple).filter(|syn| syn.words != 0 && syn.tuple.equals(tuple) && syn.isn() == isn)
}

#[inline(always)]
fn place<'a, T: Tables>(tables: &'a T, tuple: &Tuple) -> Option<&'a mut Syn> {
    tables.syn(hash_tuple(tuple, tables.settings().seed))
}

/// Remembers a client's SYN, which is given to `backend`. One that carries data is not: the client's repetition is without
/// (RFC 7413 section 4.1.3).
#[inline(never)]
pub fn remember<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, backend: u32) {
    let Some(syn) = place(tables, segment.tuple()) else { return };
    let known = syn.tuple.equals(segment.tuple());
    if segment.payload() != 0 {
        if known {
            syn.words = 0;
        }
        return;
    }
    let again = known && syn.isn() == segment.seq;
    if !again || (syn.tried[MAX_TRIED - 1] != 0 && !syn.tried.contains(&backend)) {
        syn.tried = [0; MAX_TRIED];
    }
    syn.ports = if again && changes_port(tables) { syn.ports.wrapping_add(1) } else { 0 };
    if let Some(free) = syn.tried.iter_mut().find(|tried| **tried == 0 || **tried == backend) {
        *free = backend;
    }
    syn.tuple = *segment.tuple();
    syn.words = (segment.headers - segment.ip.header_len()) / 4;
    if copy_header(frame, segment.ip.l4, syn).is_err() {
        syn.words = 0;
    }
}

/// Copies the TCP header at `l4`, with a checksum of its own.
#[inline(always)]
fn copy_header<F: Frame>(frame: &mut F, l4: usize, syn: &mut Syn) -> Result<(), Reason> {
    const CHECKSUM_WORD: usize = TcpHeader::CHECKSUM_OFFSET / 4;
    let fixed = *frame.header::<Words<FIXED_WORDS>>(l4)?;
    let mut sum = Delta::ZERO;
    for (index, (copy, word)) in syn.header.iter_mut().zip(fixed.0).enumerate() {
        // Of that word the checksum is the first half, and is left out.
        *copy = if index == CHECKSUM_WORD { word & u32::from_be(0xffff) } else { word };
        sum = sum.insert_words(&[*copy]);
    }
    for index in 0..OPTION_WORDS {
        if FIXED_WORDS + index >= syn.words as usize {
            break;
        }
        let word = frame.header::<Words<1>>(l4 + TcpHeader::LEN + index * 4)?.0[0];
        syn.header[FIXED_WORDS + index] = word;
        sum = sum.insert_words(&[word]);
    }
    let [high, low] = sum.checksum();
    syn.header[CHECKSUM_WORD] |= u32::from_ne_bytes([high, low, 0, 0]);
    Ok(())
}

/// Turns the frame, whose network header was `ip`, into the SYN of the client whose tuple `ip` holds, and `ip` into the
/// SYN's. Changes nothing where the frame has no room for it.
#[inline(never)]
pub fn restore<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Result<(), Reason> {
    let syn = place(tables, &ip.tuple).filter(|syn| syn.tuple.equals(&ip.tuple)).ok_or(Reason::RewriteFailed)?;
    tables.scratch().ok_or(Reason::RewriteFailed)?.rewritten = 1;
    let words = syn.words as usize;
    if !(FIXED_WORDS..=TCP_HEADER_WORDS).contains(&words) {
        return Err(Reason::RewriteFailed);
    }
    let len = words * 4;
    let l4 = compose::network(frame, ip, (&ip.tuple.src, &ip.tuple.dst), PROTOCOL_TCP, len)?;
    let mut sum = Delta::ZERO;
    for (index, &word) in syn.header.iter().enumerate() {
        if index >= words {
            break;
        }
        *frame.header(l4 + index * 4)? = Words([word]);
        sum = sum.insert_words(&[word]);
    }
    // Written by two CPUs at the same time.
    if sum.checksum() != [0, 0] {
        return Err(Reason::RewriteFailed);
    }
    let tcp = frame.header::<TcpHeader>(l4)?;
    tcp.checksum = Bytes2(compose::pseudo_header(ip, PROTOCOL_TCP, len).apply(tcp.checksum.0));
    ip.hop_limit = compose::HOP_LIMIT;
    ip.packet_len = (l4 - ip.l3 + len) as u32;
    ip.l4 = l4;
    Ok(())
}

/// Does the books of the segment that has ended the attempt of `reply` and become its SYN again.
#[inline(always)]
pub fn record_end<T: Tables>(tables: &T, reply: &mut Flow) {
    if changes_port(tables) {
        // Of another connection, but an answer.
        reply.traffic.add(0);
    } else {
        record_refusal(tables, reply);
    }
}

/// Does the books of the reset by which the backend of `reply` has refused its attempt.
#[inline(always)]
pub fn record_refusal<T: Tables>(tables: &T, reply: &mut Flow) {
    reply.seen = reply.seen.with(Seen::RST);
    if let Some(counters) = tables.counters(reply.backend) {
        counters.refused += 1;
    }
}

/// Counts a SYN that is given to `backend` as an attempt.
#[inline(always)]
pub fn count_attempt<T: Tables>(tables: &T, backend: u32) {
    if let Some(counters) = tables.counters(backend) {
        counters.attempts += 1;
    }
}

/// Counts an attempt that `backend` has not answered.
#[inline(always)]
pub fn count_unanswered<T: Tables>(tables: &T, backend: u32) {
    if let Some(counters) = tables.counters(backend) {
        counters.unanswered += 1;
    }
}
