//! TCP segments, built and judged by `etherparse`.

use std::net::{IpAddr, SocketAddr};

use etherparse::{TcpHeader, TcpSlice, ip_number};

use super::Envelope;
use crate::{abi::Tuple, nat::Flags};

/// A TCP segment in its frame. Checksums are made when it is built and tested when it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub envelope: Envelope,
    /// The header with checksum 0.
    pub tcp: TcpHeader,
    pub payload: Vec<u8>,
}

impl Packet {
    /// A segment without flags or payload.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            envelope: Envelope::new(source.ip(), destination.ip()),
            tcp: TcpHeader::new(source.port(), destination.port(), 0, 64240),
            payload: Vec::new(),
        }
    }

    /// A SYN with sequence number `seq`.
    pub fn syn(source: SocketAddr, destination: SocketAddr, seq: u32) -> Self {
        Self::new(source, destination).flags(Flags::SYN).seq(seq)
    }

    /// Sets the control bits, those of `flags` and no others.
    #[must_use]
    pub fn flags(mut self, Flags(bits): Flags) -> Self {
        let bit = |position: u8| bits >> position & 1 == 1;
        let tcp = &mut self.tcp;
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (bit(0), bit(1), bit(2), bit(3));
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (bit(4), bit(5), bit(6), bit(7));
        self
    }

    #[must_use]
    pub fn seq(mut self, seq: u32) -> Self {
        self.tcp.sequence_number = seq;
        self
    }

    /// Sets the acknowledgement number and the ACK bit.
    #[must_use]
    pub fn ack(mut self, ack: u32) -> Self {
        self.tcp.acknowledgment_number = ack;
        self.tcp.ack = true;
        self
    }

    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets the TCP options, padded to 32-bit words by the caller.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.tcp.set_options_raw(options).expect("options are at most ten words");
        self
    }

    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.envelope.hop_limit = hop_limit;
        self
    }

    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.envelope.source, self.tcp.source_port)
    }

    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.envelope.destination, self.tcp.destination_port)
    }

    pub fn tuple(&self) -> Tuple {
        Tuple::from_sockets(self.source(), self.destination())
    }

    /// The frame, with correct checksums.
    pub fn build(&self) -> Vec<u8> {
        let mut tcp = self.tcp.clone();
        tcp.checksum = match (self.envelope.source, self.envelope.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                tcp.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                tcp.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &self.payload)
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
        .expect("a payload fits into an IP packet");
        let mut segment = tcp.to_bytes().to_vec();
        segment.extend(&self.payload);
        self.envelope.build(ip_number::TCP, &segment)
    }

    /// The IP packet, as an ICMP error quotes it.
    pub fn quote(&self) -> Vec<u8> {
        let mut untagged = self.clone();
        (untagged.envelope.vlans, untagged.envelope.padding) = (Vec::new(), 0);
        untagged.build().split_off(14)
    }

    /// Takes a frame apart; an error says what is wrong with it, wrong checksums included.
    pub fn read(frame: &[u8]) -> Result<Self, String> {
        let (envelope, protocol, segment) = Envelope::read(frame)?;
        if protocol != ip_number::TCP {
            return Err(format!("protocol {} is not TCP", protocol.0));
        }
        let slice = TcpSlice::from_slice(&segment).map_err(|e| e.to_string())?;
        let computed = match (envelope.source, envelope.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                slice.calc_checksum_ipv4(source.octets(), destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                slice.calc_checksum_ipv6(source.octets(), destination.octets())
            }
            _ => return Err("addresses of two families".to_owned()),
        }
        .map_err(|e| e.to_string())?;
        if computed != slice.checksum() {
            return Err(format!("TCP checksum is {:#x}, not {computed:#x}", slice.checksum()));
        }
        let tcp = TcpHeader { checksum: 0, ..slice.to_header() };
        Ok(Self { envelope, tcp, payload: slice.payload().to_vec() })
    }

    /// Reads an IP packet that was quoted whole.
    pub fn read_quote(quote: &[u8]) -> Result<Self, String> {
        let mut frame = vec![0; 12];
        frame.extend(if quote.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(quote);
        Self::read(&frame)
    }
}
