//! What the gateway answers itself: resets and ICMP errors.

use gateway_common::{
    abi::{Answer, Family, Hop},
    host::{HostFrame, Message, Packet, ServiceOptions, Stack},
    nat::{Action, Flags, Reason},
};

use crate::world::{HOP, ISN, ISS, MTU, Outcome, World, in_both_families};

const PUSH: Flags = Flags(0x18);

/// The reset that `outcome` is, sent back where `packet` came from.
#[track_caller]
fn reset_to(packet: &Packet, outcome: &Outcome) -> Packet {
    assert_eq!(outcome.verdict.reason.action(), Action::Answer);
    let reset = outcome.packet();
    assert_eq!(reset.tuple(), packet.tuple().reversed());
    assert_eq!((reset.envelope.dst_mac, reset.envelope.src_mac), (packet.envelope.src_mac, packet.envelope.dst_mac));
    assert_eq!((reset.envelope.hop_limit, reset.envelope.padding), (64, 0));
    assert!(reset.tcp.rst && !reset.tcp.syn && !reset.tcp.fin && reset.payload.is_empty());
    reset
}

#[test]
fn syn_without_a_backend_is_reset_with_its_number_acknowledged() {
    in_both_families(|mut world| {
        world.service_mut().slots = 0;
        for (syn, ack) in [
            (world.syn(), ISN + 1),
            // Data on a SYN (RFC 7413) counts, options and padding do not.
            (world.syn().payload("early").options(&[1, 1, 1, 1]), ISN + 6),
            (world.syn().seq(u32::MAX), 0),
        ] {
            let reset = reset_to(&syn, &world.send(&syn).expect(Reason::NoBackendReset));
            assert_eq!((reset.tcp.sequence_number, reset.tcp.acknowledgment_number, reset.tcp.ack), (0, ack, true));
        }
    });
}

#[test]
fn padding_of_a_syn_is_not_acknowledged() {
    in_both_families(|mut world| {
        world.service_mut().slots = 0;
        let mut syn = world.syn();
        syn.envelope.padding = 6;
        let reset = reset_to(&syn, &world.send(&syn));
        assert_eq!(reset.tcp.acknowledgment_number, ISN + 1);
    });
}

#[test]
fn syn_without_a_backend_is_dropped_where_the_service_says_so() {
    in_both_families(|mut world| {
        world.service_mut().slots = 0;
        world.service_mut().no_backend = Answer::Drop;
        world.send(&world.syn()).expect(Reason::NoBackend);
    });
}

#[test]
fn syn_beyond_the_capacity_is_reset_where_the_gateway_is_told_so() {
    in_both_families(|mut world| {
        (world.tables.settings.capacity, world.tables.settings.full) = (1, Answer::Reset);
        world.establish();
        world.client.set_port(50001);
        let reset = reset_to(&world.syn(), &world.send(&world.syn()).expect(Reason::TableFullReset));
        assert_eq!((reset.tcp.acknowledgment_number, reset.tcp.ack), (ISN + 1, true));
        assert!(world.tables.half_open.is_empty());
    });
}

#[test]
fn segment_of_no_flow_is_dropped_by_default() {
    in_both_families(|world| {
        for flags in [Flags::ACK, Flags::RST, Flags::FIN, Flags::SYN.with(Flags::ACK), Flags(0), Flags(0xff)] {
            world.send(&world.client_segment(flags)).expect(Reason::UnknownFlow);
        }
    });
}

#[test]
fn segment_of_no_flow_is_reset_where_the_service_says_so() {
    for family in [Family::V4, Family::V6] {
        let world = World::with(family, ServiceOptions { unknown_flow: Answer::Reset, ..Default::default() });
        let acked = world.client_data(PUSH, 3, "lost");
        let reset = reset_to(&acked, &world.send(&acked).expect(Reason::UnknownFlowReset));
        assert_eq!((reset.tcp.sequence_number, reset.tcp.ack), (ISS.wrapping_add(1), false));

        let bare = world.client_segment(Flags::FIN).seq(9).payload("abc");
        let reset = reset_to(&bare, &world.send(&bare).expect(Reason::UnknownFlowReset));
        assert_eq!((reset.tcp.sequence_number, reset.tcp.acknowledgment_number, reset.tcp.ack), (0, 13, true));
    }
}

#[test]
fn reset_is_never_answered_by_one() {
    let world = World::with(Family::V4, ServiceOptions { unknown_flow: Answer::Reset, ..Default::default() });
    world.send(&world.client_segment(Flags::RST)).expect(Reason::UnknownFlow);
    world.send(&world.client_segment(Flags::RST.with(Flags::ACK))).expect(Reason::UnknownFlow);
}

/// Asserts that `error` is one from the packet's destination to its source that quotes its headers.
#[track_caller]
fn assert_is_about(error: &Message, packet: &Packet, kind: (u8, u8), word: [u8; 4]) {
    assert_eq!((error.kind, error.code, error.word), (kind.0, kind.1, word));
    assert_eq!(error.envelope.source, packet.envelope.destination);
    assert_eq!(error.envelope.destination, packet.envelope.source);
    assert_eq!(error.envelope.dst_mac, packet.envelope.src_mac);
    let quote = packet.quote();
    assert!(error.quote.len() >= 28, "RFC 792: the header and eight bytes");
    assert_eq!(error.quote, quote[..error.quote.len()]);
}

#[test]
fn last_hop_is_answered_by_time_exceeded() {
    in_both_families(|world| {
        world.establish();
        let expired = if world.client.is_ipv4() { (11, 0) } else { (3, 0) };
        for hop_limit in [0, 1] {
            for packet in [world.client_data(PUSH, 0, "data"), world.backend_data(PUSH, 0, "data"), world.syn()] {
                let packet = packet.hop_limit(hop_limit);
                let outcome = world.send(&packet).expect(Reason::TimeExceeded);
                assert_is_about(&outcome.message(), &packet, expired, [0; 4]);
            }
        }
    });
}

#[test]
fn syn_on_its_last_hop_does_not_keep_the_next_one_away() {
    in_both_families(|world| {
        world.send(&world.syn().hop_limit(1)).expect(Reason::TimeExceeded);
        world.send(&world.syn()).expect(Reason::Opened);
    });
}

#[test]
fn packet_above_the_next_hops_mtu_is_answered_with_it() {
    in_both_families(|mut world| {
        world.establish();
        world.routes.default = Ok(Hop { mtu: 1280, ..HOP });
        world.routes_changed();
        let too_big = if world.client.is_ipv4() { (3, 4) } else { (2, 0) };
        for packet in [world.client_data(PUSH, 0, &"x".repeat(1300)), world.backend_data(PUSH, 0, &"x".repeat(1300))] {
            let before = world.flow();
            let outcome = world.send(&packet).expect(Reason::PacketTooBig);
            assert_is_about(&outcome.message(), &packet, too_big, [0, 0, 5, 0]);
            assert_eq!((world.flow().traffic, world.flow().next_seq), (before.traffic, before.next_seq));
        }
    });
}

#[test]
fn super_frame_is_measured_by_its_segments() {
    in_both_families(|world| {
        world.establish();
        let packet = world.client_data(PUSH, 0, &"x".repeat(20_000)).build();
        let judge = |segment_size| {
            let mut frame = HostFrame::<Stack>::new(&packet, &world.routes);
            frame.segment_size = segment_size;
            world.tables.process(&mut frame).reason
        };
        assert_eq!(judge(Some(u32::from(MTU) - 60)), Reason::Forwarded);
        assert_eq!(judge(Some(u32::from(MTU))), Reason::PacketTooBig);
        assert_eq!(judge(None), Reason::PacketTooBig);
    });
}

#[test]
fn packet_with_ip_options_that_cannot_go_on_is_dropped() {
    let world = World::new(Family::V4);
    world.establish();
    let mut packet = world.client_data(PUSH, 0, "data").hop_limit(1);
    packet.envelope.ip_options = vec![1; 8];
    world.send(&packet).expect(Reason::RewriteFailed);
}

#[test]
fn answer_to_a_tagged_packet_keeps_its_tags() {
    in_both_families(|mut world| {
        world.service_mut().slots = 0;
        for vlans in [vec![5], vec![100, 200]] {
            let mut syn = world.syn();
            syn.envelope.vlans = vlans;
            let reset = reset_to(&syn, &world.send(&syn));
            assert_eq!(reset.envelope.vlans, syn.envelope.vlans);
        }
    });
}
