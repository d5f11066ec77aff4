//! Packet tables in memory that hold the engine to its word about what it puts in force.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use gateway::{
    lifecycle::{PacketTables, ResolvedService},
    model::{
        Answer,
        explanation::{CookieRule, Cookies, Explanation, Verdict},
        flow::{Flow, FlowFilter, FlowOrder, FlowPage},
        sighting::{Sighting, Wanted},
        status::{Action, BackendCounters, DatapathStatus, Hook, ReasonCount, TableFill},
    },
};

/// The services in force; nothing flows.
#[derive(Clone, Debug, Default)]
pub struct Tables(Arc<Mutex<Vec<Arc<ResolvedService>>>>);

impl Tables {
    pub fn services(&self) -> Vec<Arc<ResolvedService>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PacketTables for Tables {
    /// Fails, so that the request fails, for what [`PacketTables::apply`] is never to be given.
    fn apply(&mut self, services: &[Arc<ResolvedService>]) -> Result<()> {
        let is_sorted = services.is_sorted_by(|a, b| a.service.name < b.service.name);
        ensure!(is_sorted, "services are not sorted by name, or there are two of one name");
        let mut listens = HashSet::new();
        for resolved in services {
            let name = &resolved.service.name;
            ensure!(!resolved.listen.is_empty(), "{name} listens nowhere");
            for listen in &resolved.listen {
                ensure!(listen.port() != 0 && listens.insert(*listen), "{name} cannot have {listen}");
            }
            let mut backends = HashSet::new();
            for backend in &resolved.service.backends {
                let (address, weight) = (backend.address, backend.weight);
                let is_usable = address.port() != 0 && !address.ip().is_unspecified() && weight != 0;
                ensure!(is_usable && backends.insert(address), "{name} cannot have backend {address} of {weight}");
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = services.to_vec();
        Ok(())
    }

    fn flows(&self, _filter: &FlowFilter, _order: Option<FlowOrder>, _limit: usize) -> Result<FlowPage> {
        Ok(FlowPage { flows: Vec::new(), total: 0 })
    }

    fn who(&self, _snat: SocketAddr, _backend: SocketAddr) -> Result<Option<Flow>> {
        Ok(None)
    }

    /// As if no service listened anywhere.
    fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        let (reason, meaning) = ("no_service".to_owned(), "TCP for no service".to_owned());
        let verdict = Verdict { reason, action: Action::Pass, meaning, hook: Hook::Tc };
        let cookies = Cookies { when: CookieRule::Auto, sent: false };
        Ok(Explanation::new(from, to, verdict, TableFill { open: 0, capacity: 1 }, cookies))
    }

    fn cut(&mut self, _service: &str, _backend: SocketAddr, _answer: Answer) -> Result<u64> {
        Ok(0)
    }

    fn open_flows(&self, _service: &str, _backend: SocketAddr) -> u64 {
        0
    }

    fn backend_counters(&self) -> Result<Vec<BackendCounters>> {
        Ok(Vec::new())
    }

    fn reasons(&self) -> Result<Vec<ReasonCount>> {
        Ok(Vec::new())
    }

    fn watch(&mut self, _wanted: Option<&Wanted>) -> Result<()> {
        Ok(())
    }

    fn take_sightings(&mut self) -> Result<Vec<Sighting>> {
        Ok(Vec::new())
    }

    fn status(&self) -> Result<DatapathStatus> {
        let fill = TableFill { open: 0, capacity: 1 };
        Ok(DatapathStatus { flows: fill, half_open: fill, ..DatapathStatus::default() })
    }
}
