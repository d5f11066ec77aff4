//! From bytes to what the core decides on. Nothing is believed that the frame's length does not bear out.

use network_types::ip::IpProto;

use super::{
    Reason,
    frame::Frame,
    headers::{Bytes2, Ethernet, Ipv4Header, Ipv6Header, TcpHeader, VlanTag, Words},
    tcp::Flags,
};
use crate::abi::{Address, Family, Tuple};

pub const PROTOCOL_ICMP: u8 = IpProto::Icmp as u8;
pub const PROTOCOL_TCP: u8 = IpProto::Tcp as u8;
pub const PROTOCOL_FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
pub const PROTOCOL_ICMPV6: u8 = IpProto::Ipv6Icmp as u8;

/// The network header of a packet, offsets counted from the start of the frame.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub family: Family,
    /// Offset of the IP header, which is the length of the link layer's.
    pub l3: usize,
    /// Offset of what follows the IP header and its options.
    pub l4: usize,
    pub protocol: u8,
    pub hop_limit: u8,
    /// Length in bytes of the IP packet, as its header says; padding of the frame is not counted.
    pub packet_len: u32,
    /// The addresses, and for a TCP segment the ports; zero for other protocols.
    pub tuple: Tuple,
}

impl Network {
    pub fn ether_type(&self) -> Bytes2 {
        match self.family {
            Family::V4 => Ethernet::IPV4,
            Family::V6 => Ethernet::IPV6,
        }
    }

    /// Offset behind the IP packet.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.l3 + self.packet_len as usize
    }

    /// Whether there are IPv4 options.
    #[inline(always)]
    pub fn has_options(&self) -> bool {
        matches!(self.family, Family::V4) && self.header_len() != Ipv4Header::LEN as u32
    }

    /// Offset from the IP header to its payload.
    #[inline(always)]
    pub fn header_len(&self) -> u32 {
        (self.l4 - self.l3) as u32
    }
}

/// A TCP segment with its network header.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub ip: &'a Network,
    pub flags: Flags,
    pub seq: u32,
    pub ack: u32,
    /// Length in bytes of the IP and TCP headers, options included.
    pub headers: u32,
}

impl Segment<'_> {
    #[inline(always)]
    pub fn tuple(&self) -> &Tuple {
        &self.ip.tuple
    }

    /// Payload in bytes.
    #[inline(always)]
    pub fn payload(&self) -> u32 {
        self.ip.packet_len - self.headers
    }

    /// The sequence number after this segment: SYN and FIN count one each (RFC 9293 section 3.4).
    #[inline(always)]
    pub fn next_seq(&self) -> u32 {
        let control = u32::from(self.flags.contains(Flags::SYN)) + u32::from(self.flags.contains(Flags::FIN));
        self.seq.wrapping_add(self.payload()).wrapping_add(control)
    }
}

impl Network {
    /// A header still to be read.
    pub const EMPTY: Self =
        Self { family: Family::V4, l3: 0, l4: 0, protocol: 0, hop_limit: 0, packet_len: 0, tuple: Tuple::EMPTY };

    /// Reads Ethernet with up to two VLAN tags, then IPv4 or IPv6. In place, because a BPF stack has no room for
    /// the copies that returning it makes.
    #[inline(always)]
    pub fn read<F: Frame>(&mut self, frame: &mut F) -> Result<(), Reason> {
        let mut ether_type = frame.header::<Ethernet>(0).map_err(|_| Reason::NotIp)?.ether_type;
        self.l3 = Ethernet::LEN;
        for _ in 0..2 {
            if ether_type != Ethernet::VLAN && ether_type != Ethernet::SERVICE_VLAN {
                break;
            }
            ether_type = frame.header::<VlanTag>(self.l3)?.ether_type;
            self.l3 += VlanTag::LEN;
        }
        match ether_type {
            Ethernet::IPV4 => self.read_v4(frame),
            Ethernet::IPV6 => self.read_v6(frame),
            _ => Err(Reason::NotIp),
        }?;
        if frame.holds(self.end()) { Ok(()) } else { Err(Reason::Malformed) }
    }

    /// RFC 791 section 3.1.
    #[inline(always)]
    fn read_v4<F: Frame>(&mut self, frame: &mut F) -> Result<(), Reason> {
        let header = frame.header::<Ipv4Header>(self.l3)?;
        let header_len = header.header_len();
        self.family = Family::V4;
        self.l4 = self.l3 + header_len;
        self.packet_len = u32::from(u16::from_be_bytes(header.total_len.0));
        if header.version() != 4 || header_len < Ipv4Header::LEN || self.packet_len < header_len as u32 {
            return Err(Reason::Malformed);
        }
        self.protocol = header.protocol;
        self.hop_limit = header.ttl;
        self.tuple.src = Address::from_v4(header.src.0);
        self.tuple.dst = Address::from_v4(header.dst.0);
        // More fragments, or an offset: RFC 791's flag 0x2000 and offset mask 0x1fff.
        if u16::from_be_bytes(header.fragment.0) & 0x3fff != 0 {
            return Err(Reason::Fragment);
        }
        Ok(())
    }

    /// RFC 8200 section 3; extension headers (section 4) are not followed.
    #[inline(always)]
    fn read_v6<F: Frame>(&mut self, frame: &mut F) -> Result<(), Reason> {
        let header = frame.header::<Ipv6Header>(self.l3)?;
        self.family = Family::V6;
        self.l4 = self.l3 + Ipv6Header::LEN;
        self.packet_len = Ipv6Header::LEN as u32 + u32::from(u16::from_be_bytes(header.payload_len.0));
        if header.version() != 6 {
            return Err(Reason::Malformed);
        }
        self.protocol = header.next_header;
        self.hop_limit = header.hop_limit;
        self.tuple.src = Address(header.src.0);
        self.tuple.dst = Address(header.dst.0);
        // In the tables these are IPv4 addresses, which IPv6 packets never carry (RFC 4291 section 2.5.5.2,
        // RFC 6890 table 20: not forwardable).
        if self.tuple.src.is_v4_mapped() || self.tuple.dst.is_v4_mapped() {
            return Err(Reason::Malformed);
        }
        match self.protocol {
            PROTOCOL_FRAGMENT => Err(Reason::Fragment),
            // Hop-by-hop, routing, ESP, AH, destination options, mobility, HIP, shim6.
            0 | 43 | 50 | 51 | 60 | 135 | 139 | 140 => Err(Reason::ExtensionHeader),
            _ => Ok(()),
        }
    }
}

/// `SourceRoute` if the IPv4 options may hold one (RFC 791 section 3.1: types 131 and 137).
///
/// Any byte of that value is taken for one. Options that carry data are as good as extinct, and the walk from one to
/// the next would cost the verifier more than all other parsing.
#[inline(never)]
pub fn refuse_source_route<F: Frame>(frame: &mut F, ip: &Network) -> Result<(), Reason> {
    const LOOSE: u32 = 0x8383_8383;
    const STRICT: u32 = 0x8989_8989;
    /// Words of options at most.
    const WORDS: usize = 10;
    let mut found = 0;
    for index in 0..WORDS {
        let offset = ip.l3 + Ipv4Header::LEN + index * 4;
        if offset >= ip.l4 {
            break;
        }
        let word = frame.header::<Words<1>>(offset)?.0[0];
        found |= zero_byte(word ^ LOOSE) | zero_byte(word ^ STRICT);
    }
    if found == 0 { Ok(()) } else { Err(Reason::SourceRoute) }
}

/// Not 0 exactly if one of the four bytes is: then borrowing sets the highest bit of one that had it clear.
#[inline(always)]
const fn zero_byte(word: u32) -> u32 {
    word.wrapping_sub(0x0101_0101) & !word & 0x8080_8080
}

/// RFC 9293 section 3.1.
#[inline(always)]
pub fn segment<'a, F: Frame>(frame: &mut F, ip: &'a mut Network) -> Result<Segment<'a>, Reason> {
    let tcp = frame.header::<TcpHeader>(ip.l4)?;
    let header_len = tcp.header_len();
    let headers = ip.header_len() + header_len;
    if header_len < TcpHeader::LEN as u32 || headers > ip.packet_len {
        return Err(Reason::Malformed);
    }
    (ip.tuple.src_port, ip.tuple.dst_port) = (tcp.src_port.0, tcp.dst_port.0);
    Ok(Segment {
        ip,
        flags: tcp.flags,
        seq: u32::from_be_bytes(tcp.seq.0),
        ack: u32::from_be_bytes(tcp.ack.0),
        headers,
    })
}
