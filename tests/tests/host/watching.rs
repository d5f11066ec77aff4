//! Changes of the network wake; repetition does not.

use std::time::Duration;

use gateway::host::{neighbours::Neighbours, watch::Watch};
use tokio::time::timeout;

use crate::{Wire, on};

const SOON: Duration = Duration::from_secs(5);

/// Longer than what follows from a change in the kernel takes.
const QUIET: Duration = Duration::from_millis(400);

#[track_caller]
fn wakes(woken: Result<anyhow::Result<()>, tokio::time::error::Elapsed>, change: &str) {
    woken.unwrap_or_else(|_| panic!("nobody was woken by: {change}")).unwrap();
}

/// Waits until what an earlier change brought about is over.
async fn settle(watch: &mut Watch) {
    while timeout(QUIET, watch.changed()).await.is_ok() {}
}

#[test]
fn every_change_of_the_network_wakes() {
    let wire = Wire::new();
    on(&wire.host, || {
        Box::pin(async {
            let mut watch = Watch::start().await.unwrap();
            for change in [
                "link add br0 type bridge",
                "link set br0 mtu 1300",
                "addr add 10.1.0.1/24 dev eth0",
                "addr add fd01::1/64 dev eth0 nodad",
                "route add 192.0.2.0/24 via 10.0.0.2",
                "route del 192.0.2.0/24",
                "route add 2001:db8::/64 via fd00::2",
                "rule add to 192.0.2.0/24 lookup 100",
                "-6 rule add to 2001:db8::/64 lookup 100",
                "neigh replace 10.0.0.2 lladdr 02:00:00:00:00:01 nud reachable dev eth0",
                "neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 nud reachable dev eth0",
                "neigh del 10.0.0.2 dev eth0",
                "nexthop add id 1 via 10.0.0.2 dev eth0",
                "addr del 10.1.0.1/24 dev eth0",
                "link del br0",
            ] {
                settle(&mut watch).await;
                wire.host.output("ip", &change.split(' ').collect::<Vec<_>>()).success();
                wakes(timeout(SOON, watch.changed()).await, change);
            }
        })
    });
}

#[test]
fn confirmed_neighbour_and_renewed_address_wake_nobody() {
    let wire = Wire::new();
    const KNOWN: &str = "neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud";
    wire.host.ip(&[&format!("{KNOWN} reachable"), "addr add 10.2.0.1/24 dev eth0 valid_lft 1000 preferred_lft 1000"]);
    on(&wire.host, || {
        Box::pin(async {
            let mut watch = Watch::start().await.unwrap();
            settle(&mut watch).await;
            wire.host.ip(&[
                &format!("{KNOWN} stale"),
                &format!("{KNOWN} delay"),
                &format!("{KNOWN} reachable"),
                "addr change 10.2.0.1/24 dev eth0 valid_lft 2000 preferred_lft 2000",
            ]);
            assert!(timeout(QUIET, watch.changed()).await.is_err());
            wire.host.ip(&["neigh replace 10.0.0.9 lladdr 02:00:00:00:00:0a dev eth0 nud reachable"]);
            wakes(timeout(SOON, watch.changed()).await, "another MAC address");
        })
    });
}

#[test]
fn burst_is_one_change_and_an_overrun_loses_none() {
    let wire = Wire::new();
    on(&wire.host, || {
        Box::pin(async {
            let mut watch = Watch::start().await.unwrap();
            settle(&mut watch).await;
            for (routes, what) in [(100, "a burst"), (20_000, "an overrun")] {
                let add = |i| format!("route replace 100.{}.{}.0/24 via 10.0.0.2", i / 250, i % 250);
                wire.host.ip(&(0..routes).map(add).collect::<Vec<_>>());
                wakes(timeout(SOON, watch.changed()).await, what);
                assert!(timeout(QUIET, watch.changed()).await.is_err(), "{what} woke twice");
            }
            wire.host.ip(&["route add 192.0.2.0/24 via 10.0.0.2"]);
            wakes(timeout(SOON, watch.changed()).await, "a change after the overrun");
        })
    });
}

#[test]
fn next_hops_that_are_kept_resolved_wake_nobody() {
    let wire = Wire::new();
    for family in ["ipv4", "ipv6"] {
        for (name, value) in
            [("base_reachable_time_ms", "200"), ("delay_first_probe_time", "1"), ("retrans_time_ms", "100")]
        {
            wire.host.sysctl(&format!("net/{family}/neigh/eth0/{name}"), value);
        }
        wire.host.sysctl(&format!("net/{family}/neigh/eth0/interval_probe_time_ms"), "100");
    }
    on(&wire.host, || {
        Box::pin(async {
            // The last one does not answer.
            let addresses = ["10.0.0.2", "fd00::2", "10.0.0.9"].map(|address| address.parse().unwrap());
            Neighbours::new().await.unwrap().keep(&addresses).await.unwrap();
            let mut watch = Watch::start().await.unwrap();
            settle(&mut watch).await;
            assert!(timeout(6 * QUIET, watch.changed()).await.is_err());
        })
    });
}
