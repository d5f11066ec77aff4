//! Addresses and the tuple that identifies one direction of a flow.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
/// One form for both families gives one flow table and one code path. Aligned to four bytes, so that the
/// kernel side moves words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(4))]
pub struct Address(pub [u8; 16]);

impl Address {
    pub const UNSPECIFIED: Self = Self([0; 16]);

    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// The last four octets: the IPv4 address, if it is one.
    #[inline(always)]
    pub const fn v4(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }

    pub fn family(&self) -> Family {
        if matches!(self.0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..]) { Family::V4 } else { Family::V6 }
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
#[repr(C)]
pub struct Tuple {
    pub src: Address,
    pub dst: Address,
    pub src_port: Port,
    pub dst_port: Port,
}

impl Tuple {
    /// The tuple of a packet that answers one with this tuple.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src, src_port: self.dst_port, dst_port: self.src_port }
    }

    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.src.into(), u16::from_be_bytes(self.src_port))
    }

    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.dst.into(), u16::from_be_bytes(self.dst_port))
    }

    pub fn from_sockets(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            src: source.ip().into(),
            dst: destination.ip().into(),
            src_port: source.port().to_be_bytes(),
            dst_port: destination.port().to_be_bytes(),
        }
    }
}
