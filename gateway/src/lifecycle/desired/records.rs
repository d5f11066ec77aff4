//! The part of the desired state that is not in the file, and so has to be stored.

use std::sync::Arc;

use imbl::ordmap::DiffItem;
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
    /// The services that are others than in `before`, each as it was and as it is.
    pub fn changed_since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a Entry>, Option<&'a Entry>)> {
        before.services.diff(&self.services).filter_map(|difference| match difference {
            DiffItem::Remove(_, entry) => Some((Some(&**entry), None)),
            DiffItem::Add(_, entry) => Some((None, Some(&**entry))),
            DiffItem::Update { old: (_, old), new: (_, new) } => {
                (!Arc::ptr_eq(old, new)).then_some((Some(&**old), Some(&**new)))
            }
        })
    }

    /// The writes that bring a store of `before` to this state.
    pub fn writes_since(&self, before: &Self) -> Vec<Write> {
        let write = |difference: DiffItem<'_, '_, Arc<str>, Arc<Entry>>| match difference {
            DiffItem::Remove(name, _) => Some(Write::Delete(name.to_string())),
            DiffItem::Update { old: (_, old), new: (_, new) } if Arc::ptr_eq(old, new) => None,
            DiffItem::Add(name, entry) | DiffItem::Update { new: (name, entry), .. } => {
                let put = entry.record().map(|record| Write::Put(Box::new(record)));
                Some(put.unwrap_or_else(|| Write::Delete(name.to_string())))
            }
        };
        before.services.diff(&self.services).filter_map(write).collect()
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
