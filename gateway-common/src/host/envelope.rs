//! What surrounds a transport header: Ethernet with VLAN tags, IP with options, padding.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, LinkSlice, NetSlice, SingleVlanHeader, SlicedPacket,
    VlanId,
};

/// The Ethernet and IP headers of a packet, checksums and lengths aside, and the padding behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub dst_mac: [u8; 6],
    pub src_mac: [u8; 6],
    /// VLAN identifiers, outermost first.
    pub vlans: Vec<u16>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hop_limit: u8,
    /// IPv4 options, padded to 32-bit words.
    pub ip_options: Vec<u8>,
    /// Bytes in the frame behind the IP packet.
    pub padding: usize,
}

/// What a byte of padding holds: not zero, so that a checksum that covers it is wrong.
const PADDING: u8 = 0xa5;

impl Envelope {
    /// An untagged envelope with 64 hops to live.
    ///
    /// # Panics
    ///
    /// If the addresses are of two families when it is built.
    pub fn new(source: IpAddr, destination: IpAddr) -> Self {
        Self {
            dst_mac: [2, 0, 0, 0, 0, 1],
            src_mac: [2, 0, 0, 0, 0, 2],
            vlans: Vec::new(),
            source,
            destination,
            hop_limit: 64,
            ip_options: Vec::new(),
            padding: 0,
        }
    }

    /// The frame that carries `payload`.
    pub fn build(&self, protocol: IpNumber, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.link_layer();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = u16::try_from(payload.len()).expect("a payload fits into an IP packet");
                let mut header = Ipv4Header::new(len, self.hop_limit, protocol, source.octets(), destination.octets())
                    .expect("a payload fits into an IPv4 packet");
                header.options = self.ip_options.as_slice().try_into().expect("options are at most ten words");
                header.total_len += self.ip_options.len() as u16;
                header.header_checksum = header.calc_header_checksum();
                frame.extend(header.to_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    payload_length: u16::try_from(payload.len()).expect("a payload fits into an IP packet"),
                    next_header: protocol,
                    hop_limit: self.hop_limit,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                frame.extend(header.to_bytes());
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
        frame.extend(payload);
        frame.resize(frame.len() + self.padding, PADDING);
        frame
    }

    /// Takes a frame apart into envelope, protocol and payload; an error says what is wrong with it, a wrong IPv4
    /// header checksum included.
    pub fn read(frame: &[u8]) -> Result<(Self, IpNumber, Vec<u8>), String> {
        let sliced = SlicedPacket::from_ethernet(frame).map_err(|e| format!("{e} in {frame:02x?}"))?;
        let Some(LinkSlice::Ethernet2(link)) = &sliced.link else { return Err("no Ethernet header".to_owned()) };
        let (source, destination, hop_limit, ip_options, payload) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let computed = header.to_header().calc_header_checksum();
                if computed != header.header_checksum() {
                    return Err(format!("IPv4 checksum is {:#x}, not {computed:#x}", header.header_checksum()));
                }
                let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
                (source, destination, header.ttl(), header.options().to_vec(), ip.payload())
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
                (source, destination, header.hop_limit(), Vec::new(), ip.payload())
            }
            other => return Err(format!("no IP packet: {other:?}")),
        };
        let end = payload.payload.as_ptr_range().end as usize - frame.as_ptr() as usize;
        let envelope = Self {
            dst_mac: link.destination(),
            src_mac: link.source(),
            vlans: sliced.vlan_ids().iter().map(|id| id.value()).collect(),
            source,
            destination,
            hop_limit,
            ip_options,
            padding: frame.len() - end,
        };
        Ok((envelope, payload.ip_number, payload.payload.to_vec()))
    }

    fn link_layer(&self) -> Vec<u8> {
        let ip = match self.source {
            IpAddr::V4(_) => EtherType::IPV4,
            IpAddr::V6(_) => EtherType::IPV6,
        };
        let outer = |rest: &[u16]| if rest.is_empty() { ip } else { EtherType::VLAN_TAGGED_FRAME };
        let ethernet =
            Ethernet2Header { source: self.src_mac, destination: self.dst_mac, ether_type: outer(&self.vlans) };
        let mut bytes = ethernet.to_bytes().to_vec();
        for (index, vlan) in self.vlans.iter().enumerate() {
            let tag = SingleVlanHeader {
                vlan_id: VlanId::try_new(*vlan).expect("a VLAN identifier has twelve bits"),
                ether_type: outer(&self.vlans[index + 1..]),
                ..SingleVlanHeader::default()
            };
            bytes.extend(tag.to_bytes());
        }
        bytes
    }
}
