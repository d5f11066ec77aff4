//! Limits of services against real sockets: what is beyond them is refused as configured, counted by reason, and costs
//! others nothing.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, service},
    traffic::{Behaviour, DEADLINE, Failure, Server, client, crowd},
};

/// How long a SYN that is dropped is waited for: an answer would be here at once.
const PATIENCE: Duration = Duration::from_millis(300);

/// A service with limits, written as in the file, in front of an echo server.
struct Scene<'lab> {
    lab: &'lab Lab,
    gateway: Gateway<'lab>,
    family: Family,
    _server: Server,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, mode: Mode, family: Family, limits: &str) -> Self {
        let server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Echo);
        let limits = format!("limits = {{ {limits} }}");
        let gateway = Gateway::start(lab, &config(lab, mode, family, &limits));
        Self { lab, gateway, family, _server: server }
    }

    fn to(&self) -> SocketAddr {
        self.lab.front.at(self.family, PORT)
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        client::connect(&self.lab.client, self.to())
    }

    /// A connection attempt from one of the client's addresses that does not wait for a second SYN.
    fn try_from(&self, source: IpAddr) -> Result<TcpStream, Failure> {
        self.lab.client.run(|| client::connect_from(source, self.to(), PATIENCE))
    }

    fn packets(&self, reason: &str) -> u64 {
        let status = self.gateway.json(&["status"]);
        let reasons = status["reasons"].as_array().unwrap();
        reasons.iter().find(|row| row["reason"] == reason).unwrap()["packets"].as_u64().unwrap()
    }

    /// Waits until a connection is taken on, as it is when another's end has been seen.
    #[track_caller]
    fn eventually_connects(&self) -> TcpStream {
        eventually(DEADLINE, || self.connect())
    }
}

fn config(lab: &Lab, mode: Mode, family: Family, limits: &str) -> GatewayConfig {
    GatewayConfig::new(lab, mode).service(service(lab, family).with(limits))
}

#[test]
fn open_connections_are_limited_and_the_end_of_one_makes_room() {
    for (mode, family) in cases() {
        for (limit, reason) in [
            ("connections = 3", "limit_connections_reset"),
            ("connections_per_source = 3", "limit_connections_per_source_reset"),
        ] {
            let lab = Topology::two_arm(1).build();
            let scene = Scene::new(&lab, mode, family, limit);
            let mut open = crowd::open(&lab.client, scene.to(), 3).unwrap();
            for _ in 0..5 {
                assert_eq!(scene.connect().unwrap_err(), Failure::Refused, "{mode:?} {family:?} {limit}");
            }
            assert_eq!(scene.packets(reason), 5);
            drop(open.pop());
            open.push(scene.eventually_connects());
            crowd::exchange_on_all(&open).unwrap();
            assert_eq!(scene.connect().unwrap_err(), Failure::Refused);
        }
    }
}

#[test]
fn new_connections_are_limited() {
    const BURST: usize = 40;
    for (mode, family) in cases() {
        for (limit, reason) in [
            ("new_per_second = 5", "limit_rate_reset"),
            ("new_per_second_per_source = 5", "limit_rate_per_source_reset"),
        ] {
            let lab = Topology::two_arm(1).build();
            let scene = Scene::new(&lab, mode, family, limit);
            let start = Instant::now();
            let results: Vec<_> = (0..BURST).map(|_| scene.connect()).collect();
            let refused = results.iter().filter(|result| matches!(result, Err(Failure::Refused))).count();
            let opened = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!((opened + refused, scene.packets(reason)), (BURST, refused as u64), "{mode:?} {family:?}");
            // A second's worth comes through at once, and no more than time allows.
            let due = (5.0 * start.elapsed().as_secs_f64()).ceil() as usize;
            assert!((5..=5 + due).contains(&opened), "{opened} of {BURST} in {:?}", start.elapsed());
            // Time makes room again.
            scene.eventually_connects();
        }
    }
}

#[test]
fn silence_beyond_a_limit() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let scene = Scene::new(&lab, mode, family, "connections = 1, answer = \"drop\"");
        let first = scene.connect().unwrap();
        assert_eq!(scene.try_from(lab.client.address(family)).unwrap_err(), Failure::Timeout, "{mode:?} {family:?}");
        assert!(scene.packets("limit_connections") >= 1);
        client::exchange(&first, 1, 10_000).unwrap();
    }
}

#[test]
fn limits_change_at_run_time_without_touching_connections() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let _server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Echo);
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
        let (to, backend) = (lab.front.at(family, PORT), lab.backends[0].at(family, BACKEND_PORT).to_string());
        let listen = to.to_string();
        gateway.cli(&["service", "add", "run", "--listen", &listen, "--backend", &backend]).success();
        let mut open = crowd::open(&lab.client, to, 4).unwrap();
        let set = |options: &[&str]| gateway.cli(&[&["service", "set", "run"], options].concat()).success();
        // Those that are open already count.
        set(&["--max-connections", "4"]);
        assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused, "{mode:?} {family:?}");
        set(&["--max-connections", "5"]);
        open.push(client::connect(&lab.client, to).unwrap());
        assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused);
        set(&["--max-connections", "2"]);
        crowd::exchange_on_all(&open).unwrap();
        assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused);
        set(&["--max-connections", "none"]);
        open.extend(crowd::open(&lab.client, to, 3).unwrap());
        crowd::exchange_on_all(&open).unwrap();
        assert_eq!(gateway.json(&["service", "show", "run"])["limits"], serde_json::json!({"answer": "reset"}));
    }
}

#[test]
fn flooding_source_hurts_no_other() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let (second, prefix) = match family {
            Family::V4 => ("203.0.113.77", "203.0.113.77/24"),
            // Another network, which the front server reaches by the client's usual address.
            Family::V6 => ("2001:db8:77::2", "2001:db8:77::2/64"),
        };
        lab.client.ip(&[format!("addr add {prefix} dev eth0")]);
        if family == Family::V6 {
            lab.front.ip(&[format!("route add 2001:db8:77::/64 via {} dev eth0", lab.client.v6)]);
        }
        let limits = "new_per_second = 1000, connections_per_source = 20, new_per_second_per_source = 50";
        let scene = Scene::new(&lab, mode, family, limits);
        let flooding = lab.client.address(family);
        let honest: IpAddr = second.parse().unwrap();
        let mut held = Vec::new();
        for round in 0..10 {
            for _ in 0..100 {
                held.extend(scene.try_from(flooding));
            }
            let connection = scene.try_from(honest).unwrap_or_else(|e| panic!("{mode:?} {family:?} {round}: {e}"));
            client::exchange(&connection, round, 1_000).unwrap();
        }
        assert_eq!(held.len(), 20, "{mode:?} {family:?}");
        assert_eq!(
            scene.packets("limit_connections_per_source_reset") + scene.packets("limit_rate_per_source_reset"),
            980
        );
        assert_eq!(scene.packets("limit_rate_reset"), 0);
    }
}
