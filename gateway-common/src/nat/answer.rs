//! Packets that the gateway answers itself: a TCP reset, or an ICMP error.
//!
//! The answer replaces the packet in its frame and goes back the way it came, link layer swapped. Each
//! function returns the reason to count: its own, or another where the answer could not be built.

use super::{
    Reason,
    checksum::Delta,
    compose,
    frame::Frame,
    headers::{Bytes2, Bytes4, Ethernet, IcmpHeader, Ipv4Header, Ipv6Header, TcpHeader, TcpStart, Words},
    martian,
    parse::{Network, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Segment},
    tcp::Flags,
};
use crate::abi::{Answer, Family};

/// Refuses `segment` in one of two ways, for the reason that goes with it. A reset is never answered by one.
#[inline(always)]
pub fn refuse<F: Frame>(frame: &mut F, segment: &Segment, how: Answer, reset: Reason, drop: Reason) -> Reason {
    match how {
        Answer::Reset if !segment.flags.contains(Flags::RST) => self::reset(frame, segment, reset),
        _ => drop,
    }
}

/// Turns `segment` into the reset that its sender will accept (RFC 9293 section 3.10.7.1).
#[inline(never)]
fn reset<F: Frame>(frame: &mut F, segment: &Segment, reason: Reason) -> Reason {
    if martian::gets_no_answer(frame, segment) {
        return Reason::Martian;
    }
    let (seq, ack, flags) = if segment.flags.contains(Flags::ACK) {
        (segment.ack, 0, Flags::RST)
    } else {
        (0, segment.next_seq(), Flags::RST.with(Flags::ACK))
    };
    send(frame, segment, &TcpHeader { flags, ..header(segment, seq, ack) }, 0, reason)
}

/// The header of an answer to `segment`, with neither flags nor a window.
#[inline(always)]
pub fn header(segment: &Segment, seq: u32, ack: u32) -> TcpHeader {
    TcpHeader {
        src_port: Bytes2(segment.tuple().dst_port),
        dst_port: Bytes2(segment.tuple().src_port),
        seq: Bytes4(seq.to_be_bytes()),
        ack: Bytes4(ack.to_be_bytes()),
        offset: (TcpHeader::LEN as u8 / 4) << 4,
        flags: Flags(0),
        window: Bytes2([0; 2]),
        checksum: Bytes2([0; 2]),
        urgent: Bytes2([0; 2]),
    }
}

/// Turns `segment` into a segment to its sender, with an option of one word unless that is 0.
#[inline(never)]
pub fn send<F: Frame>(frame: &mut F, segment: &Segment, tcp: &TcpHeader, option: u32, reason: Reason) -> Reason {
    outcome(write_segment(frame, segment.ip, tcp, option), reason)
}

/// ICMP time exceeded in transit (RFC 792, RFC 4443 section 3.3).
#[inline(never)]
pub fn time_exceeded<F: Frame>(frame: &mut F, segment: &Segment) -> Reason {
    let (kind, code) = match segment.ip.family {
        Family::V4 => (11, 0),
        Family::V6 => (3, 0),
    };
    outcome(write_icmp_error(frame, segment.ip, kind, code, 0), Reason::TimeExceeded)
}

/// ICMP fragmentation needed (RFC 1191 section 4) or packet too big (RFC 4443 section 3.2).
#[inline(never)]
pub fn packet_too_big<F: Frame>(frame: &mut F, segment: &Segment, mtu: u16) -> Reason {
    let (kind, code) = match segment.ip.family {
        Family::V4 => (3, 4),
        Family::V6 => (2, 0),
    };
    outcome(write_icmp_error(frame, segment.ip, kind, code, mtu), Reason::PacketTooBig)
}

/// The reason to count for an answer: its own, unless it could not be built. A hook whose frame has no room for it
/// has left the packet as it was to the other one.
#[inline(always)]
fn outcome(written: Result<(), Reason>, reason: Reason) -> Reason {
    match written {
        Ok(()) => reason,
        Err(Reason::HandedToTc) => Reason::HandedToTc,
        Err(_) => Reason::RewriteFailed,
    }
}

/// Replaces everything after the link layer by an IP header back to the sender, `tcp` and its option.
#[inline(always)]
fn write_segment<F: Frame>(frame: &mut F, ip: &Network, tcp: &TcpHeader, option: u32) -> Result<(), Reason> {
    let len = TcpHeader::LEN + if option == 0 { 0 } else { 4 };
    let l4 = return_to_sender(frame, ip, PROTOCOL_TCP, len)?;
    *frame.header::<TcpHeader>(l4)? = *tcp;
    let written = frame.header::<Words<5>>(l4)?.0;
    if option != 0 {
        *frame.header(l4 + TcpHeader::LEN)? = Words([option]);
    }
    let sum = compose::pseudo_header(ip, PROTOCOL_TCP, len).insert_words(&written).insert_words(&[option]);
    let checksum = sum.checksum();
    frame.header::<TcpHeader>(l4)?.checksum = Bytes2(checksum);
    Ok(())
}

/// Replaces the packet by an ICMP error about it; `mtu` is 0 where the error has none.
#[inline(always)]
fn write_icmp_error<F: Frame>(frame: &mut F, ip: &Network, kind: u8, code: u8, mtu: u16) -> Result<(), Reason> {
    const V4_WORDS: usize = (Ipv4Header::LEN + TcpStart::LEN) / 4;
    const V6_WORDS: usize = (Ipv6Header::LEN + TcpStart::LEN) / 4;
    let [high, low] = mtu.to_be_bytes();
    let rest = Bytes4([0, 0, high, low]);
    let icmp = IcmpHeader { kind, code, checksum: Bytes2([0; 2]), rest };
    match ip.family {
        // An IP header with options is not quoted: no error is better than a cut one.
        Family::V4 if ip.header_len() != Ipv4Header::LEN as u32 => Err(Reason::RewriteFailed),
        Family::V4 => quote::<F, V4_WORDS>(frame, ip, &icmp),
        Family::V6 => quote::<F, V6_WORDS>(frame, ip, &icmp),
    }
}

/// Writes an ICMP error that quotes `WORDS` 32-bit words of the packet.
#[inline(never)]
fn quote<F: Frame, const WORDS: usize>(frame: &mut F, ip: &Network, icmp: &IcmpHeader) -> Result<(), Reason> {
    let quoted = *frame.header::<Words<WORDS>>(ip.l3)?;
    let len = IcmpHeader::LEN + size_of_val(&quoted);
    // ICMP for IPv4 has no pseudo-header (RFC 792).
    let (protocol, pseudo) = match ip.family {
        Family::V4 => (PROTOCOL_ICMP, Delta::ZERO),
        Family::V6 => (PROTOCOL_ICMPV6, compose::pseudo_header(ip, PROTOCOL_ICMPV6, len)),
    };
    let l4 = return_to_sender(frame, ip, protocol, len)?;
    let sum = pseudo.insert2([icmp.kind, icmp.code]).insert4(icmp.rest.0).insert_words(&quoted.0);
    *frame.header(l4)? = IcmpHeader { checksum: Bytes2(sum.checksum()), ..*icmp };
    *frame.header(l4 + IcmpHeader::LEN)? = quoted;
    Ok(())
}

/// Makes room for `payload_len` bytes after an IP header from the packet's destination to its source, and swaps its
/// Ethernet addresses. Returns the offset of the payload.
#[inline(always)]
fn return_to_sender<F: Frame>(frame: &mut F, ip: &Network, protocol: u8, payload_len: usize) -> Result<usize, Reason> {
    let l4 = compose::network(frame, ip, (&ip.tuple.dst, &ip.tuple.src), protocol, payload_len)?;
    let ethernet = frame.header::<Ethernet>(0)?;
    (ethernet.dst, ethernet.src) = (ethernet.src, ethernet.dst);
    Ok(l4)
}
