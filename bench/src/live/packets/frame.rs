//! The frames of a flow's client, as the generator's program is told them.

use std::net::SocketAddr;

use gateway_tests::packets::{Segment, segment::Mac};

#[path = "../../../../bench-ebpf/src/frames.rs"]
#[expect(dead_code, reason = "parts of it are for the packet programs")]
mod shared;

use shared::SERVER_SEQUENCE;
pub use shared::{FRAME_LEN, Frames};

const CLIENT_SEQUENCE: u32 = 1_000;
const PAYLOAD: &[u8] = b"ABCDEF";
const IP: usize = 14;
const TCP: usize = IP + 20;
const IP_CHECKSUM: usize = IP + 10;
const TCP_CHECKSUM: usize = TCP + 16;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Syn,
    /// Ends the handshake.
    Ack,
    Data,
}

/// Which flows.
#[derive(Clone, Copy, Debug)]
pub enum Flows {
    /// Each once, from this number on.
    InTurn(u32),
    /// Drawn from so many.
    Random { flows: u32, seed: u64 },
}

/// What all frames of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub from: Mac,
    pub through: Mac,
    pub to: SocketAddr,
    /// Index of the interface to send by.
    pub device: u32,
}

impl Ends {
    /// What the program is told.
    pub fn frames(&self, kind: Kind, flows: Flows) -> Frames {
        let frame = self.template(kind);
        let tcp_len = TCP_HEADER + if kind == Kind::Data { PAYLOAD.len() } else { 0 };
        let (flows, next, state) = match flows {
            Flows::InTurn(next) => (0, next, 0),
            Flows::Random { flows, seed } => (flows, 0, seed),
        };
        let mut template = [0; 7];
        for (word, bytes) in template.iter_mut().zip(frame.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        }
        // Of the pseudo header, the destination stands in the IP header; the source is not set yet.
        let pseudo = sum(&frame[IP + 16..TCP]) + u32::from(IPPROTO_TCP) + tcp_len as u32;
        Frames {
            state,
            template,
            template_end: u32::from_ne_bytes(frame[56..].try_into().expect("four bytes")),
            flows,
            next,
            device: self.device,
            ip_sum: sum(&frame[IP..TCP]),
            tcp_sum: sum(&frame[TCP..TCP + tcp_len]) + pseudo,
        }
    }

    /// A frame without source address, source port and checksums.
    pub fn template(&self, kind: Kind) -> [u8; FRAME_LEN] {
        let mut segment = Segment::new(SocketAddr::from(([0, 0, 0, 0], 0)), self.to);
        let tcp = &mut segment.tcp;
        (tcp.syn, tcp.ack, tcp.psh) = (kind == Kind::Syn, kind != Kind::Syn, kind == Kind::Data);
        tcp.sequence_number = CLIENT_SEQUENCE;
        if kind != Kind::Syn {
            tcp.sequence_number += 1;
            tcp.acknowledgment_number = SERVER_SEQUENCE + 1;
        }
        if kind == Kind::Data {
            segment.payload = PAYLOAD.to_vec();
        }
        // Ethernet pads what is shorter.
        let mut frame = [0; FRAME_LEN];
        let bytes = segment.frame(self.from, self.through);
        frame[..bytes.len()].copy_from_slice(&bytes);
        for checksum in [IP_CHECKSUM, TCP_CHECKSUM] {
            frame[checksum..checksum + 2].fill(0);
        }
        frame
    }
}

const TCP_HEADER: usize = 20;
const IPPROTO_TCP: u8 = 6;

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

#[cfg(test)]
mod tests {
    use gateway_tests::packets::checksums;

    use super::{
        shared::{checksum, source},
        *,
    };

    /// What the program does with the template.
    fn finished(ends: &Ends, kind: Kind, flow: u32) -> [u8; FRAME_LEN] {
        let mut frame = ends.template(kind);
        let frames = ends.frames(kind, Flows::InTurn(flow));
        let (address, port) = source(flow);
        let words = (address >> 16) + (address & 0xffff);
        frame[IP + 12..IP + 16].copy_from_slice(&address.to_be_bytes());
        frame[TCP..TCP + 2].copy_from_slice(&port.to_be_bytes());
        frame[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&checksum(frames.ip_sum + words).to_be_bytes());
        let tcp = checksum(frames.tcp_sum + words + u32::from(port));
        frame[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&tcp.to_be_bytes());
        frame
    }

    #[test]
    fn frames_of_every_flow_have_right_checksums() {
        let to = "203.0.113.10:20004".parse().expect("an address");
        let ends = Ends { from: [2; 6], through: [4; 6], to, device: 1 };
        for kind in [Kind::Syn, Kind::Ack, Kind::Data] {
            for flow in [0, 1, 32_767, 32_768, 999_999] {
                checksums::verify(&finished(&ends, kind, flow)).unwrap_or_else(|e| panic!("{kind:?} {flow}: {e}"));
            }
        }
    }

    #[test]
    fn the_template_is_the_frame() {
        let to = "10.0.0.11:8400".parse().expect("an address");
        let ends = Ends { from: [2; 6], through: [4; 6], to, device: 1 };
        let frames = ends.frames(Kind::Data, Flows::Random { flows: 10, seed: 1 });
        let bytes = frames.template.iter().flat_map(|word| word.to_ne_bytes()).chain(frames.template_end.to_ne_bytes());
        assert_eq!(bytes.collect::<Vec<u8>>(), ends.template(Kind::Data));
    }
}
