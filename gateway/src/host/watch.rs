//! Wakes when packets may have to leave by another way: a link, address, route, rule, next hop or neighbour changed.
//!
//! No change is missed, also when the kernel drops notifications because they are not read fast enough. What the
//! kernel repeats is no change: a neighbour that is confirmed, an address whose lifetime is renewed. So an idle network
//! wakes nobody.

mod known;

use std::{io, mem};

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload},
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use self::known::Known;
use super::netlink::connect;

const GROUPS: [MulticastGroup; 9] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// Bytes of notifications that the kernel queues; bursts beyond cost a dump, not a change.
const QUEUE_SIZE: libc::c_int = 1 << 20;

/// Bytes of the largest datagram: the kernel cuts its own at 32 KiB.
const DATAGRAM_SIZE: usize = 64 * 1024;

/// Datagrams that one wake-up may stand for, so that an endless burst wakes at all.
const BURST: usize = 4096;

/// The first message type of rtnetlink; those below are of netlink itself.
const FIRST_ROUTE_MESSAGE: u16 = 16;

/// A subscription to the changes of the host's network.
pub struct Watch {
    socket: TokioSocket,
    handle: Handle,
    known: Known,
    buffer: Vec<u8>,
    /// Notifications were lost, so `known` is outdated.
    overrun: bool,
}

impl Watch {
    /// Subscribes in the network namespace of the calling thread.
    pub async fn start() -> Result<Self> {
        let mut watch = Self {
            socket: subscribe().context("subscribe to changes of the network")?,
            handle: connect()?,
            known: Known::default(),
            buffer: Vec::with_capacity(DATAGRAM_SIZE),
            overrun: false,
        };
        watch.refresh().await?;
        Ok(watch)
    }

    /// Waits for a change. Changes that are queued together, or came since the last call, are one. Dropping the
    /// future loses none.
    pub async fn changed(&mut self) -> Result<()> {
        while !self.overrun {
            let received = self.socket.recv(&mut self.buffer).await;
            if self.absorb(received)? | self.drain()? {
                break;
            }
        }
        if self.overrun {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Takes in what is queued already.
    fn drain(&mut self) -> Result<bool> {
        let mut changed = false;
        for _ in 0..BURST {
            match self.socket.socket_ref().recv(&mut self.buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                received => changed |= self.absorb(received.map(drop))?,
            }
        }
        Ok(changed)
    }

    /// Takes in one datagram, and empties the buffer. True if there was a change in it.
    fn absorb(&mut self, received: io::Result<()>) -> Result<bool> {
        match received {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.overrun = true;
                return Ok(true);
            }
            Err(error) => return Err(error).context("read notifications of network changes"),
        }
        let mut buffer = mem::take(&mut self.buffer);
        let changed = has_change(&mut self.known, &buffer);
        buffer.clear();
        self.buffer = buffer;
        Ok(changed)
    }

    /// Learns what is there, so that it can be told from what changes.
    async fn refresh(&mut self) -> Result<()> {
        let context = "list the addresses and neighbours";
        let addresses = self.handle.address().get().execute().try_collect().await.context(context)?;
        let neighbours = self.handle.neighbours().get().execute().try_collect().await.context(context)?;
        self.known = Known::from_dump(addresses, neighbours);
        self.overrun = false;
        Ok(())
    }
}

fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    let netlink = socket.socket_mut();
    netlink.set_rx_buf_sz(QUEUE_SIZE)?;
    netlink.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        netlink.add_membership(group as u32)?;
    }
    Ok(socket)
}

/// Whether a datagram reports a change. What cannot be read counts as one.
fn has_change(known: &mut Known, mut datagram: &[u8]) -> bool {
    let mut changed = false;
    while !datagram.is_empty() {
        let Ok(header) = NetlinkBuffer::new_checked(datagram) else {
            return true;
        };
        let (message, kind) = (&datagram[..header.length() as usize], header.message_type());
        changed |= is_change(known, kind, message);
        datagram = datagram.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    changed
}

fn is_change(known: &mut Known, kind: u16, message: &[u8]) -> bool {
    match kind {
        ..FIRST_ROUTE_MESSAGE | libc::RTM_GETNEIGH => false,
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH | libc::RTM_NEWADDR | libc::RTM_DELADDR => {
            match NetlinkMessage::deserialize(message).map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(m))) => known.neighbour_is(&m),
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(m))) => known.neighbour_left(&m),
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(m))) => known.address_is(&m),
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(m))) => known.address_left(&m),
                _ => true,
            }
        }
        _ => true,
    }
}
