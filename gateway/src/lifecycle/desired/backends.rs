//! Adding, changing and removing a service's backends at run time.

use std::net::SocketAddr;

use super::Desired;
use crate::{
    lifecycle::{Entry, Refusal},
    model::{Backend, Service, change::BackendChange},
};

impl Desired {
    /// This state with one more backend of a service of the control API.
    pub fn add_backend(&self, service: &str, backend: Backend) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, "add backends to it")?;
        if position(entry, backend.address).is_ok() {
            return Err(Refusal::BackendExists { service: service.to_owned(), backend: backend.address });
        }
        let mut backends = entry.service().backends.clone();
        backends.push(backend);
        self.with(Service { backends, ..entry.service().clone() }, None)
    }

    /// This state with a backend drained, reactivated or re-weighed, whoever the service belongs to.
    pub fn set_backend(&self, service: &str, address: SocketAddr, change: &BackendChange) -> Result<Self, Refusal> {
        let entry = self.entry(service)?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        changed.backends[index] = change.on(&changed.backends[index]);
        self.with(changed, entry.declared.clone())
    }

    /// This state without a backend of a service of the control API.
    pub fn remove_backend(&self, service: &str, address: SocketAddr) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(service, "remove backends of it")?;
        let index = position(entry, address)?;
        let mut changed = entry.service().clone();
        changed.backends.remove(index);
        self.with(changed, None)
    }
}

fn position(entry: &Entry, address: SocketAddr) -> Result<usize, Refusal> {
    let service = entry.service();
    service
        .backends
        .iter()
        .position(|backend| backend.address == address)
        .ok_or_else(|| Refusal::NoSuchBackend { service: service.name.clone(), backend: address })
}
