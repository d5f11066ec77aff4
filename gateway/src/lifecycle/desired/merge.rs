//! Putting the file's services and the stored ones together, at start and when the file is read again.

use std::{collections::HashMap, sync::Arc};

use super::{Desired, Record};
use crate::{
    lifecycle::{Refusal, Site},
    model::{Owner, Service},
};

impl Desired {
    /// The services of the file, with what was set at run time.
    ///
    /// A stored override of a service that the file describes differently, or not at all, is left out. A stored
    /// service whose name or address the file takes is refused: neither may silently win.
    pub fn merged(site: Site, file: Vec<Service>, stored: Vec<Record>) -> Result<Self, Refusal> {
        let (overrides, control): (Vec<_>, Vec<_>) = stored.into_iter().partition(|record| record.declared.is_some());
        let mut overrides: HashMap<String, Record> =
            overrides.into_iter().map(|record| (record.service.name.clone(), record)).collect();

        let mut desired = Self::new(site);
        for declared in file {
            let (in_force, deployment) = match overrides.remove(&declared.name) {
                Some(record) if record.declared.as_ref() == Some(&declared) => (record.service, record.deployment),
                _ => (declared.clone(), None),
            };
            desired.put_in(in_force, Some(declared), deployment)?;
        }
        for Record { service, deployment, .. } in control {
            if desired.entry(&service.name).is_ok() {
                return Err(Refusal::NameTaken { name: service.name, owner: Owner::Control });
            }
            desired.put_in(service, None, deployment)?;
        }
        Ok(desired)
    }

    /// This state with the file's services replaced; services that stay as they were are shared with it.
    pub fn reloaded(&self, site: Site, file: Vec<Service>) -> Result<Self, Refusal> {
        let stored = self.entries().filter_map(super::Entry::record).collect();
        let mut next = Self::merged(site, file, stored)?;
        for (name, before) in &self.services {
            if let Some(entry) = next.services.get_mut(name).filter(|entry| *entry == before) {
                *entry = Arc::clone(before);
            }
        }
        Ok(next)
    }
}
