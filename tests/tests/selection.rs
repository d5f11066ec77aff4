//! Which backend a connection gets, and that it stays there.

use std::{collections::BTreeMap, time::Duration};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, config, numbered_servers, service, service_name},
    traffic::{Heartbeat, client},
};

/// The backends of new connections, counted by number.
#[track_caller]
fn answers(lab: &Lab, family: Family, connections: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..connections {
        let backend = client::identity_of(&lab.client, lab.front.at(family, PORT)).unwrap();
        *answers.entry(backend).or_default() += 1;
    }
    answers
}

#[test]
fn every_backend_gets_its_weighted_share() {
    const WEIGHTS: [u16; 3] = [1, 2, 5];
    const CONNECTIONS: usize = 1_600;
    // Chi-square with two degrees of freedom: exceeded once in 10,000 runs by chance.
    const LIMIT: f64 = 18.4;
    for family in Family::ALL {
        let lab = Topology::two_arm(WEIGHTS.len()).build();
        let _servers = numbered_servers(&lab);
        let service = service(&lab, family).weights(&WEIGHTS);
        let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(service));
        let answers = answers(&lab, family, CONNECTIONS);
        let all: u16 = WEIGHTS.iter().sum();
        let deviation = |(index, weight): (usize, &u16)| {
            let expected = CONNECTIONS as f64 * f64::from(*weight) / f64::from(all);
            let found = answers.get(&index.to_string()).copied().unwrap_or_default() as f64;
            (found - expected).powi(2) / expected
        };
        let chi_square: f64 = WEIGHTS.iter().enumerate().map(deviation).sum();
        assert!(chi_square < LIMIT, "{family:?}: chi-square {chi_square:.1} for {answers:?}");
    }
}

#[test]
fn source_affinity_keeps_a_client_with_its_backend() {
    for family in Family::ALL {
        let lab = Topology::two_arm(4).build();
        let _servers = numbered_servers(&lab);
        let service = service(&lab, family).with("algorithm = \"source\"");
        let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(service));
        let answers = answers(&lab, family, 40);
        assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
    }
}

#[test]
fn least_connections_levels_open_connections() {
    for family in Family::ALL {
        let lab = Topology::two_arm(2).build();
        let servers = numbered_servers(&lab);
        let service = service(&lab, family).with("algorithm = \"least-connections\"");
        let _gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(service));
        let to = lab.front.at(family, PORT);
        let _open: Vec<_> = (0..60).map(|_| client::connect(&lab.client, to).unwrap()).collect();
        // A server accepts a while after its kernel has answered the client.
        eventually(Duration::from_secs(5), || match servers[0].open() + servers[1].open() {
            60 => Ok(()),
            open => Err(format!("{open} are open")),
        });
        let difference = servers[0].open().abs_diff(servers[1].open());
        assert!(difference <= 10, "{family:?}: {} and {} are open", servers[0].open(), servers[1].open());
    }
}

#[test]
fn a_connection_stays_with_its_backend_while_the_set_changes() {
    for (mode, side) in Mode::ALL.into_iter().zip([BackendSide::Segment, BackendSide::Bridge]) {
        let lab = Topology::new(side, 3).build();
        let _servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let to = lab.front.at(family, PORT);
            let stream = client::connect(&lab.client, to).unwrap();
            let backend = client::read_identity(&stream).unwrap();
            let connection = Heartbeat::on(stream);
            connection.expect_beats(20);
            let remaining: Vec<_> = (0..3).filter(|index| index.to_string() != backend).collect();
            let addresses: Vec<_> =
                remaining.iter().map(|index| lab.backends[*index].at(family, BACKEND_PORT)).collect();
            let name = service_name(family);
            let changed = ServiceConfig::new(name, to, &addresses);
            gateway.reload(&GatewayConfig::new(&lab, mode).service(changed));
            eventually(Duration::from_secs(5), || {
                let answers = answers(&lab, family, 20);
                if answers.contains_key(&backend) {
                    Err(format!("new connections still reach {answers:?}"))
                } else {
                    Ok(())
                }
            });
            connection.expect_beats(20);
            connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}"));
            gateway.reload(&config(&lab, mode));
            eventually(Duration::from_secs(5), || match answers(&lab, family, 30).len() {
                3 => Ok(()),
                used => Err(format!("{used} backends are used")),
            });
        }
    }
}

#[test]
fn a_drained_backend_keeps_its_connections_and_gets_no_new_ones() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        let pinned: usize = client::read_identity(&stream).unwrap().parse().unwrap();
        let connection = Heartbeat::on(stream);
        let address = lab.backends_at(family, BACKEND_PORT)[pinned].to_string();
        let name = service_name(family);
        gateway.cli(&["backend", "drain", name, &address]).success();
        let accepted = servers[pinned].accepted();
        answers(&lab, family, 20);
        assert_eq!(servers[pinned].accepted(), accepted, "{mode:?} {family:?}");
        connection.expect_beats(20);
        connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}"));
    }
}
