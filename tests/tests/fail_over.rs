//! With one of three backends dead, and nothing that tests their health, no client sees a failed connection.

use std::thread;

use gateway_tests::{
    BackendSide, Family, Gateway, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, cases, config, service_name},
    traffic::{Behaviour, Failure, Server, client, syns::repeated_syns},
};
use serde_json::Value;

const BACKENDS: usize = 3;
/// The one that is dead.
const DEAD: usize = 1;

/// Servers on all backends but the dead one.
fn servers(lab: &Lab) -> Vec<Server> {
    let alive = lab.backends.iter().enumerate().filter(|(index, _)| *index != DEAD);
    alive.map(|(_, backend)| Server::start(backend, BACKEND_PORT, Behaviour::Echo)).collect()
}

/// A verified exchange with the service.
fn connect(lab: &Lab, family: Family, seed: u64) -> Result<(), Failure> {
    let stream = client::connect(&lab.client, lab.front.at(family, PORT))?;
    client::exchange_short(&stream, seed)
}

/// The dead backend's counters.
#[track_caller]
fn counters_of_the_dead(gateway: &Gateway, lab: &Lab, family: Family) -> Value {
    let listed = gateway.json(&["backend", "list", service_name(family)]);
    let address = lab.backends[DEAD].at(family, BACKEND_PORT).to_string();
    let backends = listed.as_array().expect("a list of backends");
    backends.iter().find(|backend| backend["address"] == address.as_str()).expect("it is listed")["counters"].clone()
}

/// Asserts that the dead backend was tried and that every try ended as `outcome`, and returns how many there were.
#[track_caller]
fn expect_outcome(counters: &Value, outcome: &str) -> u64 {
    let attempts = counters["attempts"].as_u64().expect("a count");
    assert!(attempts > 0, "{counters}");
    for other in ["refused", "unanswered", "connections"] {
        assert_eq!(counters[other], if other == outcome { attempts } else { 0 }, "{other} of {counters}");
    }
    attempts
}

#[test]
fn a_refusing_backend_costs_no_connection_and_no_repeated_syn() {
    const CONNECTIONS: u64 = 300;
    for (mode, family) in cases() {
        let lab = Topology::two_arm(BACKENDS).build();
        let _servers = servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        for seed in 0..CONNECTIONS {
            connect(&lab, family, seed).unwrap_or_else(|e| panic!("{mode:?} {family:?}, connection {seed}: {e}"));
        }
        let refused = expect_outcome(&counters_of_the_dead(&gateway, &lab, family), "refused");
        assert_eq!(gateway.packets("failed_over"), refused, "{mode:?} {family:?}");
        assert_eq!(repeated_syns(&lab.client), 0, "{mode:?} {family:?}");
    }
}

#[test]
fn a_container_that_refuses_costs_no_connection_and_no_repeated_syn() {
    for side in [BackendSide::Bridge, BackendSide::Veth] {
        let lab = Topology::new(side, BACKENDS).build();
        let _servers = servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
        for family in Family::ALL {
            for seed in 0..60 {
                connect(&lab, family, seed).unwrap_or_else(|e| panic!("{side:?} {family:?}, connection {seed}: {e}"));
            }
            expect_outcome(&counters_of_the_dead(&gateway, &lab, family), "refused");
        }
        assert_eq!(repeated_syns(&lab.client), 0, "{side:?}");
    }
}

#[test]
fn a_silent_backend_costs_a_repeated_syn_and_no_connection() {
    const CONNECTIONS: u64 = 60;
    for (mode, family) in cases() {
        let lab = Topology::two_arm(BACKENDS).build();
        let _servers = servers(&lab);
        lab.backends[DEAD]
            .nft("table inet dead { chain input { type filter hook input priority 0; meta l4proto tcp drop; }; }");
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        // Side by side: each that meets the dead one waits for its kernel to send the SYN again.
        thread::scope(|scope| {
            for seed in 0..CONNECTIONS {
                let lab = &lab;
                scope.spawn(move || {
                    connect(lab, family, seed)
                        .unwrap_or_else(|e| panic!("{mode:?} {family:?}, connection {seed}: {e}"));
                });
            }
        });
        let unanswered = expect_outcome(&counters_of_the_dead(&gateway, &lab, family), "unanswered");
        assert_eq!(gateway.packets("failed_over"), unanswered, "{mode:?} {family:?}");
        assert_eq!(repeated_syns(&lab.client), unanswered, "{mode:?} {family:?}");
    }
}

#[test]
fn a_service_whose_backends_all_refuse_says_so() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(BACKENDS).build();
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        assert_eq!(connect(&lab, family, 1), Err(Failure::Refused), "{mode:?} {family:?}");
        assert_eq!(gateway.packets("failed_over"), BACKENDS as u64 - 1, "{mode:?} {family:?}");
        assert_eq!(expect_outcome(&counters_of_the_dead(&gateway, &lab, family), "refused"), 1);
    }
}
