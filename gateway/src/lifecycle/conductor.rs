//! Carries deployments and drains through, step by step.
//!
//! [`steps`] says what is due; here it is done, one change of the state a step. A step that the state has overtaken
//! meanwhile is refused by the state, and nothing is lost.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use tokio::{task::spawn_blocking, time};

use super::{
    Engine, PacketTables,
    engine::ChangeError,
    processes::Stopper,
    steps::{self, Evidence, Fared, Step},
};
use crate::model::{Answer, Deployment, Process, Signal, event::Happening};

/// How often open connections and deadlines are looked at while anything is under way.
const TICK: Duration = Duration::from_millis(50);

/// After a step that could not be taken, as on a full disk.
const RETRY: Duration = Duration::from_secs(1);

/// A backend of a service.
type Target = (String, SocketAddr);

/// Runs until it is dropped.
pub async fn conduct<P: PacketTables>(engine: Arc<Engine<P>>, stopper: Stopper) {
    if let Err(error) = try_conduct(engine, stopper).await {
        log::error!("deployments and drains have stopped, restart the gateway: {error:#}");
    }
}

async fn try_conduct<P: PacketTables>(engine: Arc<Engine<P>>, stopper: Stopper) -> Result<()> {
    let (mut desired, mut health) = (engine.watch(), engine.watch_health());
    let conductor = Arc::new(Conductor { engine, stopper, signalling: Mutex::default(), baselines: Mutex::default() });
    loop {
        let is_busy = steps::is_busy(&desired.borrow_and_update());
        health.borrow_and_update();
        if is_busy {
            let conductor = conductor.clone();
            let runtime = tokio::runtime::Handle::current();
            let steps = spawn_blocking(move || conductor.take_due_steps(&runtime)).await;
            if !steps.context("take a deployment further")? {
                time::sleep(RETRY).await;
            }
        }
        tokio::select! {
            changed = desired.changed() => changed.context("the engine is gone")?,
            changed = health.changed(), if is_busy => changed.context("the engine is gone")?,
            () = time::sleep(TICK), if is_busy => {}
        }
    }
}

struct Conductor<P> {
    engine: Arc<Engine<P>>,
    stopper: Stopper,
    /// Backends whose process is being signalled at this moment.
    signalling: Mutex<HashSet<Target>>,
    /// Totals of the new backends at the switch of a deployment, or when it was adopted, by service.
    baselines: Mutex<HashMap<String, Fared>>,
}

impl<P: PacketTables> Conductor<P> {
    /// Whether all that was due could be done.
    fn take_due_steps(self: &Arc<Self>, runtime: &tokio::runtime::Handle) -> bool {
        let mut all_done = true;
        // Before the state: who is not in here any more has his outcome in the state.
        let signalling = lock(&self.signalling).clone();
        let (desired, health) = (self.engine.desired(), self.engine.health());
        let evidence = Evidence {
            health: &health,
            open_flows: &|service, backend| self.open_flows(service, backend),
            signalling: &|service, backend| signalling.contains(&(service.to_owned(), backend)),
            fared: &|service, deployment| self.fared(service, deployment),
        };
        for (service, step) in steps::due(&desired, &evidence, SystemTime::now()) {
            if let Step::Signal { backend, process } = step {
                self.signal(runtime, (service, backend), process);
                continue;
            }
            match self.take(&service, &step) {
                // Somebody else has changed the service since.
                Ok(()) | Err(ChangeError::Refused(_)) => {}
                Err(ChangeError::Failed(error)) => {
                    log::error!("service {service}: cannot go on with its deployment or drain: {error:#}");
                    all_done = false;
                }
            }
        }
        all_done
    }

    fn take(&self, service: &str, step: &Step) -> Result<(), ChangeError> {
        let now = SystemTime::now();
        match step {
            Step::Switch => {
                if let Some(deployment) = self.engine.desired().entry(service)?.deployment() {
                    let totals = self.totals(service, &deployment.new);
                    lock(&self.baselines).insert(service.to_owned(), totals);
                }
                self.engine.change(|desired| desired.switch(service, now))?;
            }
            Step::Abandon { reason, errors } => {
                let (why, errors) = (reason.clone(), errors.clone());
                self.engine.change(|desired| desired.abandon(service, why, errors, now))?;
            }
            Step::Confirm => {
                self.engine.change(|desired| desired.confirm(service, now))?;
                lock(&self.baselines).remove(service);
            }
            Step::RollBack { reason } => {
                let why = reason.clone();
                self.engine.change(|desired| desired.roll_back(service, why, now))?;
                lock(&self.baselines).remove(service);
            }
            Step::Cut { backend, answer } => self.cut(service, *backend, *answer)?,
            Step::End { backend } => self.end(service, *backend, None)?,
            Step::Signal { .. } => {}
        }
        Ok(())
    }

    fn cut(&self, service: &str, backend: SocketAddr, answer: Answer) -> Result<(), ChangeError> {
        let open = self.engine.cut(service, backend, answer).context("cut what is still open")?;
        let service_name = service.to_owned();
        self.end(service, backend, Some(Happening::BackendCut { service: service_name, backend, connections: open }))
    }

    fn end(&self, service: &str, backend: SocketAddr, cut: Option<Happening>) -> Result<(), ChangeError> {
        let drained = Happening::BackendDrained { service: service.to_owned(), backend };
        let happened = cut.into_iter().chain([drained]);
        self.engine.change_because(happened, |desired| desired.end_drain(service, backend)).map(drop)
    }

    /// Signals a process in the background and notes the outcome.
    fn signal(self: &Arc<Self>, runtime: &tokio::runtime::Handle, target: Target, process: Process) {
        lock(&self.signalling).insert(target.clone());
        let conductor = self.clone();
        runtime.spawn(async move {
            let (service, backend) = &target;
            let signal = match conductor.stopper.stop(&process, service, *backend).await {
                Ok(()) => Signal::Sent,
                Err(error) => Signal::Failed(format!("{error:#}")),
            };
            let noted = {
                let (conductor, (service, backend)) = (conductor.clone(), target.clone());
                spawn_blocking(move || {
                    conductor.engine.change(|desired| desired.note_signal(&service, backend, signal))
                })
            };
            if let Ok(Err(ChangeError::Failed(error))) = noted.await {
                log::error!("service {service}: cannot note that backend {backend} was signalled: {error:#}");
            }
            lock(&conductor.signalling).remove(&target);
        });
    }

    /// Connections open to a backend. Where that cannot be known it counts as in use.
    fn open_flows(&self, service: &str, backend: SocketAddr) -> u64 {
        self.engine.open_flows(service, backend).unwrap_or_else(|error| {
            log::warn!("cannot count the connections of backend {backend}: {error:#}");
            1
        })
    }

    /// How connections to a deployment's new backends have fared since its switch, as far as this process was there.
    fn fared(&self, service: &str, deployment: &Deployment) -> Fared {
        let now = self.totals(service, &deployment.new);
        let baseline = *lock(&self.baselines).entry(service.to_owned()).or_insert(now);
        Fared {
            attempts: now.attempts.saturating_sub(baseline.attempts),
            errors: now.errors.saturating_sub(baseline.errors),
        }
    }

    fn totals(&self, service: &str, backends: &[SocketAddr]) -> Fared {
        let rows = self.engine.backend_counters().unwrap_or_else(|error| {
            log::warn!("cannot judge the deployment of service {service}: {error:#}");
            Vec::new()
        });
        let own = rows.iter().filter(|row| row.service == service && backends.contains(&row.backend));
        own.fold(Fared::default(), |sum, row| Fared {
            attempts: sum.attempts + row.attempts,
            errors: sum.errors + row.refused + row.unanswered,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
