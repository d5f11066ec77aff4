//! What holds for any traffic.

use std::collections::BTreeSet;

use gateway_common::{
    abi::Family,
    host::{HostFrame, Packet, Stack, Step, Traffic, Wire},
    nat::{Action, Flags, Reason},
};
use proptest::{collection::vec, prelude::*};

use crate::world::{World, in_both_families};

/// Steps that cover what can become of a packet.
const STEPS: usize = 200;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_traffic_keeps_the_tables_whole(seed in any::<u64>(), bytes in vec(any::<[u8; 8]>(), 1..STEPS)) {
        let mut traffic = Traffic::new(seed);
        let steps = Step::decode(&bytes.concat());
        for (number, step) in steps.iter().enumerate() {
            let result = traffic.step(step);
            prop_assert!(result.is_ok(), "step {number}, {step:?}: {}", result.unwrap_err());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..400)) {
        for family in [Family::V4, Family::V6] {
            let world = World::new(family);
            world.arrive::<Stack>(&bytes);
            world.arrive::<Wire>(&bytes);
        }
    }

    #[test]
    fn reply_rewrite_undoes_the_original_rewrite(
        seq in any::<u32>(), ack in any::<u32>(), window in any::<u16>(), urgent in any::<u16>(),
        flags in (0u8..=255).prop_filter("neither opens nor ends", |flags| flags & 0x07 == 0),
        options in vec(any::<u8>(), 0..=10).prop_map(|words| words.iter().flat_map(|w| [*w; 4]).collect::<Vec<_>>()),
        payload in vec(any::<u8>(), 0..1300), hop_limit in 2u8..=255, padding in 0usize..30,
        vlans in vec(1u16..4095, 0..=2),
    ) {
        in_both_families(|world| {
            world.establish();
            let mut packet = world.client_segment(Flags(flags)).seq(seq).options(&options).payload(payload.clone());
            (packet.tcp.acknowledgment_number, packet.tcp.window_size, packet.tcp.urgent_pointer) = (ack, window, urgent);
            packet.envelope.hop_limit = hop_limit;
            (packet.envelope.padding, packet.envelope.vlans) = (padding, vlans.clone());
            let there = world.send_by_wire(&packet).expect(Reason::Forwarded).packet();
            assert_only_translated(&packet, &there);
            // The backend sends the same back.
            let mut echo = there.clone();
            echo.envelope.source = there.envelope.destination;
            echo.envelope.destination = there.envelope.source;
            (echo.tcp.source_port, echo.tcp.destination_port) = (there.tcp.destination_port, there.tcp.source_port);
            echo.envelope.hop_limit = hop_limit;
            let back = world.send_by_wire(&echo).expect(Reason::Forwarded).packet();
            assert_only_translated(&packet, &back);
            assert_eq!((back.source(), back.destination()), (world.service, world.client));
        });
    }
}

/// Everything but the tuple and the link layer is as it was, and one hop is gone.
#[track_caller]
fn assert_only_translated(before: &Packet, after: &Packet) {
    let mut expected = before.clone();
    expected.envelope.hop_limit -= 1;
    expected.envelope.vlans.clear();
    (expected.envelope.dst_mac, expected.envelope.src_mac) = (after.envelope.dst_mac, after.envelope.src_mac);
    (expected.envelope.source, expected.envelope.destination) = (after.envelope.source, after.envelope.destination);
    (expected.tcp.source_port, expected.tcp.destination_port) = (after.tcp.source_port, after.tcp.destination_port);
    assert_eq!(after, &expected);
}

#[test]
fn random_traffic_reaches_every_outcome() {
    let mut reached = BTreeSet::new();
    let mut random = fastrand::Rng::with_seed(3);
    for seed in 0..300 {
        let mut traffic = Traffic::new(seed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(STEPS * 8).collect();
        for step in Step::decode(&bytes) {
            traffic.step(&step).unwrap();
        }
        reached.extend(traffic.reasons().map(Reason::name));
    }
    // The routes of that world never fail, and only a race of two CPUs is a race.
    let elsewhere =
        [Reason::NoRoute, Reason::NotForwarded, Reason::RouteUnsupported, Reason::RewriteFailed, Reason::OpenRace]
            .map(Reason::name);
    let missed: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| reason.name())
        .filter(|name| !reached.contains(name) && !elsewhere.contains(name))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn segment_of_no_flow_costs_no_route_lookup() {
    in_both_families(|world| {
        let mut frame = HostFrame::<Stack>::new(&world.client_segment(Flags::ACK).build(), &world.routes);
        let verdict = world.tables.process(&mut frame);
        assert_eq!((verdict.reason.action(), frame.lookups), (Action::Drop, 0));
    });
}
