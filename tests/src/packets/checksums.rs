//! Checksums of captured frames, computed anew with `etherparse`.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// Checks the checksums of IPv4, TCP, ICMP and ICMPv6 in a frame. Other protocols and fragments are passed.
///
/// # Errors
/// Which checksum is wrong, with both values, or why the frame cannot be read.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|e| e.to_string())?;
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            equal("IPv4", header.header_checksum(), header.to_header().calc_header_checksum())?;
            verify_over_v4(packet.transport.as_ref(), header.source(), header.destination())
        }
        Some(NetSlice::Ipv6(ip)) => {
            verify_over_v6(packet.transport.as_ref(), ip.header().source(), ip.header().destination())
        }
        _ => Ok(()),
    }
}

fn verify_over_v4(transport: Option<&TransportSlice>, from: [u8; 4], to: [u8; 4]) -> Result<(), String> {
    match transport {
        Some(TransportSlice::Tcp(tcp)) => {
            equal("TCP", tcp.checksum(), tcp.calc_checksum_ipv4(from, to).map_err(|e| e.to_string())?)
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            equal("ICMP", icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()))
        }
        _ => Ok(()),
    }
}

fn verify_over_v6(transport: Option<&TransportSlice>, from: [u8; 16], to: [u8; 16]) -> Result<(), String> {
    match transport {
        Some(TransportSlice::Tcp(tcp)) => {
            equal("TCP", tcp.checksum(), tcp.calc_checksum_ipv6(from, to).map_err(|e| e.to_string())?)
        }
        Some(TransportSlice::Icmpv6(icmp)) if !icmp.is_checksum_valid(from, to) => {
            Err(format!("wrong ICMPv6 checksum {:#06x}", icmp.checksum()))
        }
        _ => Ok(()),
    }
}

fn equal(protocol: &str, found: u16, computed: u16) -> Result<(), String> {
    // One's complement has two zeros (RFC 1071 section 2). Linux writes 0xffff where it finishes a checksum itself.
    let is_zero = |checksum: u16| checksum == 0 || checksum == 0xffff;
    if found == computed || (is_zero(found) && is_zero(computed)) {
        Ok(())
    } else {
        Err(format!("{protocol} checksum is {found:#06x}, not {computed:#06x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::Segment;

    #[test]
    fn one_flipped_bit_is_found() {
        for (from, to) in [("192.0.2.1:1", "192.0.2.2:2"), ("[2001:db8::1]:1", "[2001:db8::2]:2")] {
            let mut segment = Segment::new(from.parse().unwrap(), to.parse().unwrap());
            segment.payload = b"payload".to_vec();
            let frame = segment.frame([2; 6], [4; 6]);
            verify(&frame).unwrap();
            for byte in [14 + 15, frame.len() - 1] {
                let mut damaged = frame.clone();
                damaged[byte] ^= 1;
                verify(&damaged).unwrap_err();
            }
        }
    }
}
