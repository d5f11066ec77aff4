//! The way of a packet: parse, find its flow or open one, rewrite, send on.
//!
//! [`process`] is the whole of it. It reads a [`Frame`] and [`Tables`] and returns a [`Verdict`]: the frame has
//! been rewritten exactly when the verdict's action is `Forward` or `Answer`.

mod answer;
mod checksum;
mod flow;
mod frame;
mod handshake;
mod icmp;
mod open;
mod parse;
mod reason;
mod rewrite;
mod select;
mod tables;
mod tcp;
pub mod timeout;

pub use checksum::Delta;
pub use frame::{Ethernet, Frame, Header};
pub use parse::{Network, Segment};
pub use reason::{Action, Reason, Verdict};
pub use select::{hash_address, hash_tuple};
pub use tables::{FlowTable, InsertError, Tables};
pub use tcp::{Flags, State, TcpHeader, state};

use crate::abi::{Answer, Direction, ServiceKey};
use parse::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};

/// Decides what becomes of the packet in `frame`, and makes it so.
#[inline(always)]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Verdict {
    decide(frame, tables).unwrap_or_else(Verdict::from)
}

#[inline(always)]
fn decide<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Verdict, Reason> {
    let mut ip = Network::EMPTY;
    ip.read(frame)?;
    match ip.protocol {
        PROTOCOL_TCP => {
            let segment = parse::segment(frame, &mut ip)?;
            tcp_segment(frame, tables, &segment)
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => icmp::error(frame, tables, &ip),
        _ => Err(Reason::NotTcp),
    }
}

/// Established flows first: they are nearly all packets.
#[inline(always)]
fn tcp_segment<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment) -> Result<Verdict, Reason> {
    let opens = segment.flags.opens();
    if let Some(entry) = tables.flows().get(segment.tuple()) {
        let reopens = opens
            && entry.direction == Direction::Original
            && flow::state(tables.flows(), entry).is_none_or(State::is_finished);
        if !reopens {
            return flow::established(frame, tables, segment, entry);
        }
        open::recycle(tables, segment.tuple(), entry);
    } else if let Some(entry) = tables.half_open().get(segment.tuple())
        && let Some(verdict) = handshake::half_open(frame, tables, segment, entry)?
    {
        return Ok(verdict);
    }
    let key = ServiceKey::new(segment.tuple().dst, segment.tuple().dst_port);
    let service = tables.service(&key).ok_or(Reason::NoService)?;
    if opens {
        open::open(frame, tables, segment, service)?;
        let entry = tables.half_open().get(segment.tuple()).ok_or(Reason::OpenRace)?;
        return handshake::half_open(frame, tables, segment, entry)?.ok_or(Reason::OpenRace);
    }
    Err(match service.unknown_flow {
        Answer::Reset => answer::reset(frame, segment, Reason::UnknownFlowReset),
        Answer::Drop => Reason::UnknownFlow,
    })
}
