//! The ways to the backends of the configuration: routes, interfaces, neighbours.

use std::{fs, net::IpAddr};

use super::{Check, Finding};
use crate::{
    config::Config,
    host::{
        links,
        neighbours::paths::{self, Path, State},
        sysctl::Family,
    },
};

const ROUTES: Check = Check {
    name: "routes to backends",
    why: "a connection goes to its backend by the kernel's route, and comes back there",
};
const NEIGHBOURS: Check = Check {
    name: "neighbours",
    why: "a frame to a next hop whose hardware address is unknown waits for it, and is dropped if it stays so",
};
const ROOM: Check = Check {
    name: "neighbour table",
    why: "the kernel forgets neighbours when it is full, and those of backends are kept",
};

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    let mut addresses: Vec<IpAddr> = backends.map(|backend| backend.address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Vec::new();
    }
    let (paths, interfaces) = match (paths::to(&addresses).await, links::snapshot().await) {
        (Ok(paths), Ok(interfaces)) => (paths, interfaces),
        (Err(error), _) | (_, Err(error)) => return vec![ROUTES.unseen(format!("{error:#}"))],
    };
    let name_of = |index| interfaces.iter().find(|it| it.index == index).map_or("?", |it| it.name.as_str());
    let mut findings = Vec::new();
    for (address, path) in addresses.iter().zip(&paths) {
        match path {
            Path::None => findings.push(ROUTES.warning(
                format!("there is none to {address}"),
                "bring its interface up, or add a route: ip route add NETWORK via ROUTER",
            )),
            Path::Own => findings.push(ROUTES.error(
                format!("{address} is this host's own"),
                "run the backend in a container or on another host: what the host sends to itself passes no interface",
            )),
            Path::Via { interface, next_hop, state } => {
                let name = name_of(*interface);
                findings.extend(attached(config, *address, name));
                findings.extend(neighbour(*next_hop, *state, name));
            }
        }
    }
    for check in [ROUTES, NEIGHBOURS] {
        if findings.iter().all(|finding| finding.name != check.name) {
            findings.push(check.ok(format!("in order, for every backend address ({})", addresses.len())));
        }
    }
    findings.extend(room(&addresses));
    findings
}

/// Docker's bridges are attached to when they are needed.
fn attached(config: &Config, address: IpAddr, name: &str) -> Option<Finding> {
    let known = config.docker.is_some() || config.interfaces.iter().any(|interface| interface.name == name);
    (!known && !config.interfaces.is_empty()).then(|| {
        let detail =
            format!("{address} is reached by {name}, which the gateway is not attached to: no answer comes back");
        ROUTES.error(detail, format!("add to the file: [[interface]] name = \"{name}\"")).on(name)
    })
}

fn neighbour(next_hop: IpAddr, state: State, name: &str) -> Option<Finding> {
    (state == State::Silent).then(|| {
        let fix =
            format!("see that {next_hop} is up and on the network of {name}, then: ping -c3 -I {name} {next_hop}");
        NEIGHBOURS.warning(format!("{next_hop} does not say its hardware address"), fix).on(name)
    })
}

/// Whether the kernel's limit has room for the backends. Other network namespaces than the first do not show it.
fn room(addresses: &[IpAddr]) -> Vec<Finding> {
    let of = |(family, folder): (Family, &str)| {
        let path = format!("/proc/sys/net/{folder}/neigh/default/gc_thresh3");
        let most: usize = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        let backends = addresses.iter().filter(|address| Family::of(address) == family).count();
        Some(judge_room(folder, backends, most))
    };
    [(Family::V4, "ipv4"), (Family::V6, "ipv6")].into_iter().filter_map(of).collect()
}

fn judge_room(folder: &str, backends: usize, most: usize) -> Finding {
    let detail = format!("{backends} backend addresses, and room for {most} neighbours ({folder})");
    if backends * 2 <= most {
        return ROOM.ok(detail);
    }
    ROOM.warning(detail, format!("sysctl -w net.{folder}.neigh.default.gc_thresh3={}", backends * 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbour_table_is_to_hold_twice_the_backends() {
        assert_eq!(judge_room("ipv4", 512, 1024).fix, None);
        let fix = judge_room("ipv4", 600, 1024).fix;
        assert_eq!(fix.as_deref(), Some("sysctl -w net.ipv4.neigh.default.gc_thresh3=2400"));
    }
}
