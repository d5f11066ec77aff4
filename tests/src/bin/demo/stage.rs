//! One network and what is shown in it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Behaviour, Churn, Instance, Server, SessionTally, Sessions, Tally, client},
};

use crate::summary::Outcome;

const SERVICE: &str = "web";
const CONNECTIONS: usize = 400;
const TRANSFER: usize = 50_000_000;
const CHURN_PER_SECOND: u32 = 200;
const SESSIONS: usize = 200;
const BEFORE_AND_AFTER: Duration = Duration::from_secs(1);
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A network with four containers: two are replaced by the other two.
pub struct Stage {
    pub title: &'static str,
    pub topology: Topology,
    pub mode: Mode,
    pub family: Family,
}

impl Stage {
    /// Builds the network, shows everything, and removes it.
    pub fn play(&self) -> Outcome {
        println!("\n== {}\n", self.title);
        let lab = self.topology.build();
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, self.mode));
        let stage = Play { lab: &lab, gateway: &gateway, family: self.family };
        let old = [stage.start_container(0, "v1-a"), stage.start_container(1, "v1-b")];
        stage.add_service(&old);
        let mut by_container = stage.show_balance();
        let transfer = stage.show_transfer();
        let (short, long) = stage.show_deployment(old);
        println!("$ gateway status\n{}", gateway.cli(&["status"]).success().stdout);
        for (container, connections) in short.served_by.iter().chain(&long.opened) {
            *by_container.entry(container.clone()).or_default() += connections;
        }
        Outcome {
            title: self.title,
            by_container,
            failed: short.failed() + long.failed(),
            cut: long.cut(),
            moved: long.ended_by_server,
            transfer,
        }
    }
}

struct Play<'lab> {
    lab: &'lab Lab,
    gateway: &'lab Gateway<'lab>,
    family: Family,
}

impl Play<'_> {
    fn listen(&self) -> SocketAddr {
        self.lab.front.at(self.family, PORT)
    }

    fn start_container(&self, index: usize, name: &str) -> Instance {
        let host = &self.lab.backends[index];
        Instance::start(host, host.at(self.family, BACKEND_PORT), name)
    }

    fn show_command(&self, arguments: &[&str]) {
        println!("$ gateway {}", arguments.join(" "));
        print!("{}", self.gateway.cli(arguments).success().stdout);
    }

    fn add_service(&self, [first, second]: &[Instance; 2]) {
        let (listen, first, second) = (self.listen().to_string(), first.backend(), second.backend());
        let backends = ["--backend", &first, "--backend", &second];
        self.show_command(&[&["service", "add", SERVICE, "--listen", &listen][..], &backends].concat());
    }

    /// Opens connections one after the other and counts who answers.
    fn show_balance(&self) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..CONNECTIONS {
            let container = client::identity_of(&self.lab.client, self.listen()).expect("the service answers");
            *answers.entry(container).or_default() += 1;
        }
        let shares = answers.iter().map(|(container, count)| format!("{container}: {count}"));
        println!("{CONNECTIONS} connections, by container: {}\n", shares.collect::<Vec<_>>().join(", "));
        answers
    }

    /// Sends a stream to a service of its own, and compares its digest; gives bits per second.
    fn show_transfer(&self) -> f64 {
        const SINK_PORT: u16 = BACKEND_PORT + 1;
        let _sink = Server::start(&self.lab.backends[0], SINK_PORT, Behaviour::Digest);
        let listen = self.lab.front.at(self.family, PORT + 1);
        let sink = self.lab.backends[0].at(self.family, SINK_PORT).to_string();
        self.show_command(&["service", "add", "upload", "--listen", &listen.to_string(), "--backend", &sink]);
        let start = Instant::now();
        client::upload(&self.lab.client, listen, 1, TRANSFER).expect("the transfer arrives whole");
        let rate = TRANSFER as f64 * 8.0 / start.elapsed().as_secs_f64();
        println!(
            "{} MB sent, digest compared: {:.0} Mbit/s (debug build of the sender)\n",
            TRANSFER / 1_000_000,
            rate / 1e6
        );
        rate
    }

    /// Replaces the old containers by two new ones under load; gives what came of the load.
    fn show_deployment(&self, old: [Instance; 2]) -> (Tally, SessionTally) {
        println!("a new version, under {CHURN_PER_SECOND} connections/s and {SESSIONS} that stay open:");
        let sessions = Sessions::start(&self.lab.client, self.listen(), SESSIONS);
        let churn = Churn::start(&self.lab.client, self.listen(), CHURN_PER_SECOND);
        std::thread::sleep(BEFORE_AND_AFTER);
        let new = [self.start_container(2, "v2-a"), self.start_container(3, "v2-b")];
        let [first, second] = new.each_ref().map(Instance::backend);
        let backends = ["--backend", &first, "--backend", &second];
        let options = ["--wait", "all", "--rollback-on-errors", "1s"];
        self.show_command(&[&["deploy", SERVICE][..], &backends, &options].concat());
        for (name, container) in ["v1-a", "v1-b"].into_iter().zip(old) {
            let ledger = container.ledger(END_TIMEOUT);
            println!("{name} has ended: {} connections, {} failed", ledger.ended, ledger.failed);
        }
        sessions.wait_until_open(SESSIONS);
        std::thread::sleep(BEFORE_AND_AFTER);
        let (short, long) = (churn.stop(), sessions.stop());
        println!(
            "{} short connections, {} failed; {} stayed open, {} were cut, {} moved to the new version\n",
            short.served(),
            short.failed() + long.failed(),
            SESSIONS,
            long.cut(),
            long.ended_by_server,
        );
        (short, long)
    }
}
