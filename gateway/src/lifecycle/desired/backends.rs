//! Adding, changing and removing a service's backends at run time.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::Desired;
use crate::{
    config::rules,
    lifecycle::{Entry, Refusal},
    model::{
        Backend, BackendState, Drain, NewBackend, Signal, Then,
        change::{BackendChange, DrainOrder, WantedState},
    },
};

const REMOVE: &str = "remove backends of it";

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
                drain(backend, now, now, changed.policy.drain_timeout, Then::Keep);
            }
            Some(WantedState::Draining) | None => {}
        }
        self.with_changed(entry, changed)
    }

    /// This state with a backend that ends, whoever the service belongs to: no new connections, a signal to its
    /// process, and at the deadline the end of what is open. One that is draining already is told the new terms.
    pub fn drain_backend(
        &self,
        service: &str,
        address: SocketAddr,
        order: &DrainOrder,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let entry = if order.remove { self.owned_by_control(service, REMOVE)? } else { self.entry(service)? };
        let index = position(entry, address)?;
        within_bounds(service, &[("timeout", order.timeout.unwrap_or_default())])?;
        let mut changed = entry.service().clone();
        let timeout = order.timeout.unwrap_or(changed.policy.drain_timeout);
        let backend = &mut changed.backends[index];
        let then = if order.remove { Then::Remove } else { Then::Keep };
        let before = backend.drain.take();
        drain(backend, now, now, timeout, then);
        if let Some(drain) = &mut backend.drain {
            match before {
                Some(before) if before.signal != Signal::Pending => drain.signal = before.signal,
                _ if !order.signal => drain.signal = Signal::None,
                _ => {}
            }
        }
        self.with_changed(entry, changed)
    }

    /// This state with the outcome of the signal to a draining backend's process.
    pub fn note_signal(&self, service: &str, address: SocketAddr, signal: Signal) -> Result<Self, Refusal> {
        let entry = self.entry(service)?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        if let Some(drain) = changed.backends[index].drain.as_mut() {
            drain.signal = signal;
        }
        self.with_changed(entry, changed)
    }

    /// This state after a backend's drain: without it, or with it out of use.
    pub fn end_drain(&self, service: &str, address: SocketAddr) -> Result<Self, Refusal> {
        let entry = self.entry(service)?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        match &mut changed.backends[index].drain {
            Some(Drain { then: Then::Keep, ended, .. }) => *ended = true,
            _ => drop(changed.backends.remove(index)),
        }
        self.with_changed(entry, changed)
    }

    /// This state without a backend of a service of the control API.
    pub fn remove_backend(&self, service: &str, address: SocketAddr) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, REMOVE)?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        changed.backends.remove(index);
        self.with_changed(entry, changed)
    }
}

/// Refuses times of an order about a service that no deadline can be reckoned from.
pub(super) fn within_bounds(service: &str, waits: &[(&'static str, Duration)]) -> Result<(), Refusal> {
    match rules::check_waits(waits) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Refusal::Invalid { service: service.to_owned(), problems }),
    }
}

/// Puts a backend into its drain.
pub(super) fn drain(backend: &mut Backend, now: SystemTime, signal_at: SystemTime, timeout: Duration, then: Then) {
    let signal = if backend.process.is_some() { Signal::Pending } else { Signal::None };
    backend.state = BackendState::Draining;
    backend.drain = Some(Drain { since: now, signal_at, signal, deadline: signal_at + timeout, then, ended: false });
}

fn position(entry: &Entry, address: SocketAddr) -> Result<usize, Refusal> {
    let service = entry.service();
    service
        .backends
        .iter()
        .position(|backend| backend.address == address)
        .ok_or_else(|| Refusal::NoSuchBackend { service: service.name.clone(), backend: address })
}
