//! A SYN for a service.

use gateway_common::{
    abi::{Direction, Egress, Family, Hop},
    host::Packet,
    nat::{Flags, Reason, Tables, hash_tuple},
};

use crate::world::{DEVICE, HOP, World, in_both_families};

#[test]
fn syn_is_translated_to_the_backend_of_its_slot() {
    in_both_families(|world| {
        let outcome = world.send(&world.syn()).expect(Reason::Opened);
        assert_eq!(outcome.verdict.ifindex, DEVICE);
        let sent = outcome.packet();
        let service = world.tables.services[&world.service_key()];
        let hash = u64::from(hash_tuple(&world.original(), world.tables.settings.seed));
        let place = (hash * u64::from(service.slots)) >> 32;
        let chosen = world.tables.slots[(u64::from(service.first_slot) + place) as usize].0;
        assert_eq!(sent.destination(), world.backends[world.indices.iter().position(|&i| i == chosen).unwrap()]);
        assert_eq!(world.flow().backend, chosen);
    });
}

#[test]
fn syn_leaves_from_a_source_address_and_port_of_the_gateway() {
    in_both_families(|world| {
        let sent = world.send(&world.syn()).packet();
        let settings = world.tables.settings();
        let ports = settings.first_port..=settings.first_port + (settings.ports - 1);
        assert_eq!(sent.source().ip(), world.snat);
        assert!(ports.contains(&sent.source().port()), "{}", sent.source());
    });
}

#[test]
fn syn_changes_only_addresses_ports_and_hop_limit() {
    in_both_families(|world| {
        // ECN setup, a window, MSS and window scale.
        let syn = world.client_segment(Flags(0xc2)).seq(5).options(&[2, 4, 5, 0xb4, 3, 3, 7, 1]);
        let mut sent = world.send(&syn).expect(Reason::Opened).packet();
        assert_eq!(sent.envelope.hop_limit, 63);
        (sent.tcp.source_port, sent.tcp.destination_port) = (syn.tcp.source_port, syn.tcp.destination_port);
        assert_eq!(sent.tcp, syn.tcp);
    });
}

#[test]
fn syn_gets_the_next_hops_link_layer() {
    in_both_families(|world| {
        let sent = world.send(&world.syn()).packet();
        assert_eq!((sent.envelope.dst_mac, sent.envelope.src_mac), (HOP.dst_mac.0, HOP.src_mac.0));
    });
}

#[test]
fn syn_leaves_both_directions_half_open() {
    in_both_families(|world| {
        world.send(&world.syn());
        let original = world.tables.half_open.find(&world.original()).unwrap();
        let reply = world.tables.half_open.find(&original.to.reversed()).unwrap();
        assert_eq!((original.direction, reply.direction), (Direction::Original, Direction::Reply));
        assert_eq!(reply.to, world.original().reversed());
        assert_eq!((original.traffic.packets(), reply.traffic.packets()), (1, 0));
        assert_eq!(world.tables.half_open.len(), 2);
        assert!(world.tables.flows.is_empty());
        assert_eq!((world.open_flows(), world.connections()), (0, 0));
    });
}

#[test]
fn repeated_syn_keeps_its_backend_and_port() {
    in_both_families(|mut world| {
        let first = world.send(&world.syn()).packet();
        // Whatever happens to the set of backends.
        let other = world.indices.iter().copied().find(|&index| index != world.flow().backend).unwrap();
        world.tables.send_all_to(world.service, other);
        let again = world.send(&world.syn()).expect(Reason::Forwarded).packet();
        assert_eq!(again.tuple(), first.tuple());
        assert_eq!(world.tables.half_open.len(), 2);
    });
}

#[test]
fn syn_for_no_service_is_passed() {
    in_both_families(|world| {
        let mut elsewhere = world.service;
        elsewhere.set_port(22);
        world.send(&Packet::syn(world.client, elsewhere, 1)).expect(Reason::NoService);
        world.send_by_wire(&Packet::syn(world.client, elsewhere, 1)).expect(Reason::NoService);
    });
}

#[test]
fn local_backend_is_left_to_tc_without_a_trace() {
    in_both_families(|mut world| {
        world.routes.default = Ok(Hop { egress: Egress::LOCAL, ..HOP });
        world.send_by_wire(&world.syn()).expect(Reason::HandedToTc);
        assert!(world.tables.half_open.is_empty());
        world.send(&world.syn()).expect(Reason::Opened);
        world.send_by_wire(&world.syn()).expect(Reason::HandedToTc);
        assert_eq!(world.flow().traffic.packets(), 1);
    });
}

#[test]
fn syn_without_a_route_is_dropped_without_a_trace() {
    in_both_families(|mut world| {
        for reason in [Reason::NoRoute, Reason::NotForwarded, Reason::RouteUnsupported] {
            world.routes.default = Err(reason);
            world.send(&world.syn()).expect(reason);
            assert!(world.tables.half_open.is_empty());
        }
    });
}

#[test]
fn syn_beyond_the_capacity_is_refused() {
    in_both_families(|mut world| {
        world.tables.settings.capacity = 1;
        world.establish();
        world.client.set_port(50001);
        world.send(&world.syn()).expect(Reason::TableFull);
        assert!(world.tables.half_open.is_empty());
    });
}

#[test]
fn service_is_found_by_any_of_its_addresses() {
    let mut world = World::new(Family::V4);
    let service = *world.service_mut();
    world.service = "192.0.2.1:443".parse().unwrap();
    world.tables.services.insert(world.service_key(), service);
    world.establish();
}
