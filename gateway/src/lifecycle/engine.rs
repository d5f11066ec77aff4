//! Puts changes of the desired state into force, one at a time.
//!
//! A change is in the packet tables, in the store and published when [`Engine::change`] returns, or in none of them:
//! if the tables or the store fail, the state before is applied again. Readers never wait for a change: the
//! published state is a value. Every change is told as [`Events`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;

use super::{
    Desired, Events, HealthBook, Observation, PacketTables, Refusal, differences, lookout::Seen, watching::Watching,
};
use crate::{
    model::{
        Answer,
        event::Happening,
        explanation::Explanation,
        flow::{Flow, FlowFilter, FlowOrder, FlowPage},
        status::{BackendCounters, DatapathStatus, ReasonCount},
    },
    store::Store,
};

/// Owner of the desired state, its store and the packet tables.
#[derive(Debug)]
pub struct Engine<P> {
    /// Held for the length of a change: there is one at a time.
    store: Mutex<Store>,
    tables: RwLock<P>,
    desired: watch::Sender<Arc<Desired>>,
    health: watch::Sender<Arc<HealthBook>>,
    warnings: Mutex<BTreeMap<&'static str, Vec<String>>>,
    events: Events,
    watching: Watching,
    /// What was last told of the datapath.
    seen: Mutex<Seen>,
}

/// Why a state did not come into force; the one before is.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl<P: PacketTables> Engine<P> {
    /// Puts the first state into force: what the file and the store make together.
    pub fn start(desired: Desired, mut store: Store, mut tables: P) -> Result<Self> {
        store.write(&desired.writes_over(&store.load()?))?;
        tables.apply(&desired.resolved()).context("put the services into the packet tables")?;
        let health = watch::Sender::new(Arc::new(HealthBook::trusting(&desired)));
        let desired = watch::Sender::new(Arc::new(desired));
        Ok(Self {
            store: Mutex::new(store),
            tables: RwLock::new(tables),
            desired,
            health,
            warnings: Mutex::default(),
            events: Events::default(),
            watching: Watching::default(),
            seen: Mutex::default(),
        })
    }

    /// The state in force.
    pub fn desired(&self) -> Arc<Desired> {
        self.desired.borrow().clone()
    }

    /// The state in force, as it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    /// What has happened, this daemon's changes among it.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Those who watch packets and flows.
    pub(super) fn watching(&self) -> &Watching {
        &self.watching
    }

    /// Brings the state that `step` makes of the present one into force. Blocks for a write to disk.
    pub fn change(&self, step: impl FnOnce(&Desired) -> Result<Desired, Refusal>) -> Result<Arc<Desired>, ChangeError> {
        self.change_because([], step)
    }

    /// The same for a change that follows from what has happened: that is told first, once the change is in force.
    pub fn change_because(
        &self,
        happened: impl IntoIterator<Item = Happening>,
        step: impl FnOnce(&Desired) -> Result<Desired, Refusal>,
    ) -> Result<Arc<Desired>, ChangeError> {
        let mut store = self.store.lock().map_err(interrupted)?;
        let before = self.desired();
        let next = Arc::new(step(&before)?);
        let writes = next.writes_since(&before);
        let health = self.health().followed(&writes, &before, &next);
        self.apply(&next, &health).map_err(|error| self.undone(&before, error))?;
        store.write(&writes).map_err(|error| self.undone(&before, error))?;
        self.health.send_if_modified(|book| !Arc::ptr_eq(&std::mem::replace(book, health.clone()), &health));
        self.desired.send_replace(next.clone());
        self.events.publish(happened.into_iter().chain(differences::of_services(&before, &next)));
        Ok(next)
    }

    /// What probes say of the backends.
    pub fn health(&self) -> Arc<HealthBook> {
        self.health.borrow().clone()
    }

    /// What probes say of the backends, as it changes.
    pub fn watch_health(&self) -> watch::Receiver<Arc<HealthBook>> {
        self.health.subscribe()
    }

    /// Takes over what probes have found out: backends that fail get no more new connections, those that answer do.
    pub fn observe(&self, observations: Vec<Observation>) -> Result<(), ChangeError> {
        let _one_at_a_time = self.store.lock().map_err(interrupted)?;
        let desired = self.desired();
        let mut book = HealthBook::clone(&self.health());
        let mut happened = Vec::new();
        for observation in observations {
            happened.extend(differences::of_health(&desired, &book, &observation));
            book.enter(observation);
        }
        self.apply(&desired, &book).map_err(|error| self.undone(&desired, error))?;
        self.health.send_replace(Arc::new(book));
        self.events.publish(happened);
        Ok(())
    }

    /// Lists open flows. Blocks while the flow table is read.
    pub fn flows(&self, filter: &FlowFilter, order: Option<FlowOrder>, limit: usize) -> Result<FlowPage> {
        self.read(|tables| tables.flows(filter, order, limit))
    }

    /// The flow that a backend sees as a connection from `snat`.
    pub fn who(&self, snat: SocketAddr, backend: SocketAddr) -> Result<Option<Flow>> {
        self.read(|tables| tables.who(snat, backend))
    }

    /// What would become of a SYN between these addresses. Blocks while the kernel is asked for routes.
    pub fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        self.read(|tables| tables.explain(from, to))
    }

    /// Ends all flows of a backend, which is to get no new ones, and returns how many were open. Blocks while the flow
    /// table is read.
    pub fn cut(&self, service: &str, backend: SocketAddr, answer: Answer) -> Result<u64> {
        self.attend(|tables| tables.cut(service, backend, answer))
            .with_context(|| format!("cut the connections of {backend}"))
    }

    /// Flows of a backend that are not finished.
    pub fn open_flows(&self, service: &str, backend: SocketAddr) -> Result<u64> {
        self.read(|tables| Ok(tables.open_flows(service, backend)))
    }

    /// Totals of every backend.
    pub fn backend_counters(&self) -> Result<Vec<BackendCounters>> {
        self.read(P::backend_counters)
    }

    /// Packets by reason. Cheap enough to be asked for every second.
    pub fn reasons(&self) -> Result<Vec<ReasonCount>> {
        self.read(P::reasons)
    }

    /// What the datapath reports, and what else the operator ought to know.
    pub fn datapath_status(&self) -> Result<DatapathStatus> {
        let mut status = self.read(P::status)?;
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        status.warnings.extend(warnings.values().flatten().cloned());
        Ok(status)
    }

    /// Replaces the warnings of one source.
    pub fn warn(&self, source: &'static str, warnings: Vec<String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).insert(source, warnings);
        if let Err(error) = self.look() {
            log::error!("cannot tell new warnings from old ones: {error:#}");
        }
    }

    /// Tells which interfaces and warnings have come and gone since the last look.
    pub fn look(&self) -> Result<()> {
        // Held until all is told, so that two who look do not tell it twice, or in the wrong order.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let status = self.datapath_status()?;
        self.events.publish(seen.look(&status));
        Ok(())
    }

    /// Lets the keeper of the packet tables do its upkeep, between two changes.
    pub fn attend<T>(&self, upkeep: impl FnOnce(&mut P) -> Result<T>) -> Result<T> {
        upkeep(&mut *self.tables.write().map_err(|_| anyhow!("the packet tables are in an unknown state"))?)
    }

    fn apply(&self, desired: &Desired, health: &HealthBook) -> Result<()> {
        let services: Vec<_> = desired.resolved().iter().map(|resolved| health.judged(resolved)).collect();
        let mut tables = self.tables.write().map_err(|_| anyhow!("the packet tables are in an unknown state"))?;
        tables.apply(&services).context("put the change into the packet tables")
    }

    fn read<T>(&self, read: impl FnOnce(&P) -> Result<T>) -> Result<T> {
        read(&*self.tables.read().map_err(|_| anyhow!("the packet tables are in an unknown state"))?)
    }

    /// Applies the state before the failed change again.
    fn undone(&self, before: &Desired, error: anyhow::Error) -> ChangeError {
        ChangeError::Failed(match self.apply(before, &self.health()) {
            Ok(()) => error.context("nothing is changed"),
            Err(again) => {
                log::error!("cannot restore the packet tables after a failed change: {again:#}");
                error.context("the change is half in force and could not be undone; restart the gateway")
            }
        })
    }
}

fn interrupted<T>(_: PoisonError<T>) -> ChangeError {
    ChangeError::Failed(anyhow!("a change was interrupted half-way; restart the gateway"))
}
