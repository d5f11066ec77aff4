//! What has to work on every kernel that the gateway is made for: each mode of attachment with IPv4 and IPv6, a daemon
//! that stops, crashes, comes back and is upgraded, a deployment, and detaching. `cargo xtask test --kernel` runs this on other
//! kernels than the machine's own, so it needs few programs and little processor time.

use std::{collections::BTreeSet, fs};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Topology,
    gateway::{another_build, cli},
    scenario::{BACKEND_PORT, PORT, service_name},
    traffic::{Churn, Failure, Heartbeat, Instance, Sessions, client},
};

const BEATS: usize = 10;
const CONNECTIONS: u64 = 10;
const SESSIONS: usize = 10;
const CHURN_PER_SECOND: u32 = 20;
/// The first kernel with TCX, where the TC program has a link of its own; before, it is a filter of the qdisc clsact.
const TCX: (u32, u32) = (6, 6);

#[test]
fn native_xdp_forwards_to_other_hosts() {
    works(Mode::XdpNative, BackendSide::Segment);
}

#[test]
fn tc_forwards_to_other_hosts() {
    works(Mode::Tc, BackendSide::Segment);
}

#[test]
fn generic_xdp_hands_over_to_tc_for_containers() {
    works(Mode::XdpGeneric, BackendSide::Bridge);
}

/// The life of a front server: connections, a stop, a crash, another build with other programs, a deployment, the end.
#[track_caller]
fn works(mode: Mode, side: BackendSide) {
    let lab = Topology::new(side, 2).build();
    let config = GatewayConfig::new(&lab, mode);
    let gateway = Gateway::start(&lab, &config);
    let old = Family::ALL.map(|family| Release::start(&lab, family, 1));
    old.iter().for_each(|release| release.become_a_service(&lab, &gateway));
    for release in &old {
        assert_eq!(release.answering(&lab), ["1-0", "1-1"].map(str::to_owned).into(), "{mode:?} {side:?}");
    }
    assert_attached(&lab, &gateway, mode);
    let before = Family::ALL.map(|family| heartbeat(&lab, family));
    assert_eq!(gateway.stop().code, Some(0));
    let during = Family::ALL.map(|family| heartbeat(&lab, family));
    let all = || before.iter().chain(&during);
    all().for_each(|connection| connection.expect_beats(BEATS));
    let gateway = Gateway::start(&lab, &config);
    all().for_each(|connection| connection.expect_beats(BEATS));
    gateway.kill();
    all().for_each(|connection| connection.expect_beats(BEATS));
    let gateway = Gateway::start_program(&lab, &another_build(&lab), &config.to_toml(), &[]);
    all().for_each(|connection| connection.expect_beats(BEATS));
    assert_attached(&lab, &gateway, mode);
    for connection in before.into_iter().chain(during) {
        connection.stop().unwrap_or_else(|e| panic!("{mode:?} {side:?}: {e}"));
    }
    old.into_iter().for_each(|release| release.give_way(&lab, &gateway));
    gateway.stop();
    cli(&lab, &["detach"]).success();
    assert!(!qdiscs(&lab).contains("clsact"), "{}", qdiscs(&lab));
    for family in Family::ALL {
        assert_eq!(client::connect(&lab.client, lab.front.at(family, PORT)).unwrap_err(), Failure::Refused);
    }
}

/// A server on every backend, of one family.
struct Release {
    family: Family,
    number: u16,
    instances: Vec<Instance>,
}

impl Release {
    fn start(lab: &Lab, family: Family, number: u16) -> Self {
        // Each has ports of its own, and so has each family: a server listens for both.
        let port = BACKEND_PORT + 10 * number + u16::from(family == Family::V6);
        let start =
            |(index, host): (usize, _)| Instance::start(host, host.at(family, port), &format!("{number}-{index}"));
        Self { family, number, instances: lab.backends.iter().enumerate().map(start).collect() }
    }

    fn run(&self, gateway: &Gateway, command: &[&str]) {
        let backends: Vec<_> = self.instances.iter().flat_map(|i| ["--backend".to_owned(), i.backend()]).collect();
        let backends: Vec<_> = backends.iter().map(String::as_str).collect();
        gateway.cli(&[command, &backends].concat()).success();
    }

    fn become_a_service(&self, lab: &Lab, gateway: &Gateway) {
        let listen = lab.front.at(self.family, PORT).to_string();
        self.run(gateway, &["service", "add", service_name(self.family), "--listen", &listen]);
    }

    /// Who answers connections, each with a verified exchange.
    fn answering(&self, lab: &Lab) -> BTreeSet<String> {
        let connection = |seed| {
            let stream = client::connect(&lab.client, lab.front.at(self.family, PORT))?;
            let name = client::read_identity(&stream)?;
            client::exchange_short(&stream, seed)?;
            Ok::<_, Failure>(name)
        };
        (0..CONNECTIONS).map(|seed| connection(seed).unwrap_or_else(|e| panic!("{:?}: {e}", self.family))).collect()
    }

    /// Deploys the next release under load, of which nothing is lost.
    fn give_way(self, lab: &Lab, gateway: &Gateway) {
        let to = lab.front.at(self.family, PORT);
        let sessions = Sessions::start(&lab.client, to, SESSIONS);
        let churn = Churn::start(&lab.client, to, CHURN_PER_SECOND);
        let next = Self::start(lab, self.family, self.number + 1);
        next.run(gateway, &["deploy", service_name(self.family), "--wait", "all", "--rollback-on-errors", "300ms"]);
        sessions.wait_until_open(SESSIONS);
        let (short, long) = (churn.stop(), sessions.stop());
        assert_eq!((short.failed(), long.failed(), long.cut()), (0, 0, 0), "{short:?} {long:?}");
        assert_eq!(long.ended_by_server, SESSIONS);
    }
}

fn heartbeat(lab: &Lab, family: Family) -> Heartbeat {
    let connect = || {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT))?;
        client::read_identity(&stream)?;
        Ok::<_, Failure>(stream)
    };
    Heartbeat::on(connect().unwrap_or_else(|e| panic!("{family:?}: {e}")))
}

/// The programs are where the configuration and the kernel want them.
#[track_caller]
fn assert_attached(lab: &Lab, gateway: &Gateway, mode: Mode) {
    let status = gateway.json(&["status"]);
    for interface in status["interfaces"].as_array().expect("a list of interfaces") {
        let card = interface["name"].as_str().is_some_and(|name| name.starts_with("eth"));
        assert_eq!(interface["mode"], if card { mode } else { Mode::Tc }.name(), "{status}");
    }
    assert_eq!(qdiscs(lab).contains("clsact"), kernel() < TCX, "Linux {:?}: {}", kernel(), qdiscs(lab));
}

#[track_caller]
fn qdiscs(lab: &Lab) -> String {
    lab.front.output("tc", &["qdisc", "show", "dev", "eth0"]).success().stdout
}

/// The version of the running kernel.
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().expect("a version"));
    (numbers.next().expect("a major number"), numbers.next().expect("a minor number"))
}
