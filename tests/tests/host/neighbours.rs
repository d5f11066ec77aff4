//! Next hops that are kept resolved.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use gateway::host::neighbours::Neighbours;
use gateway_tests::eventually;

use crate::{Wire, on};

const SOON: Duration = Duration::from_secs(20);

/// Addresses behind the peer, which is their router.
const REMOTE: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];

fn routed() -> Wire {
    let wire = Wire::new();
    wire.host.ip(&["route add 192.0.2.0/24 via 10.0.0.2", "route add 2001:db8::/64 via fd00::2"]);
    wire
}

fn keep(wire: &Wire, addresses: &[&str]) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    on(&wire.host, || Box::pin(async move { Neighbours::new().await.unwrap().keep(&addresses).await })).unwrap();
}

fn release(wire: &Wire) {
    on(&wire.host, || Box::pin(async { Neighbours::new().await.unwrap().release().await })).unwrap();
}

/// What `ip neigh show` says of an address on `eth0`; empty if there is no entry.
fn entry(wire: &Wire, address: &str) -> String {
    wire.host.output("ip", &["neigh", "show", "to", address, "dev", "eth0"]).success().stdout
}

fn managed(wire: &Wire) -> Vec<String> {
    let all = wire.host.output("ip", &["neigh", "show"]).success().stdout;
    let managed = all.lines().filter(|line| line.contains(" managed "));
    let mut addresses: Vec<_> = managed.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    addresses.sort();
    addresses
}

#[test]
fn next_hops_are_managed_and_resolved_without_traffic() {
    let wire = routed();
    keep(&wire, &REMOTE);
    assert_eq!(managed(&wire), ["10.0.0.2", "fd00::2"]);
    for hop in ["10.0.0.2", "fd00::2"] {
        eventually(SOON, || {
            let entry = entry(&wire, hop);
            if entry.contains("REACHABLE") { Ok(()) } else { Err(entry) }
        });
    }
}

#[test]
fn neighbour_with_another_mac_is_found_again() {
    let wire = routed();
    for (name, value) in
        [("base_reachable_time_ms", "500"), ("delay_first_probe_time", "1"), ("retrans_time_ms", "100")]
    {
        wire.host.sysctl(&format!("net/ipv4/neigh/eth0/{name}"), value);
    }
    wire.host.sysctl("net/ipv4/neigh/eth0/interval_probe_time_ms", "100");
    keep(&wire, &REMOTE);
    wire.peer.ip(&["link set eth0 address 02:00:00:00:00:77"]);
    eventually(SOON, || {
        let entry = entry(&wire, "10.0.0.2");
        if entry.contains("02:00:00:00:00:77") && entry.contains("managed") { Ok(()) } else { Err(entry) }
    });
}

#[test]
fn unwanted_next_hops_are_removed() {
    let wire = routed();
    keep(&wire, &["192.0.2.1", "10.0.0.9", "2001:db8::1"]);
    assert_eq!(managed(&wire), ["10.0.0.2", "10.0.0.9", "fd00::2"]);
    keep(&wire, &["192.0.2.1"]);
    assert_eq!(managed(&wire), ["10.0.0.2"]);
    release(&wire);
    assert_eq!(managed(&wire), [""; 0]);
}

#[test]
fn entries_of_the_operator_are_not_touched() {
    let wire = routed();
    wire.host.ip(&[
        "neigh add 10.0.0.2 lladdr 02:00:00:00:00:42 nud permanent dev eth0",
        "neigh add 10.0.0.8 managed dev eth0",
    ]);
    keep(&wire, &["192.0.2.1", "10.0.0.8", "10.0.0.9"]);
    assert!(entry(&wire, "10.0.0.2").contains("02:00:00:00:00:42 PERMANENT"));
    release(&wire);
    assert!(entry(&wire, "10.0.0.2").contains("02:00:00:00:00:42 PERMANENT"));
    assert_eq!(managed(&wire), ["10.0.0.8"]);
}

#[test]
fn every_path_of_a_multipath_route_is_kept() {
    let wire = Wire::new();
    wire.host.ip(&[
        "route add 192.0.2.0/24 nexthop via 10.0.0.2 dev eth0 nexthop via 10.0.0.3 dev eth0",
        "route add 2001:db8::/64 nexthop via fd00::2 dev eth0 nexthop via fd00::3 dev eth0",
        "nexthop add id 1 via 10.0.0.4 dev eth0",
        "route add 198.51.100.0/24 nhid 1",
    ]);
    let addresses = ["192.0.2.1", "2001:db8::1", "198.51.100.1"];
    let hops = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::2", "fd00::3"];
    keep(&wire, &addresses);
    assert_eq!(managed(&wire), hops);
    release(&wire);
    wire.host.sysctl("net/ipv4/nexthop_compat_mode", "0");
    keep(&wire, &addresses);
    assert_eq!(managed(&wire), hops);
}

#[test]
fn own_unroutable_and_refused_addresses_have_no_next_hop() {
    let wire = Wire::new();
    wire.host.ip(&["route add blackhole 203.0.113.0/24", "route add unreachable 2001:db8::/64"]);
    keep(&wire, &["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "192.0.2.1", "203.0.113.1", "2001:db8::1"]);
    assert_eq!(managed(&wire), [""; 0]);
}

#[test]
fn ten_thousand_addresses_behind_one_router_take_a_second_at_most() {
    let wire = Wire::new();
    wire.host.ip(&["route add 100.64.0.0/10 via 10.0.0.2"]);
    let addresses: Vec<IpAddr> = (0..10_000u16)
        .map(|i| [[100, 64], i.to_be_bytes()].concat())
        .map(|octets| IpAddr::from(<[u8; 4]>::try_from(octets).unwrap()))
        .collect();
    let took = on(&wire.host, || {
        Box::pin(async move {
            let mut neighbours = Neighbours::new().await.unwrap();
            let started = Instant::now();
            neighbours.keep(&addresses).await.unwrap();
            started.elapsed()
        })
    });
    println!("10,000 addresses took {took:?}");
    assert_eq!(managed(&wire), ["10.0.0.2"]);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
