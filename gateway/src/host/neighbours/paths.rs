//! How this host reaches an address, as it is at present.

use std::{collections::HashMap, net::IpAddr};

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::route::{RouteFlags, RouteType};
use rtnetlink::Handle;

use super::next_hop::{look_up, next_hops};
use crate::host::{
    neighbour_entry::{Entry, Neighbour},
    netlink::connect,
};

/// Where packets to an address go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Nowhere.
    None,
    /// It is an address of this host.
    Own,
    /// Out of the interface with this index.
    Via { interface: u32, next_hop: IpAddr, state: State },
}

/// Whether a next hop's link-layer address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Known,
    /// Nobody has asked for it of late.
    NotAsked,
    /// It does not answer.
    Silent,
}

/// The paths to these addresses, each in its place.
pub async fn to(addresses: &[IpAddr]) -> Result<Vec<Path>> {
    let handle = connect()?;
    let messages: Vec<_> = handle.neighbours().get().execute().try_collect().await.context("list the neighbours")?;
    let entries = messages.iter().filter_map(Entry::from_message).map(|entry| (entry.neighbour, entry)).collect();
    let mut paths = Vec::new();
    for address in addresses {
        paths.push(one(&handle, *address, &entries).await.with_context(|| format!("find the route to {address}"))?);
    }
    Ok(paths)
}

async fn one(handle: &Handle, address: IpAddr, entries: &HashMap<Neighbour, Entry>) -> Result<Path> {
    let Some(route) = look_up(handle, address, RouteFlags::empty()).await? else { return Ok(Path::None) };
    if route.header.kind == RouteType::Local {
        return Ok(Path::Own);
    }
    let Some(hop) = next_hops(&route, address).first().copied() else { return Ok(Path::None) };
    let state = match entries.get(&hop) {
        Some(entry) if entry.resolved.is_some() => State::Known,
        Some(entry) if entry.silent => State::Silent,
        _ => State::NotAsked,
    };
    Ok(Path::Via { interface: hop.interface, next_hop: hop.address, state })
}
