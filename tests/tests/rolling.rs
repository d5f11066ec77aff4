//! Rolling deployments under load: not one connection is refused, fails or is cut.

use std::time::Duration;

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Churn, Instance, Sessions},
};
use serde_json::Value;

const CONNECTIONS_PER_SECOND: u32 = 200;
const SESSIONS: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Servers that replace each other.
struct Fleet<'lab> {
    lab: &'lab Lab,
    family: Family,
    running: Vec<Instance>,
    started: u16,
}

impl<'lab> Fleet<'lab> {
    fn new(lab: &'lab Lab, family: Family) -> Self {
        let mut fleet = Self { lab, family, running: Vec::new(), started: 0 };
        fleet.replace();
        fleet
    }

    /// Starts an instance on each backend, at a port that none has had; gives those that run so far.
    #[track_caller]
    fn replace(&mut self) -> Vec<Instance> {
        self.started += 1;
        let start = |(index, host): (usize, &gateway_tests::Host)| {
            let address = host.at(self.family, BACKEND_PORT + self.started);
            Instance::start(host, address, &format!("{}-{index}", self.started))
        };
        let new = self.lab.backends.iter().enumerate().map(start).collect();
        std::mem::replace(&mut self.running, new)
    }

    /// The running instances as arguments of `gateway`.
    fn backends(&self) -> Vec<String> {
        self.running.iter().flat_map(|instance| ["--backend".to_owned(), instance.backend()]).collect()
    }
}

#[track_caller]
fn run(gateway: &Gateway, command: &[&str], backends: &[String]) {
    let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
    gateway.cli(&[command, &backends].concat()).success();
}

/// What the gateway itself says: everything was forwarded, the last deployment is done, nothing was cut.
#[track_caller]
fn assert_nothing_was_lost(gateway: &Gateway, fleet: &Fleet, rounds: u16) {
    let reasons = gateway.json(&["status"])["reasons"].clone();
    let lost = |reason: &&Value| {
        (reason["action"] == "drop" || reason["action"] == "answer") && reason["packets"].as_u64() != Some(0)
    };
    let lost: Vec<_> = reasons.as_array().unwrap().iter().filter(lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let service = gateway.json(&["service", "show", "web"]);
    assert_eq!(service["deployment"]["number"], rounds);
    assert_eq!(service["deployment"]["phase"]["name"], "done");
    assert_eq!(service["backends"].as_array().unwrap().len(), fleet.running.len(), "{service}");
    let log = gateway.log();
    assert!(!log.contains(" cut "), "connections were cut");
    assert_eq!(log.matches("has drained").count(), usize::from(rounds) * fleet.running.len());
}

fn roll(mode: Mode, side: BackendSide, family: Family, rounds: u16) {
    let lab = Topology::new(side, 2).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
    let to = lab.front.at(family, PORT);
    let mut fleet = Fleet::new(&lab, family);
    run(&gateway, &["service", "add", "web", "--listen", &to.to_string()], &fleet.backends());
    let sessions = Sessions::start(&lab.client, to, SESSIONS);
    let churn = Churn::start(&lab.client, to, CONNECTIONS_PER_SECOND);
    let mut old = Vec::new();
    for _ in 0..rounds {
        old.extend(fleet.replace());
        run(&gateway, &["deploy", "web", "--wait", "all", "--rollback-on-errors", "300ms"], &fleet.backends());
        sessions.wait_until_open(SESSIONS);
    }
    let (short, long) = (churn.stop(), sessions.stop());
    println!(
        "{mode:?} {side:?} {family:?}: {rounds} deployments, {} short and {} long connections, {} exchanges",
        short.served(),
        long.opened(),
        long.exchanges
    );
    assert_eq!(short.failed(), 0, "{short:?}");
    assert_eq!((long.failed(), long.cut()), (0, 0), "{long:?}");
    assert_eq!(old.into_iter().map(|instance| instance.ledger(TIMEOUT).failed).sum::<u64>(), 0);
    // Every session was moved by every deployment, and by nothing else.
    assert_eq!(long.ended_by_server, SESSIONS * usize::from(rounds));
    assert_eq!(short.served_by.len(), fleet.running.len() * usize::from(rounds + 1), "an instance got no connection");
    assert_nothing_was_lost(&gateway, &fleet, rounds);
}

#[test]
fn twenty_deployments_lose_no_connection_to_remote_backends() {
    roll(Mode::XdpNative, BackendSide::Segment, Family::V4, 20);
}

#[test]
fn twenty_deployments_lose_no_connection_to_containers_of_the_front_server() {
    roll(Mode::Tc, BackendSide::Bridge, Family::V6, 20);
}
