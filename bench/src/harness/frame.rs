//! The packet that a driver makes into others: right in all that the driver leaves alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_common::host::{Message, Packet};

use super::{
    Packets,
    plan::{Kind, PUBLIC6, ROUTER, SERVICE},
};

/// So much payload makes a frame of 64 bytes with the checksum that Ethernet adds.
const PAYLOAD: [u8; 6] = [0x5a; 6];

/// An IPv4 address from a number.
pub fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

/// An IPv6 address from a prefix and a number.
pub fn v6([a, b, c]: [u32; 3], number: u32) -> IpAddr {
    let words = [a, b, c, number].map(u128::from);
    Ipv6Addr::from(words.into_iter().fold(0, |sum, word| sum << 32 | word)).into()
}

/// The frame, with a VLAN tag unless its identifier is 0.
pub fn template(packets: &Packets, vlan: u16) -> Vec<u8> {
    let (source, destination) = match packets.kind {
        Kind::Tcp4 | Kind::Icmp4 => (v4(ROUTER), v4(SERVICE)),
        Kind::Tcp6 => (v6(PUBLIC6, ROUTER), v6(PUBLIC6, SERVICE)),
    };
    let vlans = if vlan == 0 { Vec::new() } else { vec![vlan] };
    let segment = Packet::new(SocketAddr::new(source, 1), SocketAddr::new(destination, 1));
    let mut segment = segment.flags(packets.flags).seq(1).payload(PAYLOAD);
    if packets.kind == Kind::Icmp4 {
        let mut message = Message::too_big(source, destination, 1400, segment.quote());
        message.envelope.vlans = vlans;
        return message.build();
    }
    segment.envelope.vlans = vlans;
    segment.build()
}
