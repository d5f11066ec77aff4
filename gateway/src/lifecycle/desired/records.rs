//! The part of the desired state that is not in the file, and so has to be stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Desired, Entry};
use crate::model::{Deployment, Service};

/// A service as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// As it is in force.
    pub service: Service,
    /// For a service of the file with drained or re-weighed backends: the file's description that this amends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Service>,
    /// The latest one; one that was under way is resumed from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
}

/// What the store has to do for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put(Box<Record>),
    Delete(String),
}

impl Write {
    /// The service it is about.
    pub fn service(&self) -> &str {
        match self {
            Self::Put(record) => &record.service.name,
            Self::Delete(name) => name,
        }
    }
}

impl Entry {
    /// What is to be stored of it: nothing if it is as the file has it.
    pub(super) fn record(&self) -> Option<Record> {
        let service = self.service();
        (self.declared.as_ref() != Some(service) || self.deployment.is_some()).then(|| Record {
            service: service.clone(),
            declared: self.declared.clone(),
            deployment: self.deployment.clone(),
        })
    }
}

impl Desired {
    /// The writes that bring a store of `before` to this state.
    pub fn writes_since(&self, before: &Self) -> Vec<Write> {
        let gone = before.services.keys().filter(|name| !self.services.contains_key(*name));
        let mut writes: Vec<Write> = gone.map(|name| Write::Delete(name.to_string())).collect();
        for (name, entry) in &self.services {
            if before.services.get(name).is_some_and(|before| Arc::ptr_eq(before, entry)) {
                continue;
            }
            writes.push(
                entry.record().map_or_else(|| Write::Delete(name.to_string()), |record| Write::Put(Box::new(record))),
            );
        }
        writes
    }

    /// The writes that bring a store with these records to this state.
    pub fn writes_over(&self, stored: &[Record]) -> Vec<Write> {
        let stale = |record: &&Record| {
            let name = record.service.name.as_str();
            self.services.get(name).and_then(|entry| entry.record()).as_ref() != Some(*record)
        };
        stored.iter().filter(stale).map(|record| Write::Delete(record.service.name.clone())).collect()
    }
}
