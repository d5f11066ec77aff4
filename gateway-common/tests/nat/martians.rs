//! Sources that nobody can have.

use std::net::IpAddr;

use gateway_common::{
    abi::Answer,
    host::{Packet, ServiceOptions},
    nat::{Flags, Reason},
};

use crate::world::{World, in_both_families};

/// `packet` from another host.
fn from(packet: &Packet, source: IpAddr) -> Packet {
    let mut packet = packet.clone();
    packet.envelope.source = source;
    packet
}

fn impossible(world: &World) -> Vec<IpAddr> {
    let addresses: &[&str] = if world.client.is_ipv4() {
        &["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255"]
    } else {
        &["::", "::1", "ff02::1", "fe80::1", "febf:ffff::1"]
    };
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn syn_from_an_impossible_source_opens_nothing() {
    in_both_families(|world| {
        for source in impossible(&world).into_iter().chain([world.snat, world.service.ip()]) {
            world.send(&from(&world.syn(), source)).expect(Reason::Martian);
            world.send_by_wire(&from(&world.syn(), source)).expect(Reason::Martian);
        }
        assert!(world.tables.half_open.is_empty());
    });
}

#[test]
fn land_attack_opens_nothing() {
    in_both_families(|world| {
        let land = Packet::new(world.service, world.service).flags(Flags::SYN);
        world.send(&land).expect(Reason::Martian);
        assert!(world.tables.half_open.is_empty());
    });
}

#[test]
fn neighbours_of_impossible_addresses_are_served() {
    in_both_families(|world| {
        let addresses: &[&str] = if world.client.is_ipv4() {
            &["1.0.0.0", "126.255.255.255", "128.0.0.1", "223.255.255.255"]
        } else {
            &["::2", "1::", "fe7f::1", "fec0::1", "feff::1"]
        };
        for source in addresses {
            world.send(&from(&world.syn(), source.parse().unwrap())).expect(Reason::Opened);
        }
    });
}

#[test]
fn impossible_source_gets_no_answer() {
    for family in [gateway_common::abi::Family::V4, gateway_common::abi::Family::V6] {
        let options = ServiceOptions { unknown_flow: Answer::Reset, ..ServiceOptions::default() };
        let mut world = World::with(family, options);
        world.service_mut().slots = 0;
        world.send(&world.syn()).expect(Reason::NoBackendReset);
        world.send(&world.client_segment(Flags::ACK)).expect(Reason::UnknownFlowReset);
        for source in impossible(&world) {
            world.send(&from(&world.syn(), source)).expect(Reason::Martian);
            world.send(&from(&world.client_segment(Flags::ACK), source)).expect(Reason::Martian);
        }
    }
}

#[test]
fn segment_for_all_stations_of_the_link_opens_nothing() {
    in_both_families(|world| {
        for mac in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]] {
            let mut syn = world.syn();
            syn.envelope.dst_mac = mac;
            world.send_by_wire(&syn).expect(Reason::Martian);
        }
    });
}

#[test]
fn impossible_source_is_the_kernels_where_there_is_no_service() {
    in_both_families(|world| {
        for source in impossible(&world) {
            let mut syn = from(&world.syn(), source);
            syn.tcp.destination_port = 22;
            world.send(&syn).expect(Reason::NoService);
        }
    });
}
