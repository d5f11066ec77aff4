//! Source ports that run out.

use std::{net::IpAddr, time::Duration};

use gateway_tests::{
    Family, Gateway, Lab, Mode, Topology, eventually,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, DEADLINE, crowd, syns::repeated_syns},
};

const RANGE: &str = "40000-40511";
const PORTS: usize = 512;
const BACKENDS: usize = 2;
const ADDRESSES: usize = 2;
const PLACES: usize = PORTS * BACKENDS * ADDRESSES;
/// What is to be had of them at least.
const NEARLY_ALL: usize = PLACES * 95 / 100;
/// With these there are more connections than there is room for.
const BEYOND: usize = PLACES / 4;
/// Connections that end then.
const ENDED: usize = PLACES / 4;
/// Time for a SYN and three repetitions, after 1, 3 and 7 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for a SYN and two repetitions.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// Gives the front server a second source address of each family.
fn second_addresses(lab: &Lab) -> [IpAddr; 2] {
    lab.front.ip(&["addr add 10.0.0.2/24 dev eth1", "addr add fd00::2/64 dev eth1 nodad"]);
    ["10.0.0.2", "fd00::2"].map(|address| address.parse().unwrap())
}

fn ports_warnings(gateway: &Gateway) -> usize {
    let status = gateway.json(&["status"]);
    let warnings = status["warnings"].as_array().unwrap().iter().filter_map(|warning| warning.as_str());
    warnings.filter(|warning| warning.starts_with("the source ports towards backend ")).count()
}

#[test]
fn nearly_every_source_port_of_every_address_towards_every_backend_carries_a_connection() {
    for (mode, family) in [(Mode::XdpNative, Family::V4), (Mode::Tc, Family::V6)] {
        let lab = Topology::two_arm(BACKENDS).build();
        let more = second_addresses(&lab);
        let servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode).sources(&more, RANGE));
        let to = lab.front.at(family, PORT);
        let mut open = crowd::open_at_once(&lab.client, to, NEARLY_ALL, PATIENCE);
        let [repeated, elsewhere] = [repeated_syns(&lab.client), gateway.packets("opened_elsewhere")];
        println!("{mode:?} {family:?}: {} open, {elsewhere} elsewhere, {repeated} SYNs repeated", open.len());
        assert_eq!(open.len(), NEARLY_ALL, "{mode:?} {family:?}");
        open.extend(crowd::open_at_once(&lab.client, to, BEYOND, SHORT_PATIENCE));
        let [refused, elsewhere] = ["ports_exhausted", "opened_elsewhere"].map(|reason| gateway.packets(reason));
        println!("then {} of {PLACES} open, {elsewhere} elsewhere, {refused} SYNs refused", open.len());
        assert!(open.len() <= PLACES && refused > 0 && elsewhere > 0, "{mode:?} {family:?}: {}", open.len());
        crowd::exchange_on_all(&open).unwrap();
        let mut peers: Vec<_> = servers
            .iter()
            .zip(0..)
            .flat_map(|(server, number)| server.peers().into_iter().map(move |peer| (number, peer)))
            .collect();
        let accepted = peers.len();
        peers.sort_unstable();
        peers.dedup();
        assert_eq!((accepted, peers.len()), (open.len(), open.len()), "no two connections look alike to a backend");
        eventually(DEADLINE, || match ports_warnings(&gateway) {
            BACKENDS => Ok(()),
            warnings => Err(format!("{warnings} warnings")),
        });
        drop(open.drain(..ENDED));
        let again = crowd::open_at_once(&lab.client, to, ENDED, PATIENCE);
        println!("{ENDED} ended, and {} of as many were opened", again.len());
        assert!(again.len() >= ENDED * 9 / 10, "{mode:?} {family:?}: {}", again.len());
        crowd::exchange_on_all(&open).unwrap();
        crowd::exchange_on_all(&again).unwrap();
    }
}
