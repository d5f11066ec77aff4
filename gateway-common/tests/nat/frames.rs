//! Frames of every shape: options, fragments, extension headers, lengths that lie.

use std::net::SocketAddr;

use etherparse::ip_number;
use gateway_common::{
    abi::Family,
    host::{Envelope, Message, Packet, Stack, Wire},
    nat::{Flags, Reason},
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
fn fragments_are_passed() {
    let world = World::new(Family::V4);
    world.establish();
    for field in [[0x20, 0], [0, 1], [0x3f, 0xff], [0x1f, 0xff]] {
        let mut frame = world.client_data(PUSH, 0, "piece").build();
        frame[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&field);
        world.arrive::<Stack>(&frame).expect(Reason::Fragment);
    }
    let world = World::new(Family::V6);
    let envelope = Envelope::new(world.client.ip(), world.service.ip());
    world.arrive::<Stack>(&envelope.build(ip_number::IPV6_FRAGMENTATION_HEADER, &[0; 60])).expect(Reason::Fragment);
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
