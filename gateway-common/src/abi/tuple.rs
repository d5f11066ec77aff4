//! Addresses and the tuple that identifies one direction of a flow.
#![expect(unsafe_code, reason = "addresses as words, which the BPF compiler copies without calls")]

use core::{
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A port in network byte order.
pub type Port = [u8; 2];

/// The version of the Internet Protocol a packet or address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// An IPv6 address, or an IPv4 one in its IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
///
/// One form for both families gives one flow table and one code path. Aligned, because of bytes without an alignment the
/// compiler copies each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(4))]
pub struct Address(pub [u8; 16]);

impl Address {
    pub const UNSPECIFIED: Self = Self([0; 16]);

    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self::from_words([0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), u32::from_ne_bytes(octets)])
    }

    /// The address as words in network order, which the compiler keeps whole where it would split an array of bytes.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        // SAFETY: sixteen bytes are four words, and any bits are.
        unsafe { mem::transmute(self.0) }
    }

    #[inline(always)]
    const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: four words are sixteen bytes.
        Self(unsafe { mem::transmute::<[u32; 4], [u8; 16]>(words) })
    }

    /// The last four octets: the IPv4 address, if it is one.
    #[inline(always)]
    pub const fn v4(&self) -> [u8; 4] {
        self.words()[3].to_ne_bytes()
    }

    /// The address with its last 64 bits zero.
    #[inline(always)]
    pub const fn network(&self) -> Self {
        let [a, b, _, _] = self.words();
        Self::from_words([a, b, 0, 0])
    }

    /// The words' differences, zero if there is none: without a call, which is what comparing bytes becomes, and without
    /// a branch for each word.
    #[inline(always)]
    const fn difference(&self, other: &Self) -> u32 {
        let ([a, b, c, d], [e, f, g, h]) = (self.words(), other.words());
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)
    }

    /// Equality, as cheap as can be.
    #[inline(always)]
    pub const fn equals(&self, other: &Self) -> bool {
        self.difference(other) == 0
    }

    #[inline(always)]
    pub const fn is_v4_mapped(&self) -> bool {
        let [a, b, c, _] = self.words();
        a == 0 && b == 0 && c == u32::from_ne_bytes([0, 0, 0xff, 0xff])
    }

    pub fn family(&self) -> Family {
        if self.is_v4_mapped() { Family::V4 } else { Family::V6 }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address.family() {
            Family::V4 => Ipv4Addr::from(address.v4()).into(),
            Family::V6 => Ipv6Addr::from(address.0).into(),
        }
    }
}

/// One direction of a flow: where its packets come from and go to. The protocol is always TCP.
///
/// Layout: source address 16, destination address 16, source port 2, destination port 2 = 36 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(4))]
pub struct Tuple {
    pub src: Address,
    pub dst: Address,
    pub src_port: Port,
    pub dst_port: Port,
}

impl Tuple {
    /// Nobody's.
    pub const EMPTY: Self = Self::new(Address::UNSPECIFIED, Address::UNSPECIFIED, [0; 2], [0; 2]);

    #[inline(always)]
    pub const fn new(src: Address, dst: Address, src_port: Port, dst_port: Port) -> Self {
        Self { src, dst, src_port, dst_port }
    }

    /// The tuple of a packet that answers one with this tuple.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self::new(self.dst, self.src, self.dst_port, self.src_port)
    }

    /// Equality, as cheap as can be.
    #[inline(always)]
    pub const fn equals(&self, other: &Self) -> bool {
        let addresses = self.src.difference(&other.src) | self.dst.difference(&other.dst);
        addresses | (self.ports() ^ other.ports()) == 0
    }

    /// Whether packets with this tuple answer those with `other`.
    #[inline(always)]
    pub const fn is_reverse_of(&self, other: &Self) -> bool {
        let addresses = self.src.difference(&other.dst) | self.dst.difference(&other.src);
        addresses | (self.ports() ^ other.ports().rotate_left(16)) == 0
    }

    /// Both ports as one word.
    #[inline(always)]
    pub const fn ports(&self) -> u32 {
        let ([a, b], [c, d]) = (self.src_port, self.dst_port);
        u32::from_ne_bytes([a, b, c, d])
    }

    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.src.into(), u16::from_be_bytes(self.src_port))
    }

    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.dst.into(), u16::from_be_bytes(self.dst_port))
    }

    pub fn from_sockets(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(
            source.ip().into(),
            destination.ip().into(),
            source.port().to_be_bytes(),
            destination.port().to_be_bytes(),
        )
    }
}
