//! Packets written anew in the frame of another one.

use super::{
    Reason,
    checksum::Delta,
    frame::Frame,
    headers::{Bytes2, Bytes4, Bytes16, Ipv4Header, Ipv6Header, Words},
    parse::Network,
};
use crate::abi::{Address, Family};

/// Hop limit of a packet that begins here: the recommended default (RFC 1700, "IP time to live").
pub const HOP_LIMIT: u8 = 64;

/// Sizes the frame for `payload_len` bytes after an IP header and writes that header in the place of `ip`, whose link
/// layer stays. Returns the offset of the payload. Where it fails for want of room, nothing is changed.
#[inline(always)]
pub fn network<F: Frame>(
    frame: &mut F,
    ip: &Network,
    (src, dst): (&Address, &Address),
    protocol: u8,
    payload_len: usize,
) -> Result<usize, Reason> {
    let header_len = match ip.family {
        Family::V4 => Ipv4Header::LEN,
        Family::V6 => Ipv6Header::LEN,
    };
    frame.renew(ip.l3 + header_len + payload_len)?;
    match ip.family {
        Family::V4 => {
            *frame.header(ip.l3)? = Ipv4Header {
                version_ihl: 0x45,
                tos: 0,
                total_len: Bytes2(((header_len + payload_len) as u16).to_be_bytes()),
                // Identification 0 with "don't fragment" is what RFC 6864 section 4.1 allows.
                id: Bytes2([0; 2]),
                fragment: Bytes2([0x40, 0]),
                ttl: HOP_LIMIT,
                protocol,
                checksum: Bytes2([0; 2]),
                src: Bytes4(src.v4()),
                dst: Bytes4(dst.v4()),
            };
            let written = *frame.header::<Words<5>>(ip.l3)?;
            let checksum = Delta::ZERO.insert_words(&written.0).checksum();
            frame.header::<Ipv4Header>(ip.l3)?.checksum = Bytes2(checksum);
        }
        Family::V6 => {
            *frame.header(ip.l3)? = Ipv6Header {
                version_class_label: Bytes4([0x60, 0, 0, 0]),
                payload_len: Bytes2((payload_len as u16).to_be_bytes()),
                next_header: protocol,
                hop_limit: HOP_LIMIT,
                src: Bytes16(src.0),
                dst: Bytes16(dst.0),
            };
        }
    }
    Ok(ip.l3 + header_len)
}

/// The pseudo-header that TCP and ICMPv6 checksums cover (RFC 9293 section 3.1, RFC 8200 section 8.1). The
/// order of the addresses does not matter to a sum.
#[inline(always)]
pub fn pseudo_header(ip: &Network, protocol: u8, len: usize) -> Delta {
    let addresses = match ip.family {
        Family::V4 => Delta::ZERO.insert4(ip.tuple.src.v4()).insert4(ip.tuple.dst.v4()),
        Family::V6 => Delta::ZERO.insert16(ip.tuple.src.0).insert16(ip.tuple.dst.0),
    };
    addresses.insert2([0, protocol]).insert2((len as u16).to_be_bytes())
}
