//! Which backend has which index.
//!
//! An index is a backend's identity in flows and counters, so it is given to another backend only when no flow
//! names it any more: backends that are wanted no more are *retired* until then.

use std::{
    array,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use anyhow::{Context, Result};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use gateway_common::abi;

use super::{
    mapped::MappedArray,
    retired::{Retired, Terms},
    sweep::Named,
};
use crate::model::{
    Answer, Backend,
    flow::Traffic,
    status::{BackendCounters, Handshakes, TableFill},
};

/// A backend's service and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendName {
    pub service: String,
    pub address: SocketAddr,
}

/// The backends in the maps.
pub struct Backends {
    entries: MappedArray<abi::Backend>,
    open_flows: MappedArray<i64>,
    counters: PerCpuArray<MapData, abi::BackendCounters>,
    /// By service and address: those that are wanted.
    indices: HashMap<String, HashMap<SocketAddr, u32>>,
    names: HashMap<u32, BackendName>,
    /// Pinned when this process started, by service identifier and address; not wanted by anybody so far.
    adopted: HashMap<(u32, SocketAddr), u32>,
    retired: Retired,
    free: BTreeSet<u32>,
    /// Indices from here on have never been used.
    next: u32,
}

impl Backends {
    pub fn new(entries: &MapData, open_flows: &MapData, counters: MapData) -> Result<Self> {
        let entries: MappedArray<abi::Backend> = MappedArray::new(entries).context("map the backend array")?;
        let open_flows = MappedArray::new(open_flows).context("map the counters of open flows")?;
        let counters = PerCpuArray::try_from(Map::PerCpuArray(counters)).context("open the backend counters")?;
        let (mut adopted, mut free, mut next) = (HashMap::new(), BTreeSet::new(), 1);
        for index in 1..entries.len() {
            let backend = entries.get(index);
            if backend.in_use == 0 {
                free.insert(index);
            } else {
                let address = SocketAddr::new(IpAddr::from(backend.address), u16::from_be_bytes(backend.port));
                adopted.insert((backend.service, address), index);
                next = index + 1;
            }
        }
        let free = free.into_iter().filter(|index| *index < next).collect();
        let (indices, names, retired) = (HashMap::new(), HashMap::new(), Retired::default());
        Ok(Self { entries, open_flows, counters, indices, names, adopted, retired, free, next })
    }

    /// Gives every backend of a service an index, that of before if flows may still name it, and retires those that are
    /// not among them.
    pub fn place(
        &mut self,
        service: &str,
        id: u32,
        wanted: &[Backend],
        terms: Terms,
    ) -> Result<HashMap<SocketAddr, u32>> {
        let mut before = self.indices.remove(service).unwrap_or_default();
        let mut indices = HashMap::with_capacity(wanted.len());
        for backend in wanted {
            let known = before
                .remove(&backend.address)
                .or_else(|| self.adopted.remove(&(id, backend.address)))
                .or_else(|| self.take_back(service, backend.address));
            let index = match known {
                Some(index) => index,
                None => self.allocate()?,
            };
            self.entries.set(
                index,
                abi::Backend {
                    address: backend.address.ip().into(),
                    port: backend.address.port().to_be_bytes(),
                    weight: backend.weight,
                    service: id,
                    in_use: 1,
                    reserved: [0; 7],
                },
            );
            let name = BackendName { service: service.to_owned(), address: backend.address };
            self.names.insert(index, name);
            indices.insert(backend.address, index);
        }
        self.retire(before.into_values(), terms);
        self.indices.insert(service.to_owned(), indices.clone());
        Ok(indices)
    }

    /// Retires all backends of a service.
    pub fn retire_all(&mut self, service: &str, terms: Terms) {
        let indices = self.indices.remove(service).unwrap_or_default();
        self.retire(indices.into_values(), terms);
    }

    /// Retires what was pinned and that no service has claimed. `of` tells the name and the terms of the service with an
    /// identifier; nothing where it has been removed as well.
    pub fn retire_unclaimed<'a>(&mut self, of: impl Fn(u32) -> Option<(&'a str, Terms)>, terms: Terms) {
        for ((id, address), index) in std::mem::take(&mut self.adopted) {
            let (service, terms) = of(id).unwrap_or(("", terms));
            self.names.insert(index, BackendName { service: service.to_owned(), address });
            self.retire([index].into_iter(), terms);
        }
    }

    /// The retired backends whose connections are to be ended in this way.
    pub fn overdue(&self, answer: Answer) -> HashSet<u32> {
        self.retired.overdue(answer, Instant::now())
    }

    /// Notes that the connections of retired backends have been ended.
    pub fn settle(&mut self, indices: &HashSet<u32>) {
        self.retired.settle(indices);
    }

    fn retire(&mut self, indices: impl Iterator<Item = u32>, terms: Terms) {
        let now = Instant::now();
        indices.for_each(|index| self.retired.insert(index, terms, now));
    }

    /// The index of a backend that was removed and is wanted again, so that its connections go on.
    fn take_back(&mut self, service: &str, address: SocketAddr) -> Option<u32> {
        let is_it =
            |index: &u32| self.name(*index).is_some_and(|name| name.service == service && name.address == address);
        let index = self.retired.indices().filter(is_it).last()?;
        self.retired.remove(index);
        Some(index)
    }

    /// The index of a service's backend, and those of earlier ones at its address that flows may still name.
    pub fn indices<'a>(&'a self, service: &'a str, address: SocketAddr) -> impl Iterator<Item = u32> + 'a {
        let wanted = self.indices.get(service).and_then(|indices| indices.get(&address)).copied();
        let is_earlier =
            move |index: &u32| self.name(*index).is_some_and(|name| name.service == service && name.address == address);
        wanted.into_iter().chain(self.retired().filter(is_earlier))
    }

    /// Flows of a backend that are not finished.
    pub fn open_flows(&self, index: u32) -> u64 {
        self.open_flows.get(index).max(0).cast_unsigned()
    }

    pub fn name(&self, index: u32) -> Option<&BackendName> {
        self.names.get(&index)
    }

    pub fn names(&self) -> impl Iterator<Item = (u32, &BackendName)> {
        self.names.iter().map(|(index, name)| (*index, name))
    }

    /// Backends that are wanted no more but that flows may still name.
    pub fn retired(&self) -> impl Iterator<Item = u32> + '_ {
        self.retired.indices()
    }

    /// Frees the index of a retired backend that no flow names.
    pub fn free(&mut self, index: u32) -> Result<()> {
        if self.retired.remove(index) {
            let mut entry = self.entries.get(index);
            entry.in_use = 0;
            self.entries.set(index, entry);
            self.open_flows.counter(index).store(0, std::sync::atomic::Ordering::Relaxed);
            let cpus = aya::util::nr_cpus().map_err(|(path, error)| anyhow::anyhow!("read {path}: {error}"))?;
            let zero = PerCpuValues::try_from(vec![abi::BackendCounters::default(); cpus])?;
            self.counters.set(index, zero, 0).context("clear the backend counters")?;
            self.names.remove(&index);
            self.free.insert(index);
        }
        Ok(())
    }

    /// Totals of every backend that is wanted, and of those that flows may still name; of several with one name, of the
    /// one that is wanted or was last. `swept` tells what a sweep has found out about an index, `source_ports` how many
    /// ports are taken towards an address.
    pub fn totals(
        &self,
        swept: impl Fn(u32) -> Named,
        source_ports: &BTreeMap<SocketAddr, TableFill>,
    ) -> Result<Vec<BackendCounters>> {
        let mut named: HashMap<(&str, SocketAddr), (u32, bool)> = HashMap::with_capacity(self.names.len());
        for index in self.retired() {
            if let Some(name) = self.name(index) {
                named.insert((&name.service, name.address), (index, true));
            }
        }
        for (service, indices) in &self.indices {
            named.extend(indices.iter().map(|(address, index)| ((service.as_str(), *address), (*index, false))));
        }
        let row = |((service, address), (index, removed)): ((&str, SocketAddr), (u32, bool))| {
            let per_cpu = self.counters.get(&index, 0).context("read the backend counters")?;
            let sum = |pick: fn(&abi::BackendCounters) -> u64| per_cpu.iter().map(pick).sum();
            Ok(BackendCounters {
                service: service.to_owned(),
                backend: address,
                connections: sum(|counters| counters.connections),
                open_flows: self.open_flows(index),
                half_open: swept(index).half_open,
                source_ports: source_ports.get(&address).copied().unwrap_or_default(),
                removed,
                attempts: sum(|counters| counters.attempts),
                refused: sum(|counters| counters.refused),
                unanswered: sum(|counters| counters.unanswered),
                handshakes: Handshakes {
                    buckets: array::from_fn(|bucket| {
                        per_cpu.iter().map(|counters| u64::from(counters.handshakes[bucket])).sum()
                    }),
                    sum_us: sum(|counters| counters.handshake_us),
                },
                port_probes: sum(|counters| counters.port_probes),
                original: Traffic {
                    packets: sum(|counters| counters.traffic[0].packets),
                    bytes: sum(|counters| counters.traffic[0].bytes),
                },
                reply: Traffic {
                    packets: sum(|counters| counters.traffic[1].packets),
                    bytes: sum(|counters| counters.traffic[1].bytes),
                },
            })
        };
        named.into_iter().map(row).collect()
    }

    fn allocate(&mut self) -> Result<u32> {
        if let Some(index) = self.free.pop_first() {
            return Ok(index);
        }
        anyhow::ensure!(
            self.next < self.entries.len(),
            "all {} places for backends are taken: raise [backends] capacity",
            self.entries.len() - 1
        );
        self.next += 1;
        Ok(self.next - 1)
    }
}
