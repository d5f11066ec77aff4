//! A front server with its clients and backends, and how each thing that can happen to it is done.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gateway_tests::{
    Gateway, GatewayConfig, Lab, ServiceConfig, eventually, link,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Behaviour, DEADLINE, Server},
};

use crate::{
    Setting,
    action::Action,
    client::{Clients, Load},
    fleet::Fleet,
    flood::Flood,
    journal::Journal,
    leaks::{Flows, Holdings},
    progress::Progress,
    summary::Outcome,
};

/// The service whose servers come and go.
pub const WEB: &str = "web";
const WEB_PORT: u16 = PORT;
/// The service whose servers stay, so that nothing excuses a failure of its connections.
const ANCHOR: &str = "anchor";
const ANCHOR_PORT: u16 = PORT + 1;
const ANCHOR_BACKEND: u16 = BACKEND_PORT;
/// The service that is flooded.
const FLOODED_PORT: u16 = PORT + 2;
const FLOODED_BACKEND: u16 = BACKEND_PORT + 1;
/// The service that the file has now and then.
const EXTRA: &str = "extra";
const EXTRA_PORT: u16 = PORT + 3;

const CAPACITY: (u32, u32) = (16_384, 4_096);
const SHORT_CLIENTS: usize = 6;
const LARGE_CLIENTS: usize = 2;
const LONG_CLIENTS: usize = 30;
const LASTING_CLIENTS: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(20);
/// Before everything has been in use once.
const WARM_UP: f64 = 0.1;

pub struct Site<'a> {
    lab: &'a Lab,
    setting: Setting,
    random: fastrand::Rng,
    progress: &'a Progress,
    journal: Arc<Journal>,
    gateway: Option<Gateway<'a>>,
    /// Whether the file has the service that it has now and then.
    has_extra: bool,
    fleet: Fleet<'a>,
    flood: Option<JoinHandle<Flood>>,
    _anchors: Vec<Server>,
}

impl<'a> Site<'a> {
    #[track_caller]
    pub fn new(lab: &'a Lab, setting: Setting, random: fastrand::Rng, progress: &'a Progress) -> Self {
        let mut anchors = Vec::new();
        for (index, host) in lab.backends.iter().enumerate() {
            anchors.push(Server::start(host, ANCHOR_BACKEND, Behaviour::Identify(format!("anchor-{index}"))));
            anchors.push(Server::start(host, FLOODED_BACKEND, Behaviour::Hold));
            // Its neighbours learn a new hardware address as from a real network card.
            host.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
            host.sysctl("net/ipv6/conf/eth0/ndisc_notify", "1");
            link::forward(host);
            for key in ["all", "eth0"] {
                host.sysctl(&format!("net/ipv4/conf/{key}/send_redirects"), "0");
            }
        }
        let flood = Flood::new(lab, lab.front.at(setting.family, FLOODED_PORT));
        let mut site = Self {
            lab,
            setting,
            random,
            progress,
            journal: Arc::new(Journal::new()),
            gateway: None,
            has_extra: false,
            fleet: Fleet::start(lab, setting.family),
            flood: Some(flood.run(Duration::ZERO)),
            _anchors: anchors,
        };
        site.start_daemon();
        let listen = site.listen(WEB_PORT).to_string();
        site.fleet.run(site.gateway(), &["service", "add", WEB, "--listen", &listen]);
        site
    }

    /// Lives for `duration`, or until `broken`, and then waits until nothing is left.
    #[track_caller]
    pub fn live(mut self, duration: Duration, broken: &AtomicBool) -> Outcome {
        let clients = self.start_clients();
        let mut actions = BTreeMap::<Action, usize>::new();
        let mut warm = None;
        let start = Instant::now();
        while start.elapsed() < duration && !broken.load(Ordering::Relaxed) {
            let action = Action::draw(&mut self.random);
            self.progress.step(self.setting.name, &action.to_string());
            self.take(action);
            *actions.entry(action).or_default() += 1;
            self.pause(0.0..1.5);
            if warm.is_none() && start.elapsed() > duration.mul_f64(WARM_UP) {
                warm = Some(self.holdings());
            }
        }
        let lasted = start.elapsed();
        drop(self.flood.take().map(JoinHandle::join));
        let busy = self.holdings();
        clients.stop();
        let connections = self.journal.connections.load(Ordering::Relaxed);
        let (explained, unexplained) = (self.journal.explained(), self.journal.unexplained());
        // Told at once, in case that the wait for quiet comes to no end.
        for failure in &unexplained {
            println!("{}: {failure}", self.setting.name);
        }
        let judged = format!(
            "{connections} connections, {} failures explained, {} not; waiting until everything is quiet",
            explained.values().sum::<usize>(),
            unexplained.len()
        );
        self.progress.step(self.setting.name, &judged);
        let left =
            if broken.load(Ordering::Relaxed) { Flows::default() } else { Flows::when_quiet(self.lab, self.gateway()) };
        Outcome {
            name: self.setting.name,
            lasted,
            actions,
            connections,
            exchanges: self.journal.exchanges.load(Ordering::Relaxed),
            explained,
            unexplained,
            warm: warm.unwrap_or(busy),
            last: self.holdings(),
            left,
            reasons: self.reasons(),
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Deploy => self.fleet.deploy(self.gateway.as_ref().expect("a daemon runs"), &mut self.random),
            Action::Crash => self.crash(),
            Action::Cut => self.cut(),
            Action::Stop => {
                let stopped = self.gateway.take().expect("a daemon runs").stop();
                assert_eq!(stopped.code, Some(0), "{stopped:?}");
                self.go_on_without_daemon();
            }
            Action::Kill => {
                self.gateway.take().expect("a daemon runs").kill();
                self.go_on_without_daemon();
            }
            Action::Reload => self.reload(),
            Action::Readdress => self.readdress(),
            Action::Reroute => self.reroute(),
            Action::Flood => self.flood(),
        }
    }

    fn go_on_without_daemon(&mut self) {
        self.pause(0.0..3.0);
        self.start_daemon();
    }

    fn crash(&mut self) {
        let index = self.random.usize(..self.fleet.len());
        self.journal.strike(&self.fleet.name(index), || self.fleet.kill(index));
        self.pause(0.0..4.0);
        self.fleet.return_to_life(index);
    }

    fn cut(&mut self) {
        let index = self.random.usize(..self.fleet.len());
        let address = self.fleet.address(index).to_string();
        self.journal.strike(&self.fleet.name(index), || {
            self.gateway().cli(&["backend", "drain", WEB, &address, "--now", "--no-signal", "--wait"]).success();
        });
        self.gateway().cli(&["backend", "set", WEB, &address, "--active"]).success();
    }

    fn reload(&mut self) {
        self.has_extra = !self.has_extra;
        let config = self.config();
        self.gateway().reload(&config);
        eventually(TIMEOUT, || {
            let services = self.gateway().json(&["service", "list"]);
            let has_extra = services.as_array().expect("a list").iter().any(|service| service["name"] == EXTRA);
            if has_extra == self.has_extra { Ok(()) } else { Err(format!("the file is not in force: {services}")) }
        });
    }

    fn readdress(&mut self) {
        let host = &self.lab.backends[self.random.usize(..self.lab.backends.len())];
        let bytes: [u8; 3] = [(); 3].map(|()| self.random.u8(..));
        let [a, b, c] = bytes;
        host.ip(&[format!("link set eth0 address 02:00:5e:{a:02x}:{b:02x}:{c:02x}")]);
    }

    fn reroute(&mut self) {
        let [backend, router] = [&self.lab.backends[0], &self.lab.backends[1]];
        let family = self.setting.family;
        let route = format!("{} via {}", backend.address(family), router.address(family));
        self.lab.front.ip(&[format!("route add {route}")]);
        self.pause(0.5..4.0);
        self.lab.front.ip(&[format!("route del {route}")]);
    }

    fn flood(&mut self) {
        let flood = self.flood.take().expect("there is one").join().expect("floods do not panic");
        self.flood = Some(flood.run(Duration::from_secs(self.random.u64(1..6))));
    }

    fn start_clients(&self) -> Clients {
        let mut clients = Clients::new();
        for (load, name, port, count) in [
            (Load::Short, "a short web", WEB_PORT, SHORT_CLIENTS),
            (Load::Long, "a long web", WEB_PORT, LONG_CLIENTS),
            (Load::Large, "a short anchor", ANCHOR_PORT, LARGE_CLIENTS),
            (Load::Lasting, "a lasting anchor", ANCHOR_PORT, LASTING_CLIENTS),
        ] {
            clients.add(&self.lab.client, load, name, self.listen(port), count, &self.journal);
        }
        clients
    }

    fn start_daemon(&mut self) {
        self.gateway = Some(Gateway::start(self.lab, &self.config()));
    }

    fn config(&self) -> GatewayConfig {
        let service = |name, port, backend: u16| {
            ServiceConfig::new(name, self.listen(port), &self.lab.backends_at(self.setting.family, backend))
        };
        // What else the file changes when the service comes: a limit that nothing reaches.
        let limit = format!("limits = {{ connections = {} }}", 5_000 + u32::from(self.has_extra));
        let (flows, half_open) = CAPACITY;
        let config = GatewayConfig::new(self.lab, self.setting.mode)
            .capacity(flows, half_open)
            .service(service(ANCHOR, ANCHOR_PORT, ANCHOR_BACKEND).with(&limit))
            .service(service("flooded", FLOODED_PORT, FLOODED_BACKEND));
        if self.has_extra { config.service(service(EXTRA, EXTRA_PORT, ANCHOR_BACKEND)) } else { config }
    }

    fn listen(&self, port: u16) -> SocketAddr {
        self.lab.front.at(self.setting.family, port)
    }

    fn gateway(&self) -> &Gateway<'a> {
        self.gateway.as_ref().expect("a daemon runs between what happens")
    }

    fn holdings(&mut self) -> Holdings {
        Holdings::of(self.lab, self.gateway.as_mut().expect("a daemon runs").process().id())
    }

    /// What became of packets, by reason.
    fn reasons(&self) -> BTreeMap<String, u64> {
        let status = self.gateway().json(&["status"]);
        let reasons = status["reasons"].as_array().expect("a list of reasons").iter();
        let name = |reason: &serde_json::Value| reason["reason"].as_str().expect("a name").to_owned();
        reasons.map(|reason| (name(reason), reason["packets"].as_u64().expect("a number"))).collect()
    }

    fn pause(&mut self, seconds: std::ops::Range<f64>) {
        let length = seconds.start + (seconds.end - seconds.start) * self.random.f64();
        thread::sleep(Duration::from_secs_f64(length).min(DEADLINE));
    }
}
