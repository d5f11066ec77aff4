//! Turning a packet into the one that leaves: addresses, ports, TTL, checksums, link layer.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::{
    Reason,
    checksum::Delta,
    frame::Frame,
    parse::{Network, Segment},
    tcp::TcpHeader,
};
use crate::abi::{Address, Family, Hop, Tuple};

/// Offset of the checksum in an IPv4 header.
pub const IPV4_CHECKSUM: usize = core::mem::offset_of!(Ipv4Hdr, check);

/// Translates `segment` to `to` and readies it for `hop`.
#[inline(always)]
pub fn segment<F: Frame>(frame: &mut F, segment: &Segment, to: &Tuple, hop: &Hop) -> Result<(), Reason> {
    let ip = segment.ip;
    let tcp = frame.header::<TcpHeader>(ip.l4)?;
    let ports = Delta::ZERO.replace2(tcp.src_port, to.src_port).replace2(tcp.dst_port, to.dst_port);
    tcp.src_port = to.src_port;
    tcp.dst_port = to.dst_port;
    let addresses = network(frame, ip, &to.src, &to.dst)?;
    frame.update_l4_checksum(ip.l4 + TcpHeader::CHECKSUM_OFFSET, addresses, ports)?;
    frame.set_link_layer(ip.l3, hop, ip.ether_type())
}

/// Gives a packet new addresses and one hop less to live. Returns the change of the addresses, which is also
/// that of the pseudo-header of TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)]
pub fn network<F: Frame>(frame: &mut F, ip: &Network, src: &Address, dst: &Address) -> Result<Delta, Reason> {
    match ip.family {
        Family::V4 => {
            let header = frame.header::<Ipv4Hdr>(ip.l3)?;
            let addresses = Delta::ZERO.replace4(header.src_addr, src.v4()).replace4(header.dst_addr, dst.v4());
            header.src_addr = src.v4();
            header.dst_addr = dst.v4();
            // The TTL shares its 16-bit word with the protocol.
            let ttl = header.ttl.wrapping_sub(1);
            let life = Delta::ZERO.replace2([header.ttl, header.proto], [ttl, header.proto]);
            header.ttl = ttl;
            frame.update_ip_checksum(ip.l3 + IPV4_CHECKSUM, addresses.and(life))?;
            Ok(addresses)
        }
        Family::V6 => {
            let header = frame.header::<Ipv6Hdr>(ip.l3)?;
            let addresses = Delta::ZERO.replace16(header.src_addr, src.0).replace16(header.dst_addr, dst.0);
            header.src_addr = src.0;
            header.dst_addr = dst.0;
            header.hop_limit = header.hop_limit.wrapping_sub(1);
            Ok(addresses)
        }
    }
}
