//! What is measured over which tables.

use gateway_common::nat::{Flags, Reason};

use crate::{
    harness::{
        Packets,
        plan::{Direction, Kind},
    },
    names::micro as names,
};

pub struct Case {
    pub name: &'static str,
    pub packets: Packets,
}

const ACK: Flags = Flags(0x18);

const fn established(name: &'static str, kind: Kind, direction: Direction) -> Case {
    Case { name, packets: Packets::established(kind, direction) }
}

/// Segments of no flow.
const fn stray(name: &'static str, elsewhere: bool, reason: Reason) -> Case {
    Case { name, packets: Packets { flags: ACK, elsewhere, reason, ..Packets::SYN } }
}

/// One service, one backend.
pub const SMALL: &[Case] = &[
    established(names::ORIGINAL, Kind::Tcp4, Direction::Original),
    established(names::REPLY, Kind::Tcp4, Direction::Reply),
    established(names::BOTH, Kind::Tcp4, Direction::Both),
    Case {
        name: names::ICMP,
        packets: Packets { reason: Reason::IcmpForwarded, ..Packets::established(Kind::Icmp4, Direction::Original) },
    },
    stray(names::UNKNOWN, false, Reason::UnknownFlow),
    stray(names::NO_SERVICE, true, Reason::NoService),
    Case { name: names::NEW, packets: Packets::SYN },
];

pub const V6: &[Case] = &[established(names::IPV6, Kind::Tcp6, Direction::Both)];

pub const VLAN: &[Case] = &[established(names::VLAN, Kind::Tcp4, Direction::Both)];

/// Many services with many backends each.
pub const MANY: &[Case] =
    &[established(names::MANY, Kind::Tcp4, Direction::Both), Case { name: names::NEW_MANY, packets: Packets::SYN }];

/// Cases that a stateless rewrite is the baseline of.
pub const ESTABLISHED: [&str; 6] = [names::ORIGINAL, names::REPLY, names::BOTH, names::IPV6, names::VLAN, names::MANY];
