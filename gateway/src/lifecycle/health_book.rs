//! What probes say of every backend.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use super::{Desired, ResolvedService, Write};
use crate::model::{Backend, BackendState, HealthKind, HealthReport, HealthStatus, Service, Signal};

/// The latest report on each backend that is probed, and on no other.
#[derive(Clone, Debug, Default)]
pub struct HealthBook(HashMap<Arc<str>, Arc<Reports>>);

type Reports = HashMap<SocketAddr, HealthReport>;

/// What a probe has found out about a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub service: String,
    pub backend: SocketAddr,
    pub report: HealthReport,
}

impl HealthBook {
    /// Takes the backends that are there before any probe for well: they may have flows already.
    pub(super) fn trusting(desired: &Desired) -> Self {
        let mut book = Self::default();
        for service in desired.entries().map(|entry| entry.service()) {
            let probed = service.backends.iter().filter(|backend| is_probed(service, backend));
            let report = |backend: &Backend| match backend.state {
                BackendState::Starting => HealthStatus::Starting,
                BackendState::Active | BackendState::Draining => HealthStatus::Unknown,
            };
            let reports = probed.map(|backend| (backend.address, HealthReport::now(report(backend))));
            book.set(&service.name, reports.collect());
        }
        book
    }

    /// What is said of a backend; nothing of one that is not probed.
    pub fn report(&self, service: &str, backend: SocketAddr) -> Option<&HealthReport> {
        self.0.get(service)?.get(&backend)
    }

    /// Notes down what was found out about a backend, unless it is not probed any more.
    pub(super) fn enter(&mut self, Observation { service, backend, report }: Observation) {
        if let Some(reports) = self.0.get_mut(service.as_str()).filter(|reports| reports.contains_key(&backend)) {
            Arc::make_mut(reports).insert(backend, report);
        }
    }

    /// The book after a change of the desired state, which made these writes: a backend that is new or begins anew is
    /// starting.
    pub(super) fn followed(self: &Arc<Self>, writes: &[Write], before: &Desired, now: &Desired) -> Arc<Self> {
        let mut book = self.clone();
        for name in writes.iter().map(Write::service) {
            let [before, now] = [before, now].map(|desired| desired.entry(name).ok().map(|entry| entry.service()));
            let reports = now.map(|now| self.reports(now, before)).unwrap_or_default();
            if self.0.get(name).map_or(!reports.is_empty(), |present| **present != reports) {
                Arc::make_mut(&mut book).set(name, reports);
            }
        }
        book
    }

    /// `resolved` with the backends that are not to be used.
    pub(super) fn judged(&self, resolved: &Arc<ResolvedService>) -> Arc<ResolvedService> {
        let Some(reports) = self.0.get(resolved.service.name.as_str()) else { return resolved.clone() };
        let down: BTreeSet<_> =
            reports.iter().filter(|(_, report)| !report.status.is_usable()).map(|(address, _)| *address).collect();
        if down.is_empty() { resolved.clone() } else { Arc::new(ResolvedService { down, ..(**resolved).clone() }) }
    }

    /// The reports on a service that was `before`.
    fn reports(&self, service: &Service, before: Option<&Service>) -> Reports {
        let probed = service.backends.iter().filter(|backend| is_probed(service, backend));
        let starting = || HealthReport::now(HealthStatus::Starting);
        let report = |backend: &Backend| {
            let address = backend.address;
            let was = before.and_then(|service| service.backends.iter().find(|backend| backend.address == address));
            let present = self.report(&service.name, address);
            match (was.map(|was| was.state), present) {
                (Some(was), _) if backend.state == BackendState::Starting && was != backend.state => starting(),
                (Some(_), Some(report)) => report.clone(),
                // It gets connections without being asked, and goes on until the first answer.
                (Some(BackendState::Active), None) => HealthReport::now(HealthStatus::Unknown),
                _ => starting(),
            }
        };
        probed.map(|backend| (backend.address, report(backend))).collect()
    }

    fn set(&mut self, service: &str, reports: Reports) {
        if reports.is_empty() {
            self.0.remove(service);
        } else {
            self.0.insert(service.into(), Arc::new(reports));
        }
    }
}

/// Whether a backend is asked how it is: until its process is told to end, since it may be needed again until then.
fn is_probed(service: &Service, backend: &Backend) -> bool {
    match backend.state {
        BackendState::Starting => true,
        BackendState::Active => service.health.kind != HealthKind::None,
        BackendState::Draining => {
            let is_left_alone = |signal: &Signal| matches!(signal, Signal::None | Signal::Pending);
            service.health.kind != HealthKind::None
                && backend.drain.as_ref().is_some_and(|drain| !drain.ended && is_left_alone(&drain.signal))
        }
    }
}
