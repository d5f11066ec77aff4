//! The kernel's route for a packet that the datapath would send, as its programs are told it.
//!
//! They ask by `bpf_fib_lookup`, which takes the interface that the packet has come in by into account. This asks by
//! rtnetlink, as if the packet were the host's own: rules for packets of an interface (`ip rule add iif`) are not
//! followed, and of several equal paths it may be told another one.

use std::net::IpAddr;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::{
    neighbour::NeighbourState,
    route::{RouteAttribute, RouteMessage, RouteMetric, RouteType},
};
use rtnetlink::{Error, Handle};
use tokio::time::timeout;

use super::{
    links::{self, Interface},
    neighbour_entry::{Entry, Neighbour},
    neighbours::next_hop::{REPLY_TIMEOUT, next_hops, question},
    netlink::connect,
    sysctl::{self, Family},
};

/// Where packets to an address are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub interface: Interface,
    /// The router, or the address itself.
    pub next_hop: IpAddr,
    /// The next hop's hardware address, while the kernel knows it.
    pub mac: Option<[u8; 6]>,
    /// What the kernel calls the state of that knowledge.
    pub neighbour: &'static str,
    /// In bytes.
    pub mtu: u32,
}

/// Why packets to an address are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// No route, or one that says unreachable.
    NoRoute,
    /// An address of the host itself, or of all stations; or forwarding is off.
    NotForwarded,
    /// A route that encapsulates.
    Encapsulated,
}

/// Routes and neighbours of the host, asked for one at a time.
pub struct Routes {
    handle: Handle,
    interfaces: Vec<Interface>,
}

impl Routes {
    pub async fn new() -> Result<Self> {
        let handle = connect()?;
        let interfaces = timeout(REPLY_TIMEOUT, links::snapshot()).await.context("the kernel does not answer")??;
        Ok(Self { handle, interfaces })
    }

    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    /// The interface that the route to an address leaves by, and so the one that its packets are expected by.
    pub async fn towards(&self, address: IpAddr) -> Result<Option<Interface>> {
        let Some(route) = self.ask(address, None).await? else { return Ok(None) };
        let hop = next_hops(&route, address).first().copied();
        Ok(hop.and_then(|hop| self.interface(hop.interface)).cloned())
    }

    /// The route of packets from `source`, an address of the gateway, to `address`, that have come in by `ingress`.
    pub async fn find(
        &self,
        ingress: Option<&Interface>,
        source: IpAddr,
        address: IpAddr,
    ) -> Result<Result<Route, Unroutable>> {
        if ingress.is_some_and(|it| !sysctl::forwarding(Family::of(&address), &it.name).unwrap_or(false)) {
            return Ok(Err(Unroutable::NotForwarded));
        }
        let Some(route) = self.ask(address, Some(source)).await? else { return Ok(Err(Unroutable::NoRoute)) };
        match route.header.kind {
            RouteType::Unicast => {}
            RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => {
                return Ok(Err(Unroutable::NotForwarded));
            }
            _ => return Ok(Err(Unroutable::NoRoute)),
        }
        if route.attributes.iter().any(|it| matches!(it, RouteAttribute::EncapType(_) | RouteAttribute::Encap(_))) {
            return Ok(Err(Unroutable::Encapsulated));
        }
        let hop = next_hops(&route, address).first().copied();
        let Some((hop, interface)) = hop.and_then(|hop| Some((hop, self.interface(hop.interface)?))) else {
            return Ok(Err(Unroutable::NoRoute));
        };
        let neighbour = self.neighbour(hop).await?;
        Ok(Ok(Route {
            interface: interface.clone(),
            next_hop: hop.address,
            mac: neighbour.as_ref().and_then(|entry| entry.resolved.as_deref()?.try_into().ok()),
            neighbour: neighbour.map_or("none", |entry| name(entry.state)),
            mtu: mtu(&route).unwrap_or(interface.mtu),
        }))
    }

    /// The kernel's answer; none when it says that there is no route.
    async fn ask(&self, address: IpAddr, source: Option<IpAddr>) -> Result<Option<RouteMessage>> {
        match self.reply(address, source).await {
            // An address that the host has not, although packets are translated to it.
            Err(Error::NetlinkError(error)) if source.is_some() && -error.raw_code() == libc::EINVAL => {
                ignore_refusal(self.reply(address, None).await)
            }
            reply => ignore_refusal(reply),
        }
        .with_context(|| format!("find the route to {address}"))
    }

    async fn reply(&self, address: IpAddr, source: Option<IpAddr>) -> Result<Option<RouteMessage>, Error> {
        let mut question = question(address);
        if let Some(source) = source {
            question.header.source_prefix_length = if source.is_ipv4() { 32 } else { 128 };
            question.attributes.push(RouteAttribute::Source(source.into()));
        }
        let reply = async { self.handle.route().get(question).execute().try_next().await };
        timeout(REPLY_TIMEOUT, reply).await.unwrap_or(Err(Error::RequestFailed))
    }

    async fn neighbour(&self, wanted: Neighbour) -> Result<Option<Entry>> {
        let listing = async { self.handle.neighbours().get().execute().try_collect::<Vec<_>>().await };
        let messages = timeout(REPLY_TIMEOUT, listing).await.context("the kernel does not answer")?;
        let messages = messages.context("list the neighbours")?;
        Ok(messages.iter().filter_map(Entry::from_message).find(|entry| entry.neighbour == wanted))
    }
}

fn ignore_refusal(reply: Result<Option<RouteMessage>, Error>) -> Result<Option<RouteMessage>, Error> {
    match reply {
        Err(Error::NetlinkError(error)) => {
            log::debug!("no route: {error}");
            Ok(None)
        }
        reply => reply,
    }
}

/// The MTU that the route itself sets, or that was learnt for it.
fn mtu(route: &RouteMessage) -> Option<u32> {
    let metrics = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => Some(metrics),
        _ => None,
    })?;
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// As `ip neighbour` prints it.
fn name(state: NeighbourState) -> &'static str {
    match state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Noarp => "noarp",
        NeighbourState::Permanent => "permanent",
        _ => "none",
    }
}
