//! What probes say of every backend.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use super::{Desired, ResolvedService};
use crate::model::{Backend, BackendState, HealthKind, HealthReport, HealthStatus, Service};

/// The latest report on each backend. A backend without one has yet to answer for the first time.
#[derive(Clone, Debug, Default)]
pub struct HealthBook(HashMap<String, HashMap<SocketAddr, HealthReport>>);

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
            for backend in service.backends.iter().filter(|backend| backend.state != BackendState::Starting) {
                let report = HealthReport::now(HealthStatus::Unknown);
                book.0.entry(service.name.clone()).or_default().insert(backend.address, report);
            }
        }
        book
    }

    /// What is said of a backend; nothing of one that is not probed.
    pub fn report(&self, service: &Service, backend: &Backend) -> Option<HealthReport> {
        let is_probed = match backend.state {
            BackendState::Starting => true,
            BackendState::Active => service.health.kind != HealthKind::None,
            BackendState::Draining => backend.drain.as_ref().is_some_and(|drain| !drain.ended),
        };
        let report = self.0.get(&service.name).and_then(|reports| reports.get(&backend.address)).cloned();
        is_probed.then(|| report.unwrap_or_else(|| HealthReport::now(HealthStatus::Unknown)))
    }

    /// Notes down what was found out about a backend, unless that has gone meanwhile.
    pub(super) fn enter(&mut self, observation: Observation, desired: &Desired) {
        let Observation { service, backend, report } = observation;
        if state(desired, &service, backend).is_some() {
            self.0.entry(service).or_default().insert(backend, report);
        }
    }

    /// Forgets the backends of a service that are gone or that begin anew.
    pub(super) fn keep_up(&mut self, service: &str, before: &Desired, now: &Desired) {
        let Some(reports) = self.0.get_mut(service) else { return };
        reports.retain(|address, _| match state(now, service, *address) {
            Some(BackendState::Starting) => state(before, service, *address) == Some(BackendState::Starting),
            state => state.is_some(),
        });
        if reports.is_empty() {
            self.0.remove(service);
        }
    }

    /// `resolved` with the backends that are not to be used.
    pub(super) fn judged(&self, resolved: &Arc<ResolvedService>) -> Arc<ResolvedService> {
        let service = &resolved.service;
        let is_down =
            |backend: &&Backend| self.report(service, backend).is_some_and(|report| !report.status.is_usable());
        let down: BTreeSet<_> = service.backends.iter().filter(is_down).map(|backend| backend.address).collect();
        if down.is_empty() { resolved.clone() } else { Arc::new(ResolvedService { down, ..(**resolved).clone() }) }
    }
}

fn state(desired: &Desired, service: &str, address: SocketAddr) -> Option<BackendState> {
    let backends = &desired.entry(service).ok()?.service().backends;
    backends.iter().find(|backend| backend.address == address).map(|backend| backend.state)
}
