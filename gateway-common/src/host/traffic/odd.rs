//! Segments that no honest host sends.

use std::net::IpAddr;

use etherparse::ip_number;

use crate::host::Packet;

/// What is odd about a segment.
#[derive(Clone, Copy, Debug)]
pub enum Oddity {
    FirstFragment,
    LaterFragment,
    ExtensionHeader,
    /// Only in IPv4.
    SourceRoute,
    /// From the address that it goes to.
    Land,
    Loopback,
    ForAll,
}

impl Oddity {
    pub const ALL: [Self; 7] = [
        Self::FirstFragment,
        Self::LaterFragment,
        Self::ExtensionHeader,
        Self::SourceRoute,
        Self::Land,
        Self::Loopback,
        Self::ForAll,
    ];

    /// The frame of `packet`, as odd as this.
    pub fn frame(self, mut packet: Packet) -> Vec<u8> {
        match self {
            Self::FirstFragment => return fragment(&packet, 0),
            Self::LaterFragment => return fragment(&packet, 1),
            Self::ExtensionHeader if packet.envelope.source.is_ipv6() => return behind_options(&packet),
            Self::ExtensionHeader => {}
            Self::SourceRoute if packet.envelope.source.is_ipv4() => {
                packet.envelope.ip_options = vec![131, 7, 4, 192, 0, 2, 1, 0];
            }
            Self::SourceRoute => {}
            Self::Land => packet.envelope.source = packet.envelope.destination,
            Self::Loopback => {
                let [v4, v6]: [IpAddr; 2] = [[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
                packet.envelope.source = if packet.envelope.source.is_ipv4() { v4 } else { v6 };
            }
            Self::ForAll => packet.envelope.dst_mac = [0xff; 6],
        }
        packet.build()
    }
}

/// `packet` as the fragment with this offset, in eights of bytes, and with more to come.
pub fn fragment(packet: &Packet, offset: u16) -> Vec<u8> {
    let segment = packet.quote().split_off(if packet.envelope.source.is_ipv4() { 20 } else { 40 });
    if packet.envelope.source.is_ipv6() {
        let [high, low] = (offset << 3 | 1).to_be_bytes();
        let header = [ip_number::TCP.0, 0, high, low, 0, 0, 0, 7];
        return packet.envelope.build(ip_number::IPV6_FRAGMENTATION_HEADER, &[&header[..], &segment].concat());
    }
    let mut frame = packet.envelope.build(ip_number::TCP, &segment);
    let field = 14 + 6;
    frame[field..field + 2].copy_from_slice(&(offset | 0x2000).to_be_bytes());
    frame
}

/// `packet` behind IPv6 destination options.
fn behind_options(packet: &Packet) -> Vec<u8> {
    let segment = packet.quote().split_off(40);
    let header = [ip_number::TCP.0, 0, 1, 4, 0, 0, 0, 0];
    packet.envelope.build(ip_number::IPV6_DESTINATION_OPTIONS, &[&header[..], &segment].concat())
}
