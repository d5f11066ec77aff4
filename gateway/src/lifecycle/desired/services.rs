//! Adding, changing and removing services at run time.

use super::Desired;
use crate::{
    lifecycle::{Entry, Refusal},
    model::{
        Backend, Owner, Service,
        change::{NewService, ServiceChange},
    },
};

impl Desired {
    /// This state with a service that belongs to the control API.
    pub fn add_service(&self, new: NewService) -> Result<Self, Refusal> {
        if let Ok(entry) = self.entry(&new.name) {
            return Err(Refusal::NameTaken { name: new.name, owner: entry.owner() });
        }
        let mut listen = new.listen;
        if new.auto_port {
            listen.push(self.free_port(&new.name)?);
        }
        let policy = new.policy.on(&self.site.defaults);
        self.with_new(Service {
            name: new.name,
            listen,
            policy,
            health: new.health.unwrap_or_default(),
            limits: new.limits.unwrap_or_default(),
            backends: new.backends.into_iter().map(Backend::from).collect(),
        })
    }

    /// This state with another policy, other probes or other limits for a service of the control API.
    pub fn set_service(&self, name: &str, change: &ServiceChange) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(name, "change it")?;
        let mut service = entry.service().clone();
        service.policy = change.policy.on(&service.policy);
        service.health = change.health.clone().unwrap_or(service.health);
        service.limits = change.limits.clone().unwrap_or(service.limits);
        self.with_changed(entry, service)
    }

    /// This state without a service of the control API.
    pub fn remove_service(&self, name: &str) -> Result<Self, Refusal> {
        self.owned_by_control(name, "remove it")?;
        let mut next = self.clone();
        next.take_out(name);
        Ok(next)
    }

    pub(super) fn owned_by_control(&self, name: &str, action: &'static str) -> Result<&Entry, Refusal> {
        let entry = self.entry(name)?;
        match entry.owner() {
            Owner::Control => Ok(entry),
            Owner::File => Err(Refusal::OwnedByFile { service: name.to_owned(), action }),
        }
    }
}
