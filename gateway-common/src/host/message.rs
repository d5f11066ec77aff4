//! ICMP and ICMPv6 messages, built and judged by `etherparse`.

use std::net::IpAddr;

use etherparse::{Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, ip_number};

use super::Envelope;

/// An ICMP error (of the family of its addresses) in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub envelope: Envelope,
    pub kind: u8,
    pub code: u8,
    /// The second word of the header: the MTU and the like.
    pub word: [u8; 4],
    /// The packet it is about, or the start of it.
    pub quote: Vec<u8>,
}

impl Message {
    /// "Fragmentation needed" or "packet too big" about `quote`.
    pub fn too_big(source: IpAddr, destination: IpAddr, mtu: u16, quote: Vec<u8>) -> Self {
        let [high, low] = mtu.to_be_bytes();
        let (kind, code) = if source.is_ipv4() { (3, 4) } else { (2, 0) };
        Self { envelope: Envelope::new(source, destination), kind, code, word: [0, 0, high, low], quote }
    }

    /// The frame, with correct checksums.
    pub fn build(&self) -> Vec<u8> {
        let header = self.header(self.checksum());
        self.envelope.build(self.protocol(), &[&header[..], &self.quote].concat())
    }

    /// Takes a frame apart; an error says what is wrong with it, wrong checksums included.
    pub fn read(frame: &[u8]) -> Result<Self, String> {
        let (envelope, protocol, payload) = Envelope::read(frame)?;
        let Some((&[kind, code, high, low, a, b, c, d], quote)) = payload.split_first_chunk() else {
            return Err(format!("an ICMP header has eight bytes, not {}", payload.len()));
        };
        let message = Self { envelope, kind, code, word: [a, b, c, d], quote: quote.to_vec() };
        if protocol != message.protocol() {
            return Err(format!("protocol {} is not ICMP of this family", protocol.0));
        }
        let found = u16::from_be_bytes([high, low]);
        let computed = message.checksum();
        if found != computed { Err(format!("ICMP checksum is {found:#x}, not {computed:#x}")) } else { Ok(message) }
    }

    fn protocol(&self) -> etherparse::IpNumber {
        if self.envelope.source.is_ipv4() { ip_number::ICMP } else { ip_number::IPV6_ICMP }
    }

    fn header(&self, checksum: u16) -> [u8; 8] {
        let [high, low] = checksum.to_be_bytes();
        let [a, b, c, d] = self.word;
        [self.kind, self.code, high, low, a, b, c, d]
    }

    fn checksum(&self) -> u16 {
        let (type_u8, code_u8, bytes5to8) = (self.kind, self.code, self.word);
        match (self.envelope.source, self.envelope.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let kind = Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 };
                Icmpv6Header::with_checksum(kind, source.octets(), destination.octets(), &self.quote)
                    .expect("a quotation fits into an IP packet")
                    .checksum
            }
            _ => Icmpv4Header::with_checksum(Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8 }, &self.quote).checksum,
        }
    }
}
