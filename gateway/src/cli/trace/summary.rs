//! A packet and its flow in a line each.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::model::sighting::{FlowSeen, PacketSeen};

/// Addresses, and of a TCP segment flags, numbers and length: what the shown bytes of the frame tell.
pub fn of(packet: &PacketSeen) -> String {
    let Ok(sliced) = SlicedPacket::from_ethernet(&packet.frame) else {
        return format!("{} bytes that are no packet", packet.length);
    };
    let tags: Vec<u16> = sliced.vlan_ids().iter().map(|id| id.value()).collect();
    let tags = if tags.is_empty() { String::new() } else { format!("vlan {tags:?} ") };
    let (from, to, ttl) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (header.source_addr().to_string(), header.destination_addr().to_string(), header.ttl())
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (header.source_addr().to_string(), header.destination_addr().to_string(), header.hop_limit())
        }
        _ => return format!("{tags}{} bytes, not IP", packet.length),
    };
    let socket = |address: &str, port: u16| {
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    };
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let (from, to) = (socket(&from, tcp.source_port()), socket(&to, tcp.destination_port()));
            let mut text = format!("{tags}{from} > {to} [{}] seq {}", flags(tcp), tcp.sequence_number());
            if tcp.ack() {
                text += &format!(" ack {}", tcp.acknowledgment_number());
            }
            text + &format!(" win {} ttl {ttl} len {}", tcp.window_size(), packet.length)
        }
        Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_)) => {
            format!("{tags}{from} > {to} ICMP ttl {ttl} len {}", packet.length)
        }
        _ => format!("{tags}{from} > {to} ttl {ttl} len {}", packet.length),
    }
}

/// The letters that tcpdump has for them.
fn flags(tcp: &etherparse::TcpSlice) -> String {
    let letters = [
        (tcp.syn(), 'S'),
        (tcp.fin(), 'F'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.urg(), 'U'),
        (tcp.ece(), 'E'),
        (tcp.cwr(), 'W'),
        (tcp.ack(), '.'),
    ];
    letters.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect()
}

/// Service, backend, state and what has passed, if there is a flow.
pub fn of_flow(flow: &FlowSeen) -> Option<String> {
    let (backend, snat, state) = (flow.backend?, flow.snat?, flow.state?);
    let service = flow.service.as_deref().unwrap_or("-");
    let (there, back) = (flow.original.packets, flow.reply.packets);
    Some(format!("{service}: {state}, backend {backend} as {snat}, {there} packets there and {back} back"))
}
