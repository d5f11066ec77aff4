//! Frames of every shape: options, fragments, extension headers, lengths that lie.

use std::net::SocketAddr;

use etherparse::ip_number;
use gateway_common::{
    abi::Family,
    host::{Envelope, Message, Packet, Stack, Wire, fragment},
    nat::{Action, Flags, Reason},
};

use crate::world::{World, in_both_families};

const PUSH: Flags = Flags(0x18);
const ETHERNET: usize = 14;

#[test]
fn ip_options_are_kept() {
    let world = World::new(Family::V4);
    world.establish();
    for words in 1..=10 {
        let mut packet = world.client_data(PUSH, 0, "routed");
        packet.envelope.ip_options = vec![1; words * 4];
        let sent = world.send(&packet).expect(Reason::Forwarded).packet();
        assert_eq!((sent.envelope.ip_options, sent.payload), (packet.envelope.ip_options, packet.payload));
    }
}

#[test]
fn tcp_options_of_every_length_are_kept() {
    in_both_families(|world| {
        world.establish();
        for words in 0..=10 {
            let options: Vec<u8> = (0..words * 4).map(|byte| byte as u8 | 1).collect();
            let packet = world.backend_data(PUSH, 0, "options").options(&options);
            let sent = world.send(&packet).expect(Reason::Forwarded).packet();
            assert_eq!((sent.tcp.options.as_slice(), sent.payload.as_slice()), (options.as_slice(), &b"options"[..]));
        }
    });
}

#[test]
fn urgent_and_ecn_bits_are_kept() {
    in_both_families(|world| {
        world.establish();
        let mut packet = world.client_data(Flags(0xf8), 0, "!");
        packet.tcp.urgent_pointer = 1;
        let sent = world.send(&packet).expect(Reason::Forwarded).packet();
        assert!(sent.tcp.urg && sent.tcp.ece && sent.tcp.cwr && sent.tcp.psh);
        assert_eq!(sent.tcp.urgent_pointer, 1);
    });
}

#[test]
fn payload_of_every_length_is_kept() {
    in_both_families(|world| {
        world.establish();
        for len in (0..20).chain([99, 536, 1399, 1400]) {
            let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let packet = world.client_data(PUSH, 0, "").payload(payload.clone());
            assert_eq!(world.send(&packet).expect(Reason::Forwarded).packet().payload, payload);
        }
    });
}

#[test]
fn wrong_checksum_is_forwarded_as_wrong() {
    in_both_families(|world| {
        world.establish();
        let mut frame = world.client_data(PUSH, 0, "broken").build();
        *frame.last_mut().unwrap() ^= 1;
        let outcome = world.arrive::<Wire>(&frame).expect(Reason::Forwarded);
        assert!(Packet::read(&outcome.bytes).unwrap_err().contains("TCP checksum"));
    });
}

#[test]
fn frame_cut_at_any_byte_is_passed() {
    in_both_families(|world| {
        world.establish();
        let whole = world.client_data(PUSH, 0, "cut me").options(&[1; 12]);
        let mut tagged = whole.clone();
        tagged.envelope.vlans = vec![1, 2];
        for frame in [whole.build(), tagged.build(), world.syn().build()] {
            for len in 0..frame.len() {
                let reason = world.arrive::<Stack>(&frame[..len]).verdict.reason;
                assert!(matches!(reason, Reason::NotIp | Reason::Malformed), "{len}: {reason:?}");
                world.arrive::<Wire>(&frame[..len]).expect(reason);
            }
        }
    });
}

#[test]
fn icmp_error_cut_at_any_byte_is_passed() {
    in_both_families(|world| {
        world.establish();
        let sent = world.send(&world.client_data(PUSH, 0, "about me")).packet();
        let error = Message::too_big(world.client.ip(), world.snat, 1400, sent.quote()).build();
        for len in 0..error.len() {
            let reason = world.arrive::<Stack>(&error[..len]).verdict.reason;
            assert!(matches!(reason, Reason::NotIp | Reason::Malformed), "{len}: {reason:?}");
        }
    });
}

#[test]
fn lengths_that_contradict_the_headers_are_passed() {
    let world = World::new(Family::V4);
    world.establish();
    let frame = world.client_data(PUSH, 0, "lies").build();
    let lie = |offset: usize, value: u8| {
        let mut frame = frame.clone();
        frame[offset] = value;
        world.arrive::<Stack>(&frame).verdict.reason
    };
    // IP version, header lengths below and above what there is, total lengths too small and too large.
    for value in [0x00, 0x35, 0x55, 0x40, 0x44, 0x4f, 0xff] {
        assert_eq!(lie(ETHERNET, value), Reason::Malformed, "{value:#x}");
    }
    for len in [0, 19, 20, 39, 45, 200] {
        assert_eq!(lie(ETHERNET + 3, len), Reason::Malformed, "{len}");
    }
    // TCP header length.
    for words in [0, 4, 7, 15] {
        assert_eq!(lie(ETHERNET + 20 + 12, words << 4), Reason::Malformed, "{words}");
    }
}

#[test]
fn jumbogram_is_passed() {
    let world = World::new(Family::V6);
    world.establish();
    let mut frame = world.client_data(PUSH, 0, "jumbo").build();
    frame[ETHERNET + 4..ETHERNET + 6].fill(0);
    world.arrive::<Stack>(&frame).expect(Reason::Malformed);
}

#[test]
fn first_fragment_of_a_flow_or_for_a_service_is_dropped() {
    in_both_families(|world| {
        world.arrive::<Wire>(&fragment(&world.syn(), 0)).expect(Reason::FragmentOfFlow);
        world.send(&world.syn()).expect(Reason::Opened);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        for piece in [world.client_data(PUSH, 0, "piece"), world.backend_data(PUSH, 0, "piece")] {
            world.arrive::<Wire>(&fragment(&piece, 0)).expect(Reason::FragmentOfFlow);
            world.arrive::<Stack>(&fragment(&piece, 0)).expect(Reason::FragmentOfFlow);
        }
    });
}

#[test]
fn first_fragment_as_tiny_as_can_be_is_dropped() {
    in_both_families(|world| {
        world.establish();
        let whole = fragment(&world.client_data(PUSH, 0, "piece"), 0);
        // Eight bytes of TCP: the flags are in the next one.
        let (headers, length) = if world.client.is_ipv4() { (14 + 20, 28_u16) } else { (14 + 40 + 8, 16) };
        let mut tiny = whole[..headers + 8].to_vec();
        let field = if world.client.is_ipv4() { 14 + 2 } else { 14 + 4 };
        tiny[field..field + 2].copy_from_slice(&length.to_be_bytes());
        world.arrive::<Stack>(&tiny).expect(Reason::FragmentOfFlow);
        // The one that overlaps it and would bring other flags (RFC 1858 section 4).
        world.arrive::<Stack>(&fragment(&world.client_data(PUSH, 0, "piece"), 1)).expect(Reason::Fragment);
    });
}

#[test]
fn other_fragments_are_passed() {
    in_both_families(|world| {
        world.establish();
        for offset in [1, 2, 0x1fff] {
            world.arrive::<Stack>(&fragment(&world.client_data(PUSH, 0, "piece"), offset)).expect(Reason::Fragment);
        }
        let mut elsewhere = world.client_segment(Flags::ACK);
        elsewhere.tcp.destination_port = 22;
        world.arrive::<Stack>(&fragment(&elsewhere, 0)).expect(Reason::Fragment);
        let mut datagram = fragment(&world.client_data(PUSH, 0, "piece"), 0);
        datagram[if world.client.is_ipv4() { 14 + 9 } else { 14 + 40 }] = ip_number::UDP.0;
        world.arrive::<Stack>(&datagram).expect(Reason::Fragment);
    });
}

#[test]
fn fragment_cut_at_any_byte_reaches_nobody() {
    in_both_families(|world| {
        world.establish();
        let whole = fragment(&world.client_data(PUSH, 0, "piece"), 0);
        for len in 0..whole.len() {
            let reason = world.arrive::<Stack>(&whole[..len]).verdict.reason;
            assert!(matches!(reason.action(), Action::Pass | Action::Drop), "{len}: {reason:?}");
        }
    });
}

#[test]
fn source_route_is_the_kernels_to_refuse() {
    let world = World::new(Family::V4);
    world.establish();
    for kind in [131, 137] {
        for before in 0..=8 {
            let mut options = vec![1; before];
            options.extend([kind, 11, 4, 192, 0, 2, 1, 192, 0, 2, 2]);
            options.resize(options.len().next_multiple_of(4), 0);
            for mut packet in [world.syn(), world.client_data(PUSH, 0, "routed"), world.backend_data(PUSH, 0, "back")] {
                packet.envelope.ip_options = options.clone();
                world.send(&packet).expect(Reason::SourceRoute);
                world.send_by_wire(&packet).expect(Reason::SourceRoute);
            }
        }
    }
}

#[test]
fn third_vlan_tag_is_none_of_the_gateways_business() {
    in_both_families(|world| {
        world.establish();
        for (vlans, reason) in [(2, Reason::Forwarded), (3, Reason::NotIp)] {
            let mut packet = world.client_data(PUSH, 0, "tagged");
            packet.envelope.vlans = vec![7; vlans];
            world.send_by_wire(&packet).expect(reason);
        }
    });
}

#[test]
fn extension_headers_are_passed() {
    let world = World::new(Family::V6);
    let envelope = Envelope::new(world.client.ip(), world.service.ip());
    for next_header in [0, 43, 50, 51, 60, 135, 139, 140] {
        world.arrive::<Stack>(&envelope.build(next_header.into(), &[0; 60])).expect(Reason::ExtensionHeader);
    }
}

#[test]
fn other_transports_are_passed() {
    in_both_families(|world| {
        let envelope = Envelope::new(world.client.ip(), world.service.ip());
        for protocol in [ip_number::UDP, ip_number::SCTP, ip_number::GRE, 255.into()] {
            world.arrive::<Stack>(&envelope.build(protocol, &[0; 60])).expect(Reason::NotTcp);
        }
    });
}

#[test]
fn mapped_addresses_in_ipv6_packets_are_no_ipv4_flow() {
    let world = World::new(Family::V4);
    world.establish();
    let mapped = |socket: SocketAddr| match socket {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 => v6,
    };
    let disguised =
        Packet::new(mapped(world.client), mapped(world.service)).flags(Flags::RST).seq(world.flow().next_seq);
    world.send(&disguised).expect(Reason::Malformed);
    let syn = Packet::syn("[2001:db8::1]:1".parse().unwrap(), mapped(world.service), 1);
    world.send(&syn).expect(Reason::Malformed);
}
