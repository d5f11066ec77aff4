//! What a packet program does before and beside its tables: reading headers, and a rewrite that needs no flow.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use gateway_common::{
    abi::{Hop, Tuple},
    nat::{
        Delta, Frame, Network, Reason,
        headers::{Bytes2, Bytes4, Ethernet, Header, Ipv4Header, Mac, TcpHeader},
    },
};

use crate::{
    make::Packet,
    plan::{BACKEND_PORT, BACKENDS, SNAT},
};

/// Work space for a packet's headers, as the gateway has it.
#[map]
static HEADERS: PerCpuArray<Network> = PerCpuArray::with_max_entries(1, 0);

/// Reads a packet's headers with the gateway's own parser. The result is the protocol's number.
#[inline(always)]
pub fn parse(packet: Packet) -> Option<u32> {
    // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
    let headers = unsafe { &mut *HEADERS.get_ptr_mut(0)? };
    headers.read(&mut Headers(packet)).ok()?;
    Some(headers.protocol.into())
}

/// What the stateless rewrite changes, for hooks that correct checksums in different ways.
pub struct Change {
    pub addresses: Delta,
    pub ports: Delta,
    pub life: Delta,
}

/// Gives an untagged TCP packet the addresses and ports of one flow, new MAC addresses and one hop less to live.
#[inline(always)]
pub fn rewrite(packet: Packet) -> Option<Change> {
    let (src, dst) = (SNAT.to_be_bytes(), BACKENDS.to_be_bytes());
    let (src_port, dst_port) = (32_768_u16.to_be_bytes(), BACKEND_PORT.to_be_bytes());
    let ethernet = packet.header::<Ethernet>(0)?;
    (ethernet.dst, ethernet.src) = (Mac([2, 0, 0, 0, 0, 0xb1]), Mac([2, 0, 0, 0, 0, 0x0b]));
    let ip = packet.header::<Ipv4Header>(Ethernet::LEN)?;
    let addresses = Delta::ZERO.replace4(ip.src.0, src).replace4(ip.dst.0, dst);
    (ip.src, ip.dst) = (Bytes4(src), Bytes4(dst));
    let ttl = ip.ttl.wrapping_sub(1);
    let life = Delta::ZERO.replace2([ip.ttl, ip.protocol], [ttl, ip.protocol]);
    ip.ttl = ttl;
    let tcp = packet.header::<TcpHeader>(Ethernet::LEN + Ipv4Header::LEN)?;
    let ports = Delta::ZERO.replace2(tcp.src_port.0, src_port).replace2(tcp.dst_port.0, dst_port);
    (tcp.src_port, tcp.dst_port) = (Bytes2(src_port), Bytes2(dst_port));
    Some(Change { addresses, ports, life })
}

/// Where the checksums stand that the rewrite concerns.
pub const IP_CHECKSUM: usize = Ethernet::LEN + Ipv4Header::CHECKSUM_OFFSET;
pub const TCP_CHECKSUM: usize = Ethernet::LEN + Ipv4Header::LEN + TcpHeader::CHECKSUM_OFFSET;

/// A packet that is only read.
struct Headers(Packet);

impl Frame for Headers {
    const REACHES_LOCAL: bool = false;

    #[inline(always)]
    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason> {
        self.0.header(offset).ok_or(Reason::Malformed)
    }

    #[inline(always)]
    fn holds(&self, len: usize) -> bool {
        self.0.data_end - self.0.data >= len
    }

    #[inline(always)]
    fn wire_len(&self, packet_len: u32, _headers: u32) -> u32 {
        packet_len
    }

    #[inline(always)]
    fn route(&mut self, _tuple: &Tuple, _hop: &mut Hop) -> Result<(), Reason> {
        Err(Reason::NoRoute)
    }

    #[inline(always)]
    fn update_ip_checksum(&mut self, _offset: usize, _delta: Delta) -> Result<(), Reason> {
        Err(Reason::RewriteFailed)
    }

    #[inline(always)]
    fn update_l4_checksum(&mut self, _offset: usize, _pseudo: Delta, _data: Delta) -> Result<(), Reason> {
        Err(Reason::RewriteFailed)
    }

    #[inline(always)]
    fn set_link_layer(&mut self, _l2_len: usize, _hop: &Hop, _ether_type: Bytes2) -> Result<(), Reason> {
        Err(Reason::RewriteFailed)
    }

    #[inline(always)]
    fn renew(&mut self, _len: usize) -> Result<(), Reason> {
        Err(Reason::RewriteFailed)
    }
}
