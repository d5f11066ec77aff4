//! ICMP errors about tracked flows (RFC 5508 section 4, RFC 792, RFC 4443): path MTU discovery works through
//! the translation.
//!
//! An error quotes the packet it is about as it was on the error's side of the gateway. The reverse of that
//! packet's tuple is a key of the flow table, and its entry says what both look like on the other side: the
//! error goes on to `to.dst`, about a packet with the tuple `to` reversed.

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
};

use super::{
    Reason, Verdict,
    checksum::Delta,
    flow,
    frame::Frame,
    parse::{Network, PROTOCOL_ICMP, PROTOCOL_TCP},
    rewrite,
    tables::{FlowTable, Tables},
};
use crate::abi::{Address, Family, Tuple};

/// Offset of the checksum in both ICMP headers.
const CHECKSUM: usize = 2;
/// Offset of the checksum in a TCP header; it may lie beyond the quotation.
const TCP_CHECKSUM: usize = super::tcp::TcpHeader::CHECKSUM_OFFSET;

/// The packet that an error quotes.
struct Quoted {
    /// Offset of its IP header.
    l3: usize,
    /// Offset of its TCP header.
    l4: usize,
    tuple: Tuple,
}

/// Translates an error about a tracked flow and sends it on; any other ICMP is the kernel's.
#[inline(never)]
pub fn error<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &Network) -> Result<Verdict, Reason> {
    let quoted = quoted(frame, ip)?;
    let key = quoted.tuple.reversed();
    let flow = match tables.flows().get(&key) {
        Some(flow) => flow,
        None => tables.half_open().get(&key).ok_or(Reason::IcmpUnrelated)?,
    };
    flow::find_hop(frame, tables, flow)?;
    if ip.hop_limit <= 1 {
        // No error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e).
        return Err(Reason::NoRoute);
    }
    let change = rewrite_quoted(frame, ip.family, &quoted, &flow.to)?;
    rewrite_outer(frame, ip, &flow.to, change)?;
    frame.set_link_layer(ip.l3, &flow.hop, ip.ether_type())?;
    Ok(Verdict { reason: Reason::IcmpForwarded, ifindex: flow.hop.ifindex })
}

/// Gives the error itself new addresses, and its checksum what has changed in it.
#[inline(never)]
fn rewrite_outer<F: Frame>(frame: &mut F, ip: &Network, to: &Tuple, change: Delta) -> Result<(), Reason> {
    let pseudo = rewrite::network(frame, ip, &to.src, &to.dst)?;
    // ICMP for IPv4 has no pseudo-header (RFC 792).
    let pseudo = if ip.protocol == PROTOCOL_ICMP { Delta::ZERO } else { pseudo };
    frame.update_l4_checksum(ip.l4 + CHECKSUM, pseudo, change)
}

/// Reads the quoted packet of an error; `IcmpUnrelated` for other messages and other protocols.
#[inline(never)]
fn quoted<F: Frame>(frame: &mut F, ip: &Network) -> Result<Quoted, Reason> {
    let kind = frame.header::<Icmpv4Hdr>(ip.l4)?.type_;
    let l3 = ip.l4 + Icmpv4Hdr::LEN;
    let (l4, src, dst) = match ip.family {
        Family::V4 => {
            // Destination unreachable, time exceeded, parameter problem.
            if !matches!(kind, 3 | 11 | 12) {
                return Err(Reason::IcmpUnrelated);
            }
            let inner = frame.header::<Ipv4Hdr>(l3)?;
            let first = u16::from_be_bytes(inner.frags) & 0x1fff == 0;
            if inner.version() != 4 || usize::from(inner.ihl()) < Ipv4Hdr::LEN || inner.proto != PROTOCOL_TCP || !first
            {
                return Err(Reason::IcmpUnrelated);
            }
            let l4 = l3 + usize::from(inner.ihl());
            (l4, Address::from_v4(inner.src_addr), Address::from_v4(inner.dst_addr))
        }
        Family::V6 => {
            // Destination unreachable, packet too big, time exceeded, parameter problem.
            if !matches!(kind, 1..=4) {
                return Err(Reason::IcmpUnrelated);
            }
            let inner = frame.header::<Ipv6Hdr>(l3)?;
            if inner.version() != 6 || inner.next_hdr != PROTOCOL_TCP {
                return Err(Reason::IcmpUnrelated);
            }
            (l3 + Ipv6Hdr::LEN, Address(inner.src_addr), Address(inner.dst_addr))
        }
    };
    let [a, b, c, d, ..] = *frame.header::<[u8; 8]>(l4)?;
    Ok(Quoted { l3, l4, tuple: Tuple { src, dst, src_port: [a, b], dst_port: [c, d] } })
}

/// Gives the quoted packet the tuple it has on the other side, where its answers have the tuple `to`. Returns the change of all it covers.
#[inline(never)]
fn rewrite_quoted<F: Frame>(frame: &mut F, family: Family, quoted: &Quoted, to: &Tuple) -> Result<Delta, Reason> {
    let (from, to) = (&quoted.tuple, to.reversed());
    let (addresses, header) = match family {
        Family::V4 => {
            let addresses = Delta::ZERO.replace4(from.src.v4(), to.src.v4()).replace4(from.dst.v4(), to.dst.v4());
            let inner = frame.header::<Ipv4Hdr>(quoted.l3)?;
            inner.src_addr = to.src.v4();
            inner.dst_addr = to.dst.v4();
            let check = inner.check;
            inner.check = addresses.apply(check);
            (addresses, addresses.replace2(check, inner.check))
        }
        Family::V6 => {
            let addresses = Delta::ZERO.replace16(from.src.0, to.src.0).replace16(from.dst.0, to.dst.0);
            let inner = frame.header::<Ipv6Hdr>(quoted.l3)?;
            inner.src_addr = to.src.0;
            inner.dst_addr = to.dst.0;
            (addresses, addresses)
        }
    };
    let ports = Delta::ZERO.replace2(from.src_port, to.src_port).replace2(from.dst_port, to.dst_port);
    let inner = frame.header::<[[u8; 2]; 2]>(quoted.l4)?;
    *inner = [to.src_port, to.dst_port];
    let mut change = header.and(ports);
    // Only eight bytes of TCP are sure to be quoted.
    if let Ok(checksum) = frame.header::<[u8; 2]>(quoted.l4 + TCP_CHECKSUM) {
        let old = *checksum;
        *checksum = addresses.and(ports).apply(old);
        change = change.replace2(old, *checksum);
    }
    Ok(change)
}
