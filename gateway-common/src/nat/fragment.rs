//! Fragments of TCP segments.
//!
//! The gateway puts nothing together, and the front server's own stack must not either: it would answer the whole
//! segment by a reset, and end the connection behind the gateway's back. So the first fragment is dropped of what goes to
//! a service, or belongs to an established flow; every other one is the kernel's, which cannot complete a packet without
//! the first. However they overlap and however small they are, what has offset 0 begins with the ports (RFC 1858).

use super::{
    Reason,
    frame::Frame,
    headers::{Bytes2, Bytes4, Ipv4Header, TcpPorts},
    parse::{Network, PROTOCOL_FRAGMENT, PROTOCOL_TCP},
    tables::{FlowTable, Tables},
};
use crate::abi::{Family, ServiceKey};

/// Length of the fragment header (RFC 8200 section 4.5).
const FRAGMENT_HEADER: usize = 8;

/// What becomes of a fragment, whose addresses are read.
#[inline(never)]
pub fn judge<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Reason {
    if read_ports(frame, ip).is_err() {
        return Reason::Fragment;
    }
    let tuple = &ip.tuple;
    let for_service = tables.service(&ServiceKey::new(tuple.dst, tuple.dst_port)).is_some();
    if for_service || tables.flows().get(tuple).is_some() { Reason::FragmentOfFlow } else { Reason::Fragment }
}

/// Reads the ports of a first fragment; `Fragment` where there are none to read.
#[inline(always)]
fn read_ports<F: Frame>(frame: &mut F, ip: &mut Network) -> Result<(), Reason> {
    let (protocol, offset, l4) = match ip.family {
        Family::V4 => {
            let field = frame.header::<Ipv4Header>(ip.l3)?.fragment;
            (ip.protocol, u16::from_be_bytes(field.0) & 0x1fff, ip.l4)
        }
        Family::V6 if ip.protocol == PROTOCOL_FRAGMENT => {
            let Bytes4([next_header, _, high, low]) = *frame.header(ip.l4)?;
            (next_header, u16::from_be_bytes([high, low]) >> 3, ip.l4 + FRAGMENT_HEADER)
        }
        Family::V6 => return Err(Reason::Fragment),
    };
    if protocol != PROTOCOL_TCP || offset != 0 {
        return Err(Reason::Fragment);
    }
    let TcpPorts { src: Bytes2(src), dst: Bytes2(dst) } = *frame.header(l4)?;
    (ip.tuple.src_port, ip.tuple.dst_port) = (src, dst);
    Ok(())
}
