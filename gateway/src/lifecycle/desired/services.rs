//! Adding, changing and removing services at run time.

use super::Desired;
use crate::{
    lifecycle::{Entry, Refusal},
    model::{
        Owner, Service,
        change::{NewService, PolicyChange},
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
        self.with(Service { name: new.name, listen, policy, backends: new.backends }, None)
    }

    /// This state with another policy for a service of the control API.
    pub fn set_policy(&self, name: &str, change: &PolicyChange) -> Result<Self, Refusal> {
        let entry = self.owned_by_control(name, "change it")?;
        let policy = change.on(&entry.service().policy);
        self.with(Service { policy, ..entry.service().clone() }, None)
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
