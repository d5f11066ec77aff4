//! Ports are short: tuples of finished flows are given to new ones.

use gateway_common::{
    abi::{Flow, ticks_from_secs},
    nat::{Flags, Reason, Tables},
};

use crate::world::{World, in_both_families};

/// A world with one source port towards one backend, held by a first client; the second one is next.
fn with_the_only_port_taken(world: &mut World) -> Flow {
    world.tables.settings.ports = 1;
    world.tables.send_all_to(world.service, world.indices[0]);
    world.establish()
}

fn next_client(world: &mut World) {
    world.client.set_port(world.client.port() + 1);
}

#[test]
fn living_flow_keeps_its_port() {
    in_both_families(|mut world| {
        with_the_only_port_taken(&mut world);
        world.tables.advance(ticks_from_secs(3600));
        next_client(&mut world);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
        assert!(world.tables.half_open.is_empty());
    });
}

#[test]
fn half_open_flow_keeps_its_port_for_a_while() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 1;
        world.tables.send_all_to(world.service, world.indices[0]);
        world.send(&world.syn());
        world.tables.advance(ticks_from_secs(1));
        next_client(&mut world);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
    });
}

#[test]
fn finished_flow_keeps_its_port_for_a_while() {
    in_both_families(|mut world| {
        with_the_only_port_taken(&mut world);
        world.finish();
        next_client(&mut world);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
    });
}

#[test]
fn port_of_a_finished_flow_is_taken_over() {
    in_both_families(|mut world| {
        let old = with_the_only_port_taken(&mut world);
        world.finish();
        world.tables.advance(ticks_from_secs(2));
        let first = world.original();
        next_client(&mut world);
        let sent = world.send(&world.syn()).expect(Reason::Opened).packet();
        assert_eq!(sent.tuple(), old.to);
        assert!(world.tables.flows.find(&first).is_none());
        assert_eq!(world.tables.open_flows(0), 0);
    });
}

#[test]
fn late_packet_delays_the_take_over() {
    in_both_families(|mut world| {
        with_the_only_port_taken(&mut world);
        world.finish();
        world.tables.advance(ticks_from_secs(2));
        world.send(&world.client_data(Flags::ACK, 1, "")).expect(Reason::Forwarded);
        next_client(&mut world);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
    });
}

#[test]
fn resting_port_is_taken_over() {
    in_both_families(|mut world| {
        let old = with_the_only_port_taken(&mut world);
        world.finish();
        world.tables.settings.ports = 2;
        // One random start in two is the port that is taken; either way the new flow gets the other one.
        world.send(&world.syn()).expect(Reason::Opened);
        assert!(world.is_resting(&old.to.reversed()));
        world.tables.advance(ticks_from_secs(2));
        next_client(&mut world);
        let sent = world.send(&world.syn()).expect(Reason::Opened).packet();
        assert_eq!(sent.tuple(), old.to);
    });
}
