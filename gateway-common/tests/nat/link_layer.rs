//! Ethernet and VLAN tags, in and out.

use gateway_common::{
    abi::{Egress, Family, Hop},
    host::{Stack, Wire},
    nat::{Flags, Reason},
};

use crate::world::{HOP, World, in_both_families};

const PUSH: Flags = Flags(0x18);

fn send_to_vlan(world: &mut World, vlan: u16) {
    world.routes.default = Ok(Hop { egress: Egress::native(vlan), ..HOP });
    world.routes_changed();
}

#[test]
fn tags_are_replaced_by_the_next_hops() {
    in_both_families(|mut world| {
        world.establish();
        for incoming in [vec![], vec![10], vec![20, 30]] {
            for (vlan, outgoing) in [(0, vec![]), (77, vec![77]), (4094, vec![4094])] {
                send_to_vlan(&mut world, vlan);
                let mut packet = world.client_data(PUSH, 0, "tagged");
                packet.envelope.vlans = incoming.clone();
                let sent = world.send_by_wire(&packet).expect(Reason::Forwarded).packet();
                assert_eq!(sent.envelope.vlans, outgoing);
                assert_eq!(sent.payload, b"tagged");
                assert_eq!(sent.tuple(), world.flow().to);
            }
        }
    });
}

#[test]
fn flow_may_open_through_tags() {
    in_both_families(|world| {
        let mut syn = world.syn();
        syn.envelope.vlans = vec![10, 20];
        let sent = world.send(&syn).expect(Reason::Opened).packet();
        assert!(sent.envelope.vlans.is_empty());
    });
}

#[test]
fn service_tag_is_a_tag() {
    in_both_families(|world| {
        world.establish();
        let mut packet = world.client_data(PUSH, 0, "provider");
        packet.envelope.vlans = vec![10, 20];
        let mut frame = packet.build();
        // IEEE 802.1ad.
        frame[12..14].copy_from_slice(&[0x88, 0xa8]);
        world.arrive::<Wire>(&frame).expect(Reason::Forwarded).packet();
    });
}

#[test]
fn third_tag_is_passed() {
    in_both_families(|world| {
        world.establish();
        let mut packet = world.client_data(PUSH, 0, "deep");
        packet.envelope.vlans = vec![10, 20, 30];
        world.send(&packet).expect(Reason::NotIp);
    });
}

#[test]
fn other_protocols_are_passed() {
    let world = World::new(Family::V4);
    for ether_type in [[0x08, 0x06], [0x88, 0xcc], [0, 46]] {
        let mut frame = world.syn().build();
        frame[12..14].copy_from_slice(&ether_type);
        world.arrive::<Stack>(&frame).expect(Reason::NotIp);
    }
}
