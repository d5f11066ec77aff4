//! Keeps the next hops towards a set of addresses resolved, so that a packet never waits for ARP or neighbour
//! discovery.
//!
//! Each next hop gets a *managed* entry in the kernel's neighbour table (Linux 5.16): the kernel confirms it again
//! and again without any traffic. Where the kernel knows no managed entries, every call asks it to resolve them anew.
//! Entries carry `OWNER`, so that those of a gateway that crashed are recognised. Permanent entries and those that
//! others manage are never touched.

pub(super) mod next_hop;
pub mod paths;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use netlink_packet_route::{
    link::LinkFlags,
    neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState},
    route::RouteProtocol,
};
use rtnetlink::{Error, Handle};

use super::{
    neighbour_entry::{Entry, Neighbour},
    netlink::connect,
};

/// The routing protocol (`ip neigh show` prints it as `proto 71`) that marks the gateway's entries; iproute2's
/// `rt_protos` assigns it to nobody.
const OWNER: RouteProtocol = RouteProtocol::Other(71);

/// Requests under way at once: few enough for their replies to fit the socket's buffer.
const CONCURRENT_REQUESTS: usize = 16;

/// The neighbour entries of the gateway.
pub struct Neighbours {
    handle: Handle,
}

impl Neighbours {
    /// Connects to the kernel. Entries of an earlier gateway are adopted by the first [`Self::keep`].
    #[expect(clippy::unused_async, reason = "the connection is a task of the runtime that the caller must be in")]
    pub async fn new() -> Result<Self> {
        Ok(Self { handle: connect()? })
    }

    /// Keeps the next hops towards these addresses resolved, and no others. To be called again when routes or links
    /// have changed: the kernel drops the entries of a link that goes down. What is in order is not touched.
    ///
    /// An address without a route, or one of this host, has no next hop and is no error. If an entry is refused, the
    /// others are still made before the error is returned.
    pub async fn keep(&mut self, addresses: &[IpAddr]) -> Result<()> {
        let mut wanted = next_hop::of_all(&self.handle, addresses).await.context("look up routes")?;
        let links = self.links_with_neighbours().await.context("list the network interfaces")?;
        wanted.retain(|neighbour| links.contains(&neighbour.interface));
        let present = self.entries().await?;
        let unwanted: Vec<_> = present.values().filter(|it| is_ours(it) && !wanted.contains(&it.neighbour)).collect();
        let missing: Vec<_> = wanted.into_iter().filter(|it| present.get(it).is_none_or(wants_managing)).collect();
        self.remove(&unwanted).await?;
        self.make(&missing).await
    }

    /// Removes every entry of the gateway; the kernel resolves again what it has packets for.
    pub async fn release(&mut self) -> Result<()> {
        let present = self.entries().await?;
        self.remove(&present.values().filter(|entry| is_ours(entry)).collect::<Vec<_>>()).await
    }

    async fn links_with_neighbours(&self) -> Result<HashSet<u32>, Error> {
        let links: Vec<_> = self.handle.link().get().execute().try_collect().await?;
        let without = LinkFlags::Loopback | LinkFlags::Noarp;
        Ok(links.iter().filter(|it| !it.header.flags.intersects(without)).map(|it| it.header.index).collect())
    }

    async fn entries(&self) -> Result<HashMap<Neighbour, Entry>> {
        let messages: Vec<_> =
            self.handle.neighbours().get().execute().try_collect().await.context("list the neighbours")?;
        Ok(messages.iter().filter_map(Entry::from_message).map(|entry| (entry.neighbour, entry)).collect())
    }

    async fn make(&self, missing: &[Neighbour]) -> Result<()> {
        let requests = missing.iter().copied().map(|neighbour| {
            let mut request = self.handle.neighbours().add(neighbour.interface, neighbour.address).replace();
            let message = request.message_mut();
            message.header.state = NeighbourState::None;
            // On its own, `Use` resolves once: what kernels before 5.16, which ignore the other flag, make of it.
            message.header.flags = NeighbourFlags::Use;
            message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
            message.attributes.push(NeighbourAttribute::Protocol(OWNER));
            async move { (neighbour, request.execute().await) }
        });
        let results = stream::iter(requests).buffer_unordered(CONCURRENT_REQUESTS);
        let refused: Vec<_> =
            results.filter_map(async |(neighbour, result)| Some((neighbour, result.err()?))).collect().await;
        let Some((first, error)) = refused.first() else { return Ok(()) };
        bail!(
            "{} of {} next hops are not kept resolved; {} for one: {error}; {}",
            refused.len(),
            missing.len(),
            first.address,
            remedy(error)
        )
    }

    async fn remove(&self, unwanted: &[&Entry]) -> Result<()> {
        for entry in unwanted {
            let Neighbour { interface, address } = entry.neighbour;
            // The message has no other public constructor for a given address.
            let mut named: NeighbourMessage = self.handle.neighbours().add(interface, address).message_mut().clone();
            named.header.state = NeighbourState::None;
            match self.handle.neighbours().del(named).execute().await {
                Err(Error::NetlinkError(error)) if -error.raw_code() == libc::ENOENT => {}
                result => result.with_context(|| format!("remove the neighbour entry of {address}"))?,
            }
        }
        Ok(())
    }
}

fn is_ours(entry: &Entry) -> bool {
    entry.protocol == OWNER && !entry.permanent
}

fn wants_managing(entry: &Entry) -> bool {
    !entry.permanent && !entry.managed
}

fn remedy(error: &Error) -> &'static str {
    match error {
        Error::NetlinkError(error) if -error.raw_code() == libc::EPERM => "run the gateway with CAP_NET_ADMIN",
        Error::NetlinkError(error) if -error.raw_code() == libc::ENOBUFS => {
            "the neighbour table is full: raise net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3"
        }
        _ => "the next packets towards them wait for address resolution",
    }
}
