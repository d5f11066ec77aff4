//! What is to be done next about deployments and drains: a function of the state, of what is known of the backends,
//! and of the time. Nothing is remembered between two steps, so a daemon that starts anew goes on where the one
//! before it was.

use std::{collections::BTreeMap, net::SocketAddr, time::SystemTime};

use super::{Desired, Entry, HealthBook};
use crate::model::{Answer, Backend, BackendState, Deployment, Drain, HealthStatus, Phase, Process, Signal};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Enough of the new backends answer.
    Switch,
    /// Too few of the new backends have answered in time.
    Abandon { reason: String, errors: BTreeMap<SocketAddr, String> },
    /// The window for rolling back is over.
    Confirm,
    /// The new backends fail.
    RollBack { reason: String },
    /// Tell a draining backend's process to end.
    Signal { backend: SocketAddr, process: Process },
    /// The deadline of a draining backend has come.
    Cut { backend: SocketAddr, answer: Answer },
    /// A draining backend has no open flows.
    End { backend: SocketAddr },
}

/// What is known of a service's backends beside the state.
pub(super) struct Evidence<'a> {
    pub health: &'a HealthBook,
    /// Connections that are open to a backend.
    pub open_flows: &'a dyn Fn(&str, SocketAddr) -> u64,
    /// Whether a backend's process is being signalled.
    pub signalling: &'a dyn Fn(&str, SocketAddr) -> bool,
    /// How new connections have fared with a service's new backends since the switch.
    pub fared: &'a dyn Fn(&str, &Deployment) -> Fared,
}

/// How new connections have fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fared {
    pub attempts: u64,
    /// Attempts that were refused or not answered.
    pub errors: u64,
}

impl Fared {
    /// Fewer errors than this are chance.
    const MIN_ERRORS: u64 = 3;
    /// One error in so many attempts is too much.
    const SHARE: u64 = 10;

    fn is_bad(self) -> bool {
        self.errors >= Self::MIN_ERRORS && self.errors * Self::SHARE >= self.attempts
    }
}

/// Whether anything goes on that time alone moves forward.
pub(super) fn is_busy(desired: &Desired) -> bool {
    let drains = |backend: &Backend| backend.drain.as_ref().is_some_and(|drain| !drain.ended);
    desired.entries().any(|entry| {
        entry.deployment().is_some_and(Deployment::is_under_way) || entry.service().backends.iter().any(drains)
    })
}

/// The steps that are due, by service.
pub(super) fn due(desired: &Desired, evidence: &Evidence<'_>, now: SystemTime) -> Vec<(String, Step)> {
    let mut due = Vec::new();
    for entry in desired.entries() {
        let name = &entry.service().name;
        let deployment = entry.deployment().filter(|deployment| deployment.is_under_way());
        due.extend(deployment.and_then(|it| advance(entry, it, evidence, now)).map(|step| (name.clone(), step)));
        for backend in &entry.service().backends {
            due.extend(wind_down(entry, backend, evidence, now).map(|step| (name.clone(), step)));
        }
    }
    due
}

/// The next step of a deployment that is under way.
fn advance(entry: &Entry, deployment: &Deployment, evidence: &Evidence<'_>, now: SystemTime) -> Option<Step> {
    match deployment.phase {
        Phase::Starting { deadline } => {
            let needed = deployment.options.wait.count(deployment.new.len());
            let answered = deployment.new.iter().filter(|backend| has_answered(entry, evidence, **backend)).count();
            if answered >= needed {
                return Some(Step::Switch);
            }
            (now >= deadline).then(|| Step::Abandon {
                reason: format!("{answered} of {} new backends answered, {needed} had to", deployment.new.len()),
                errors: errors(entry, deployment, evidence),
            })
        }
        Phase::Confirming { until } => {
            if old_ones_run(entry, deployment, evidence)
                && let Some(reason) = failure(entry, deployment, evidence)
            {
                return Some(Step::RollBack { reason });
            }
            (now >= until).then_some(Step::Confirm)
        }
        _ => None,
    }
}

/// What speaks against the new backends after the switch.
fn failure(entry: &Entry, deployment: &Deployment, evidence: &Evidence<'_>) -> Option<String> {
    let fared = (evidence.fared)(&entry.service().name, deployment);
    if fared.is_bad() {
        let Fared { attempts, errors } = fared;
        return Some(format!("of {attempts} new connections {errors} were refused or not answered"));
    }
    // Of those that are to serve, some have answered before the switch; those that have not yet may still come.
    let all_down =
        !deployment.new.is_empty() && !deployment.new.iter().any(|backend| is_usable(entry, evidence, *backend));
    all_down.then(|| "none of the new backends answers any more".to_owned())
}

/// Whether there is an old backend to go back to.
fn old_ones_run(entry: &Entry, deployment: &Deployment, evidence: &Evidence<'_>) -> bool {
    deployment.old.iter().any(|backend| is_usable(entry, evidence, *backend))
}

fn errors(entry: &Entry, deployment: &Deployment, evidence: &Evidence<'_>) -> BTreeMap<SocketAddr, String> {
    let error = |address: &SocketAddr| {
        let report = evidence.health.report(&entry.service().name, *address)?;
        let error = report.error.clone().unwrap_or_else(|| "no answer yet".to_owned());
        (report.status != HealthStatus::Up).then_some((*address, error))
    };
    deployment.new.iter().filter_map(error).collect()
}

/// The next step of a backend's drain.
fn wind_down(entry: &Entry, backend: &Backend, evidence: &Evidence<'_>, now: SystemTime) -> Option<Step> {
    let service = entry.service();
    let drain = backend.drain.as_ref().filter(|drain| backend.state == BackendState::Draining && !drain.ended)?;
    let Drain { signal_at, deadline, signal, .. } = drain;
    let address = backend.address;
    if now < *signal_at {
        return None;
    }
    match (signal, &backend.process) {
        (Signal::Pending, Some(process)) if !(evidence.signalling)(&service.name, address) => {
            Some(Step::Signal { backend: address, process: process.clone() })
        }
        // A signal that is under way does not keep the deadline from coming.
        (Signal::Pending, Some(_)) if now < *deadline => None,
        _ if (evidence.open_flows)(&service.name, address) == 0 => Some(Step::End { backend: address }),
        _ if now >= *deadline => Some(Step::Cut { backend: address, answer: service.policy.on_deadline }),
        _ => None,
    }
}

/// Whether a new backend's handshake has succeeded.
fn has_answered(entry: &Entry, evidence: &Evidence<'_>, address: SocketAddr) -> bool {
    let report = evidence.health.report(&entry.service().name, address);
    report.is_some_and(|report| report.status == HealthStatus::Up)
}

/// Whether a backend is there and nothing speaks against it.
fn is_usable(entry: &Entry, evidence: &Evidence<'_>, address: SocketAddr) -> bool {
    let service = entry.service();
    service.backends.iter().any(|backend| backend.address == address)
        && evidence.health.report(&service.name, address).is_none_or(|report| report.status.is_usable())
}

#[cfg(test)]
mod tests;
