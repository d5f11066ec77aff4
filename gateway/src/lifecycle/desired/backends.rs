//! Adding, changing and removing a service's backends at run time.

use std::{net::SocketAddr, time::SystemTime};

use super::Desired;
use crate::{
    lifecycle::{Entry, Refusal},
    model::{
        Backend, BackendState, Drain, NewBackend, Policy, Signal, Then,
        change::{BackendChange, WantedState},
    },
};

impl Desired {
    /// This state with one more backend of a service of the control API.
    pub fn add_backend(&self, service: &str, backend: NewBackend) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, "add backends to it")?;
        if position(entry, backend.address).is_ok() {
            return Err(Refusal::BackendExists { service: service.to_owned(), backend: backend.address });
        }
        let mut changed = entry.service().clone();
        changed.backends.push(backend.into());
        self.with_changed(entry, changed)
    }

    /// This state with a backend drained, reactivated or re-weighed, whoever the service belongs to.
    pub fn set_backend(
        &self,
        service: &str,
        address: SocketAddr,
        change: &BackendChange,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let entry = self.entry(service)?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        let backend = &mut changed.backends[index];
        backend.weight = change.weight.unwrap_or(backend.weight);
        match change.state {
            Some(WantedState::Active) => (backend.state, backend.drain) = (BackendState::Active, None),
            Some(WantedState::Draining) if backend.state != BackendState::Draining => {
                backend.state = BackendState::Draining;
                backend.drain = Some(drain_by_hand(backend, &changed.policy, now));
            }
            Some(WantedState::Draining) | None => {}
        }
        self.with_changed(entry, changed)
    }

    /// This state without a backend of a service of the control API.
    pub fn remove_backend(&self, service: &str, address: SocketAddr) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, "remove backends of it")?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        changed.backends.remove(index);
        self.with_changed(entry, changed)
    }
}

fn drain_by_hand(backend: &Backend, policy: &Policy, now: SystemTime) -> Drain {
    let signal = if backend.process.is_some() { Signal::Pending } else { Signal::None };
    Drain { since: now, signal_at: now, signal, deadline: now + policy.drain_timeout, then: Then::Keep, ended: false }
}

fn position(entry: &Entry, address: SocketAddr) -> Result<usize, Refusal> {
    let service = entry.service();
    service
        .backends
        .iter()
        .position(|backend| backend.address == address)
        .ok_or_else(|| Refusal::NoSuchBackend { service: service.name.clone(), backend: address })
}
