//! The packet as the core sees it: bytes behind one bounds check, and what only its hook can do.

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
};

use super::{Reason, checksum::Delta, tcp::TcpHeader};
use crate::abi::{Hop, Tuple};

/// A header that can lie anywhere in a packet.
///
/// # Safety
///
/// The type has alignment 1, no padding, and every bit pattern is a valid value.
pub unsafe trait Header: Copy {}

// SAFETY: `repr(C)` structures of bytes and byte arrays.
unsafe impl Header for Ethernet {}
// SAFETY: as above.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: as above.
unsafe impl Header for Ipv6Hdr {}
// SAFETY: as above.
unsafe impl Header for Icmpv4Hdr {}
// SAFETY: as above.
unsafe impl Header for TcpHeader {}
// SAFETY: a byte.
unsafe impl Header for u8 {}
// SAFETY: an array has its elements' alignment and no padding between them.
unsafe impl<T: Header, const N: usize> Header for [T; N] {}

const _: () = assert!(
    align_of::<Ipv4Hdr>() == 1
        && align_of::<Ipv6Hdr>() == 1
        && align_of::<Icmpv4Hdr>() == 1
        && align_of::<TcpHeader>() == 1
);

/// Ethernet addresses and type, all in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ethernet {
    pub dst: [u8; 6],
    pub src: [u8; 6],
    pub ether_type: [u8; 2],
}

impl Ethernet {
    pub const LEN: usize = 14;
    pub const VLAN_LEN: usize = 4;
    pub const IPV4: [u8; 2] = [0x08, 0x00];
    pub const IPV6: [u8; 2] = [0x86, 0xdd];
    pub const VLAN: [u8; 2] = [0x81, 0x00];
    pub const SERVICE_VLAN: [u8; 2] = [0x88, 0xa8];
}

/// A packet in its hook, starting at the Ethernet header.
pub trait Frame {
    /// Whether this hook hands packets to the kernel's stack for delivery, and so reaches local containers.
    const REACHES_LOCAL: bool;

    /// The header at `offset`, after the one bounds check that guards every access; `Malformed` beyond the end.
    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason>;

    /// Size in bytes of the largest IP packet this frame becomes on the wire: `packet_len`, or for a
    /// super-frame the size of one of its segments, whose IP and TCP headers are `headers` bytes.
    fn wire_len(&self, packet_len: u32, headers: u32) -> u32;

    /// Looks up where a packet with `tuple` is to be sent.
    fn route(&mut self, tuple: &Tuple) -> Result<Hop, Reason>;

    /// Applies `delta` to the IPv4 header checksum at `offset`.
    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason>;

    /// Applies changes to the TCP or ICMPv6 checksum at `offset`: of the pseudo-header, and of what else it covers.
    /// They are told apart because an unfinished checksum (`CHECKSUM_PARTIAL`) covers only the former so far.
    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason>;

    /// Gives the frame the next hop's Ethernet header and VLAN tag; `l2_len` is the length of the present one.
    /// Offsets taken before are void afterwards.
    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, ether_type: [u8; 2]) -> Result<(), Reason>;

    /// Whether the frame is at least `len` bytes long, Ethernet header included.
    fn holds(&self, len: usize) -> bool;

    /// Makes the frame `len` bytes long, Ethernet header included, to be written anew from the IP header on: what
    /// stands there afterwards is undefined, and no unfinished checksum or segmentation remains to be done.
    fn renew(&mut self, len: usize) -> Result<(), Reason>;
}
