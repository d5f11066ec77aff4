//! A flow table at its capacity.

use std::time::{Duration, Instant};

use gateway_tests::{
    Family, Gateway, Lab, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, config},
    traffic::{Behaviour, Failure, Server, client, crowd},
};

const CAPACITY: u32 = 200;
/// How long a SYN that is dropped is waited for: an answer would be here at once.
const PATIENCE: Duration = Duration::from_millis(300);
/// Within this time the room of ended connections is found again: their rest where room is scarce, a sweep's interval, and
/// a wide margin.
const ROOM_AGAIN: Duration = Duration::from_secs(40);

struct Scene<'lab> {
    lab: &'lab Lab,
    gateway: Gateway<'lab>,
    family: Family,
    _server: Server,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, mode: Mode, family: Family, full: &str) -> Self {
        let server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Echo);
        let config = config(lab, mode).capacity(CAPACITY, 512).with_flows(&format!("full = {full:?}"));
        Self { lab, gateway: Gateway::start(lab, &config), family, _server: server }
    }

    fn open(&self, count: u32) -> Vec<std::net::TcpStream> {
        crowd::open(&self.lab.client, self.lab.front.at(self.family, PORT), count as usize).unwrap()
    }

    fn try_connect(&self) -> Result<std::net::TcpStream, Failure> {
        let (own, to) = (self.lab.client.address(self.family), self.lab.front.at(self.family, PORT));
        self.lab.client.run(|| client::connect_from(own, to, PATIENCE))
    }

    /// What `status` warns of the flow table.
    fn warning(&self) -> Option<String> {
        let status = self.gateway.json(&["status"]);
        let warnings = status["warnings"].as_array().unwrap().iter().filter_map(|warning| warning.as_str());
        warnings.filter(|warning| warning.starts_with("the flow table is ")).map(str::to_owned).next()
    }
}

#[test]
fn connections_beyond_the_capacity_are_refused_and_open_ones_go_on() {
    for (mode, family, full, reason, failure) in [
        (Mode::XdpNative, Family::V4, "drop", "table_full", Failure::Timeout),
        (Mode::Tc, Family::V6, "reset", "table_full_reset", Failure::Refused),
    ] {
        let lab = Topology::two_arm(1).build();
        let scene = Scene::new(&lab, mode, family, full);
        let mut open = scene.open(CAPACITY / 5 * 4 - 1);
        assert_eq!(scene.warning(), None);
        open.extend(scene.open(1));
        let warning = scene.warning().expect("four fifths of the table are taken");
        assert!(warning.contains("80 % full (160 of 200)"), "{warning}");
        open.extend(scene.open(CAPACITY / 5));
        for _ in 0..5 {
            assert_eq!(scene.try_connect().unwrap_err(), failure, "{mode:?} {family:?}");
        }
        assert!(scene.gateway.packets(reason) >= 5, "{mode:?} {family:?}");
        crowd::exchange_on_all(&open).unwrap();
        let status = scene.gateway.json(&["status"]);
        assert_eq!(status["flows"], serde_json::json!({"open": CAPACITY, "capacity": CAPACITY}));
        assert!(scene.warning().is_some_and(|warning| warning.contains("100 % full")));
    }
}

#[test]
fn connections_that_end_make_room() {
    for (mode, family, by_reset) in [(Mode::XdpNative, Family::V4, false), (Mode::Tc, Family::V6, true)] {
        let lab = Topology::two_arm(1).build();
        let scene = Scene::new(&lab, mode, family, "reset");
        let mut open = scene.open(CAPACITY);
        assert_eq!(scene.try_connect().unwrap_err(), Failure::Refused);
        for ended in open.drain(..CAPACITY as usize / 2) {
            if by_reset {
                client::reset_on_close(&ended);
            }
        }
        let start = Instant::now();
        let again = open.iter().map(|_| eventually(ROOM_AGAIN, || scene.try_connect()));
        let again: Vec<_> = again.collect();
        println!("{mode:?} {family:?}: room for all again after {:?}", start.elapsed());
        assert_eq!(scene.try_connect().unwrap_err(), Failure::Refused, "{mode:?} {family:?}");
        crowd::exchange_on_all(&open).unwrap();
        crowd::exchange_on_all(&again).unwrap();
    }
}
