//! One set of backends replacing another, step by step. Each step is one change of the state, so that whoever takes
//! over after a crash finds either the step before or the one after.

use std::{collections::BTreeMap, net::SocketAddr, time::SystemTime};

use super::{
    Desired,
    backends::{drain, within_bounds},
};
use crate::{
    lifecycle::{Entry, Refusal},
    model::{Backend, BackendState, Deployment, DeploymentOptions, NewBackend, Phase, Service, Signal, Then},
};

impl Desired {
    /// Brings new backends in, without connections for now; all others of the service are to go.
    ///
    /// Backends that are active already stay so, and may be told another weight or process.
    pub fn begin_deployment(
        &self,
        service: &str,
        backends: Vec<NewBackend>,
        options: DeploymentOptions,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, "name its backends")?;
        if entry.deployment().is_some_and(Deployment::is_under_way) {
            return Err(Refusal::DeploymentUnderWay(service.to_owned()));
        }
        if backends.is_empty() {
            return Err(Refusal::EmptyDeployment(service.to_owned()));
        }
        let drain_timeout = options.drain_timeout.unwrap_or_default();
        let (timeout, window) = (options.timeout, options.rollback_window);
        let waits = [("timeout", timeout), ("drain_timeout", drain_timeout), ("rollback_window", window)];
        within_bounds(service, &waits)?;
        let mut changed = entry.service().clone();
        let is_listed = |address| backends.iter().any(|backend| backend.address == address);
        let stays = |backend: &&Backend| backend.state == BackendState::Active && !is_listed(backend.address);
        let old = changed.backends.iter().filter(stays).map(|backend| backend.address).collect();
        let new = backends.into_iter().filter_map(|backend| bring_in(&mut changed, backend)).collect();
        let number = entry.deployment().map_or(1, |latest| latest.number + 1);
        let phase = Phase::Starting { deadline: now + options.timeout };
        let deployment = Deployment { number, started: now, options, new, old, phase };
        self.with_deployed(entry, changed, Some(deployment))
    }

    /// Gives new connections to the new backends and none to the old ones, which are signalled after the window for
    /// rolling back.
    pub fn switch(&self, service: &str, now: SystemTime) -> Result<Self, Refusal> {
        let (entry, deployment) = self.in_phase(service, |phase| matches!(phase, Phase::Starting { .. }))?;
        let mut changed = entry.service().clone();
        let signal_at = now + deployment.options.rollback_window;
        let timeout = deployment.options.drain_timeout.unwrap_or(changed.policy.drain_timeout);
        for backend in &mut changed.backends {
            if deployment.new.contains(&backend.address) && backend.state == BackendState::Starting {
                backend.state = BackendState::Active;
            } else if deployment.old.contains(&backend.address) && backend.state == BackendState::Active {
                drain(backend, now, signal_at, timeout, Then::Remove);
            }
        }
        let nothing_to_undo = deployment.old.is_empty() || signal_at == now;
        let phase = if nothing_to_undo { Phase::Done { at: now } } else { Phase::Confirming { until: signal_at } };
        self.with_deployed(entry, changed, Some(Deployment { phase, ..deployment.clone() }))
    }

    /// Takes the switch for good: the old backends drain.
    pub fn confirm(&self, service: &str, now: SystemTime) -> Result<Self, Refusal> {
        let (entry, deployment) = self.in_phase(service, |phase| matches!(phase, Phase::Confirming { .. }))?;
        let phase = Phase::Done { at: now };
        self.with_deployed(entry, entry.service().clone(), Some(Deployment { phase, ..deployment.clone() }))
    }

    /// Puts the old backends back, as far as they have not been signalled, and takes the new ones out. Open flows of
    /// either go on.
    pub fn roll_back(&self, service: &str, reason: String, now: SystemTime) -> Result<Self, Refusal> {
        let (entry, deployment) = self.in_phase(service, |phase| matches!(phase, Phase::Confirming { .. }))?;
        let mut changed = without(entry.service(), &deployment.new);
        for backend in changed.backends.iter_mut().filter(|backend| deployment.old.contains(&backend.address)) {
            let untold = |signal: &Signal| matches!(signal, Signal::None | Signal::Pending);
            if backend.drain.as_ref().is_some_and(|drain| !drain.ended && untold(&drain.signal)) {
                (backend.state, backend.drain) = (BackendState::Active, None);
            }
        }
        let phase = Phase::RolledBack { at: now, reason };
        self.with_deployed(entry, changed, Some(Deployment { phase, ..deployment.clone() }))
    }

    /// Gives a deployment up before its switch: as if it had not been, but for the record of it.
    pub fn abandon(
        &self,
        service: &str,
        reason: String,
        errors: BTreeMap<SocketAddr, String>,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let (entry, deployment) = self.in_phase(service, |phase| matches!(phase, Phase::Starting { .. }))?;
        let changed = without(entry.service(), &deployment.new);
        let phase = Phase::Failed { at: now, reason, errors };
        self.with_deployed(entry, changed, Some(Deployment { phase, ..deployment.clone() }))
    }

    /// A service and its latest deployment, if that is in the phase that a step begins with.
    fn in_phase(&self, service: &str, is: impl Fn(&Phase) -> bool) -> Result<(&Entry, &Deployment), Refusal> {
        let entry = self.entry(service)?;
        match entry.deployment() {
            Some(deployment) if is(&deployment.phase) => Ok((entry, deployment)),
            Some(deployment) if deployment.is_under_way() => Err(Refusal::AlreadySwitched(service.to_owned())),
            _ => Err(Refusal::NoDeployment(service.to_owned())),
        }
    }
}

/// Makes a backend part of the service. Its address, unless it is active already.
fn bring_in(service: &mut Service, new: NewBackend) -> Option<SocketAddr> {
    let address = new.address;
    let Some(known) = service.backends.iter_mut().find(|backend| backend.address == address) else {
        service.backends.push(Backend { state: BackendState::Starting, ..new.into() });
        return Some(address);
    };
    if known.state == BackendState::Active {
        known.weight = new.weight;
        known.process = new.process.or(known.process.take());
        known.deployment = new.deployment.or(known.deployment.take());
        return None;
    }
    *known = Backend { state: BackendState::Starting, ..new.into() };
    Some(address)
}

/// The service without these backends.
fn without(service: &Service, addresses: &[SocketAddr]) -> Service {
    let mut service = service.clone();
    service.backends.retain(|backend| !addresses.contains(&backend.address));
    service
}
