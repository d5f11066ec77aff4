//! Services, their slots and backends, and the devices packets leave by.

use super::{Address, Egress, Port};

/// Largest weight of a backend.
pub const MAX_WEIGHT: u16 = u16::MAX;

/// Where a service listens: address 16, port 2 in network order, padding 6 (always zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ServiceKey {
    pub address: Address,
    pub port: Port,
    padding: [u8; 6],
}

impl ServiceKey {
    #[inline(always)]
    pub const fn new(address: Address, port: Port) -> Self {
        Self { address, port, padding: [0; 6] }
    }
}

/// What a SYN to a listen address needs to know. Replaced as a whole, so a change is one step for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    pub id: u32,
    /// Index of the first of `slots` entries in the slot array: the service's Maglev table.
    pub first_slot: u32,
    /// 0: the service has no usable backend.
    pub slots: u32,
    pub algorithm: Algorithm,
    pub no_backend: Answer,
    pub unknown_flow: Answer,
    /// 1: the service has an entry in the map of limits.
    pub limited: u8,
}

impl Service {
    /// The key of its limits, or 0 if it has none.
    #[inline(always)]
    pub const fn limits(&self) -> u32 {
        if self.limited == 0 { 0 } else { self.id }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    Maglev = 0,
    LeastConnections = 1,
    Source = 2,
}

/// What becomes of a segment that cannot be forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    Reset = 0,
    #[default]
    Drop = 1,
}

/// One place of a Maglev table: the index of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slot(pub u32);

/// A backend of one service; its index in the backend array is its identity for as long as a flow names it.
///
/// Layout: address 16, port 2 in network order, weight 2, service 4, in use 1, padding 7 = 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Backend {
    pub address: Address,
    pub port: Port,
    pub weight: u16,
    /// Identifier of the service it belongs to.
    pub service: u32,
    /// 0: the entry is free.
    pub in_use: u8,
    pub reserved: [u8; 7],
}

/// An interface that native XDP can send by, keyed by its ifindex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Link {
    /// The device to transmit on: the interface itself, or the parent of a VLAN interface.
    pub device: u32,
    pub egress: Egress,
    pub reserved: u16,
}
