//! Turning a packet into the one that leaves: addresses, ports, TTL, checksums, link layer.

use super::{
    Reason,
    checksum::Delta,
    frame::Frame,
    headers::{Bytes2, Bytes4, Bytes16, Ipv4Header, Ipv6Header, TcpHeader},
    parse::{Network, Segment},
};
use crate::abi::{Address, Family, Hop, Tuple};

/// Translates `segment` to `to` and readies it for `hop`.
#[inline(always)]
pub fn segment<F: Frame>(frame: &mut F, segment: &Segment, to: &Tuple, hop: &Hop) -> Result<(), Reason> {
    let ip = segment.ip;
    let tcp = frame.header::<TcpHeader>(ip.l4)?;
    let ports = Delta::ZERO.replace2(tcp.src_port.0, to.src_port).replace2(tcp.dst_port.0, to.dst_port);
    tcp.src_port = Bytes2(to.src_port);
    tcp.dst_port = Bytes2(to.dst_port);
    let addresses = network(frame, ip, &to.src, &to.dst)?;
    frame.update_l4_checksum(ip.l4 + TcpHeader::CHECKSUM_OFFSET, addresses, ports)?;
    frame.set_link_layer(ip.l3, hop, ip.ether_type())
}

/// Gives a segment another sequence number.
#[inline(always)]
pub fn sequence_number<F: Frame>(frame: &mut F, ip: &Network, number: u32) -> Result<(), Reason> {
    let tcp = frame.header::<TcpHeader>(ip.l4)?;
    let change = replace(&mut tcp.seq, number);
    frame.update_l4_checksum(ip.l4 + TcpHeader::CHECKSUM_OFFSET, Delta::ZERO, change)
}

/// Gives a segment another acknowledgement number.
#[inline(always)]
pub fn acknowledgement<F: Frame>(frame: &mut F, ip: &Network, number: u32) -> Result<(), Reason> {
    let tcp = frame.header::<TcpHeader>(ip.l4)?;
    let change = replace(&mut tcp.ack, number);
    frame.update_l4_checksum(ip.l4 + TcpHeader::CHECKSUM_OFFSET, Delta::ZERO, change)
}

#[inline(always)]
fn replace(field: &mut Bytes4, number: u32) -> Delta {
    let present = core::mem::replace(field, Bytes4(number.to_be_bytes()));
    Delta::ZERO.replace4(present.0, field.0)
}

/// Gives a packet new addresses and one hop less to live. Returns the change of the addresses, which is also
/// that of the pseudo-header of TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)]
pub fn network<F: Frame>(frame: &mut F, ip: &Network, src: &Address, dst: &Address) -> Result<Delta, Reason> {
    match ip.family {
        Family::V4 => network_v4(frame, ip.l3, src, dst),
        Family::V6 => network_v6(frame, ip.l3, src, dst),
    }
}

#[inline(always)]
fn network_v4<F: Frame>(frame: &mut F, l3: usize, src: &Address, dst: &Address) -> Result<Delta, Reason> {
    let header = frame.header::<Ipv4Header>(l3)?;
    let addresses = Delta::ZERO.replace4(header.src.0, src.v4()).replace4(header.dst.0, dst.v4());
    header.src = Bytes4(src.v4());
    header.dst = Bytes4(dst.v4());
    // The TTL shares its 16-bit word with the protocol.
    let ttl = header.ttl.wrapping_sub(1);
    let life = Delta::ZERO.replace2([header.ttl, header.protocol], [ttl, header.protocol]);
    header.ttl = ttl;
    frame.update_ip_checksum(l3 + Ipv4Header::CHECKSUM_OFFSET, addresses.and(life))?;
    Ok(addresses)
}

/// A function of its own: inlined, its sixteen words would crowd the stack of the common path.
#[inline(never)]
fn network_v6<F: Frame>(frame: &mut F, l3: usize, src: &Address, dst: &Address) -> Result<Delta, Reason> {
    let header = frame.header::<Ipv6Header>(l3)?;
    let addresses = Delta::ZERO.replace16(header.src.0, src.0).replace16(header.dst.0, dst.0);
    header.src = Bytes16(src.0);
    header.dst = Bytes16(dst.0);
    header.hop_limit = header.hop_limit.wrapping_sub(1);
    Ok(addresses)
}
