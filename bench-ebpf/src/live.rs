//! Live frames: a generator, a backend that answers, and ends that count what has come.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    helpers::bpf_redirect,
    macros::{classifier, map, xdp},
    maps::{Array, PerCpuArray},
    programs::{TcContext, XdpContext},
};
use gateway_common::nat::{
    Flags,
    headers::{Bytes2, Bytes4, Ethernet, Ipv4Header, TcpHeader},
};

use crate::{
    frames::{FRAME_LEN, Frames, SERVER_SEQUENCE, checksum, source},
    make::Packet,
};

#[map]
static FRAMES: Array<Frames> = Array::with_max_entries(1, 0);

/// Frames that have come to an end.
#[map]
static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

const IP: usize = Ethernet::LEN;
const TCP: usize = IP + Ipv4Header::LEN;
const ETH_P_IP: u16 = 0x0800;

/// Makes a frame from nothing, as live frames come back the way they were left, and sends it.
#[xdp(frags)]
pub fn send_xdp(ctx: XdpContext) -> u32 {
    let (data, data_end) = (ctx.data(), ctx.data_end());
    let Some(frames) = FRAMES.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    if data + FRAME_LEN > data_end {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: map memory that no other program uses while a run lasts.
    let frames = unsafe { &mut *frames };
    let (address, port) = source(frames.draw());
    let to = data as *mut u64;
    // SAFETY: within the frame, by the test above; any alignment is allowed.
    unsafe {
        for (number, word) in frames.template.iter().enumerate() {
            to.add(number).write_unaligned(*word);
        }
        to.add(frames.template.len()).cast::<u32>().write_unaligned(frames.template_end);
    }
    let words = (address >> 16) + (address & 0xffff);
    let packet = Packet { data, data_end };
    let Some(ip) = packet.header::<Ipv4Header>(IP) else { return xdp_action::XDP_ABORTED };
    ip.src = Bytes4(address.to_be_bytes());
    ip.checksum = Bytes2(checksum(frames.ip_sum + words).to_be_bytes());
    let Some(tcp) = packet.header::<TcpHeader>(TCP) else { return xdp_action::XDP_ABORTED };
    tcp.src_port = Bytes2(port.to_be_bytes());
    tcp.checksum = Bytes2(checksum(frames.tcp_sum + words + u32::from(port)).to_be_bytes());
    // SAFETY: no preconditions.
    unsafe { bpf_redirect(frames.device, 0) as u32 }
}

/// A backend: answers SYNs, and takes all other IPv4 in. The kernel's ARP goes on.
#[xdp(frags)]
pub fn answer_xdp(ctx: XdpContext) -> u32 {
    let packet = Packet { data: ctx.data(), data_end: ctx.data_end() };
    match packet.header::<Ethernet>(0) {
        Some(ethernet) if ethernet.ether_type == Ethernet::IPV4 => {}
        _ => return xdp_action::XDP_PASS,
    }
    if answer(packet).is_some() {
        // Not XDP_TX: a veth without a program of its own is not told of what its peer's program sends so.
        // SAFETY: no preconditions.
        return unsafe { bpf_redirect(ctx.ingress_ifindex() as u32, 0) as u32 };
    }
    seen();
    xdp_action::XDP_DROP
}

/// Takes all IPv4 in.
#[classifier]
pub fn sink_tc(ctx: TcContext) -> i32 {
    // SAFETY: this program's context.
    if unsafe { (*ctx.skb.skb).protocol } != u32::from(ETH_P_IP.to_be()) {
        return TC_ACT_UNSPEC;
    }
    seen();
    TC_ACT_SHOT
}

#[inline(always)]
fn seen() {
    if let Some(seen) = SEEN.get_ptr_mut(0) {
        // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
        unsafe { *seen += 1 };
    }
}

/// Makes a SYN-ACK of a SYN without payload.
#[inline(always)]
fn answer(packet: Packet) -> Option<()> {
    let tcp = packet.header::<TcpHeader>(TCP)?;
    if tcp.flags.0 != Flags::SYN.0 {
        return None;
    }
    (tcp.src_port, tcp.dst_port) = (tcp.dst_port, tcp.src_port);
    let sequence = u32::from_be_bytes(tcp.seq.0);
    let acknowledged = sequence.wrapping_add(1);
    let flags = Flags::SYN.0 | Flags::ACK.0;
    // Addresses and ports change places, which changes no sum.
    let old = words(sequence) + words(u32::from_be_bytes(tcp.ack.0)) + u32::from(tcp.flags.0);
    let new = words(SERVER_SEQUENCE) + words(acknowledged) + u32::from(flags);
    let others = u32::from(!u16::from_be_bytes(tcp.checksum.0)) + 5 * 0xffff - old;
    tcp.checksum = Bytes2(checksum(others + new).to_be_bytes());
    tcp.seq = Bytes4(SERVER_SEQUENCE.to_be_bytes());
    tcp.ack = Bytes4(acknowledged.to_be_bytes());
    tcp.flags = Flags(flags);
    let ip = packet.header::<Ipv4Header>(IP)?;
    (ip.src, ip.dst) = (ip.dst, ip.src);
    let ethernet = packet.header::<Ethernet>(0)?;
    (ethernet.src, ethernet.dst) = (ethernet.dst, ethernet.src);
    Some(())
}

#[inline(always)]
fn words(number: u32) -> u32 {
    (number >> 16) + (number & 0xffff)
}
