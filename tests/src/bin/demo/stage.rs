//! One network and what is shown in it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, numbered_servers},
    traffic::{Behaviour, Churn, Heartbeat, Server, Tally, client},
};

use crate::summary::Outcome;

const SERVICE: &str = "web";
const CONNECTIONS: usize = 400;
const TRANSFER: usize = 50_000_000;
const CHURN_PER_SECOND: u32 = 300;
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);

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
        let _servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, self.mode));
        let stage = Play { lab: &lab, gateway: &gateway, family: self.family };
        stage.add_service();
        let before = stage.show_balance();
        let transfer = stage.show_transfer();
        let (tally, longest_pause) = stage.show_deployment();
        println!("$ gateway status\n{}", gateway.cli(&["status"]).success().stdout);
        Outcome {
            title: self.title,
            before,
            served: CONNECTIONS + tally.served(),
            failed: tally.failed(),
            transfer,
            longest_pause,
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

    fn container(&self, index: usize) -> String {
        self.lab.backends[index].at(self.family, BACKEND_PORT).to_string()
    }

    fn show_command(&self, arguments: &[&str]) {
        println!("$ gateway {}", arguments.join(" "));
        print!("{}", self.gateway.cli(arguments).success().stdout);
    }

    fn add_service(&self) {
        let (listen, first, second) = (self.listen().to_string(), self.container(0), self.container(1));
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
        let shares = answers.iter().map(|(container, count)| format!("container {container}: {count}"));
        println!("{CONNECTIONS} connections: {}", shares.collect::<Vec<_>>().join(", "));
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
            "{} MB sent, digest compared: {:.0} Mbit/s (debug build of the sender)",
            TRANSFER / 1_000_000,
            rate / 1e6
        );
        rate
    }

    /// Replaces containers 0 and 1 by 2 and 3 under load; gives what came of the load, and the longest exchange
    /// on a connection that was open all the time.
    fn show_deployment(&self) -> (Tally, Duration) {
        println!("rolling deployment under {CHURN_PER_SECOND} new connections a second, one connection stays open:");
        let stream = client::connect(&self.lab.client, self.listen()).expect("the service answers");
        let container = client::read_identity(&stream).expect("the container says its name");
        let open = Heartbeat::on(stream);
        let churn = Churn::start(&self.lab.client, self.listen(), CHURN_PER_SECOND);
        open.expect_beats(100);
        for index in [2, 3] {
            self.show_command(&["backend", "add", SERVICE, &self.container(index)]);
        }
        open.expect_beats(100);
        for index in [0, 1] {
            self.show_command(&["backend", "drain", SERVICE, &self.container(index)]);
        }
        self.wait_for_switch();
        open.expect_beats(100);
        let tally = churn.stop();
        let longest = open.stop().expect("the open connection lives on");
        println!(
            "{} connections served, {} failed, by container: {:?}",
            tally.served(),
            tally.failed(),
            tally.served_by
        );
        println!("the connection to container {container} lived through it; its longest exchange took {longest:.1?}\n");
        (tally, longest)
    }

    fn wait_for_switch(&self) {
        eventually(SWITCH_TIMEOUT, || {
            let container = client::identity_of(&self.lab.client, self.listen());
            match container.as_deref() {
                Ok("2" | "3") => Ok(()),
                other => Err(format!("a new connection reached {other:?}")),
            }
        });
    }
}
