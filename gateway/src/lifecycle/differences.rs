//! What has happened between two states, as events.

use std::{mem::discriminant, net::SocketAddr};

use serde_json::{Map, Value};

use super::{Desired, Entry, HealthBook, Observation};
use crate::model::{Backend, BackendState, Deployment, Drain, HealthStatus, Phase, Service, Signal, event::Happening};

/// What became of the services of `before`.
pub(super) fn of_services(before: &Desired, after: &Desired) -> Vec<Happening> {
    let mut happenings = Vec::new();
    for change in after.changed_since(before) {
        match change {
            (None, Some(entry)) => happenings.push(added(entry)),
            (Some(entry), None) => happenings.push(Happening::ServiceRemoved { service: name(entry) }),
            (Some(before), Some(after)) => compare(before, after, &mut happenings),
            (None, None) => {}
        }
    }
    happenings
}

/// What `observation` changes about whether a backend answers.
pub(super) fn of_health(desired: &Desired, book: &HealthBook, observation: &Observation) -> Option<Happening> {
    let Observation { service, backend, report } = observation;
    let before = book.report(service, *backend)?;
    if before.status == report.status {
        return None;
    }
    let entry = desired.entry(service).ok()?;
    let state = entry.service().backends.iter().find(|it| it.address == *backend)?.state;
    let (service, backend) = (service.clone(), *backend);
    match report.status {
        HealthStatus::Up => Some(Happening::BackendUp { service, backend, state }),
        HealthStatus::Down => Some(Happening::BackendDown { service, backend, state, error: report.error.clone() }),
        HealthStatus::Unknown | HealthStatus::Starting => None,
    }
}

fn added(entry: &Entry) -> Happening {
    Happening::ServiceAdded {
        service: name(entry),
        owner: entry.owner(),
        addresses: entry.resolved.listen.clone(),
        backends: entry.service().backends.iter().map(|backend| backend.address).collect(),
    }
}

fn name(entry: &Entry) -> String {
    entry.service().name.clone()
}

/// A deployment that begins is told before its backends come, and one that has moved on after they have changed.
fn compare(before: &Entry, after: &Entry, happenings: &mut Vec<Happening>) {
    let changed = changed_fields(before, after);
    if !changed.is_empty() {
        happenings.push(Happening::ServiceChanged { service: name(after), changed });
    }
    let began = begun(before, after);
    let phase_before = if began.is_some() { None } else { before.deployment().map(|deployment| &deployment.phase) };
    happenings.extend(began);
    let (old, new) = (before.service(), after.service());
    for backend in &old.backends {
        if find(new, backend.address).is_none() {
            happenings.push(Happening::BackendRemoved { service: new.name.clone(), backend: backend.address });
        }
    }
    for backend in &new.backends {
        compare_backend(&new.name, find(old, backend.address), backend, happenings);
    }
    happenings.extend(after.deployment().into_iter().flat_map(|it| steps(&new.name, phase_before, it)));
}

fn find(service: &Service, address: SocketAddr) -> Option<&Backend> {
    service.backends.iter().find(|backend| backend.address == address)
}

/// Names of the fields of a service that differ, its backends aside.
fn changed_fields(before: &Entry, after: &Entry) -> Vec<String> {
    let fields = |entry: &Entry| -> Map<String, Value> {
        let service = Service { backends: Vec::new(), ..entry.service().clone() };
        let Ok(Value::Object(mut fields)) = serde_json::to_value(service) else { return Map::new() };
        fields.insert("addresses".to_owned(), entry.resolved.listen.iter().map(ToString::to_string).collect());
        fields
    };
    let (before, after) = (fields(before), fields(after));
    after.into_iter().filter(|(name, value)| before.get(name) != Some(value)).map(|(name, _)| name).collect()
}

fn compare_backend(service: &str, before: Option<&Backend>, after: &Backend, happenings: &mut Vec<Happening>) {
    let (service, backend) = (service.to_owned(), after.address);
    let Backend { weight, state, .. } = *after;
    let Some(before) = before else {
        happenings.push(Happening::BackendAdded { service: service.clone(), backend, weight, state });
        happenings.extend(drained_anew(&service, None, after));
        return;
    };
    let is_described_anew =
        (before.weight, &before.process, &before.deployment) != (after.weight, &after.process, &after.deployment);
    let starts_anew = before.state != state && state == BackendState::Starting;
    if is_described_anew || starts_anew {
        happenings.push(Happening::BackendChanged { service: service.clone(), backend, weight, state });
    }
    if before.state != state && state == BackendState::Active {
        happenings.push(Happening::BackendActive { service: service.clone(), backend });
    }
    happenings.extend(drained_anew(&service, before.drain.as_ref(), after));
    happenings.extend(signalled(&service, before.drain.as_ref(), after));
}

/// A drain that has begun, or has another deadline.
fn drained_anew(service: &str, before: Option<&Drain>, after: &Backend) -> Option<Happening> {
    let deadline = after.drain.as_ref()?.deadline;
    let is_new = before.is_none_or(|before| before.deadline != deadline);
    is_new.then(|| Happening::BackendDraining { service: service.to_owned(), backend: after.address, deadline })
}

fn signalled(service: &str, before: Option<&Drain>, after: &Backend) -> Option<Happening> {
    let signal = &after.drain.as_ref()?.signal;
    let error = match signal {
        Signal::None | Signal::Pending => return None,
        Signal::Sent => None,
        Signal::Failed(error) => Some(error.clone()),
    };
    let is_new = before.is_none_or(|before| before.signal != *signal);
    is_new.then(|| Happening::BackendSignalled {
        service: service.to_owned(),
        backend: after.address,
        process: after.process.clone(),
        error,
    })
}

/// A deployment that was not there before.
fn begun(before: &Entry, after: &Entry) -> Option<Happening> {
    let Deployment { number, new, old, .. } = after.deployment()?;
    let is_new = before.deployment().is_none_or(|before| before.number != *number);
    is_new.then(|| Happening::DeploymentStarted {
        service: name(after),
        deployment: *number,
        new: new.clone(),
        old: old.clone(),
    })
}

/// The steps of a deployment since it was in the phase `before`; it may have taken two at once.
fn steps(service: &str, before: Option<&Phase>, after: &Deployment) -> Vec<Happening> {
    if before.map(discriminant) == Some(discriminant(&after.phase)) {
        return Vec::new();
    }
    let (service, deployment) = (service.to_owned(), after.number);
    let switched = Happening::DeploymentSwitched { service: service.clone(), deployment };
    match &after.phase {
        Phase::Starting { .. } => vec![],
        Phase::Confirming { .. } => vec![switched],
        Phase::Done { .. } => {
            let had_switched = matches!(before, Some(Phase::Confirming { .. }));
            let done = Happening::DeploymentDone { service, deployment };
            if had_switched { vec![done] } else { vec![switched, done] }
        }
        Phase::RolledBack { reason, .. } => {
            vec![Happening::DeploymentRolledBack { service, deployment, reason: reason.clone() }]
        }
        Phase::Failed { reason, errors, .. } => {
            let (reason, errors) = (reason.clone(), errors.clone());
            vec![Happening::DeploymentFailed { service, deployment, reason, errors }]
        }
    }
}

#[cfg(test)]
mod tests;
