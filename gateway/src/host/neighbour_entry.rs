//! An entry of the kernel's neighbour tables (ARP and neighbour discovery).

use std::net::IpAddr;

use netlink_packet_route::{
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState},
    route::RouteProtocol,
};

/// `NUD_VALID` of the kernel: reachable, stale, delay, probe, noarp and permanent.
const VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const PERMANENT: u16 = 0x80;
/// `NUD_INCOMPLETE` and `NUD_FAILED`.
const SILENT: u16 = 0x01 | 0x20;

/// Which neighbour: the index of an interface and an address on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Neighbour {
    pub interface: u32,
    pub address: IpAddr,
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub neighbour: Neighbour,
    /// Its link-layer address, while the kernel sends to it.
    pub resolved: Option<Vec<u8>>,
    /// It was asked for its link-layer address, and has not answered.
    pub silent: bool,
    /// What the kernel calls all this.
    pub state: NeighbourState,
    /// Set by the administrator for good.
    pub permanent: bool,
    /// Kept resolved by the kernel.
    pub managed: bool,
    /// Who made the entry.
    pub protocol: RouteProtocol,
}

impl Entry {
    /// None if the message is about something else: the forwarding table of a bridge is reported as neighbours, too.
    pub fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let (mut address, mut link_layer, mut managed, mut protocol) = (None, None, false, RouteProtocol::Unspec);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
                NeighbourAttribute::LinkLayerAddress(bytes) => link_layer = Some(bytes.clone()),
                NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
                NeighbourAttribute::Protocol(by) => protocol = *by,
                _ => {}
            }
        }
        let state = u16::from(message.header.state);
        Some(Self {
            neighbour: Neighbour { interface: message.header.ifindex, address: address? },
            resolved: link_layer.filter(|_| state & VALID != 0),
            silent: state & SILENT != 0,
            state: message.header.state,
            permanent: state & PERMANENT != 0,
            managed,
            protocol,
        })
    }
}
