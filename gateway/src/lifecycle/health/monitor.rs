//! All backends, watched: follows the desired state and hands what probes find out to the engine.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, spawn_blocking},
    time,
};

use super::{pace::Pace, probe::Probe, streak::Streak, watch::watch};
use crate::{
    lifecycle::{Desired, Engine, HealthBook, Observation, PacketTables, ResolvedService},
    model::{Backend, BackendState, Health, HealthReport, HealthStatus},
};

/// Changes that come within this time are one step for the packet tables.
const BATCH: Duration = Duration::from_millis(10);

/// Between two attempts to hand over what the engine did not take.
const RETRY: Duration = Duration::from_secs(1);

/// Probes that run at once, at most; less where the process may not open twice as many files.
const MAX_PROBES: u64 = 16_384;

/// Probes the backends for as long as it is polled.
pub async fn run<P: PacketTables>(engine: Arc<Engine<P>>) -> Result<()> {
    let (sender, mut news) = mpsc::unbounded_channel();
    let mut monitor =
        Monitor { services: HashMap::new(), sender, probes: Arc::new(Semaphore::new(max_probes()?)), watches: 0 };
    let mut desired = engine.watch();
    monitor.follow(&engine.desired(), &engine.health());
    loop {
        tokio::select! {
            changed = desired.changed() => {
                changed.context("the engine is gone")?;
                let desired = desired.borrow_and_update().clone();
                monitor.follow(&desired, &engine.health());
            }
            Some(first) = news.recv() => {
                time::sleep(BATCH).await;
                let batch: Vec<News> = std::iter::once(first).chain(std::iter::from_fn(|| news.try_recv().ok())).collect();
                let observations = monitor.take_note(batch);
                hand_over(&engine, observations).await?;
            }
        }
    }
}

/// The backends that are watched.
struct Monitor {
    services: HashMap<String, WatchedService>,
    sender: mpsc::UnboundedSender<News>,
    /// Permits to run a probe.
    probes: Arc<Semaphore>,
    /// Watches that were begun so far.
    watches: u64,
}

struct WatchedService {
    resolved: Arc<ResolvedService>,
    backends: HashMap<SocketAddr, Watch>,
}

/// A task that probes a backend. Dropping it ends the task.
struct Watch {
    id: u64,
    plan: Plan,
    /// As the engine knows it.
    status: HealthStatus,
    task: AbortHandle,
}

/// How a backend is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    probe: Probe,
    pace: Pace,
    rise: u32,
    fall: u32,
}

/// What the watch with this id has found out.
struct News {
    watch: u64,
    observation: Observation,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Monitor {
    /// Watches the backends that are to be probed, and no others.
    fn follow(&mut self, desired: &Desired, book: &HealthBook) {
        let services = desired.resolved();
        let names: HashSet<&str> = services.iter().map(|resolved| resolved.service.name.as_str()).collect();
        self.services.retain(|name, _| names.contains(name.as_str()));
        for resolved in &services {
            let name = &resolved.service.name;
            if self.services.get(name).is_some_and(|watched| Arc::ptr_eq(&watched.resolved, resolved)) {
                continue;
            }
            let before = self.services.remove(name).map(|watched| watched.backends).unwrap_or_default();
            let backends = self.watched(resolved, before, &desired.site().snat, book);
            self.services.insert(name.clone(), WatchedService { resolved: resolved.clone(), backends });
        }
    }

    /// The watches of a service that had those of `before`.
    fn watched(
        &mut self,
        resolved: &ResolvedService,
        mut before: HashMap<SocketAddr, Watch>,
        snat: &[IpAddr],
        book: &HealthBook,
    ) -> HashMap<SocketAddr, Watch> {
        let service = &resolved.service;
        let watched = service.backends.iter().filter_map(|backend| {
            let report = book.report(&service.name, backend.address)?.clone();
            let plan = Plan::new(backend, &service.health, snat);
            let watch = before
                .remove(&backend.address)
                // Its status is another one where the backend has begun anew.
                .filter(|watch| watch.plan == plan && watch.status == report.status)
                .unwrap_or_else(|| self.begin(&service.name, plan, report));
            Some((backend.address, watch))
        });
        watched.collect()
    }

    fn begin(&mut self, service: &str, plan: Plan, report: HealthReport) -> Watch {
        self.watches += 1;
        let (id, status) = (self.watches, report.status);
        let Plan { probe, pace, rise, fall } = plan.clone();
        let (service, backend) = (service.to_owned(), probe.to);
        let (probes, sender) = (self.probes.clone(), self.sender.clone());
        let probe = move || {
            let (probe, probes) = (probe.clone(), probes.clone());
            async move {
                let _permit = probes.acquire().await;
                probe.run().await
            }
        };
        let report_change = move |report| {
            let observation = Observation { service: service.clone(), backend, report };
            // Nobody listens once the monitor has ended.
            let _ = sender.send(News { watch: id, observation });
        };
        let task = tokio::spawn(watch(pace, Streak::new(report, rise, fall), probe, report_change));
        Watch { id, plan, status, task: task.abort_handle() }
    }

    /// What is to be told to the engine: all but what is about backends that are no longer watched.
    fn take_note(&mut self, news: Vec<News>) -> Vec<Observation> {
        let current = news.into_iter().filter_map(|News { watch: id, observation }| {
            let Observation { service, backend, report } = &observation;
            let watched = self.services.get_mut(service)?;
            let watch = watched.backends.get_mut(backend).filter(|watch| watch.id == id)?;
            if watch.status != report.status {
                watch.status = report.status;
            }
            Some(observation)
        });
        current.collect()
    }
}

impl Plan {
    fn new(backend: &Backend, health: &Health, snat: &[IpAddr]) -> Self {
        let pace = Pace { interval: health.interval, is_awaited: backend.state == BackendState::Starting };
        Self { probe: Probe::new(backend, health, snat), pace, rise: health.rise, fall: health.fall }
    }
}

/// Tells the engine, again and again until it has taken it.
async fn hand_over<P: PacketTables>(engine: &Arc<Engine<P>>, observations: Vec<Observation>) -> Result<()> {
    loop {
        let (engine, observations) = (engine.clone(), observations.clone());
        let Err(error) = spawn_blocking(move || engine.observe(observations)).await? else { return Ok(()) };
        log::error!("what probes have found out is not in force: {error}");
        time::sleep(RETRY).await;
    }
}

/// Raises the limit of open files as far as that goes, and leaves half of it to others.
fn max_probes() -> Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the limit of open files")?;
    Ok(usize::try_from((hard / 2).clamp(1, MAX_PROBES))?)
}
