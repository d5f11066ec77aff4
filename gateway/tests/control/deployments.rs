//! Deployments that are interrupted at every step there is, over packet tables in memory.
//!
//! A crash is a panic in the packet tables: at that moment the tables hold the new state and the store the one
//! before. A crash after the store has been written is the one before the next step.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use gateway::{
    lifecycle::{self, ChangeError, Desired, Engine, Observation, Stopper},
    model::{
        BackendState, Deployment, DeploymentOptions, HealthReport, HealthStatus, NewBackend, Phase, Process,
        change::NewService,
        flow::{Flow, FlowState},
    },
    store::Store,
};
use tokio::time::{sleep, timeout};

use crate::support::{MemoryTables, flow, new_service, site};

const OLD: [&str; 2] = ["10.0.1.1:80", "10.0.1.2:80"];
const NEW: [&str; 2] = ["10.0.1.3:80", "10.0.1.4:80"];
/// More than a deployment has steps.
const ENOUGH: usize = 40;

/// A gateway's disk, and the file that signalled processes leave a line in.
struct Disk(tempfile::TempDir);

impl Disk {
    /// With a service on the old backends.
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let engine = disk.start(&MemoryTables::default());
        let backends = OLD.map(|address| disk.backend(address)).to_vec();
        engine.change(|desired| desired.add_service(NewService { backends, ..new_service("web", ":81") })).unwrap();
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn backend(&self, address: &str) -> NewBackend {
        let script = format!("echo $GATEWAY_BACKEND >> {}", self.path().join("signalled").display());
        let process = Some(Process::Command(vec!["sh".into(), "-c".into(), script]));
        NewBackend { process, ..NewBackend::new(address.parse().unwrap()) }
    }

    fn start(&self, tables: &MemoryTables) -> Arc<Engine<MemoryTables>> {
        // The gateway before this one lets go of the store when its last task has ended.
        let deadline = Instant::now() + Duration::from_secs(10);
        let store = loop {
            match Store::open(self.path()) {
                Ok(store) => break store,
                Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let desired = Desired::merged(site(), vec![], store.load().unwrap()).unwrap();
        Arc::new(Engine::start(desired, store, tables.clone()).unwrap())
    }

    /// Backends whose process was signalled, each once.
    fn signalled(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            fs::read_to_string(self.path().join("signalled")).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// Runs a gateway that deploys, unless it has already, until the deployment is over or the gateway crashes: at the
    /// change of the packet tables with the number `crash`. `None`: it crashed.
    async fn run(&self, crash: Option<usize>, options: &DeploymentOptions, answers: bool) -> Option<Deployment> {
        let tables = MemoryTables::default();
        tables.set_flows(OLD.map(open_flow).to_vec());
        let engine = self.start(&tables);
        tables.crash_at(crash);
        let stopper = Stopper { docker: "/nonexistent".into() };
        let conductor = tokio::spawn(lifecycle::conduct(engine.clone(), stopper));
        let crashed = async {
            while !tables.has_crashed() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::select! {
            () = crashed => None,
            outcome = self.deploy(&engine, options.clone(), answers) => outcome,
        };
        conductor.abort();
        let _ = conductor.await;
        outcome
    }

    async fn deploy(
        &self,
        engine: &Arc<Engine<MemoryTables>>,
        options: DeploymentOptions,
        answers: bool,
    ) -> Option<Deployment> {
        if deployment(engine).is_none() {
            let backends = NEW.map(|address| self.backend(address)).to_vec();
            let begin = move |desired: &Desired| desired.begin_deployment("web", backends, options, SystemTime::now());
            changed(engine, move |engine| engine.change(begin).map(drop)).await?;
        }
        while answers && has(engine, BackendState::Starting) {
            changed(engine, |engine| engine.observe(answers_of_new())).await?;
            sleep(Duration::from_millis(5)).await;
        }
        loop {
            let latest = deployment(engine).unwrap();
            if !latest.is_under_way() && !has(engine, BackendState::Draining) {
                return Some(latest);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Makes a change on a thread of its own; `None` if that crashes.
async fn changed(
    engine: &Arc<Engine<MemoryTables>>,
    change: impl FnOnce(&Engine<MemoryTables>) -> Result<(), ChangeError> + Send + 'static,
) -> Option<()> {
    let engine = engine.clone();
    tokio::task::spawn_blocking(move || change(&engine)).await.ok()?.ok()
}

fn answers_of_new() -> Vec<Observation> {
    let report = || HealthReport::now(HealthStatus::Up);
    NEW.map(|address| Observation { service: "web".into(), backend: address.parse().unwrap(), report: report() })
        .to_vec()
}

fn open_flow(backend: &str) -> Flow {
    Flow { backend: backend.parse().unwrap(), ..flow("web", "198.51.100.7:1", FlowState::Established) }
}

fn deployment(engine: &Engine<MemoryTables>) -> Option<Deployment> {
    engine.desired().entry("web").unwrap().deployment().cloned()
}

fn has(engine: &Engine<MemoryTables>, state: BackendState) -> bool {
    engine.desired().entry("web").unwrap().service().backends.iter().any(|backend| backend.state == state)
}

fn backends(disk: &Disk) -> Vec<(SocketAddr, BackendState)> {
    let engine = disk.start(&MemoryTables::default());
    let desired = engine.desired();
    let backends = &desired.entry("web").unwrap().service().backends;
    backends.iter().map(|backend| (backend.address, backend.state)).collect()
}

fn active(addresses: [&str; 2]) -> Vec<(SocketAddr, BackendState)> {
    addresses.map(|address| (address.parse().unwrap(), BackendState::Active)).to_vec()
}

fn options() -> DeploymentOptions {
    DeploymentOptions {
        timeout: Duration::from_secs(60),
        drain_timeout: Some(Duration::from_millis(150)),
        rollback_window: Duration::from_millis(60),
        ..DeploymentOptions::default()
    }
}

/// Deploys with a crash at every step in turn; returns how many crashes there were.
async fn crash_at_every_step(options: DeploymentOptions, answers: bool, check: impl Fn(&Disk, &Deployment)) -> usize {
    for crash in 1..ENOUGH {
        let disk = Disk::new();
        let whole = timeout(Duration::from_secs(60), async {
            let first = disk.run(Some(crash), &options, answers).await;
            let has_crashed = first.is_none();
            let outcome = match first {
                Some(outcome) => outcome,
                None => disk.run(None, &options, answers).await.expect("nothing crashes any more"),
            };
            (has_crashed, outcome)
        });
        let (has_crashed, outcome) = whole.await.unwrap_or_else(|_| panic!("stuck after a crash at change {crash}"));
        check(&disk, &outcome);
        if !has_crashed {
            return crash - 1;
        }
    }
    panic!("a deployment has more than {ENOUGH} steps");
}

#[tokio::test(flavor = "multi_thread")]
async fn deployment_that_crashes_at_any_step_is_carried_through() {
    let crashes = crash_at_every_step(options(), true, |disk, outcome| {
        assert!(matches!(outcome.phase, Phase::Done { .. }), "{outcome:?}");
        assert_eq!(backends(disk), active(NEW));
        assert_eq!(disk.signalled(), OLD);
    });
    // Begin, two handshakes at once, switch, confirm, two signals, two ends: each was hit.
    assert!(crashes.await >= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn deployment_without_answers_leaves_everything_as_it_was_wherever_it_crashes() {
    let options = DeploymentOptions { timeout: Duration::from_millis(60), ..options() };
    let crashes = crash_at_every_step(options, false, |disk, outcome| {
        assert!(matches!(outcome.phase, Phase::Failed { .. }), "{outcome:?}");
        assert_eq!(backends(disk), active(OLD));
        assert!(disk.signalled().is_empty());
    });
    assert_eq!(crashes.await, 2);
}
