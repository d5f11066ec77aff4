//! Segments that no ordinary socket sends, compared byte by byte behind the gateway: only addresses, ports, time
//! to live and checksums may differ.

use std::{net::SocketAddr, time::Duration};

use etherparse::{SlicedPacket, TransportSlice};
use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, Topology, eventually,
    packets::{RawHost, Segment, checksums, segment::IpHeader},
    scenario::{BACKEND_PORT, PORT, cases, config, service},
};

const CLIENT_PORT: u16 = 4_000;
const CLIENT_SEQUENCE: u32 = 1_000_000;
const SERVER_SEQUENCE: u32 = 4_294_967_000;

/// The two ends of a connection through the gateway, both spoken by the test.
struct Conversation {
    client: RawHost,
    server: RawHost,
    client_at: SocketAddr,
    service: SocketAddr,
    /// What the backend sees as its peer.
    snat: SocketAddr,
    backend: SocketAddr,
}

impl Conversation {
    /// Makes the handshake.
    #[track_caller]
    fn open(lab: &Lab, family: Family) -> Self {
        let mut conversation = Self {
            client: RawHost::new(&lab.client, (&lab.front, "eth0")),
            server: RawHost::new(&lab.backends[0], (&lab.front, "eth1")),
            client_at: lab.client.at(family, CLIENT_PORT),
            service: lab.front.at(family, PORT),
            snat: SocketAddr::new(lab.front.snat(family), 0),
            backend: lab.backends[0].at(family, BACKEND_PORT),
        };
        let mut syn = conversation.question();
        (syn.tcp.syn, syn.tcp.ack, syn.tcp.sequence_number) = (true, false, CLIENT_SEQUENCE - 1);
        conversation.client.send(&syn);
        let (arrived, _) = conversation.server.receive();
        conversation.snat = arrived.source();
        let mut answer = conversation.answer();
        (answer.tcp.syn, answer.tcp.sequence_number) = (true, SERVER_SEQUENCE - 1);
        conversation.answers(&answer);
        let acknowledgment = conversation.question();
        conversation.asks(&acknowledgment);
        conversation
    }

    /// An empty segment of the client.
    fn question(&self) -> Segment {
        let mut segment = Segment::new(self.client_at, self.service);
        segment.tcp.ack = true;
        (segment.tcp.sequence_number, segment.tcp.acknowledgment_number) = (CLIENT_SEQUENCE, SERVER_SEQUENCE);
        segment
    }

    /// An empty segment of the backend.
    fn answer(&self) -> Segment {
        let mut segment = Segment::new(self.backend, self.snat);
        segment.tcp.ack = true;
        (segment.tcp.sequence_number, segment.tcp.acknowledgment_number) = (SERVER_SEQUENCE, CLIENT_SEQUENCE);
        segment
    }

    /// Sends a segment of the client and expects it, translated, at the backend.
    #[track_caller]
    fn asks(&mut self, segment: &Segment) {
        self.client.send(segment);
        self.expect_at_server(segment);
    }

    #[track_caller]
    fn expect_at_server(&mut self, segment: &Segment) {
        let (arrived, packet) = self.server.receive();
        assert_eq!(packet, segment.translated(self.snat, self.backend).packet(), "{arrived:?} for {segment:?}");
    }

    /// Sends a segment of the backend and expects it, translated, at the client.
    #[track_caller]
    fn answers(&mut self, segment: &Segment) {
        self.server.send(segment);
        let (arrived, packet) = self.client.receive();
        assert_eq!(packet, segment.translated(self.service, self.client_at).packet(), "{arrived:?} for {segment:?}");
    }

    /// Sends the segment that `change` makes in each direction.
    #[track_caller]
    fn both_ways(&mut self, change: impl Fn(&mut Segment)) {
        let [mut question, mut answer] = [self.question(), self.answer()];
        change(&mut question);
        change(&mut answer);
        self.asks(&question);
        self.answers(&answer);
    }
}

/// Runs `scenario` on a fresh conversation in every mode and family.
#[track_caller]
fn each_conversation(scenario: impl Fn(&mut Conversation, Family)) {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            println!("{mode:?} {family:?}");
            scenario(&mut Conversation::open(&lab, family), family);
        }
    }
}

#[test]
fn tcp_options_of_every_length_are_untouched() {
    each_conversation(|conversation, _| {
        for length in (0..=40).step_by(4) {
            conversation.both_ways(|segment| {
                // Timestamps and SACK where they fit, NOPs around them.
                let mut options = vec![1; length];
                if length >= 12 {
                    options[2..12].copy_from_slice(&[8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
                }
                if length >= 24 {
                    options[14..24].copy_from_slice(&[5, 10, 0, 0, 1, 0, 0, 0, 2, 0]);
                }
                segment.tcp.set_options_raw(&options).unwrap();
                segment.payload = vec![length as u8; 11];
            });
        }
    });
}

#[test]
fn payloads_from_nothing_to_a_full_frame_arrive() {
    each_conversation(|conversation, family| {
        let full = match family {
            Family::V4 => 1_460,
            Family::V6 => 1_440,
        };
        for length in [0, 1, 2, 3, 5, 6, 7, 8, 63, 64, 65, 535, 536, full - 1, full] {
            conversation.both_ways(|segment| segment.payload = (0..length).map(|byte| byte as u8).collect());
        }
    });
}

#[test]
fn padding_behind_a_short_segment_is_not_payload() {
    each_conversation(|conversation, _| {
        for (payload, padding) in [(0, 6), (1, 5), (5, 1), (3, 40)] {
            let mut segment = conversation.question();
            segment.payload = vec![7; payload];
            conversation.client.send_padded(&segment, padding);
            conversation.expect_at_server(&segment);
        }
    });
}

#[test]
fn urgent_and_congestion_bits_are_untouched() {
    each_conversation(|conversation, _| {
        conversation.both_ways(|segment| {
            (segment.tcp.urg, segment.tcp.urgent_pointer) = (true, 3);
            segment.payload = b"urgent".to_vec();
        });
        conversation.both_ways(|segment| (segment.tcp.ece, segment.tcp.cwr, segment.tcp.ns) = (true, true, true));
        conversation.both_ways(|segment| match &mut segment.ip {
            IpHeader::V4(ip) => {
                (ip.dscp, ip.ecn) = (46.try_into().unwrap(), 3.try_into().unwrap());
                ip.identification = 0xbeef;
            }
            IpHeader::V6(ip) => {
                ip.traffic_class = 46 << 2 | 3;
                ip.flow_label = 0xa_bcde.try_into().unwrap();
            }
        });
    });
}

#[test]
fn ip_options_are_untouched() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        let mut conversation = Conversation::open(&lab, Family::V4);
        for length in (4..=40).step_by(4) {
            println!("{mode:?}: {length} bytes of options");
            conversation.both_ways(|segment| {
                let IpHeader::V4(ip) = &mut segment.ip else { unreachable!("the conversation is IPv4") };
                ip.options = vec![1; length].as_slice().try_into().unwrap();
                segment.payload = b"behind options".to_vec();
            });
        }
    }
}

#[test]
fn a_reset_outside_the_window_kills_no_flow() {
    each_conversation(|conversation, _| {
        let mut reset = conversation.question();
        (reset.tcp.rst, reset.tcp.sequence_number) = (true, CLIENT_SEQUENCE.wrapping_add(1 << 30));
        conversation.client.send(&reset);
        let payload = |segment: &mut Segment| segment.payload = b"still here".to_vec();
        let mut question = conversation.question();
        payload(&mut question);
        conversation.client.send(&question);
        // The gateway may forward the reset for the backend to judge.
        let expected = question.translated(conversation.snat, conversation.backend).packet();
        let arrived = [(); 2].iter().map(|()| conversation.server.receive().1).find(|packet| *packet == expected);
        assert!(arrived.is_some(), "the segment after the reset does not arrive");
        conversation.both_ways(payload);
    });
}

#[test]
fn a_repeated_syn_keeps_its_translation() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let client = RawHost::new(&lab.client, (&lab.front, "eth0"));
            let mut server = RawHost::new(&lab.backends[0], (&lab.front, "eth1"));
            let mut syn = Segment::new(lab.client.at(family, CLIENT_PORT), lab.front.at(family, PORT));
            syn.tcp.syn = true;
            client.send(&syn);
            let (first, _) = server.receive();
            client.send(&syn);
            assert_eq!(server.receive().0, first, "{mode:?} {family:?}");
        }
    }
}

#[test]
fn the_end_of_the_time_to_live_is_answered() {
    each_conversation(|conversation, _| {
        let mut segment = conversation.question();
        segment.payload = b"too far".to_vec();
        *segment.ttl() = 1;
        conversation.client.send(&segment);
        let frame = conversation.client.receive_frame(|frame| time_exceeded(frame).is_some());
        checksums::verify(&frame).unwrap();
        let quoted = time_exceeded(&frame).unwrap();
        // Addresses and ports: the quoted packet is the client's own, before translation.
        let sent = segment.packet();
        let ports = if matches!(segment.ip, IpHeader::V4(_)) { 12..24 } else { 8..44 };
        assert_eq!(quoted[ports.clone()], sent[ports], "the error quotes another packet");
        conversation.server.receive_nothing();
    });
}

/// What an ICMP time exceeded message quotes.
fn time_exceeded(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    match packet.transport? {
        TransportSlice::Icmpv4(icmp) if icmp.type_u8() == 11 => Some(icmp.payload().to_vec()),
        TransportSlice::Icmpv6(icmp) if icmp.type_u8() == 3 => Some(icmp.payload().to_vec()),
        _ => None,
    }
}

#[test]
fn a_segment_of_no_flow_is_dropped_or_reset_as_configured() {
    for (mode, family) in cases() {
        for answer in ["drop", "reset"] {
            let case = format!("{mode:?} {family:?} {answer}");
            let lab = Topology::two_arm(1).build();
            let service = service(&lab, family).with(&format!("unknown_flow = {answer:?}"));
            let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode).service(service));
            let mut client = RawHost::new(&lab.client, (&lab.front, "eth0"));
            let mut server = RawHost::new(&lab.backends[0], (&lab.front, "eth1"));
            let mut segment = Segment::new(lab.client.at(family, CLIENT_PORT), lab.front.at(family, PORT));
            (segment.tcp.ack, segment.tcp.sequence_number, segment.tcp.acknowledgment_number) = (true, 100, 7_000);
            segment.payload = vec![1; 3];
            client.send_padded(&segment, 3);
            if answer == "reset" {
                let (reset, _) = client.receive();
                // RFC 9293 section 3.10.7.1: a reset takes its sequence number from the acknowledgment.
                assert!(reset.tcp.rst && reset.source() == lab.front.at(family, PORT), "{case}: {reset:?}");
                assert_eq!(reset.tcp.sequence_number, 7_000, "{case}");
            } else {
                client.receive_nothing();
            }
            server.receive_nothing();
        }
    }
}

#[test]
fn a_service_without_backends_resets_with_the_right_numbers() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(0).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let mut client = RawHost::new(&lab.client, (&lab.front, "eth0"));
            let mut syn = Segment::new(lab.client.at(family, CLIENT_PORT), lab.front.at(family, PORT));
            (syn.tcp.syn, syn.tcp.sequence_number) = (true, u32::MAX);
            client.send_padded(&syn, 6);
            let (reset, _) = client.receive();
            // RFC 9293 section 3.10.7.1: without an acknowledgment the reset has sequence number 0 and acknowledges.
            assert!(reset.tcp.rst && reset.tcp.ack, "{mode:?} {family:?}: {reset:?}");
            assert_eq!((reset.tcp.sequence_number, reset.tcp.acknowledgment_number), (0, 0), "{mode:?} {family:?}");
        }
    }
}

#[test]
fn a_syn_from_another_address_of_the_front_server_hears_no_answer() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        lab.front.ip(&["addr add 203.0.113.77/32 dev lo", "addr add 2001:db8::77/128 dev lo"]);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        for (answers, (family, own)) in (1..).zip([(Family::V4, "203.0.113.77"), (Family::V6, "2001:db8::77")]) {
            let mut client = RawHost::new(&lab.client, (&lab.front, "eth0"));
            let mut server = RawHost::new(&lab.backends[0], (&lab.front, "eth1"));
            let own = SocketAddr::new(own.parse().unwrap(), CLIENT_PORT);
            let mut syn = Segment::new(own, lab.front.at(family, PORT));
            (syn.tcp.syn, syn.tcp.sequence_number) = (true, CLIENT_SEQUENCE - 1);
            client.send(&syn);
            let (arrived, _) = server.receive();
            let mut answer = Segment::new(arrived.destination(), arrived.source());
            (answer.tcp.syn, answer.tcp.ack) = (true, true);
            (answer.tcp.sequence_number, answer.tcp.acknowledgment_number) = (SERVER_SEQUENCE, CLIENT_SEQUENCE);
            server.send(&answer);
            eventually(Duration::from_secs(5), || match gateway.packets("not_forwarded") {
                count if count == answers => Ok(()),
                count => Err(format!("{mode:?} {family:?}: {count}")),
            });
            client.receive_nothing();
        }
    }
}
