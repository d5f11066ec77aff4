//! Real traffic through the gateway in every network it is made for: each topology with XDP and with TC, IPv4
//! and IPv6, byte by byte, and with no wrong checksum on the wire.

use std::collections::BTreeSet;

use gateway_tests::{
    BackendSide, ClientSide, Family, Gateway, GatewayConfig, Lab, Mode, Namespace, ServiceConfig, Topology,
    packets::Capture,
    scenario::{BACKEND_PORT, PORT, cases, config, numbered_servers, servers, service},
    traffic::{Behaviour, client},
};

const CONNECTIONS: usize = 12;
const PAYLOAD: usize = 100_000;

/// Connections from `client` reach the backends, which see the front server's internal address.
#[track_caller]
fn carries_traffic(topology: Topology) {
    for mode in Mode::ALL {
        let lab = topology.build();
        let servers = numbered_servers(&lab);
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let captures = [&*lab.client, &*lab.backends[0]].map(|host| Capture::start(host, "eth0"));
            let case = format!("{topology:?} {mode:?} {family:?}");
            let answered = connect_and_exchange(&lab.client, &lab, family, &case);
            assert_eq!(answered.len(), lab.backends.len(), "{case}: not every backend was used: {answered:?}");
            for captured in captures.map(Capture::finish) {
                captured.assert_checksums();
            }
            let peers: BTreeSet<_> = servers.iter().flat_map(|server| server.peers()).map(|peer| peer.ip()).collect();
            assert!(peers.contains(&lab.front.snat(family)), "{case}: backends see {peers:?}");
            assert!(!peers.contains(&lab.client.address(family)), "{case}: backends see {peers:?}");
        }
    }
}

/// Verified exchanges from a host; gives the backends that answered.
#[track_caller]
fn connect_and_exchange(from: &Namespace, lab: &Lab, family: Family, case: &str) -> BTreeSet<String> {
    let one = |seed| {
        let stream = client::connect(from, lab.front.at(family, PORT))?;
        let name = client::read_identity(&stream)?;
        client::exchange(&stream, seed, PAYLOAD)?;
        Ok::<_, client::Failure>(name)
    };
    (0..CONNECTIONS as u64).map(|seed| one(seed).unwrap_or_else(|e| panic!("{case}, connection {seed}: {e}"))).collect()
}

#[test]
fn two_arm() {
    carries_traffic(Topology::two_arm(2));
}

#[test]
fn one_arm() {
    carries_traffic(Topology::new(BackendSide::OneArm, 2));
}

#[test]
fn backends_behind_routers() {
    carries_traffic(Topology::new(BackendSide::Routed, 2));
}

#[test]
fn clients_behind_routers() {
    carries_traffic(Topology::two_arm(2).clients(ClientSide::Routed));
}

#[test]
fn containers_behind_a_bridge() {
    carries_traffic(Topology::new(BackendSide::Bridge, 2));
}

#[test]
fn containers_behind_veths() {
    carries_traffic(Topology::new(BackendSide::Veth, 2));
}

#[test]
fn vlan_on_the_client_side() {
    let topology = Topology::two_arm(2).clients(ClientSide::Vlan(100));
    if topology.is_possible() {
        carries_traffic(topology);
    }
}

#[test]
fn vlan_on_the_backend_side() {
    let topology = Topology::new(BackendSide::Vlan(200), 2);
    if topology.is_possible() {
        carries_traffic(topology);
    }
}

/// A container reaches its own service and another one by the front server's public address.
#[track_caller]
fn hairpins(side: BackendSide) {
    for (mode, family) in cases() {
        let lab = Topology::new(side, 2).build();
        let _servers = numbered_servers(&lab);
        let backends = lab.backends_at(family, BACKEND_PORT);
        let to = [0, 1].map(|index: u16| lab.front.at(family, PORT + index));
        let services = ["zero", "one"].into_iter().zip(to).zip(&backends);
        let config = services.fold(GatewayConfig::new(&lab, mode), |config, ((name, listen), backend)| {
            config.service(ServiceConfig::new(name, listen, &[*backend]))
        });
        let _gateway = Gateway::start(&lab, &config);
        for (index, service) in to.into_iter().enumerate() {
            let case = format!("{side:?} {mode:?} {family:?}: container 0 to the service of container {index}");
            let stream = client::connect(&lab.backends[0], service).unwrap_or_else(|e| panic!("{case}: {e}"));
            assert_eq!(client::read_identity(&stream), Ok(index.to_string()), "{case}");
            client::exchange(&stream, 1, PAYLOAD).unwrap_or_else(|e| panic!("{case}: {e}"));
        }
    }
}

#[test]
fn hairpin_of_containers_behind_a_bridge() {
    hairpins(BackendSide::Bridge);
}

#[test]
fn hairpin_of_containers_behind_veths() {
    hairpins(BackendSide::Veth);
}

#[test]
fn hairpin_of_hosts_on_the_backend_segment() {
    hairpins(BackendSide::Segment);
}

#[test]
fn two_services_share_a_backend() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let backends = lab.backends_at(family, BACKEND_PORT);
        let to = [lab.front.at(family, PORT), lab.front.at(family, PORT + 1)];
        let config = GatewayConfig::new(&lab, mode)
            .service(ServiceConfig::new("one", to[0], &backends))
            .service(ServiceConfig::new("two", to[1], &backends));
        let _gateway = Gateway::start(&lab, &config);
        let streams = to.map(|service| client::connect(&lab.client, service).unwrap());
        for (stream, seed) in streams.iter().zip(1..) {
            client::exchange(stream, seed, PAYLOAD).unwrap();
        }
        assert_eq!(servers[0].accepted(), 2);
    }
}

#[test]
fn a_service_on_several_public_addresses() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let [_, second] = lab.front.public(family);
        let listens = [lab.front.at(family, PORT), (second, PORT).into()];
        let service = service(&lab, family).also_listen(listens[1]);
        let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode).service(service));
        for listen in listens {
            let stream = client::connect(&lab.client, listen).unwrap_or_else(|e| panic!("{listen}: {e}"));
            client::exchange(&stream, 1, PAYLOAD).unwrap();
        }
    }
}
