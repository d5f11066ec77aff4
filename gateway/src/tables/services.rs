//! From services as the operator wants them to the maps that packets are matched against.
//!
//! For packets every listen address changes in one step: its new Maglev table is written to a stretch of the slot
//! array that nothing refers to, then the service's entry is swapped. Whatever an entry referred to before stays
//! readable until no program can be reading it. An address that moves from one service to another is never without
//! one: entries are removed last.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use aya::maps::{HashMap as BpfHashMap, MapData};
use gateway_common::abi;

use super::{
    backends::Backends,
    limits,
    maglev::{self, Candidate},
    mapped::MappedArray,
    regions::{Region, Regions},
    retired::Terms,
};
use crate::{
    lifecycle::ResolvedService,
    model::{Algorithm, Answer, BackendState},
};

/// The services in the maps.
pub struct Services {
    entries: BpfHashMap<MapData, abi::ServiceKey, abi::Service>,
    slots: MappedArray<abi::Slot>,
    regions: Regions,
    placed: HashMap<String, Placed>,
    /// Which service has a listen address.
    owners: HashMap<abi::ServiceKey, String>,
    /// Entries that a service has given up; removed at the end of a change unless another has taken them over.
    given_up: HashSet<abi::ServiceKey>,
    /// Entries that were pinned when this process started and that no service has claimed yet.
    adopted: HashMap<abi::ServiceKey, abi::Service>,
    /// Identifiers of the placed services, and the first one that was never used.
    ids: HashSet<u32>,
    next_id: u32,
    /// Of the flow table.
    capacity: u32,
    /// Of what was removed while nobody could say on which.
    terms: Terms,
}

/// A service that is in the maps.
struct Placed {
    id: u32,
    /// None while a change of it is under way, or has failed half-way.
    resolved: Option<Arc<ResolvedService>>,
    entries: HashMap<abi::ServiceKey, abi::Service>,
}

impl Services {
    /// Over maps that may hold another gateway's services.
    pub fn new(entries: MapData, slots: &MapData, capacity: u32, terms: Terms) -> Result<Self> {
        let entries = BpfHashMap::try_from(aya::maps::Map::HashMap(entries)).context("open the service map")?;
        let slots = MappedArray::new(slots).context("map the slot array")?;
        let mut regions = Regions::new(slots.len());
        let adopted: HashMap<_, _> = entries.iter().collect::<Result<_, _>>().context("read the service map")?;
        for region in adopted.values().map(region).collect::<HashSet<_>>() {
            regions.occupy(region);
        }
        let next_id = adopted.values().map(|service| service.id + 1).max().unwrap_or(1);
        Ok(Self {
            entries,
            slots,
            regions,
            placed: HashMap::new(),
            owners: HashMap::new(),
            given_up: HashSet::new(),
            adopted,
            ids: HashSet::new(),
            next_id,
            capacity,
            terms,
        })
    }

    /// Makes the maps so. Services that are as before are not touched.
    pub fn apply(&mut self, services: &[Arc<ResolvedService>], backends: &mut Backends) -> Result<()> {
        let wanted: HashSet<&str> = services.iter().map(|resolved| resolved.service.name.as_str()).collect();
        let gone: Vec<String> = self.placed.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.remove(&name, backends);
        }
        for resolved in services {
            let name = &resolved.service.name;
            let in_force = self.placed.get(name).and_then(|placed| placed.resolved.as_ref());
            if in_force.is_some_and(|in_force| Arc::ptr_eq(in_force, resolved) || in_force == resolved) {
                continue;
            }
            self.place(resolved, backends).with_context(|| format!("put service {name} into force"))?;
        }
        self.drop_given_up()?;
        self.drop_unclaimed(backends)
    }

    /// The limits of the services that have any, by their identifiers.
    pub fn limits(&self) -> HashMap<u32, abi::Limits> {
        let limits = |placed: &Placed| self.limits_of(placed.resolved.as_ref()?).map(|limits| (placed.id, limits));
        self.placed.values().filter_map(limits).collect()
    }

    /// The service that listens there.
    pub fn listening(&self, at: &SocketAddr) -> Option<&ResolvedService> {
        self.placed.get(self.owners.get(&key(at))?)?.resolved.as_deref()
    }

    fn limits_of(&self, resolved: &ResolvedService) -> Option<abi::Limits> {
        limits::entry(&resolved.service.limits, self.capacity)
    }

    fn place(&mut self, resolved: &Arc<ResolvedService>, backends: &mut Backends) -> Result<()> {
        let service = &resolved.service;
        let keys: Vec<_> = resolved.listen.iter().map(|listen| (key(listen), *listen)).collect();
        let before = self.placed.remove(&service.name);
        let id = match &before {
            Some(placed) => placed.id,
            None => self.claim(keys.iter().map(|(key, _)| key)),
        };
        let mut old = before.map(|placed| placed.entries).unwrap_or_default();
        for (key, _) in &keys {
            if let Entry::Vacant(entry) = old.entry(*key)
                && let Some(adopted) = self.adopted.remove(key)
            {
                entry.insert(adopted);
            }
        }
        // Known with its old entries from here on, so that after a failure the next attempt, or a removal, finds them.
        self.placed.insert(service.name.clone(), Placed { id, resolved: None, entries: old.clone() });

        let indices = backends.place(&service.name, id, &service.backends, Terms::from(&service.policy))?;
        let now = Instant::now();
        let mut entries = HashMap::new();
        let mut tables: HashMap<bool, Region> = HashMap::new();
        for (key, listen) in &keys {
            let present = old.get(key).map_or(0, |entry| entry.slots);
            let region = match tables.entry(listen.is_ipv6()) {
                Entry::Occupied(region) => *region.get(),
                Entry::Vacant(vacant) => {
                    let candidates = candidates(resolved, listen.is_ipv6(), &indices);
                    *vacant.insert(write_table(&mut self.regions, &self.slots, &candidates, present, now)?)
                }
            };
            let entry = entry(id, region, self.limits_of(resolved).is_some(), resolved);
            self.entries.insert(key, entry, 0).context("write the service map")?;
            self.owners.insert(*key, service.name.clone());
            entries.insert(*key, entry);
        }
        self.give_up(&service.name, old.keys().filter(|key| !entries.contains_key(*key)));
        for region in old.values().map(region).collect::<HashSet<_>>() {
            self.regions.release(region, now);
        }
        self.placed.insert(service.name.clone(), Placed { id, resolved: Some(resolved.clone()), entries });
        Ok(())
    }

    fn remove(&mut self, name: &str, backends: &mut Backends) {
        let Some(placed) = self.placed.remove(name) else { return };
        self.give_up(name, placed.entries.keys());
        let now = Instant::now();
        for region in placed.entries.values().map(region).collect::<HashSet<_>>() {
            self.regions.release(region, now);
        }
        let terms = placed.resolved.map_or(self.terms, |resolved| Terms::from(&resolved.service.policy));
        backends.retire_all(name, terms);
        self.ids.remove(&placed.id);
    }

    /// Ends a service's ownership of listen addresses, as far as no other has taken them over.
    fn give_up<'a>(&mut self, name: &str, keys: impl Iterator<Item = &'a abi::ServiceKey>) {
        for key in keys {
            if self.owners.get(key).is_some_and(|owner| owner == name) {
                self.owners.remove(key);
                self.given_up.insert(*key);
            }
        }
    }

    fn drop_given_up(&mut self) -> Result<()> {
        for key in self.given_up.iter().copied().collect::<Vec<_>>() {
            if !self.owners.contains_key(&key) {
                remove_entry(&mut self.entries, &key)?;
            }
            self.given_up.remove(&key);
        }
        Ok(())
    }

    /// The identifier of the pinned service that listens on one of `keys`, or a fresh one: with its identifier a
    /// service keeps its backends' indices, and so its flows and counters.
    fn claim<'a>(&mut self, mut keys: impl Iterator<Item = &'a abi::ServiceKey>) -> u32 {
        let pinned = keys.find_map(|key| self.adopted.get(key).map(|service| service.id));
        let id = pinned.filter(|id| !self.ids.contains(id)).unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id + 1);
        self.ids.insert(id);
        id
    }

    /// Removes what was pinned and is wanted no more. Its flows have the time of a drain.
    fn drop_unclaimed(&mut self, backends: &mut Backends) -> Result<()> {
        let now = Instant::now();
        let in_use: HashSet<Region> =
            self.placed.values().flat_map(|placed| placed.entries.values().map(region)).collect();
        let unclaimed = std::mem::take(&mut self.adopted);
        for key in unclaimed.keys() {
            remove_entry(&mut self.entries, key)?;
        }
        for region in unclaimed.values().map(region).collect::<HashSet<_>>() {
            if !in_use.contains(&region) {
                self.regions.release(region, now);
            }
        }
        let by_id: HashMap<u32, (&str, Terms)> = self
            .placed
            .iter()
            .filter_map(|(name, placed)| {
                Some((placed.id, (name.as_str(), Terms::from(&placed.resolved.as_ref()?.service.policy))))
            })
            .collect();
        backends.retire_unclaimed(|id| by_id.get(&id).copied(), self.terms);
        Ok(())
    }
}

fn key(listen: &SocketAddr) -> abi::ServiceKey {
    abi::ServiceKey::new(listen.ip().into(), listen.port().to_be_bytes())
}

fn region(service: &abi::Service) -> Region {
    Region { start: service.first_slot, len: service.slots }
}

fn entry(id: u32, region: Region, limited: bool, resolved: &ResolvedService) -> abi::Service {
    let policy = &resolved.service.policy;
    abi::Service {
        id,
        first_slot: region.start,
        slots: region.len,
        algorithm: match policy.algorithm {
            Algorithm::Maglev => abi::Algorithm::Maglev,
            Algorithm::LeastConnections => abi::Algorithm::LeastConnections,
            Algorithm::Source => abi::Algorithm::Source,
        },
        no_backend: policy.no_backend.into(),
        unknown_flow: policy.unknown_flow.into(),
        limited: limited.into(),
    }
}

impl From<Answer> for abi::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Reset => Self::Reset,
            Answer::Drop => Self::Drop,
        }
    }
}

/// The backends that get new connections from listeners of one family.
fn candidates(resolved: &ResolvedService, v6: bool, indices: &HashMap<SocketAddr, u32>) -> Vec<Candidate> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let active = resolved
        .service
        .backends
        .iter()
        .filter(|backend| backend.state == BackendState::Active && !resolved.down.contains(&backend.address));
    active
        .filter(|backend| backend.address.is_ipv6() == v6)
        .filter_map(|backend| {
            let index = *indices.get(&backend.address)?;
            Some(Candidate { index, identity: hasher.hash_one(backend.address), weight: backend.weight })
        })
        .collect()
}

/// Writes a Maglev table where nothing refers to yet.
fn write_table(
    regions: &mut Regions,
    slots: &MappedArray<abi::Slot>,
    candidates: &[Candidate],
    present: u32,
    now: Instant,
) -> Result<Region> {
    let (size, region) = [maglev::FINE, maglev::COARSE]
        .into_iter()
        .map(|places| maglev::size(candidates.len(), places, present))
        .find_map(|size| Some((size, regions.allocate(size, now)?)))
        .context("the table of backend slots is full: raise [backends] capacity")?;
    for (place, index) in (region.start..).zip(maglev::table(candidates, size)) {
        slots.set(place, abi::Slot(index));
    }
    Ok(region)
}

fn remove_entry(entries: &mut BpfHashMap<MapData, abi::ServiceKey, abi::Service>, key: &abi::ServiceKey) -> Result<()> {
    match entries.remove(key) {
        Err(aya::maps::MapError::KeyNotFound) | Ok(()) => Ok(()),
        Err(error) => Err(error).context("remove from the service map"),
    }
}
