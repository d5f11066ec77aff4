//! Path MTU discovery works through the gateway: ICMP errors about translated packets find the end that sent
//! them, and large transfers complete in both directions. So do packets that are larger than usual.

use gateway_tests::{
    BackendSide, ClientSide, Family, Gateway, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, config},
    traffic::{Behaviour, Server, client},
};

const LENGTH: usize = 10_000_000;
const NARROW: u16 = 1_300;
const JUMBO: u16 = 9_000;

/// 10 MB each way, in every mode and family, with the link that `narrow` chooses at a small MTU.
#[track_caller]
fn transfers_complete(topology: Topology, narrow: impl Fn(&Lab)) {
    for mode in Mode::ALL {
        let lab = topology.build();
        narrow(&lab);
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let to = lab.front.at(family, PORT);
            {
                let _server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Digest);
                client::upload(&lab.client, to, 1, LENGTH).unwrap_or_else(|e| panic!("{mode:?} {family:?} up: {e}"));
            }
            let _server =
                Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Download { seed: 2, length: LENGTH });
            client::download(&lab.client, to, 2, LENGTH).unwrap_or_else(|e| panic!("{mode:?} {family:?} down: {e}"));
        }
    }
}

#[test]
fn a_narrow_link_on_the_way_to_the_backends() {
    transfers_complete(Topology::new(BackendSide::Routed, 1), |lab| lab.narrow(&lab.backend_routers, NARROW));
}

#[test]
fn a_narrow_link_on_the_way_to_the_clients() {
    let topology = Topology::two_arm(1).clients(ClientSide::Routed);
    transfers_complete(topology, |lab| lab.narrow(&lab.client_routers, NARROW));
}

#[test]
fn a_narrow_link_of_the_front_server_itself() {
    transfers_complete(Topology::new(BackendSide::Routed, 1), |lab| {
        lab.front.ip(&[format!("link set eth1 mtu {NARROW}")]);
        lab.backend_routers[0].ip(&[format!("link set eth0 mtu {NARROW}")]);
    });
}

#[test]
fn containers_with_a_smaller_mtu_than_the_clients() {
    transfers_complete(Topology::new(BackendSide::Bridge, 1).clients(ClientSide::Routed), |lab| {
        lab.backends[0].ip(&["link set eth0 mtu 1400"]);
        lab.front.ip(&["link set port0 mtu 1400", "link set br0 mtu 1400"]);
    });
}

/// Frames of several buffers for XDP.
#[test]
fn jumbo_frames_of_hosts_on_both_sides() {
    transfers_complete(Topology::two_arm(1), |lab| {
        let switches = ["lan0", "lan1"].map(|role| lab.switch(role));
        for switch in switches {
            let ports = switch.output("ls", &["/sys/class/net"]).success().stdout;
            for port in ports.lines().filter(|port| *port != "lo") {
                switch.ip(&[format!("link set {port} mtu {JUMBO}")]);
            }
        }
        lab.front.ip(&["eth0", "eth1"].map(|device| format!("link set {device} mtu {JUMBO}")));
        lab.client.ip(&[format!("link set eth0 mtu {JUMBO}")]);
        lab.backends[0].ip(&[format!("link set eth0 mtu {JUMBO}")]);
    });
}
