//! A TCP segment in its IP packet, as a value: every header field can be set, lengths and checksums follow.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, NetHeaders, PacketHeaders, PayloadSlice, TcpHeader,
    TransportHeader,
};

pub type Mac = [u8; 6];

const TTL: u8 = 64;

/// A TCP segment without its Ethernet header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub ip: IpHeader,
    pub tcp: TcpHeader,
    pub payload: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpHeader {
    V4(Ipv4Header),
    V6(Ipv6Header),
}

impl Segment {
    /// A segment without flags, options and payload, with a time to live of 64.
    ///
    /// # Panics
    /// When the addresses are not of one family.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let ip = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = Ipv4Header::new(0, TTL, IpNumber::TCP, from.octets(), to.octets());
                IpHeader::V4(header.expect("an empty payload is not too long"))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => IpHeader::V6(Ipv6Header {
                next_header: IpNumber::TCP,
                hop_limit: TTL,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            }),
            mixed => panic!("no packet goes between {mixed:?}"),
        };
        Self { ip, tcp: TcpHeader::new(source.port(), destination.port(), 0, u16::MAX), payload: Vec::new() }
    }

    /// Reads the segment in an Ethernet frame; padding behind it is left out.
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        let headers = PacketHeaders::from_ethernet_slice(frame).ok()?;
        let ip = match headers.net? {
            NetHeaders::Ipv4(header, _) => IpHeader::V4(header),
            NetHeaders::Ipv6(header, _) => IpHeader::V6(header),
            NetHeaders::Arp(_) => return None,
        };
        match (headers.transport?, headers.payload) {
            (TransportHeader::Tcp(tcp), PayloadSlice::Tcp(payload)) => {
                Some(Self { ip, tcp, payload: payload.to_vec() })
            }
            _ => None,
        }
    }

    pub fn source(&self) -> SocketAddr {
        let ip = match &self.ip {
            IpHeader::V4(header) => IpAddr::from(header.source),
            IpHeader::V6(header) => IpAddr::from(header.source),
        };
        SocketAddr::new(ip, self.tcp.source_port)
    }

    pub fn destination(&self) -> SocketAddr {
        let ip = match &self.ip {
            IpHeader::V4(header) => IpAddr::from(header.destination),
            IpHeader::V6(header) => IpAddr::from(header.destination),
        };
        SocketAddr::new(ip, self.tcp.destination_port)
    }

    /// The time to live or hop limit.
    pub fn ttl(&mut self) -> &mut u8 {
        match &mut self.ip {
            IpHeader::V4(header) => &mut header.time_to_live,
            IpHeader::V6(header) => &mut header.hop_limit,
        }
    }

    /// The segment as a correct gateway forwards it: other addresses and ports, one hop less, all else the same.
    #[must_use]
    pub fn translated(&self, source: SocketAddr, destination: SocketAddr) -> Self {
        let mut translated = self.clone();
        let ends = Self::new(source, destination);
        match (&mut translated.ip, ends.ip) {
            (IpHeader::V4(ip), IpHeader::V4(ends)) => (ip.source, ip.destination) = (ends.source, ends.destination),
            (IpHeader::V6(ip), IpHeader::V6(ends)) => (ip.source, ip.destination) = (ends.source, ends.destination),
            _ => panic!("translation keeps the family"),
        }
        (translated.tcp.source_port, translated.tcp.destination_port) = (source.port(), destination.port());
        *translated.ttl() -= 1;
        translated
    }

    /// The IP packet with its lengths and checksums.
    pub fn packet(&self) -> Vec<u8> {
        let mut tcp = self.tcp.clone();
        let length = tcp.header_len() + self.payload.len();
        let mut bytes = Vec::new();
        let in_memory = "memory takes every header";
        match &self.ip {
            IpHeader::V4(header) => {
                let mut header = header.clone();
                header.set_payload_len(length).expect("the payload fits a packet");
                header.header_checksum = header.calc_header_checksum();
                tcp.checksum = tcp.calc_checksum_ipv4(&header, &self.payload).expect("the payload fits a packet");
                header.write_raw(&mut bytes).expect(in_memory);
            }
            IpHeader::V6(header) => {
                let mut header = header.clone();
                header.set_payload_length(length).expect("the payload fits a packet");
                tcp.checksum = tcp.calc_checksum_ipv6(&header, &self.payload).expect("the payload fits a packet");
                header.write(&mut bytes).expect(in_memory);
            }
        }
        tcp.write(&mut bytes).expect(in_memory);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The Ethernet frame from one network card to another.
    pub fn frame(&self, from: Mac, to: Mac) -> Vec<u8> {
        let ether_type = match self.ip {
            IpHeader::V4(_) => EtherType::IPV4,
            IpHeader::V6(_) => EtherType::IPV6,
        };
        let mut frame = Ethernet2Header { source: from, destination: to, ether_type }.to_bytes().to_vec();
        frame.extend(self.packet());
        frame
    }
}
