//! Makes a packet: what the program under test may have changed is written anew.
//!
//! Checksums are left as they are; the programs correct them by differences and never verify them. Fields are written in
//! the units in which the gateway reads them, so that no load waits for several stores.

use gateway_common::nat::headers::{
    Bytes2, Bytes4, Bytes16, Ethernet, Header, IcmpHeader, Ipv4Header, Ipv6Header, TcpHeader, TcpStart,
};

use crate::plan::{BACKEND_PORT, BACKENDS, Ends, Kind, PRIVATE6, PUBLIC6, Plan, ROUTER, SERVICE, ends};

const LIFE: u8 = 64;

/// A packet by its bounds.
#[derive(Clone, Copy)]
pub struct Packet {
    pub data: usize,
    pub data_end: usize,
}

impl Packet {
    #[inline(always)]
    pub fn header<'a, T: Header>(self, offset: usize) -> Option<&'a mut T> {
        // The mask bounds the offset for the verifier.
        let start = self.data + (offset & 0xff);
        if start + size_of::<T>() > self.data_end {
            return None;
        }
        // SAFETY: within the packet by the test above; a `Header` has no invalid value. The programs use one reference to
        // a header at a time, and none after the packet has moved.
        Some(unsafe { &mut *(start as *mut T) })
    }
}

/// Addresses and ports of one packet.
struct Tuple {
    src: u32,
    dst: u32,
    src_port: u16,
    dst_port: u16,
}

impl Tuple {
    #[inline(always)]
    fn of(ends: &Ends, reply: bool) -> Self {
        if reply {
            let backend = BACKENDS + ends.backend;
            Self { src: backend, dst: ends.snat, src_port: BACKEND_PORT, dst_port: ends.snat_port }
        } else {
            Self { src: ends.client, dst: SERVICE, src_port: ends.client_port, dst_port: ends.service_port }
        }
    }
}

/// Makes the next packet of `plan`.
#[inline(always)]
pub fn next(packet: Packet, plan: &mut Plan) -> Option<()> {
    let (number, reply) = plan.draw();
    let ends = ends(number, &plan.shape);
    let l3 = plan.l3 as usize;
    if l3 == Ethernet::LEN {
        let ipv6 = matches!(plan.kind, Kind::Tcp6);
        packet.header::<Ethernet>(0)?.ether_type = if ipv6 { Ethernet::IPV6 } else { Ethernet::IPV4 };
    }
    match plan.kind {
        Kind::Tcp4 => tcp4(packet, l3, &Tuple::of(&ends, reply)),
        Kind::Tcp6 => tcp6(packet, l3, &Tuple::of(&ends, reply), reply),
        Kind::Icmp4 => icmp4(packet, l3, &ends),
    }
}

#[inline(always)]
fn tcp4(packet: Packet, l3: usize, tuple: &Tuple) -> Option<()> {
    ipv4(packet, l3, tuple.src, tuple.dst)?;
    let tcp = packet.header::<TcpHeader>(l3 + Ipv4Header::LEN)?;
    (tcp.src_port, tcp.dst_port) = (port(tuple.src_port), port(tuple.dst_port));
    Some(())
}

#[inline(always)]
fn tcp6(packet: Packet, l3: usize, tuple: &Tuple, reply: bool) -> Option<()> {
    let prefix = if reply { PRIVATE6 } else { PUBLIC6 };
    let ip = packet.header::<Ipv6Header>(l3)?;
    ip.hop_limit = LIFE;
    ip.src = address6(prefix, tuple.src);
    ip.dst = address6(prefix, tuple.dst);
    let tcp = packet.header::<TcpHeader>(l3 + Ipv6Header::LEN)?;
    (tcp.src_port, tcp.dst_port) = (port(tuple.src_port), port(tuple.dst_port));
    Some(())
}

/// About a packet to the backend.
#[inline(always)]
fn icmp4(packet: Packet, l3: usize, ends: &Ends) -> Option<()> {
    ipv4(packet, l3, ROUTER, ends.snat)?;
    let quoted = l3 + Ipv4Header::LEN + IcmpHeader::LEN;
    ipv4(packet, quoted, ends.snat, BACKENDS + ends.backend)?;
    let tcp = packet.header::<TcpStart>(quoted + Ipv4Header::LEN)?;
    (tcp.src_port, tcp.dst_port) = (port(ends.snat_port), port(BACKEND_PORT));
    Some(())
}

#[inline(always)]
fn ipv4(packet: Packet, offset: usize, src: u32, dst: u32) -> Option<()> {
    let ip = packet.header::<Ipv4Header>(offset)?;
    ip.ttl = LIFE;
    (ip.src, ip.dst) = (Bytes4(src.to_be_bytes()), Bytes4(dst.to_be_bytes()));
    Some(())
}

#[inline(always)]
fn port(number: u16) -> Bytes2 {
    Bytes2(number.to_be_bytes())
}

#[inline(always)]
fn address6([a, b, c]: [u32; 3], d: u32) -> Bytes16 {
    let words = [a.to_be(), b.to_be(), c.to_be(), d.to_be()];
    // SAFETY: four words are sixteen bytes.
    Bytes16(unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) })
}
