//! The way of a packet: parse, find its flow or open one, rewrite, send on.
//!
//! [`process`] is the whole of it. It reads a [`Frame`] and [`Tables`] and returns a [`Verdict`]: the frame has
//! been rewritten exactly when the verdict's action is `Forward` or `Answer`.

mod answer;
pub mod buckets;
mod checksum;
mod compose;
mod cookie;
pub mod cut;
mod fail_over;
mod flow;
mod fragment;
mod frame;
mod handshake;
pub mod headers;
mod icmp;
mod latency;
mod limits;
mod martian;
mod open;
mod parse;
mod pressure;
mod reason;
mod rewrite;
mod select;
mod tables;
mod tcp;
pub mod timeout;

pub use checksum::Delta;
pub use cookie::hash as hash_cookie;
pub use frame::Frame;
pub use open::open;
pub use parse::{Network, Segment};
pub use reason::{Action, Reason, Verdict};
pub use select::{another, hash_address, hash_tuple};
pub use tables::{FlowTable, InsertError, Tables};
pub use tcp::{Flags, State, state};

use crate::abi::{Direction, Flow, MAX_TRIED, Retry, Seen, ServiceKey};
use parse::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};

/// Decides what becomes of the packet in `frame`, and makes it so. `ip` is work space for the headers.
///
/// In a packet program that is map memory. What the verifier reads from there it knows nothing of, so all that comes
/// after the headers is verified once, and not once for each kind of headers that led to it.
#[inline(always)]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Verdict {
    decide(frame, tables, ip).unwrap_or_else(Verdict::from)
}

#[inline(always)]
fn decide<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Result<Verdict, Reason> {
    match ip.read(frame) {
        Ok(()) if !ip.has_options() => {}
        Ok(()) => parse::refuse_source_route(frame, ip)?,
        Err(Reason::Fragment) => return Err(fragment::judge(frame, tables, ip)),
        Err(reason) => return Err(reason),
    }
    match ip.protocol {
        PROTOCOL_TCP => {
            let segment = parse::segment(frame, ip)?;
            // Established flows first: they are nearly all packets.
            match tables.flows().get(segment.tuple()) {
                Some(flow) if !flow::reopens(tables, &segment, flow) => {
                    flow::established(frame, tables, &segment, flow)
                }
                _ => new_to_table(frame, tables, ip),
            }
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => icmp::error(frame, tables, ip),
        _ => Err(Reason::NotTcp),
    }
}

/// Other backends that a SYN is tried with where no source port is to be had towards the first.
const OTHER_BACKENDS: u32 = 2;

/// A segment of no established flow: of a handshake, the first one for a service, or none of the gateway's business.
#[inline(always)]
fn new_to_table<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Result<Verdict, Reason> {
    let segment = parse::segment(frame, ip)?;
    let mut known = tables.half_open().get(segment.tuple());
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    (scratch.elsewhere, scratch.limited, scratch.admitted) = (0, 0, 0);
    (scratch.retry, scratch.client.known, scratch.rewritten) = (Retry::None, 0, 0);
    scratch.tried = [0; MAX_TRIED];
    match &mut known {
        Some(entry) if cookie::starts_over(tables, &segment, entry) => {}
        Some(entry) if cookie::fails_over(tables, &segment, entry) => {}
        Some(entry) if entry.seen.contains(Seen::COOKIE) => {
            return cookie::half_open(frame, tables, &segment, entry);
        }
        Some(entry) => {
            if let Some(verdict) = handshake::half_open(frame, tables, &segment, entry)? {
                return Ok(verdict);
            }
        }
        None => {}
    }
    if tables.scratch().is_some_and(|scratch| scratch.retry == Retry::None) {
        choose(frame, tables, &segment, known.as_ref().map_or(0, |entry| entry.backend))?;
    }
    // The SYN that is to go there: this packet, or the one that it answers.
    let reply = known.filter(|entry| entry.direction == Direction::Reply);
    match &reply {
        Some(reply) => ip.tuple = reply.to.reversed(),
        None => limits::admit(frame, tables, &segment)?,
    }
    let mut opened = try_open(frame, tables, ip, reply);
    for _ in 0..OTHER_BACKENDS {
        let without_port = matches!(opened, Err(Reason::PortsExhausted | Reason::PortShareUsed));
        if !without_port || !open::goes_elsewhere(tables, &ip.tuple) {
            break;
        }
        opened = try_open(frame, tables, ip, None);
    }
    if let Err(reason) = opened {
        limits::withdraw(tables, &ip.tuple);
        return Err(reason);
    }
    let segment = parse::segment(frame, ip)?;
    let entry = tables.half_open().get(segment.tuple()).ok_or(Reason::OpenRace)?;
    handshake::begin(frame, tables, &segment, entry)
}

/// Opens the flow of a client's SYN with the backend that the scratch room names: of the packet, or of the SYN that the
/// packet, of the direction `reply`, answers and becomes again.
#[inline(always)]
fn try_open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    ip: &mut Network,
    reply: Option<&mut Flow>,
) -> Result<(), Reason> {
    open::prepare(frame, tables, &ip.tuple)?;
    let knows_cookie = tables.scratch().is_some_and(|scratch| scratch.client.known != 0);
    match reply {
        Some(reply) => {
            fail_over::restore(frame, tables, ip)?;
            fail_over::record_end(tables, reply);
        }
        None if knows_cookie => cookie::restore(frame, tables, ip)?,
        None => {}
    }
    if let Some(scratch) = tables.scratch()
        && knows_cookie
    {
        cookie::mark(scratch);
    }
    tables.open(&ip.tuple)
}

/// Names the backend in the scratch room for a segment of no flow, if it is a SYN for a service, or acknowledges the cookie that
/// a SYN was answered by; otherwise the reason why not. `present`: the backend that has had its tuple's SYN, 0 if nothing is known of it.
#[inline(never)]
fn choose<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, present: u32) -> Result<(), Reason> {
    let key = ServiceKey::new(segment.tuple().dst, segment.tuple().dst_port);
    let service = tables.service(&key).ok_or(Reason::NoService)?;
    let opens = segment.flags.opens();
    if !opens && !cookie::is_acknowledged(tables, segment) {
        let (reset, drop) = (Reason::UnknownFlowReset, Reason::UnknownFlow);
        return Err(answer::refuse(frame, segment, service.unknown_flow, reset, drop));
    }
    open::choose(frame, tables, segment, service)?;
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    if opens && present == 0 && pressure::is_high(tables, scratch.backend) {
        return Err(cookie::answer(frame, tables, segment));
    }
    if !opens && scratch.backend == present {
        // It has left the SYN unanswered.
        let another = tables.another(service, present, true);
        if another != 0 {
            scratch.backend = another;
        }
    }
    Ok(())
}
