//! Flows follow the network: a backend that gets another hardware address, or another route, keeps its
//! connections.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Namespace, ServiceConfig, Topology, eventually, link,
    scenario::{BACKEND_PORT, PORT, cases},
    traffic::{Behaviour, Heartbeat, Server},
};

const BEATS: usize = 50;

/// A connection to backend 0 goes on after `change`.
#[track_caller]
fn a_connection_outlives(change: impl Fn(&Lab, Family)) {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let backend = lab.backends[0].at(family, BACKEND_PORT);
        let _server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Echo);
        let service = ServiceConfig::new("service", lab.front.at(family, PORT), &[backend]);
        let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode).service(service));
        let connection = Heartbeat::start(&lab.client, lab.front.at(family, PORT));
        connection.expect_beats(BEATS);
        println!("{mode:?} {family:?}: change");
        change(&lab, family);
        connection.expect_beats(BEATS);
        connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}"));
    }
}

#[test]
fn a_backend_that_announces_another_hardware_address_keeps_its_connections() {
    a_connection_outlives(|lab, _| {
        let backend = &lab.backends[0];
        backend.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
        backend.sysctl("net/ipv6/conf/eth0/ndisc_notify", "1");
        backend.ip(&["link set eth0 address 02:00:5e:00:53:01"]);
    });
}

#[test]
fn a_backend_behind_another_route_keeps_its_connections() {
    a_connection_outlives(|lab, family| {
        let [backend, router] = [&lab.backends[0], &lab.backends[1]];
        link::forward(router);
        for key in ["all", "eth0"] {
            router.sysctl(&format!("net/ipv4/conf/{key}/send_redirects"), "0");
        }
        let before = packets_forwarded(router);
        lab.front.ip(&[format!("route add {} via {}", backend.address(family), router.address(family))]);
        eventually(Duration::from_secs(5), || match packets_forwarded(router) - before {
            0..20 => Err("the new route is not used"),
            _ => Ok(()),
        });
    });
}

/// Packets that a namespace has routed, of both families.
fn packets_forwarded(router: &Namespace) -> u64 {
    let counters = router.output("nstat", &["-a", "-z", "-s", "--json", "IpForwDatagrams", "Ip6OutForwDatagrams"]);
    let kernel = &counters.success().json()["kernel"];
    ["IpForwDatagrams", "Ip6OutForwDatagrams"].iter().filter_map(|name| kernel[name].as_u64()).sum()
}
