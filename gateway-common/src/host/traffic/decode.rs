//! Steps from random bytes. Every eight bytes are a step, so that a small change of the bytes is a small change of
//! what happens.

use super::{Oddity, Shape, Step};
use crate::{abi::Answer, nat::Flags};

const ACK: Flags = Flags::ACK;

/// Flags by frequency.
const FLAGS: [Flags; 15] = [
    Flags::SYN,
    Flags::SYN,
    Flags::SYN,
    Flags::SYN.with(ACK),
    Flags::SYN.with(ACK),
    Flags::SYN.with(ACK),
    ACK,
    ACK,
    ACK,
    ACK,
    ACK.with(Flags::FIN),
    ACK.with(Flags::FIN),
    Flags::RST,
    ACK.with(Flags::RST),
    Flags::SYN.with(Flags::FIN),
];

impl Step {
    /// The steps that `bytes` stand for.
    pub fn decode(mut bytes: &[u8]) -> Vec<Self> {
        let mut steps = Vec::new();
        while let Some((head, mut rest)) = bytes.split_first_chunk::<8>() {
            steps.push(Self::from_bytes(*head, &mut rest));
            bytes = rest;
        }
        steps
    }

    /// The step of eight bytes; one with a content of its own takes it from `rest`.
    fn from_bytes([kind, which, a, b, c, d, e, f]: [u8; 8], rest: &mut &[u8]) -> Self {
        let shape = Shape::from_bytes([a, b, c, d, e, f]);
        match kind % 32 {
            0..=4 => Self::Connect { client: which, service: a, wire: b % 2 == 0 },
            5 => {
                let oddity = Oddity::ALL[usize::from(b) % Oddity::ALL.len()];
                Self::Odd { client: which, service: a, oddity, wire: c % 2 == 0 }
            }
            6 => Self::Close { flow: which, wire: b % 2 == 0 },
            7..=13 => Self::Client { client: which, service: kind / 32, shape },
            14..=22 => Self::Backend { flow: which, shape },
            23..=24 => {
                let mtu = if a % 8 < 6 { 1280 } else { 575 };
                Self::Icmp { flow: which, whole: a % 2 == 0, mtu, shape }
            }
            25 => Self::Wait { ticks: 1 << (which % 16) },
            26 => {
                Self::Cut { service: which, backend: a, answer: if b % 2 == 0 { Answer::Reset } else { Answer::Drop } }
            }
            27 => Self::Reroute { mtu: [1500, 1500, 1400, 80][usize::from(which) % 4] },
            28 => Self::Backends { service: which, backend: (a % 4 != 0).then_some(a) },
            29 => Self::Forget { flow: which },
            30 => {
                // Small ones, and often none.
                let limits = [a, b, c, d].map(|limit| if limit % 2 == 0 { 0 } else { limit % 8 / 2 + 1 });
                let answer = if e % 2 == 0 { Answer::Reset } else { Answer::Drop };
                Self::Limit { service: which, limits, port_share: if f % 4 == 0 { 25 } else { 0 }, answer }
            }
            _ => {
                let (bytes, left) = rest.split_at(rest.len().min(which.into()));
                *rest = left;
                Self::Raw { bytes: bytes.to_vec(), wire: a % 2 == 0 }
            }
        }
    }
}

impl Shape {
    fn from_bytes([flags, numbers, payload, life, position, change]: [u8; 6]) -> Self {
        let offset = |choice: u8| [0, 0, 0, 0, 0, 1, -1, 70_000][usize::from(choice) % 8];
        Self {
            flags: FLAGS.get(usize::from(flags) % 16).copied().unwrap_or(Flags(flags)),
            seq: offset(numbers),
            ack: offset(numbers / 8),
            payload: if payload % 2 == 0 { 0 } else { payload },
            hop_limit: if life % 16 == 0 { 1 } else { 64 },
            damage: (life / 16 == 0).then_some((position, change)),
            wire: life % 2 == 1,
        }
    }
}
