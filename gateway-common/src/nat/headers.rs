//! Protocol headers as they lie in a packet, all fields in network order.
//!
//! Fields of two and more bytes know their alignment, so that they are moved as words: split into bytes, they would
//! overflow the stack of a BPF program and multiply the verifier's work. A frame guarantees the alignment, see
//! [`super::Frame`].
#![expect(unsafe_code, reason = "the promise that a type is a header for any bytes")]

use network_types::eth::EtherType;

use super::tcp::Flags;

/// Two bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(2))]
pub struct Bytes2(pub [u8; 2]);

/// Four bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4))]
pub struct Bytes4(pub [u8; 4]);

/// An IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4))]
pub struct Bytes16(pub [u8; 16]);

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(2))]
pub struct Mac(pub [u8; 6]);

/// IEEE 802.3, without tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ethernet {
    pub dst: Mac,
    pub src: Mac,
    pub ether_type: Bytes2,
}

/// IEEE 802.1Q: what follows the Ethernet addresses and the type of the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct VlanTag {
    /// Priority 3 bits, drop eligible 1, identifier 12.
    pub tci: Bytes2,
    pub ether_type: Bytes2,
}

/// RFC 791 section 3.1, without options.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ipv4Header {
    /// Version in the upper, header length in 32-bit words in the lower four bits.
    pub version_ihl: u8,
    pub tos: u8,
    pub total_len: Bytes2,
    pub id: Bytes2,
    /// Three flags, then the fragment offset.
    pub fragment: Bytes2,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: Bytes2,
    pub src: Bytes4,
    pub dst: Bytes4,
}

/// RFC 8200 section 3.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version 4 bits, traffic class 8, flow label 20.
    pub version_class_label: Bytes4,
    pub payload_len: Bytes2,
    pub next_header: u8,
    pub hop_limit: u8,
    pub src: Bytes16,
    pub dst: Bytes16,
}

/// The common part of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IcmpHeader {
    pub kind: u8,
    pub code: u8,
    pub checksum: Bytes2,
    pub rest: Bytes4,
}

/// A TCP header without options (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TcpHeader {
    pub src_port: Bytes2,
    pub dst_port: Bytes2,
    pub seq: Bytes4,
    pub ack: Bytes4,
    /// Header length in 32-bit words in the upper four bits.
    pub offset: u8,
    pub flags: Flags,
    pub window: Bytes2,
    pub checksum: Bytes2,
    pub urgent: Bytes2,
}

/// How TCP begins: all of it that an ICMP error is sure to quote (RFC 792).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TcpStart {
    pub src_port: Bytes2,
    pub dst_port: Bytes2,
    pub seq: Bytes4,
}

/// How TCP begins, in as few bytes as a fragment may have of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TcpPorts {
    pub src: Bytes2,
    pub dst: Bytes2,
}

/// `N` words of any headers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Words<const N: usize>(pub [u32; N]);

/// A header that can lie anywhere in a packet that its alignment allows.
///
/// # Safety
///
/// The type has an alignment of at most 4 (of at most 2 if it stands at the start of a frame), no padding, and every
/// bit pattern is a valid value.
pub unsafe trait Header: Copy {}

macro_rules! headers {
    ($($header:ty = $len:literal),+ $(,)?) => {
        $(
            const _: () = assert!(size_of::<$header>() == $len && align_of::<$header>() <= 4);
            // SAFETY: `repr(C)` structures of bytes, whose sizes leave no room for padding.
            unsafe impl Header for $header {}
        )+
    };
}

headers! {
    Bytes2 = 2, Bytes4 = 4, Ethernet = 14, VlanTag = 4, Ipv4Header = 20, Ipv6Header = 40, IcmpHeader = 8, TcpHeader = 20,
    TcpStart = 8, TcpPorts = 4,
}
// SAFETY: words.
unsafe impl<const N: usize> Header for Words<N> {}

impl Ethernet {
    pub const LEN: usize = size_of::<Self>();
    pub const IPV4: Bytes2 = ether_type(EtherType::Ipv4);
    pub const IPV6: Bytes2 = ether_type(EtherType::Ipv6);
    pub const VLAN: Bytes2 = ether_type(EtherType::Ieee8021q);
    pub const SERVICE_VLAN: Bytes2 = ether_type(EtherType::Ieee8021ad);
}

/// The type as it lies in the header: `EtherType` holds it in network order already.
const fn ether_type(kind: EtherType) -> Bytes2 {
    Bytes2((kind as u16).to_ne_bytes())
}

impl VlanTag {
    pub const LEN: usize = size_of::<Self>();
}

impl Ipv4Header {
    pub const LEN: usize = size_of::<Self>();
    pub const CHECKSUM_OFFSET: usize = core::mem::offset_of!(Self, checksum);

    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// Length in bytes, options included.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0xf) * 4
    }
}

impl Ipv6Header {
    pub const LEN: usize = size_of::<Self>();

    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.version_class_label.0[0] >> 4
    }
}

impl IcmpHeader {
    pub const LEN: usize = size_of::<Self>();
    pub const CHECKSUM_OFFSET: usize = core::mem::offset_of!(Self, checksum);
}

impl TcpStart {
    pub const LEN: usize = size_of::<Self>();
}

impl TcpHeader {
    pub const LEN: usize = size_of::<Self>();
    pub const CHECKSUM_OFFSET: usize = core::mem::offset_of!(Self, checksum);

    /// Header length in bytes, options included.
    #[inline(always)]
    pub fn header_len(&self) -> u32 {
        u32::from(self.offset >> 4) * 4
    }
}
