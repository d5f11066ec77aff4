//! ICMP errors about tracked flows.

use std::net::IpAddr;

use gateway_common::{
    abi::{Egress, Family, Hop},
    host::{Message, Packet, Stack, Wire},
    nat::{Flags, Reason, State},
};

use crate::world::{HOP, ISS, World, in_both_families};

const PUSH: Flags = Flags(0x18);

/// A router's address, on either side.
fn router(world: &World) -> IpAddr {
    if world.client.is_ipv4() { "192.0.2.254".parse().unwrap() } else { "2001:db8:ff::1".parse().unwrap() }
}

/// A router's error about `packet`, quoting `len` bytes of it.
fn error_about(world: &World, packet: &Packet, len: usize) -> Message {
    let mut quote = packet.quote();
    quote.truncate(len);
    Message::too_big(router(world), packet.envelope.source, 1400, quote)
}

/// The shortest quotation: the IP header and eight bytes.
fn shortest(world: &World) -> usize {
    if world.client.is_ipv4() { 28 } else { 48 }
}

/// Asserts that an error about `sent`, which the gateway made of `before`, comes out as one about `before`.
#[track_caller]
fn assert_translated(world: &World, before: &Packet, sent: &Packet, len: usize) {
    let outcome = world.arrive::<Stack>(&error_about(world, sent, len).build()).expect(Reason::IcmpForwarded);
    let error = outcome.message();
    assert_eq!(outcome.verdict.ifindex, HOP.device.get());
    assert_eq!(error.envelope.destination, before.envelope.source);
    assert_eq!(error.envelope.source, before.envelope.destination);
    assert_eq!((error.envelope.hop_limit, error.envelope.dst_mac), (63, HOP.dst_mac.0));
    assert_eq!(error.word, [0, 0, 5, 0x78]);
    // As the sender sent it, but for the hop it has made.
    let mut known = before.clone();
    known.envelope.hop_limit -= 1;
    assert_eq!(error.quote, known.quote()[..error.quote.len()]);
    if len > known.quote().len() {
        assert_eq!(Packet::read_quote(&error.quote).unwrap().tuple(), before.tuple());
    }
}

#[test]
fn error_about_a_translated_packet_is_translated_back() {
    in_both_families(|world| {
        world.establish();
        for len in [usize::MAX, shortest(&world), shortest(&world) + 12] {
            let question = world.client_data(PUSH, 0, "question");
            assert_translated(&world, &question, &world.send(&question).packet(), len);
            let answer = world.backend_data(PUSH, 0, "answer");
            assert_translated(&world, &answer, &world.send(&answer).packet(), len);
        }
    });
}

#[test]
fn error_about_a_half_open_flow_is_translated() {
    in_both_families(|world| {
        let sent = world.send(&world.syn()).packet();
        assert_translated(&world, &world.syn(), &sent, shortest(&world));
        let sent = world.send(&world.syn_ack()).packet();
        assert_translated(&world, &world.syn_ack(), &sent, usize::MAX);
    });
}

#[test]
fn every_kind_of_error_is_translated_and_nothing_else() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        let errors: &[u8] = if world.client.is_ipv4() { &[3, 11, 12] } else { &[1, 2, 3, 4] };
        for kind in 0..=255 {
            let message = Message { kind, ..error_about(&world, &sent, usize::MAX) };
            let reason = if errors.contains(&kind) { Reason::IcmpForwarded } else { Reason::IcmpUnrelated };
            world.arrive::<Stack>(&message.build()).expect(reason);
        }
    });
}

#[test]
fn error_about_no_flow_is_passed() {
    in_both_families(|world| {
        let strange = error_about(&world, &world.syn(), usize::MAX);
        world.arrive::<Stack>(&strange.build()).expect(Reason::IcmpUnrelated);
    });
}

#[test]
fn quotation_that_is_cut_short_is_passed() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        for len in 0..shortest(&world) {
            let mut message = error_about(&world, &sent, len);
            world.arrive::<Stack>(&message.build());
            // What follows the packet in its frame is no quotation.
            message.envelope.padding = 64;
            let outcome = world.arrive::<Stack>(&message.build());
            assert!(matches!(outcome.verdict.reason, Reason::IcmpUnrelated | Reason::Malformed), "{len}");
        }
    });
}

#[test]
fn padding_behind_a_short_quotation_is_left_alone() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        for padding in [0, 11, 12, 60] {
            let mut message = error_about(&world, &sent, shortest(&world));
            message.envelope.padding = padding;
            let frame = message.build();
            let outcome = world.arrive::<Stack>(&frame).expect(Reason::IcmpForwarded);
            assert_eq!(outcome.message().envelope.padding, padding);
            assert_eq!(outcome.bytes[frame.len() - padding..], frame[frame.len() - padding..]);
        }
    });
}

#[test]
fn quotation_with_ip_options_is_translated() {
    let world = World::new(Family::V4);
    world.establish();
    let mut question = world.client_data(PUSH, 0, "question");
    question.envelope.ip_options = vec![1; 12];
    let sent = world.send(&question).expect(Reason::Forwarded).packet();
    assert_translated(&world, &question, &sent, usize::MAX);
}

#[test]
fn error_about_a_local_backends_flow_is_left_to_tc() {
    in_both_families(|mut world| {
        world.establish();
        let sent = world.send(&world.backend_data(PUSH, 0, "answer")).packet();
        let backend = world.flow().to.destination().ip();
        world.route_to(backend, Ok(Hop { egress: Egress::LOCAL, ..HOP }));
        world.routes_changed();
        let error = error_about(&world, &sent, usize::MAX).build();
        world.arrive::<Wire>(&error).expect(Reason::HandedToTc);
        world.arrive::<Stack>(&error).expect(Reason::IcmpForwarded);
    });
}

#[test]
fn error_on_its_last_hop_is_dropped_without_another() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        let mut error = error_about(&world, &sent, usize::MAX);
        error.envelope.hop_limit = 1;
        world.arrive::<Stack>(&error.build()).expect(Reason::Expired);
    });
}

#[test]
fn error_about_an_earlier_flow_of_the_tuple_is_dropped() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        world.finish();
        world.send(&world.syn()).expect(Reason::Opened);
        world.arrive::<Stack>(&error_about(&world, &sent, usize::MAX).build()).expect(Reason::FlowGone);
    });
}

#[test]
fn error_of_the_other_familys_protocol_is_passed() {
    let world = World::new(Family::V4);
    world.establish();
    let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
    let mut message = error_about(&world, &sent, usize::MAX);
    message.kind = 3;
    let payload = message.build().split_off(34);
    let frame = message.envelope.build(etherparse::ip_number::IPV6_ICMP, &payload);
    world.arrive::<Stack>(&frame).expect(Reason::IcmpUnrelated);
}

#[test]
fn error_about_a_segment_that_is_not_under_way_is_dropped() {
    in_both_families(|world| {
        world.establish();
        let question = world.client_data(PUSH, 0, "question");
        let sent = world.send(&question).expect(Reason::Forwarded).packet();
        let answer = world.send(&world.backend_data(PUSH, 0, "answer")).expect(Reason::Forwarded).packet();
        for (packet, under_way) in [(&sent, "question".len()), (&answer, "answer".len())] {
            let about = |offset: u32| {
                let packet = packet.clone().seq(packet.tcp.sequence_number.wrapping_add(offset));
                world.arrive::<Wire>(&error_about(&world, &packet, usize::MAX).build()).verdict.reason
            };
            for offset in [0, 1, under_way as u32] {
                assert_eq!(about(offset), Reason::IcmpForwarded, "{offset}");
            }
            for offset in [u32::MAX, under_way as u32 + 1, 1 << 16, 1 << 31, 3 << 30] {
                assert_eq!(about(offset), Reason::IcmpOutOfWindow, "{offset}");
            }
        }
        // What has arrived is no longer under way.
        world.send(&world.backend_data(Flags::ACK, 6, "").ack(question.tcp.sequence_number + 8));
        let late = error_about(&world, &sent, usize::MAX).build();
        world.arrive::<Stack>(&late).expect(Reason::IcmpOutOfWindow);
    });
}

#[test]
fn error_about_another_handshake_is_dropped() {
    in_both_families(|world| {
        let sent = world.send(&world.syn()).packet();
        for offset in [1, 1 << 16, 1 << 31] {
            let forged = sent.clone().seq(sent.tcp.sequence_number.wrapping_add(offset + 1));
            let error = error_about(&world, &forged, shortest(&world)).build();
            world.arrive::<Stack>(&error).expect(Reason::IcmpOutOfWindow);
        }
    });
}

#[test]
fn forged_acknowledgement_opens_no_window_for_errors() {
    in_both_families(|world| {
        world.establish();
        let answer = world.send(&world.backend_data(PUSH, 0, "answer")).expect(Reason::Forwarded).packet();
        // From somebody who does not know the numbers.
        world.send(&world.client_data(Flags::ACK, 1 << 30, "").ack(ISS.wrapping_add(1 << 30)));
        for offset in [1 << 29, 1 << 30, 1 << 31] {
            let packet = answer.clone().seq(answer.tcp.sequence_number.wrapping_add(offset));
            let error = error_about(&world, &packet, usize::MAX).build();
            world.arrive::<Stack>(&error).expect(Reason::IcmpOutOfWindow);
        }
        world.arrive::<Stack>(&error_about(&world, &answer, usize::MAX).build()).expect(Reason::IcmpForwarded);
    });
}

#[test]
fn path_mtu_that_no_link_has_is_dropped() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        let least = if world.client.is_ipv4() { 576 } else { 1280 };
        let with_mtu = |mtu: u16| {
            let [high, low] = mtu.to_be_bytes();
            let error = Message { word: [0, 0, high, low], ..error_about(&world, &sent, usize::MAX) };
            world.arrive::<Stack>(&error.build()).verdict.reason
        };
        for mtu in [1, 68, least - 1] {
            assert_eq!(with_mtu(mtu), Reason::IcmpTinyMtu, "{mtu}");
        }
        for mtu in [least, 1500, u16::MAX] {
            assert_eq!(with_mtu(mtu), Reason::IcmpForwarded, "{mtu}");
        }
        // Old IPv4 routers tell none.
        let untold = if world.client.is_ipv4() { Reason::IcmpForwarded } else { Reason::IcmpTinyMtu };
        assert_eq!(with_mtu(0), untold);
    });
}

#[test]
fn error_ends_no_flow() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        for code in 0..=15 {
            let kind = if world.client.is_ipv4() { 3 } else { 1 };
            let word = [0, 0, 5, 0x78];
            let error = Message { kind, code, word, ..error_about(&world, &sent, usize::MAX) };
            world.arrive::<Stack>(&error.build()).expect(Reason::IcmpForwarded);
            assert_eq!((world.state(), world.open_flows()), (State::Established, 1));
        }
    });
}

#[test]
fn wrong_checksum_of_an_error_stays_wrong() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "question")).packet();
        let mut error = error_about(&world, &sent, usize::MAX).build();
        *error.last_mut().unwrap() ^= 1;
        let outcome = world.arrive::<Stack>(&error).expect(Reason::IcmpForwarded);
        assert!(Message::read(&outcome.bytes).unwrap_err().contains("ICMP checksum"));
    });
}
