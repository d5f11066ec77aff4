//! The machines of a lab: clients, backends, and the front server under test.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Deref,
};

use crate::Namespace;

/// IP version; most scenarios run with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// A namespace with an address of each family on its interface `eth0`.
#[derive(Debug)]
pub struct Host {
    pub namespace: Namespace,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Host {
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

/// The front server: where the gateway, or what stands in for it, runs.
#[derive(Debug)]
pub struct Front {
    pub namespace: Namespace,
    /// Two public addresses of each family.
    pub public_v4: [Ipv4Addr; 2],
    pub public_v6: [Ipv6Addr; 2],
    /// The internal addresses that backends see as the source.
    pub snat_v4: Ipv4Addr,
    pub snat_v6: Ipv6Addr,
    /// Interfaces that carry traffic of services; the first faces the clients.
    pub interfaces: Vec<String>,
}

impl Front {
    pub fn public(&self, family: Family) -> [IpAddr; 2] {
        match family {
            Family::V4 => self.public_v4.map(IpAddr::from),
            Family::V6 => self.public_v6.map(IpAddr::from),
        }
    }

    /// The first public address of `family` with a port.
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.public(family)[0], port)
    }

    pub fn snat(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.snat_v4.into(),
            Family::V6 => self.snat_v6.into(),
        }
    }
}

impl Deref for Front {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}
