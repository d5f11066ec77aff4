//! Packet tables in memory, and services to put into them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Result, bail};
use gateway::{
    control::{self, Client, ControlSocket},
    lifecycle::{Desired, Engine, Lookout, PacketTables, ResolvedService, Site},
    model::{
        Answer, Backend, Health, Limits, Policy, Service,
        change::NewService,
        explanation::{CookieRule, Cookies, Explanation, Verdict},
        flow::{Flow, FlowFilter, FlowOrder, FlowPage, FlowState, Traffic},
        sighting::{Sighting, Wanted},
        status::{
            Action, AttachMode, BackendCounters, DatapathStatus, Handshakes, Hook, InterfaceStatus, ProgramStatus,
            ReasonCount, SweepTotals, TableFill,
        },
    },
    store::Store,
};
use tokio::runtime::Runtime;

/// Packet tables in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    services: Mutex<Vec<Arc<ResolvedService>>>,
    last_applied: Mutex<Option<Instant>>,
    fails_once: AtomicBool,
    flows: Mutex<Vec<Flow>>,
    reasons: Mutex<Vec<ReasonCount>>,
    wanted: Mutex<Option<Wanted>>,
    sightings: Mutex<Vec<Sighting>>,
    /// Changes to go until the one that crashes; 0: none does.
    crashes_in: AtomicUsize,
    has_crashed: AtomicBool,
}

impl MemoryTables {
    /// Names of the services in force.
    pub fn names(&self) -> Vec<String> {
        self.0.services.lock().unwrap().iter().map(|resolved| resolved.service.name.clone()).collect()
    }

    /// Backends of a service in force that are not to be used because they do not answer.
    pub fn down(&self, service: &str) -> Vec<SocketAddr> {
        let services = self.0.services.lock().unwrap();
        let resolved = services.iter().find(|resolved| resolved.service.name == service).unwrap();
        resolved.down.iter().copied().collect()
    }

    /// When services were put in force for the last time.
    pub fn last_applied(&self) -> Instant {
        self.0.last_applied.lock().unwrap().unwrap()
    }

    /// The next change will fail half-way.
    pub fn fail_once(&self) {
        self.0.fails_once.store(true, Ordering::Relaxed);
    }

    /// The change with this number from here on will crash half-way, as if the gateway were killed.
    pub fn crash_at(&self, change: Option<usize>) {
        self.0.crashes_in.store(change.unwrap_or(0), Ordering::Relaxed);
    }

    pub fn has_crashed(&self) -> bool {
        self.0.has_crashed.load(Ordering::Relaxed)
    }

    /// The flow table from here on.
    pub fn set_flows(&self, flows: Vec<Flow>) {
        *self.0.flows.lock().unwrap() = flows;
    }

    /// So many packets for a reason, from here on.
    pub fn count(&self, reason: &str, action: Action, packets: u64) {
        let mut reasons = self.0.reasons.lock().unwrap();
        reasons.retain(|count| count.reason != reason);
        reasons.push(ReasonCount { reason: reason.into(), action, packets });
    }

    /// What is to be shown at the moment.
    pub fn wanted(&self) -> Option<Wanted> {
        *self.0.wanted.lock().unwrap()
    }

    /// Shows something.
    pub fn show(&self, sighting: Sighting) {
        self.0.sightings.lock().unwrap().push(sighting);
    }

    /// Whether the change that is to fail is still to come.
    pub fn will_fail(&self) -> bool {
        self.0.fails_once.load(Ordering::Relaxed)
    }
}

impl PacketTables for MemoryTables {
    fn apply(&mut self, services: &[Arc<ResolvedService>]) -> Result<()> {
        // A failing table is left half-written, as a real one may be.
        *self.0.services.lock().unwrap() = services.to_vec();
        *self.0.last_applied.lock().unwrap() = Some(Instant::now());
        let crashes_in = self.0.crashes_in.load(Ordering::Relaxed);
        self.0.crashes_in.store(crashes_in.saturating_sub(1), Ordering::Relaxed);
        if crashes_in == 1 {
            self.0.has_crashed.store(true, Ordering::Relaxed);
            panic!("this is the crash that the test asked for");
        }
        if self.0.fails_once.swap(false, Ordering::Relaxed) {
            bail!("no space left");
        }
        Ok(())
    }

    fn flows(&self, filter: &FlowFilter, _order: Option<FlowOrder>, limit: usize) -> Result<FlowPage> {
        let flows = self.0.flows.lock().unwrap();
        let matching: Vec<_> = flows.iter().filter(|flow| filter.matches(flow)).cloned().collect();
        let total = matching.len() as u64;
        Ok(FlowPage { flows: matching.into_iter().take(limit).collect(), total })
    }

    fn who(&self, snat: SocketAddr, backend: SocketAddr) -> Result<Option<Flow>> {
        let flows = self.0.flows.lock().unwrap();
        Ok(flows.iter().find(|flow| (flow.snat, flow.backend) == (snat, backend)).cloned())
    }

    /// As if no service listened anywhere.
    fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        let (reason, meaning) = ("no_service".to_owned(), "TCP for no service".to_owned());
        let verdict = Verdict { reason, action: Action::Pass, meaning, hook: Hook::Tc };
        let cookies = Cookies { when: CookieRule::Auto, sent: false };
        Ok(Explanation::new(from, to, verdict, TableFill { open: 1, capacity: 65_536 }, cookies))
    }

    fn cut(&mut self, service: &str, backend: SocketAddr, _answer: Answer) -> Result<u64> {
        let open = self.open_flows(service, backend);
        for flow in self.0.flows.lock().unwrap().iter_mut().filter(|flow| is_open(flow, service, backend)) {
            flow.state = FlowState::Closed;
        }
        Ok(open)
    }

    fn open_flows(&self, service: &str, backend: SocketAddr) -> u64 {
        let flows = self.0.flows.lock().unwrap();
        flows.iter().filter(|flow| is_open(flow, service, backend)).count() as u64
    }

    /// The first backend of every service has carried one connection.
    fn backend_counters(&self) -> Result<Vec<BackendCounters>> {
        let traffic = Traffic { packets: 4, bytes: 400 };
        let row = |resolved: &Arc<ResolvedService>| {
            let (service, backend) = (resolved.service.name.clone(), resolved.service.backends.first()?.address);
            Some(BackendCounters {
                service,
                backend,
                connections: 1,
                open_flows: 1,
                half_open: 2,
                source_ports: TableFill { open: 3, capacity: 4536 },
                removed: false,
                attempts: 1,
                refused: 0,
                unanswered: 0,
                handshakes: Handshakes {
                    buckets: [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                    sum_us: 2_500_000,
                },
                port_probes: 1,
                original: traffic,
                reply: traffic,
            })
        };
        Ok(self.0.services.lock().unwrap().iter().filter_map(row).collect())
    }

    fn reasons(&self) -> Result<Vec<ReasonCount>> {
        let always = ReasonCount { reason: "not_ip".into(), action: Action::Pass, packets: 3 };
        Ok([vec![always], self.0.reasons.lock().unwrap().clone()].concat())
    }

    fn watch(&mut self, wanted: Option<&Wanted>) -> Result<()> {
        *self.0.wanted.lock().unwrap() = wanted.copied();
        Ok(())
    }

    fn take_sightings(&mut self) -> Result<Vec<Sighting>> {
        Ok(std::mem::take(&mut *self.0.sightings.lock().unwrap()))
    }

    fn status(&self) -> Result<DatapathStatus> {
        let interface = InterfaceStatus { name: "eth0".into(), ifindex: 2, mode: AttachMode::XdpNative };
        let fill = TableFill { open: 1, capacity: 100 };
        let warnings = vec!["eth0 has no native XDP".into()];
        let reasons = self.reasons()?;
        let programs =
            vec![ProgramStatus { hook: Hook::Xdp, interfaces: vec!["eth0".into()], runs: 7, run_time_ns: 700 }];
        let sweeps = SweepTotals { sweeps: 2, removed: 5, time_ns: 3_000_000 };
        let interfaces = vec![interface];
        Ok(DatapathStatus { interfaces, flows: fill, half_open: fill, reasons, programs, sweeps, warnings })
    }
}

fn is_open(flow: &Flow, service: &str, backend: SocketAddr) -> bool {
    let finished = matches!(flow.state, FlowState::TimeWait | FlowState::Closed);
    flow.service == service && flow.backend == backend && !finished
}

/// A front server with an address of each family and two ports to choose from.
pub fn site() -> Site {
    Site {
        hostname: Some("tcp-1.example.com".into()),
        public: vec!["203.0.113.10".parse().unwrap(), "2001:db8::10".parse().unwrap()],
        public_ports: Some("20000-20001".parse().unwrap()),
        snat: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        snat_ports: "40000-65535".parse().unwrap(),
        defaults: Policy::default(),
    }
}

/// A service as a configuration file has it, with two backends.
pub fn service(name: &str, listen: &str) -> Service {
    let backend = |address: &str| Backend::new(address.parse().unwrap());
    Service {
        name: name.into(),
        listen: vec![listen.parse().unwrap()],
        policy: Policy::default(),
        health: Health::default(),
        limits: Limits::default(),
        backends: vec![backend("10.0.1.1:80"), backend("10.0.1.2:80")],
    }
}

/// A service without backends to add at run time.
pub fn new_service(name: &str, listen: &str) -> NewService {
    NewService { name: name.into(), listen: vec![listen.parse().unwrap()], ..NewService::default() }
}

/// An open flow of a service.
pub fn flow(service: &str, client: &str, state: FlowState) -> Flow {
    Flow {
        service: service.into(),
        backend: "10.0.1.1:80".parse().unwrap(),
        client: client.parse().unwrap(),
        public: "203.0.113.10:80".parse().unwrap(),
        snat: "10.0.0.1:40000".parse().unwrap(),
        state,
        age_seconds: 61,
        idle_seconds: 1,
        original: Traffic { packets: 5, bytes: 500 },
        reply: Traffic { packets: 4, bytes: 4000 },
    }
}

/// A control server in this process, with a service `file` of the file on port 80.
pub struct Daemon {
    pub tables: MemoryTables,
    engine: Arc<Engine<MemoryTables>>,
    pub socket: PathBuf,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        Self::start_at(site())
    }

    /// The same on another front server.
    pub fn start_at(site: Site) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let tables = MemoryTables::default();
        let store = Store::open(folder.path()).unwrap();
        let desired = Desired::merged(site, vec![service("file", ":80")], store.load().unwrap()).unwrap();
        let engine = Arc::new(Engine::start(desired, store, tables.clone()).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let bound = runtime.block_on(ControlSocket::bind(&socket)).unwrap();
        runtime.spawn(control::serve(bound, engine.clone(), std::future::pending()));
        Self { tables, engine, socket, runtime, _folder: folder }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    /// From here on the packet tables are looked at now and then.
    pub fn look_out(&self) {
        self.runtime.spawn(Lookout::new(self.engine.clone()).unwrap().run());
    }

    /// Waits for an answer of the client.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }
}

/// The `gateway` command, for the daemon behind `socket`.
pub fn gateway(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.env("GATEWAY_SOCKET", socket);
    command
}
