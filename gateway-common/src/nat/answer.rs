//! Packets that the gateway answers itself: a TCP reset, or an ICMP error.
//!
//! The answer replaces the packet in its frame and goes back the way it came, link layer swapped. Each
//! function returns the reason to count: its own, or `RewriteFailed` where the answer could not be built.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::{
    Reason,
    checksum::Delta,
    frame::{Ethernet, Frame},
    parse::{Network, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Segment},
    tcp::{Flags, TcpHeader},
};
use crate::abi::Family;

/// Hop limit of an answer: the recommended default (RFC 1700, "IP time to live").
const HOP_LIMIT: u8 = 64;

/// Turns `segment` into the reset that its sender will accept (RFC 9293 section 3.10.7.1).
#[inline(never)]
pub fn reset<F: Frame>(frame: &mut F, segment: &Segment, reason: Reason) -> Reason {
    if segment.flags.contains(Flags::RST) {
        // A reset is never answered by one.
        return if matches!(reason, Reason::NoBackendReset) { Reason::NoBackend } else { Reason::UnknownFlow };
    }
    let (seq, ack, flags) = if segment.flags.contains(Flags::ACK) {
        (segment.ack, 0, Flags::RST)
    } else {
        (0, segment.next_seq(), Flags::RST.with(Flags::ACK))
    };
    let tcp = TcpHeader {
        src_port: segment.tuple().dst_port,
        dst_port: segment.tuple().src_port,
        seq: seq.to_be_bytes(),
        ack: ack.to_be_bytes(),
        offset: (TcpHeader::LEN as u8 / 4) << 4,
        flags,
        window: [0; 2],
        checksum: [0; 2],
        urgent: [0; 2],
    };
    match write_reset(frame, segment.ip, tcp) {
        Ok(()) => reason,
        Err(_) => Reason::RewriteFailed,
    }
}

/// ICMP time exceeded in transit (RFC 792, RFC 4443 section 3.3).
#[inline(never)]
pub fn time_exceeded<F: Frame>(frame: &mut F, segment: &Segment) -> Reason {
    let (kind, code) = match segment.ip.family {
        Family::V4 => (11, 0),
        Family::V6 => (3, 0),
    };
    match write_icmp_error(frame, segment.ip, [kind, code, 0, 0, 0, 0, 0, 0]) {
        Ok(()) => Reason::TimeExceeded,
        Err(_) => Reason::RewriteFailed,
    }
}

/// ICMP fragmentation needed (RFC 1191 section 4) or packet too big (RFC 4443 section 3.2).
#[inline(never)]
pub fn packet_too_big<F: Frame>(frame: &mut F, segment: &Segment, mtu: u16) -> Reason {
    let [high, low] = mtu.to_be_bytes();
    let header = match segment.ip.family {
        Family::V4 => [3, 4, 0, 0, 0, 0, high, low],
        Family::V6 => [2, 0, 0, 0, 0, 0, high, low],
    };
    match write_icmp_error(frame, segment.ip, header) {
        Ok(()) => Reason::PacketTooBig,
        Err(_) => Reason::RewriteFailed,
    }
}

/// Replaces everything after the link layer by an IP header back to the sender and `tcp`.
#[inline(always)]
fn write_reset<F: Frame>(frame: &mut F, ip: &Network, mut tcp: TcpHeader) -> Result<(), Reason> {
    let l4 = write_network(frame, ip, PROTOCOL_TCP, TcpHeader::LEN)?;
    tcp.checksum = sum(pseudo_header(ip, PROTOCOL_TCP, TcpHeader::LEN), &words_of(&tcp)).checksum();
    *frame.header::<TcpHeader>(l4)? = tcp;
    Ok(())
}

/// The five words of a TCP header.
#[inline(always)]
fn words_of(tcp: &TcpHeader) -> [[u8; 4]; 5] {
    let [a, b] = tcp.src_port;
    let [c, d] = tcp.dst_port;
    let [e, f] = tcp.window;
    let [g, h] = tcp.checksum;
    let [i, j] = tcp.urgent;
    [[a, b, c, d], tcp.seq, tcp.ack, [tcp.offset, tcp.flags.0, e, f], [g, h, i, j]]
}

/// Replaces the packet by an ICMP error about it.
#[inline(always)]
fn write_icmp_error<F: Frame>(frame: &mut F, ip: &Network, icmp: [u8; 8]) -> Result<(), Reason> {
    const V4_WORDS: usize = (Ipv4Hdr::LEN + TcpHeader::LEN) / 4;
    const V6_WORDS: usize = (Ipv6Hdr::LEN + TcpHeader::LEN) / 4;
    match ip.family {
        // An IP header with options is not quoted: no error is better than a cut one.
        Family::V4 if ip.header_len() != Ipv4Hdr::LEN as u32 => Err(Reason::RewriteFailed),
        Family::V4 => quote::<F, V4_WORDS>(frame, ip, icmp),
        Family::V6 => quote::<F, V6_WORDS>(frame, ip, icmp),
    }
}

/// Writes an ICMP error that quotes `WORDS` 32-bit words of the packet: the IP header and the TCP header without
/// options, which is more than the eight bytes that RFC 792 asks for, and what a sender needs to match the
/// connection and the sequence number (RFC 5927).
#[inline(never)]
fn quote<F: Frame, const WORDS: usize>(frame: &mut F, ip: &Network, icmp: [u8; 8]) -> Result<(), Reason> {
    let quoted = *frame.header::<[[u8; 4]; WORDS]>(ip.l3)?;
    let len = icmp.len() + size_of_val(&quoted);
    // ICMP for IPv4 has no pseudo-header (RFC 792).
    let (protocol, pseudo) = match ip.family {
        Family::V4 => (PROTOCOL_ICMP, Delta::ZERO),
        Family::V6 => (PROTOCOL_ICMPV6, pseudo_header(ip, PROTOCOL_ICMPV6, len)),
    };
    let l4 = write_network(frame, ip, protocol, len)?;
    let [kind, code, _, _, a, b, c, d] = icmp;
    let [high, low] = sum(pseudo.insert2([kind, code]).insert4([a, b, c, d]), &quoted).checksum();
    *frame.header(l4)? = [kind, code, high, low, a, b, c, d];
    *frame.header(l4 + icmp.len())? = quoted;
    Ok(())
}

/// Sizes the frame for `payload_len` bytes after an IP header, swaps its Ethernet addresses and writes an IP
/// header from the packet's destination to its source. Returns the offset of the payload.
#[inline(always)]
fn write_network<F: Frame>(frame: &mut F, ip: &Network, protocol: u8, payload_len: usize) -> Result<usize, Reason> {
    let header_len = match ip.family {
        Family::V4 => Ipv4Hdr::LEN,
        Family::V6 => Ipv6Hdr::LEN,
    };
    frame.renew(ip.l3 + header_len + payload_len)?;
    let ethernet = frame.header::<Ethernet>(0)?;
    (ethernet.dst, ethernet.src) = (ethernet.src, ethernet.dst);
    match ip.family {
        Family::V4 => {
            let [len_high, len_low] = ((header_len + payload_len) as u16).to_be_bytes();
            let mut header = [
                [0x45, 0, len_high, len_low],
                // Identification 0 with "don't fragment" is what RFC 6864 section 4.1 allows.
                [0, 0, 0x40, 0],
                [HOP_LIMIT, protocol, 0, 0],
                ip.tuple.dst.v4(),
                ip.tuple.src.v4(),
            ];
            let [high, low] = sum(Delta::ZERO, &header).checksum();
            header[2] = [HOP_LIMIT, protocol, high, low];
            *frame.header::<[[u8; 4]; 5]>(ip.l3)? = header;
        }
        Family::V6 => {
            *frame.header::<Ipv6Hdr>(ip.l3)? = Ipv6Hdr {
                vcf: [0x60, 0, 0, 0],
                payload_len: (payload_len as u16).to_be_bytes(),
                next_hdr: protocol,
                hop_limit: HOP_LIMIT,
                src_addr: ip.tuple.dst.0,
                dst_addr: ip.tuple.src.0,
            };
        }
    }
    Ok(ip.l3 + header_len)
}

/// The pseudo-header that TCP and ICMPv6 checksums cover (RFC 9293 section 3.1, RFC 8200 section 8.1). The
/// order of the addresses does not matter to a sum.
#[inline(always)]
fn pseudo_header(ip: &Network, protocol: u8, len: usize) -> Delta {
    let addresses = match ip.family {
        Family::V4 => Delta::ZERO.insert4(ip.tuple.src.v4()).insert4(ip.tuple.dst.v4()),
        Family::V6 => Delta::ZERO.insert16(ip.tuple.src.0).insert16(ip.tuple.dst.0),
    };
    addresses.insert2([0, protocol]).insert2((len as u16).to_be_bytes())
}

#[inline(always)]
fn sum<const N: usize>(delta: Delta, words: &[[u8; 4]; N]) -> Delta {
    words.iter().fold(delta, |delta, word| delta.insert4(*word))
}
