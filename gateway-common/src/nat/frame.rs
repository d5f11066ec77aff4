//! The packet as the core sees it: bytes behind one bounds check, and what only its hook can do.

use super::{
    Reason,
    checksum::Delta,
    headers::{Bytes2, Header},
};
use crate::abi::{Hop, Tuple};

/// A packet in its hook, starting at the Ethernet header, which lies two bytes before a multiple of four: so all
/// headers after it are aligned to four bytes (the kernel's `NET_IP_ALIGN`).
pub trait Frame {
    /// Whether this hook hands packets to the kernel's stack for delivery, and so reaches local containers.
    const REACHES_LOCAL: bool;

    /// The header at `offset`, after the one bounds check that guards every access; `Malformed` beyond the end.
    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason>;

    /// Size in bytes of the largest IP packet this frame becomes on the wire: `packet_len`, or for a
    /// super-frame the size of one of its segments, whose IP and TCP headers are `headers` bytes.
    fn wire_len(&self, packet_len: u32, headers: u32) -> u32;

    /// Looks up where a packet with `tuple` is to be sent, and leaves it in `hop`.
    fn route(&mut self, tuple: &Tuple, hop: &mut Hop) -> Result<(), Reason>;

    /// Applies `delta` to the IPv4 header checksum at `offset`.
    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason>;

    /// Applies changes to the TCP or ICMPv6 checksum at `offset`: of the pseudo-header, and of what else it covers.
    /// They are told apart because an unfinished checksum (`CHECKSUM_PARTIAL`) covers only the former so far.
    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason>;

    /// Gives the frame the next hop's Ethernet header and VLAN tag; `l2_len` is the length of the present one.
    /// Offsets taken before are void afterwards.
    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, ether_type: Bytes2) -> Result<(), Reason>;

    /// Whether the frame is at least `len` bytes long, Ethernet header included.
    fn holds(&self, len: usize) -> bool;

    /// Makes the frame `len` bytes long, Ethernet header included, to be written anew from the IP header on: what
    /// stands there afterwards is undefined, and no unfinished checksum or segmentation remains to be done. Changes
    /// nothing where it fails; `HandedToTc` if the other hook can do it.
    fn renew(&mut self, len: usize) -> Result<(), Reason>;
}
