//! From services as the operator wants them to the maps that packets are matched against.
//!
//! For packets every listen address changes in one step: its new Maglev table is written to a stretch of the slot
//! array that nothing refers to, then the service's entry is swapped. Whatever an entry referred to before stays
//! readable until no program can be reading it.

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
    maglev::{self, Candidate},
    mapped::MappedArray,
    regions::{Region, Regions},
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
    /// Entries that were pinned when this process started and that no service has claimed yet.
    adopted: HashMap<abi::ServiceKey, abi::Service>,
    /// Identifiers of the placed services, and the first one that was never used.
    ids: HashSet<u32>,
    next_id: u32,
}

/// A service that is in the maps.
struct Placed {
    id: u32,
    resolved: Arc<ResolvedService>,
    entries: HashMap<abi::ServiceKey, abi::Service>,
}

impl Services {
    /// Over maps that may hold another gateway's services.
    pub fn new(entries: MapData, slots: &MapData) -> Result<Self> {
        let entries = BpfHashMap::try_from(aya::maps::Map::HashMap(entries)).context("open the service map")?;
        let slots = MappedArray::new(slots).context("map the slot array")?;
        let mut regions = Regions::new(slots.len());
        let adopted: HashMap<_, _> = entries.iter().collect::<Result<_, _>>().context("read the service map")?;
        for region in adopted.values().map(region).collect::<HashSet<_>>() {
            regions.occupy(region);
        }
        let next_id = adopted.values().map(|service| service.id + 1).max().unwrap_or(1);
        Ok(Self { entries, slots, regions, placed: HashMap::new(), adopted, ids: HashSet::new(), next_id })
    }

    /// Makes the maps so. Services that are as before are not touched.
    pub fn apply(&mut self, services: &[Arc<ResolvedService>], backends: &mut Backends) -> Result<()> {
        let wanted: HashSet<&str> = services.iter().map(|resolved| resolved.service.name.as_str()).collect();
        let gone: Vec<String> = self.placed.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.remove(&name, backends)?;
        }
        for resolved in services {
            let known = self.placed.get(&resolved.service.name);
            if known.is_some_and(|placed| Arc::ptr_eq(&placed.resolved, resolved) || placed.resolved == *resolved) {
                continue;
            }
            self.place(resolved, backends)
                .with_context(|| format!("put service {} into force", resolved.service.name))?;
        }
        self.drop_unclaimed(backends)
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
        // From here on the service is known with its old entries, so that after a failure the next attempt, or a
        // removal, finds them.
        let placed = Placed { id, resolved: resolved.clone(), entries: old.clone() };
        self.placed.insert(service.name.clone(), placed);
        self.invalidate(&service.name);

        let indices = backends.place(&service.name, id, &service.backends)?;
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
            let entry = entry(id, region, resolved);
            self.entries.insert(key, entry, 0).context("write the service map")?;
            entries.insert(*key, entry);
        }
        for key in old.keys().filter(|key| !entries.contains_key(*key)) {
            remove_entry(&mut self.entries, key)?;
        }
        for region in old.values().map(region).collect::<HashSet<_>>() {
            self.regions.release(region, now);
        }
        let placed = Placed { id, resolved: resolved.clone(), entries };
        self.placed.insert(service.name.clone(), placed);
        Ok(())
    }

    /// Marks a service as not as wanted, so that the next attempt does not skip it.
    fn invalidate(&mut self, name: &str) {
        if let Some(placed) = self.placed.get_mut(name) {
            let mut resolved = (*placed.resolved).clone();
            resolved.service.backends.clear();
            resolved.listen.clear();
            placed.resolved = Arc::new(resolved);
        }
    }

    fn remove(&mut self, name: &str, backends: &mut Backends) -> Result<()> {
        let Some(placed) = self.placed.get(name) else { return Ok(()) };
        for key in placed.entries.keys() {
            remove_entry(&mut self.entries, key)?;
        }
        let now = Instant::now();
        for region in placed.entries.values().map(region).collect::<HashSet<_>>() {
            self.regions.release(region, now);
        }
        backends.retire_all(name);
        self.ids.remove(&placed.id);
        self.placed.remove(name);
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

    /// Removes what was pinned and is wanted no more. Its flows go on until they end.
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
        backends.retire_unclaimed();
        Ok(())
    }
}

fn key(listen: &SocketAddr) -> abi::ServiceKey {
    abi::ServiceKey::new(listen.ip().into(), listen.port().to_be_bytes())
}

fn region(service: &abi::Service) -> Region {
    Region { start: service.first_slot, len: service.slots }
}

fn entry(id: u32, region: Region, resolved: &ResolvedService) -> abi::Service {
    let policy = &resolved.service.policy;
    let answer = |answer| match answer {
        Answer::Reset => abi::Answer::Reset,
        Answer::Drop => abi::Answer::Drop,
    };
    abi::Service {
        id,
        first_slot: region.start,
        slots: region.len,
        algorithm: match policy.algorithm {
            Algorithm::Maglev => abi::Algorithm::Maglev,
            Algorithm::LeastConnections => abi::Algorithm::LeastConnections,
            Algorithm::Source => abi::Algorithm::Source,
        },
        no_backend: answer(policy.no_backend),
        unknown_flow: answer(policy.unknown_flow),
        reserved: 0,
    }
}

/// The backends that get new connections from listeners of one family.
fn candidates(resolved: &ResolvedService, v6: bool, indices: &HashMap<SocketAddr, u32>) -> Vec<Candidate> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let active = resolved.service.backends.iter().filter(|backend| backend.state == BackendState::Active);
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
