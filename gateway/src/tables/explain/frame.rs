//! The SYN in its hook: a frame in memory whose routes are the host's.

use std::net::IpAddr;

use gateway_common::{
    abi::{Egress, Hop, Ifindex, Tuple},
    host::{HostFrame, Local, Routes},
    nat::{
        Delta, Frame, Reason,
        headers::{Bytes2, Header, Mac},
    },
};

use super::{view::Maps, way::Way};
use crate::host::route::{Route, Unroutable};

/// A frame as it comes in, in XDP or TC.
pub struct Incoming<'a, L> {
    bytes: HostFrame<'a, L>,
    way: &'a Way,
    maps: &'a Maps,
    generation: u16,
}

impl<'a, L: Local> Incoming<'a, L> {
    /// `nowhere` is what the frame's bytes are made with, which find no route by themselves.
    pub fn new(bytes: &[u8], nowhere: &'a Routes, way: &'a Way, maps: &'a Maps, generation: u16) -> Self {
        Self { bytes: HostFrame::new(bytes, nowhere), way, maps, generation }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    fn hop(&self, route: &Route) -> Result<Hop, Reason> {
        let index = route.interface.index;
        let link = self.way.noted(self.maps.link(index)).ok_or(Reason::NoRoute)?;
        Ok(Hop {
            device: Ifindex::new(link.map_or(index, |link| link.device)),
            // An unresolved hop is good for this packet alone.
            generation: if route.mac.is_some() { self.generation } else { 0 },
            mtu: if route.mac.is_some() { u16::try_from(route.mtu).unwrap_or(u16::MAX) } else { u16::MAX },
            egress: link.map_or(Egress::LOCAL, |link| link.egress),
            dst_mac: Mac(route.mac.unwrap_or_default()),
            src_mac: Mac(route.interface.mac.unwrap_or_default()),
        })
    }
}

impl<L: Local> Frame for Incoming<'_, L> {
    const REACHES_LOCAL: bool = L::REACHES;

    fn route(&mut self, tuple: &Tuple, hop: &mut Hop) -> Result<(), Reason> {
        let route = match self.way.find(IpAddr::from(tuple.src), IpAddr::from(tuple.dst)) {
            Some(Ok(route)) => route,
            Some(Err(Unroutable::NotForwarded)) => return Err(Reason::NotForwarded),
            Some(Err(Unroutable::Encapsulated)) => return Err(Reason::RouteUnsupported),
            Some(Err(Unroutable::NoRoute)) | None => return Err(Reason::NoRoute),
        };
        // Only the kernel's stack can ask for a link-layer address.
        if route.mac.is_none() && !Self::REACHES_LOCAL {
            return Err(Reason::HandedToTc);
        }
        *hop = self.hop(&route)?;
        Ok(())
    }

    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason> {
        self.bytes.header(offset)
    }

    fn wire_len(&self, packet_len: u32, headers: u32) -> u32 {
        self.bytes.wire_len(packet_len, headers)
    }

    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason> {
        self.bytes.update_ip_checksum(offset, delta)
    }

    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason> {
        self.bytes.update_l4_checksum(offset, pseudo, data)
    }

    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, ether_type: Bytes2) -> Result<(), Reason> {
        self.bytes.set_link_layer(l2_len, hop, ether_type)
    }

    fn holds(&self, len: usize) -> bool {
        self.bytes.holds(len)
    }

    fn renew(&mut self, len: usize) -> Result<(), Reason> {
        self.bytes.renew(len)
    }
}
