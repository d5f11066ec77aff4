//! ICMP errors about tracked flows (RFC 5508 section 4, RFC 792, RFC 4443): path MTU discovery works through
//! the translation.
//!
//! An error quotes the packet it is about as it was on the error's side of the gateway. The reverse of that
//! packet's tuple is a key of the flow table, and its entry says what both look like on the other side: the
//! error goes on to `to.dst`, about a packet with the tuple `to` reversed.

use super::{
    Reason, Verdict,
    checksum::Delta,
    cookie, flow,
    frame::Frame,
    headers::{Bytes2, Bytes4, Bytes16, IcmpHeader, Ipv4Header, Ipv6Header, TcpHeader, TcpStart},
    parse::{Network, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP},
    rewrite,
    tables::{FlowTable, Tables},
};
use crate::abi::{Address, Family, Flow, Seen, Tuple};

/// The packet that an error quotes.
struct Quoted {
    /// Offset of its IP header.
    l3: usize,
    /// Offset of its TCP header.
    l4: usize,
    /// Its sequence number, in network order.
    seq: Bytes4,
    /// The tuple of its answers.
    key: Tuple,
    /// How far its sequence number is ahead on the other side.
    shift: u32,
}

/// Links that carry IP take packets of this size (RFC 791 section 3.1: all hosts do; RFC 8200 section 5).
const LEAST_MTU_V4: u16 = 576;
const LEAST_MTU_V6: u32 = 1280;

/// How far the first segments of a handshake, whose acknowledgement is not known yet, may lie behind the end of what was
/// sent: one window without scaling (RFC 7413).
const EARLY_DATA: u32 = 0xffff;

/// Translates an error about a tracked flow and sends it on; any other ICMP is the kernel's.
#[inline(never)]
pub fn error<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &Network) -> Result<Verdict, Reason> {
    let mut quoted = Quoted { l3: ip.l4 + IcmpHeader::LEN, l4: 0, seq: Bytes4([0; 4]), key: ip.tuple, shift: 0 };
    quoted.read(frame, ip)?;
    let flow = match tables.flows().get(&quoted.key) {
        Some(flow) if flow.seen.contains(Seen::CUT) => return Err(Reason::FlowCut),
        Some(flow) if flow.seen.contains(Seen::RESTING) => return Err(Reason::FlowGone),
        Some(flow) if !is_in_flight(tables.flows(), &quoted, flow) => return Err(Reason::IcmpOutOfWindow),
        Some(flow) => flow,
        None => match tables.half_open().get(&quoted.key).ok_or(Reason::IcmpUnrelated)? {
            flow if !is_of_handshake(tables.half_open(), &quoted, flow) => return Err(Reason::IcmpOutOfWindow),
            flow => flow,
        },
    };
    refuse_tiny_mtu(frame, ip)?;
    flow::find_hop(frame, tables, flow)?;
    if ip.hop_limit <= 1 {
        // No error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e).
        return Err(Reason::Expired);
    }
    if flow.seen.contains(Seen::COOKIE) {
        quoted.shift = cookie::shift_of(tables, flow);
    }
    let change = rewrite_quoted(frame, ip, &quoted, &flow.to)?;
    rewrite_outer(frame, ip, &flow.to, change)?;
    frame.set_link_layer(ip.l3, &flow.hop, ip.ether_type())?;
    Ok(Verdict { reason: Reason::IcmpForwarded, ifindex: flow.hop.device.get() })
}

/// Whether the quoted segment was sent and may not have arrived (RFC 5927 section 4.1): the direction that it went is the
/// twin of `returned`. What else quotes a flow was forged by somebody who does not see it.
#[inline(never)]
fn is_in_flight<T: FlowTable>(flows: &T, quoted: &Quoted, returned: &Flow) -> bool {
    let Some(sent) = flows.get(&returned.to.reversed()) else { return false };
    let under_way = sent.next_seq.wrapping_sub(sent.shift()).wrapping_sub(returned.acked);
    // More was acknowledged than was seen.
    let under_way = if under_way > u32::MAX / 2 { 0 } else { under_way };
    quoted.seq().wrapping_sub(returned.acked) <= under_way
}

/// The same for a half-open flow.
#[inline(never)]
fn is_of_handshake<T: FlowTable>(half_open: &T, quoted: &Quoted, returned: &Flow) -> bool {
    let sent = half_open.get(&returned.to.reversed());
    sent.is_some_and(|sent| sent.next_seq.wrapping_sub(quoted.seq()) <= EARLY_DATA)
}

/// Turns away an error that asks for packets smaller than any link does (RFC 8201 section 4 for IPv6). An MTU of 0 is that
/// of a router that tells none (RFC 1191 section 5).
#[inline(always)]
fn refuse_tiny_mtu<F: Frame>(frame: &mut F, ip: &Network) -> Result<(), Reason> {
    let IcmpHeader { kind, code, rest: Bytes4(rest), .. } = *frame.header(ip.l4)?;
    let [_, _, high, low] = rest;
    let is_tiny = match (ip.family, kind, code) {
        (Family::V4, 3, 4) => (1..LEAST_MTU_V4).contains(&u16::from_be_bytes([high, low])),
        (Family::V6, 2, _) => u32::from_be_bytes(rest) < LEAST_MTU_V6,
        _ => false,
    };
    if is_tiny { Err(Reason::IcmpTinyMtu) } else { Ok(()) }
}

/// Gives the error itself new addresses, and its checksum what has changed in it.
#[inline(never)]
fn rewrite_outer<F: Frame>(frame: &mut F, ip: &Network, to: &Tuple, change: Delta) -> Result<(), Reason> {
    let pseudo = rewrite::network(frame, ip, &to.src, &to.dst)?;
    // ICMP for IPv4 has no pseudo-header (RFC 792).
    let pseudo = if ip.protocol == PROTOCOL_ICMP { Delta::ZERO } else { pseudo };
    frame.update_l4_checksum(ip.l4 + IcmpHeader::CHECKSUM_OFFSET, pseudo, change)
}

impl Quoted {
    #[inline(always)]
    fn seq(&self) -> u32 {
        u32::from_be_bytes(self.seq.0)
    }

    /// Reads the quoted packet of an error; `IcmpUnrelated` for other messages and other protocols. In place, for want
    /// of room on the stack.
    #[inline(never)]
    fn read<F: Frame>(&mut self, frame: &mut F, ip: &Network) -> Result<(), Reason> {
        let kind = frame.header::<IcmpHeader>(ip.l4)?.kind;
        match ip.family {
            Family::V4 => {
                // Destination unreachable, time exceeded, parameter problem.
                if ip.protocol != PROTOCOL_ICMP || !matches!(kind, 3 | 11 | 12) {
                    return Err(Reason::IcmpUnrelated);
                }
                let inner = frame.header::<Ipv4Header>(self.l3)?;
                let first = u16::from_be_bytes(inner.fragment.0) & 0x1fff == 0;
                let sound = inner.version() == 4 && inner.header_len() >= Ipv4Header::LEN;
                if !sound || inner.protocol != PROTOCOL_TCP || !first {
                    return Err(Reason::IcmpUnrelated);
                }
                self.l4 = self.l3 + inner.header_len();
                self.key.dst = Address::from_v4(inner.src.0);
                self.key.src = Address::from_v4(inner.dst.0);
            }
            Family::V6 => {
                // Destination unreachable, packet too big, time exceeded, parameter problem.
                if ip.protocol != PROTOCOL_ICMPV6 || !matches!(kind, 1..=4) {
                    return Err(Reason::IcmpUnrelated);
                }
                let inner = frame.header::<Ipv6Header>(self.l3)?;
                if inner.version() != 6 || inner.next_header != PROTOCOL_TCP {
                    return Err(Reason::IcmpUnrelated);
                }
                self.l4 = self.l3 + Ipv6Header::LEN;
                self.key.dst = Address(inner.src.0);
                self.key.src = Address(inner.dst.0);
                // In the tables these are IPv4 addresses.
                if self.key.src.is_v4_mapped() || self.key.dst.is_v4_mapped() {
                    return Err(Reason::IcmpUnrelated);
                }
            }
        }
        // What follows the packet in its frame is padding, no quotation.
        if self.l4 + TcpStart::LEN > ip.end() {
            return Err(Reason::IcmpUnrelated);
        }
        let tcp = frame.header::<TcpStart>(self.l4)?;
        (self.key.dst_port, self.key.src_port) = (tcp.src_port.0, tcp.dst_port.0);
        self.seq = tcp.seq;
        Ok(())
    }
}

/// Gives the quoted packet the tuple it has on the other side, where its answers have the tuple `to`. Returns the
/// change of all that the message's checksum covers.
#[inline(never)]
fn rewrite_quoted<F: Frame>(frame: &mut F, ip: &Network, quoted: &Quoted, to: &Tuple) -> Result<Delta, Reason> {
    // Both are tuples of answers: what the quoted packet has as its source is their destination.
    let from = &quoted.key;
    let (addresses, header) = match ip.family {
        Family::V4 => {
            let addresses = Delta::ZERO.replace4(from.dst.v4(), to.dst.v4()).replace4(from.src.v4(), to.src.v4());
            let inner = frame.header::<Ipv4Header>(quoted.l3)?;
            inner.src = Bytes4(to.dst.v4());
            inner.dst = Bytes4(to.src.v4());
            let checksum = inner.checksum.0;
            inner.checksum = Bytes2(addresses.apply(checksum));
            (addresses, addresses.replace2(checksum, inner.checksum.0))
        }
        Family::V6 => {
            let addresses = Delta::ZERO.replace16(from.dst.0, to.dst.0).replace16(from.src.0, to.src.0);
            let inner = frame.header::<Ipv6Header>(quoted.l3)?;
            inner.src = Bytes16(to.dst.0);
            inner.dst = Bytes16(to.src.0);
            (addresses, addresses)
        }
    };
    let ports = Delta::ZERO.replace2(from.dst_port, to.dst_port).replace2(from.src_port, to.src_port);
    let tcp = frame.header::<TcpStart>(quoted.l4)?;
    (tcp.src_port, tcp.dst_port) = (Bytes2(to.dst_port), Bytes2(to.src_port));
    let seq = tcp.seq.0;
    tcp.seq = Bytes4(u32::from_be_bytes(seq).wrapping_add(quoted.shift).to_be_bytes());
    let ports = ports.replace4(seq, tcp.seq.0);
    let mut change = header.and(ports);
    // The checksum may lie beyond the quotation; what follows the packet in its frame is padding.
    let checksum = quoted.l4 + TcpHeader::CHECKSUM_OFFSET;
    if checksum + 2 <= ip.end()
        && let Ok(checksum) = frame.header::<Bytes2>(checksum)
    {
        let old = checksum.0;
        checksum.0 = addresses.and(ports).apply(old);
        change = change.replace2(old, checksum.0);
    }
    Ok(change)
}
