//! SYNs with sources drawn at random and with right checksums, made in place.

use std::net::SocketAddr;

use crate::packets::{Segment, segment::Mac};

const ETHERNET: usize = 14;
/// Offsets within the network header and the TCP header.
const V4_SOURCE: usize = 12;
const V4_CHECKSUM: usize = 10;
const V6_SOURCE: usize = 8;
const TCP_SEQUENCE: usize = 4;
const TCP_CHECKSUM: usize = 16;

/// 11.0.0.0 to 99.255.255.255, which no lab has anything of.
const V4_FIRST: u32 = 11 << 24;
const V4_LAST: u32 = (100 << 24) - 1;
/// 2a00::/12, likewise.
const V6_PREFIX: u128 = 0x2a0 << 116;
const V6_PREFIX_BITS: u32 = 12;

/// A SYN for one address, whose source is yet to be drawn.
#[derive(Clone, Debug)]
pub(super) struct Syn {
    frame: Vec<u8>,
    is_v4: bool,
    /// Ones' complement sums of what does not change.
    ip_sum: u32,
    tcp_sum: u32,
}

impl Syn {
    pub(super) fn new(to: SocketAddr, from: Mac, through: Mac) -> Self {
        let unspecified = match to {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let mut syn = Segment::new(unspecified.parse().expect("an address"), to);
        syn.tcp.syn = true;
        // A maximum segment size of 1460 (RFC 9293 section 3.7.1).
        syn.tcp.set_options_raw(&[2, 4, 5, 0xb4]).expect("one word of options");
        let mut frame = syn.frame(from, through);
        let is_v4 = to.is_ipv4();
        let tcp = tcp_offset(is_v4);
        // The checksums over zeros where the source will be: their complements are the sums of all else.
        let ip_sum = if is_v4 { u32::from(!take(&mut frame, ETHERNET + V4_CHECKSUM)) } else { 0 };
        let tcp_sum = u32::from(!take(&mut frame, tcp + TCP_CHECKSUM));
        Self { frame, is_v4, ip_sum, tcp_sum }
    }

    /// Writes the SYN with a source of its own.
    fn write(&self, random: &mut fastrand::Rng, to: &mut Vec<u8>) {
        to.clear();
        to.extend_from_slice(&self.frame);
        let (port, sequence) = (random.u16(1024..), random.u32(..));
        let tcp = tcp_offset(self.is_v4);
        to[tcp..tcp + 2].copy_from_slice(&port.to_be_bytes());
        to[tcp + TCP_SEQUENCE..][..4].copy_from_slice(&sequence.to_be_bytes());
        let address_sum = if self.is_v4 {
            let source = random.u32(V4_FIRST..=V4_LAST);
            to[ETHERNET + V4_SOURCE..][..4].copy_from_slice(&source.to_be_bytes());
            put(to, ETHERNET + V4_CHECKSUM, self.ip_sum + words(source.into()));
            words(source.into())
        } else {
            let source = V6_PREFIX | random.u128(..) >> V6_PREFIX_BITS;
            to[ETHERNET + V6_SOURCE..][..16].copy_from_slice(&source.to_be_bytes());
            words(source)
        };
        put(to, tcp + TCP_CHECKSUM, self.tcp_sum + address_sum + u32::from(port) + words(sequence.into()));
    }
}

/// Batches of SYNs that take turns.
#[derive(Debug)]
pub(super) struct Frames {
    syns: Vec<Syn>,
    frames: Vec<Vec<u8>>,
    random: fastrand::Rng,
}

impl Frames {
    pub(super) fn new(syns: Vec<Syn>, batch: usize, random: fastrand::Rng) -> Self {
        Self { syns, frames: vec![Vec::new(); batch], random }
    }

    pub(super) fn next(&mut self) -> &[Vec<u8>] {
        for (frame, syn) in self.frames.iter_mut().zip(self.syns.iter().cycle()) {
            syn.write(&mut self.random, frame);
        }
        &self.frames
    }
}

fn tcp_offset(is_v4: bool) -> usize {
    ETHERNET + if is_v4 { 20 } else { 40 }
}

/// Takes a checksum out of a frame.
fn take(frame: &mut [u8], at: usize) -> u16 {
    let checksum = u16::from_be_bytes([frame[at], frame[at + 1]]);
    frame[at..at + 2].fill(0);
    checksum
}

/// The sum of a number's 16-bit words.
fn words(number: u128) -> u32 {
    (0..8).map(|word| (number >> (16 * word)) as u32 & 0xffff).sum()
}

/// Writes the checksum of data with this sum (RFC 1071).
fn put(frame: &mut [u8], at: usize, sum: u32) {
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    frame[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::IpAddr};

    use super::*;
    use crate::packets::checksums;

    fn is_stranger(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => (V4_FIRST..=V4_LAST).contains(&address.to_bits()),
            IpAddr::V6(address) => address.to_bits() >> (128 - V6_PREFIX_BITS) == V6_PREFIX >> (128 - V6_PREFIX_BITS),
        }
    }

    #[test]
    fn frames_are_syns_of_strangers_with_right_checksums() {
        let targets = ["203.0.113.10:20000", "[2001:db8:1::10]:20000"].map(|to| to.parse::<SocketAddr>().unwrap());
        let syns = targets.iter().map(|to| Syn::new(*to, [2; 6], [4; 6])).collect();
        let mut frames = Frames::new(syns, 64, fastrand::Rng::with_seed(1));
        let mut sources = HashSet::new();
        for _ in 0..50 {
            for (number, frame) in frames.next().iter().enumerate() {
                checksums::verify(frame).unwrap_or_else(|problem| panic!("{problem}: {frame:02x?}"));
                let syn = Segment::from_frame(frame).unwrap();
                assert!(syn.tcp.syn && !syn.tcp.ack && syn.destination() == targets[number % 2], "{syn:?}");
                assert!(is_stranger(syn.source().ip()), "{syn:?}");
                sources.insert(syn.source());
            }
        }
        assert!(sources.len() > 50 * 64 - 5, "{} sources", sources.len());
    }
}
