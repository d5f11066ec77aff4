//! Services and backends that are removed, at run time or while no daemon runs: no new connections from then on, and open
//! ones have the time of a drain.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, numbered_servers},
    traffic::{DEADLINE, Failure, Heartbeat, client},
};

const DRAIN: Duration = Duration::from_secs(4);
const BEATS: usize = 20;
/// A drain ends with a sweep, and on a busy machine those are as far apart as they take long.
const PATIENCE: Duration = Duration::from_secs(90);

/// When the file changes.
#[derive(Clone, Copy, Debug)]
enum Removal {
    AtRunTime,
    WithoutDaemon,
}

const REMOVALS: [Removal; 2] = [Removal::AtRunTime, Removal::WithoutDaemon];

/// A lab with two backends and a gateway from a file.
struct Stage<'lab> {
    lab: &'lab Lab,
    gateway: Option<Gateway<'lab>>,
}

impl<'lab> Stage<'lab> {
    fn new(lab: &'lab Lab, services: &[ServiceConfig]) -> Self {
        let gateway = Gateway::start_with(lab, &config(lab, services), &[]);
        Self { lab, gateway: Some(gateway) }
    }

    fn gateway(&self) -> &Gateway<'lab> {
        self.gateway.as_ref().expect("it runs between two changes")
    }

    /// Brings a file with these services into force, and waits until it is.
    fn change(&mut self, removal: Removal, services: &[ServiceConfig]) {
        match removal {
            Removal::AtRunTime => {
                let before = self.gateway().log().matches("reloaded").count();
                self.gateway().reload_text(&config(self.lab, services));
                eventually(DEADLINE, || match self.gateway().log() {
                    log if log.matches("reloaded").count() > before => Ok(()),
                    log => Err(log),
                });
            }
            Removal::WithoutDaemon => {
                self.gateway.take().expect("it runs between two changes").kill();
                self.gateway = Some(Gateway::start_with(self.lab, &config(self.lab, services), &[]));
            }
        }
    }

    /// A connection in use with the backend of this number.
    fn connection_with(&self, family: Family, number: usize) -> Heartbeat {
        Heartbeat::on(connect_until(self.lab, family, number))
    }

    fn flows_of(&self, number: usize) -> u64 {
        let backend = self.lab.backends[number].at(Family::V4, BACKEND_PORT).to_string();
        let listed = self.gateway().json(&["flows", "--backend", &backend, "--state", "established"]);
        listed["total"].as_u64().expect("a number")
    }
}

fn config(lab: &Lab, services: &[ServiceConfig]) -> String {
    let with = |config: GatewayConfig, service: &ServiceConfig| config.service(service.clone());
    let text = services.iter().fold(GatewayConfig::new(lab, Mode::XdpNative), with).to_toml();
    format!("{text}\n[defaults]\ndrain_timeout = \"{}s\"\n", DRAIN.as_secs())
}

/// The service of a family, on these backends.
fn service(lab: &Lab, family: Family, backends: &[usize]) -> ServiceConfig {
    let name = gateway_tests::scenario::service_name(family);
    let addresses: Vec<_> = backends.iter().map(|number| lab.backends[*number].at(family, BACKEND_PORT)).collect();
    ServiceConfig::new(name, lab.front.at(family, PORT), &addresses)
}

/// Connects until the backend of this number answers.
fn connect_until(lab: &Lab, family: Family, number: usize) -> TcpStream {
    eventually(DEADLINE, || {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT))?;
        let who = client::read_identity(&stream)?;
        if who == number.to_string() { Ok(stream) } else { Err(Failure::WrongBytes) }
    })
}

/// The connection is reset, no sooner than a drain takes.
#[track_caller]
fn is_cut_at_the_deadline(connection: Heartbeat, removed: Instant, case: Removal) {
    assert_eq!(connection.failure(DRAIN + PATIENCE), Failure::Reset, "{case:?}");
    let lasted = removed.elapsed();
    println!("{case:?}: cut {lasted:?} after the removal began");
    assert!(lasted >= DRAIN, "{case:?}: cut after {lasted:?} already");
}

#[test]
fn connections_of_a_removed_service_drain() {
    for removal in REMOVALS {
        let lab = Topology::two_arm(1).build();
        let _servers = numbered_servers(&lab);
        let [removed, kept] = Family::ALL.map(|family| service(&lab, family, &[0]));
        let mut stage = Stage::new(&lab, &[removed, kept.clone()]);
        let [drains, lives] = Family::ALL.map(|family| stage.connection_with(family, 0));
        let start = Instant::now();
        stage.change(removal, &[kept]);
        let refused = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap_err();
        assert_eq!(refused, Failure::Refused, "{removal:?}");
        drains.expect_beats(BEATS);
        assert_eq!(stage.flows_of(0), 1, "{removal:?}: its flow is seen while it drains");
        is_cut_at_the_deadline(drains, start, removal);
        lives.expect_beats(BEATS);
        lives.stop().unwrap();
        assert_eq!(stage.flows_of(0), 0, "{removal:?}");
    }
}

#[test]
fn connections_of_a_removed_backend_drain() {
    for removal in REMOVALS {
        let lab = Topology::two_arm(2).build();
        let _servers = numbered_servers(&lab);
        let mut stage = Stage::new(&lab, &[service(&lab, Family::V4, &[0, 1])]);
        let [lives, drains] = [0, 1].map(|number| stage.connection_with(Family::V4, number));
        let start = Instant::now();
        stage.change(removal, &[service(&lab, Family::V4, &[0])]);
        for _ in 0..10 {
            assert_eq!(client::identity_of(&lab.client, lab.front.at(Family::V4, PORT)).unwrap(), "0", "{removal:?}");
        }
        drains.expect_beats(BEATS);
        is_cut_at_the_deadline(drains, start, removal);
        lives.expect_beats(BEATS);
        lives.stop().unwrap();
    }
}

#[test]
fn connections_live_on_when_what_was_removed_comes_back_in_time() {
    for removal in REMOVALS {
        let lab = Topology::two_arm(2).build();
        let _servers = numbered_servers(&lab);
        let both = [service(&lab, Family::V4, &[0, 1])];
        let mut stage = Stage::new(&lab, &both);
        let connection = stage.connection_with(Family::V4, 1);
        stage.change(removal, &[service(&lab, Family::V4, &[0])]);
        stage.change(Removal::AtRunTime, &both);
        let start = Instant::now();
        while start.elapsed() < DRAIN + Duration::from_secs(3) {
            connection.expect_beats(BEATS);
        }
        connection.stop().unwrap_or_else(|e| panic!("{removal:?}: {e}"));
    }
}
