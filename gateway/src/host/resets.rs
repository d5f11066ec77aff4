//! TCP resets in the name of others: from any address and port, on a connection that this host has no socket for.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use socket2::{Domain, Protocol, Socket, Type};

/// Hop limit of a reset: the recommended default (RFC 1700, "IP time to live").
const HOP_LIMIT: u8 = 64;

/// A segment to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub seq: u32,
}

/// Sends all that it can, by the kernel's routes; an error counts those it could not, and gives the first cause.
pub fn send(resets: &[Reset]) -> Result<()> {
    let mut sockets = [None, None];
    let mut failed = 0;
    let mut cause = Ok(());
    let mut packet = Vec::new();
    for reset in resets {
        if let Err(error) = send_one(reset, &mut sockets, &mut packet) {
            failed += 1;
            cause = cause.and(Err(error));
        }
    }
    cause.with_context(|| format!("send {failed} of {} resets", resets.len()))
}

/// Sends a reset by the socket of its family, which is opened when the first one needs it.
fn send_one(reset: &Reset, sockets: &mut [Option<Socket>; 2], packet: &mut Vec<u8>) -> Result<()> {
    packet.clear();
    write(reset, packet)?;
    let (slot, domain) = match reset.to {
        SocketAddr::V4(_) => (&mut sockets[0], Domain::IPV4),
        SocketAddr::V6(_) => (&mut sockets[1], Domain::IPV6),
    };
    let socket = match slot {
        Some(socket) => socket,
        None => slot.insert(open(domain).context("open a raw socket")?),
    };
    // A raw socket has no ports, and refuses an address that has one (raw(7), ipv6(7)).
    let to = SocketAddr::new(reset.to.ip(), 0);
    socket.send_to(packet, &to.into()).with_context(|| format!("send to {}", reset.to.ip()))?;
    Ok(())
}

/// A socket of the protocol that takes whole packets, IP header included.
fn open(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))
}

fn write(reset: &Reset, packet: &mut Vec<u8>) -> Result<()> {
    let builder = match (reset.from.ip(), reset.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOP_LIMIT),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), HOP_LIMIT),
        _ => anyhow::bail!("{} and {} are not of one family", reset.from, reset.to),
    };
    let segment = builder.tcp(reset.from.port(), reset.to.port(), reset.seq, 0).rst();
    segment.write(packet, &[]).context("build a reset")
}
