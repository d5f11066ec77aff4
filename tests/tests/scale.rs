//! Many services and many backends, all of which work, and changes among them.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, GatewayConfig, Mode, ServiceConfig, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, numbered_servers, servers},
    traffic::{Behaviour, client},
};

const SERVICES: u16 = 10_000;
const FIRST_PORT: u16 = 10_000;

#[test]
fn ten_thousand_services_forward() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let backend = lab.backends[0].at(Family::V4, BACKEND_PORT);
    let listen = |port| lab.front.at(Family::V4, port);
    let services = (FIRST_PORT..FIRST_PORT + SERVICES)
        .map(|port| ServiceConfig::new(&format!("s{port}"), listen(port), &[backend]));
    let config = services.fold(GatewayConfig::new(&lab, Mode::Tc), GatewayConfig::service);
    let gateway = Gateway::start(&lab, &config);
    for port in [FIRST_PORT, FIRST_PORT + SERVICES / 2, FIRST_PORT + SERVICES - 1] {
        let stream = client::connect(&lab.client, listen(port)).unwrap();
        client::exchange(&stream, port.into(), 10_000).unwrap();
    }
    assert_eq!(gateway.json(&["service", "list"]).as_array().map(Vec::len), Some(SERVICES.into()));
}

#[test]
fn a_change_among_a_hundred_backends_is_in_force_at_once() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let real = lab.backends[0].at(Family::V4, BACKEND_PORT);
    // Nobody listens on the other ports, so a connection that is sent there is refused.
    let backends: Vec<_> = (0..100).map(|index| lab.backends[0].at(Family::V4, BACKEND_PORT + index)).collect();
    let service = ServiceConfig::new("many", lab.front.at(Family::V4, PORT), &backends);
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::Tc).service(service));
    for backend in backends.iter().filter(|backend| **backend != real) {
        gateway.cli(&["backend", "drain", "many", &backend.to_string()]).success();
    }
    for seed in 0..20 {
        let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
        client::exchange(&stream, seed, 100).unwrap();
    }
    gateway.cli(&["backend", "drain", "many", &real.to_string()]).success();
    assert!(
        client::connect(&lab.client, lab.front.at(Family::V4, PORT)).is_err(),
        "a drained backend got a connection"
    );
}

#[test]
fn a_listen_address_moves_from_one_service_to_another() {
    let lab = Topology::two_arm(2).build();
    let _servers = numbered_servers(&lab);
    let listen = |index: u16| lab.front.at(Family::V4, PORT + index);
    let backend = |index: usize| lab.backends[index].at(Family::V4, BACKEND_PORT);
    let config = |first: u16, second: u16| {
        let services = [("a", first, 0), ("b", second, 1)]
            .map(|(name, port, index)| ServiceConfig::new(name, listen(port), &[backend(index)]));
        services.into_iter().fold(GatewayConfig::new(&lab, Mode::Tc), GatewayConfig::service)
    };
    let answer = |index| client::identity_of(&lab.client, listen(index)).ok();
    let gateway = Gateway::start(&lab, &config(0, 1));
    // Swapped, given up to the one that is put into force first, and to the one that is last.
    for (first, second) in [(1, 0), (2, 1), (0, 2), (0, 1)] {
        gateway.reload(&config(first, second));
        eventually(Duration::from_secs(5), || {
            let answers = [answer(first), answer(second)].map(Option::unwrap_or_default);
            if answers == ["0", "1"] { Ok(()) } else { Err(answers) }
        });
    }
}
