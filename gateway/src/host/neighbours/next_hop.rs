//! Where packets to an address go next, by the kernel's routes.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use netlink_packet_route::{
    AddressFamily,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{Error, Handle};
use tokio::time::timeout;

use super::CONCURRENT_REQUESTS;
use crate::host::neighbour_entry::Neighbour;

/// The kernel answers at once; a reply that cannot be read is never handed on.
pub(in crate::host) const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// The next hops towards all of the addresses; all paths of a multipath route.
pub(super) async fn of_all(handle: &Handle, addresses: &[IpAddr]) -> Result<HashSet<Neighbour>> {
    let addresses: HashSet<IpAddr> = addresses.iter().copied().collect();
    let lookups = addresses.into_iter().map(|address| async move {
        let reply = timeout(REPLY_TIMEOUT, towards(handle, address)).await;
        reply.context("the kernel does not answer")?.with_context(|| format!("find the route to {address}"))
    });
    let found: Vec<Vec<Neighbour>> = stream::iter(lookups).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn towards(handle: &Handle, address: IpAddr) -> Result<Vec<Neighbour>, Error> {
    let Some(route) = look_up(handle, address, RouteFlags::FibMatch).await? else { return Ok(Vec::new()) };
    if route.header.kind != RouteType::Unicast {
        return Ok(Vec::new());
    }
    let hops = next_hops(&route, address);
    if !hops.is_empty() {
        return Ok(hops);
    }
    // With net.ipv4.nexthop_compat_mode=0 a route names its next hop object only, but a lookup still resolves it.
    let path = look_up(handle, address, RouteFlags::empty()).await?;
    Ok(path.map(|path| next_hops(&path, address)).unwrap_or_default())
}

/// The question for the route to an address.
pub(in crate::host) fn question(address: IpAddr) -> RouteMessage {
    let mut question = RouteMessage::default();
    (question.header.address_family, question.header.destination_prefix_length) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    question.attributes.push(RouteAttribute::Destination(address.into()));
    question
}

/// The route to the address; none when the kernel says that there is none.
pub(super) async fn look_up(
    handle: &Handle,
    address: IpAddr,
    flags: RouteFlags,
) -> Result<Option<RouteMessage>, Error> {
    let mut question = question(address);
    question.header.flags = flags;
    match handle.route().get(question).execute().try_next().await {
        Err(Error::NetlinkError(error)) => {
            log::debug!("no route to {address}: {error}");
            Ok(None)
        }
        reply => reply,
    }
}

/// The hops of a route to the address.
pub(in crate::host) fn next_hops(route: &RouteMessage, address: IpAddr) -> Vec<Neighbour> {
    let mut hops = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(interface) => {
                hops.push(Neighbour { interface: *interface, address: gateway(&route.attributes).unwrap_or(address) });
            }
            RouteAttribute::MultiPath(paths) => hops.extend(paths.iter().map(|path| Neighbour {
                interface: path.interface_index,
                address: gateway(&path.attributes).unwrap_or(address),
            })),
            _ => {}
        }
    }
    hops
}

/// The router of a route, which for an IPv4 route can have an IPv6 address (RFC 5549).
fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => Some((*ip).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
            Some((*ip).into())
        }
        _ => None,
    })
}
