//! Limits of services in the maps, and the accounts of what is used of them.
//!
//! Packets keep the accounts. They are counted anew from the flows when limits come into force or flows are cut, and
//! corrected with every sweep: a flow that times out takes nothing off, and an idle source may have been forgotten.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use aya::maps::{HashMap as BpfHashMap, Map, MapData, MapError};
use gateway_common::{
    abi::{self, Direction, Limit, Seen, Source, Tuple, Usage},
    nat,
};

use super::{
    drift::Drift,
    flow_table::{self, FLOWS, FlowTable, HALF_OPEN},
    mapped::MappedArray,
    syscall::Batches,
};
use crate::model::{Limits, Share};

/// Handles of the maps.
pub struct Accounts {
    limits: BpfHashMap<MapData, u32, abi::Limits>,
    totals: BpfHashMap<MapData, u32, Usage>,
    sources: BpfHashMap<MapData, Source, Usage>,
    raw_sources: MapData,
    flows: Box<dyn FlowTable>,
    half_open: Box<dyn FlowTable>,
    backends: MappedArray<abi::Backend>,
    drift: Drift<Account>,
}

/// A service's account, or that of one of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Account {
    Total(u32),
    Source(Source),
}

/// How far a correction goes.
#[derive(Clone, Copy)]
enum Correction {
    /// All the way.
    Full,
    /// As far as the last one was off in the same direction.
    Lasting,
}

impl Accounts {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        let limits = BpfHashMap::try_from(Map::HashMap(open("LIMITS")?)).context("open the map of limits")?;
        let totals = BpfHashMap::try_from(Map::HashMap(open("TOTAL_USAGE")?)).context("open the services' accounts")?;
        let sources = Map::LruHashMap(open("SOURCE_USAGE")?);
        Ok(Self {
            limits,
            totals,
            sources: BpfHashMap::try_from(sources).context("open the sources' accounts")?,
            raw_sources: open("SOURCE_USAGE")?,
            flows: flow_table::open(FLOWS, &open)?,
            half_open: flow_table::open(HALF_OPEN, &open)?,
            backends: MappedArray::new(&open("BACKENDS")?).context("map the backend array")?,
            drift: Drift::default(),
        })
    }

    /// Puts these limits, by the identifier of their service, in the place of all there are.
    pub fn apply(&mut self, wanted: &HashMap<u32, abi::Limits>) -> Result<()> {
        let present = self.in_force()?;
        for id in present.keys().filter(|id| !wanted.contains_key(id)) {
            remove(&mut self.limits, id)?;
            remove(&mut self.totals, id)?;
            self.forget_sources(*id)?;
        }
        let mut fresh = HashSet::new();
        for (id, limits) in wanted.iter().filter(|(id, limits)| present.get(id) != Some(limits)) {
            let by_source = present.get(id).map(|before| before.by_source);
            if by_source.is_none() {
                self.totals.insert(id, Usage::default(), 0).context("open a service's account")?;
            }
            self.limits.insert(id, limits, 0).context("write limits")?;
            if limits.by_source == 0 {
                self.forget_sources(*id)?;
            }
            if by_source != Some(limits.by_source) {
                fresh.insert(*id);
            }
        }
        self.count(&fresh, Correction::Full)
    }

    /// Makes all accounts agree with the flows there are.
    pub fn count_anew(&mut self) -> Result<()> {
        let services = self.in_force()?.into_keys().collect();
        self.count(&services, Correction::Full)
    }

    /// Corrects what has been wrong for longer than packets are under way.
    pub fn correct(&mut self) -> Result<()> {
        let services = self.in_force()?.into_keys().collect();
        self.count(&services, Correction::Lasting)
    }

    fn in_force(&self) -> Result<HashMap<u32, abi::Limits>> {
        self.limits.iter().collect::<Result<_, _>>().context("read the map of limits")
    }

    fn count(&mut self, services: &HashSet<u32>, correction: Correction) -> Result<()> {
        if services.is_empty() {
            return Ok(());
        }
        let mut by_source = self.connections(services)?;
        let mut totals: HashMap<u32, i64> = services.iter().map(|id| (*id, 0)).collect();
        for (source, open) in &by_source {
            *totals.entry(source.service).or_default() += open;
        }
        for (id, open) in totals {
            let account = Account::Total(id);
            if let Ok(usage) = self.totals.get(&id, 0)
                && let Some(usage) = self.corrected(account, usage, open, correction)
            {
                self.totals.insert(id, usage, 0).context("correct a service's account")?;
            }
        }
        let accounts = self.sources_of(|source| services.contains(&source.service))?;
        for (source, usage) in accounts {
            let open = by_source.remove(&source).unwrap_or(0);
            self.correct_source(source, usage, open, correction)?;
        }
        for (source, open) in by_source.into_iter().filter(|(_, open)| *open != 0) {
            if self.limits.get(&source.service, 0).is_ok_and(|limits| limits.by_source != 0) {
                self.correct_source(source, Usage::default(), open, correction)?;
            }
        }
        Ok(())
    }

    fn correct_source(&mut self, source: Source, usage: Usage, open: i64, correction: Correction) -> Result<()> {
        if let Some(usage) = self.corrected(Account::Source(source), usage, open, correction) {
            self.sources.insert(source, usage, 0).context("correct a source's account")?;
        }
        Ok(())
    }

    /// The account as it should be, if it should change.
    fn corrected(&mut self, account: Account, usage: Usage, open: i64, correction: Correction) -> Option<Usage> {
        let difference = open - usage.open;
        let change = match correction {
            Correction::Full => difference,
            Correction::Lasting => self.drift.lasting(account, difference),
        };
        (change != 0).then_some(Usage { open: usage.open + change, ..usage })
    }

    /// The unfinished flows of services, half-open ones included, by source.
    fn connections(&self, services: &HashSet<u32>) -> Result<HashMap<Source, i64>> {
        let mut open: HashMap<Source, i64> = HashMap::new();
        for table in [&self.half_open, &self.flows] {
            let mut closing: HashMap<Tuple, abi::Flow> = HashMap::new();
            table.visit(&mut |entry| {
                let service = self.backends.get(entry.backend).service;
                if !services.contains(&service) || entry.seen.contains(Seen::RESTING) {
                    return;
                }
                if entry.direction == Direction::Original {
                    *open.entry(Source::new(service, &entry.from.src)).or_default() += 1;
                }
                if entry.seen.intersects(Seen::FIN.with(Seen::RST).with(Seen::CUT)) {
                    closing.insert(entry.from, *entry);
                }
            })?;
            for (tuple, entry) in &closing {
                let twin = closing.get(&entry.to.reversed());
                // Where the twin closes as well, the flow is counted once, by its original direction.
                let counted_by_twin = entry.direction == Direction::Reply && twin.is_some();
                let seen = twin.map_or(Seen::NOTHING, |twin| twin.seen);
                if !counted_by_twin && nat::state(entry.seen, seen).is_finished() {
                    let client = if entry.direction == Direction::Reply { entry.to.dst } else { tuple.src };
                    let service = self.backends.get(entry.backend).service;
                    *open.entry(Source::new(service, &client)).or_default() -= 1;
                }
            }
        }
        Ok(open)
    }

    fn sources_of(&self, wanted: impl Fn(&Source) -> bool) -> Result<Vec<(Source, Usage)>> {
        let mut found = Vec::new();
        let mut batches = Batches::new(&self.raw_sources);
        while let Some(batch) = batches.read().context("read the sources' accounts")? {
            found.extend(batch.filter(|(source, _)| wanted(source)).map(|(source, usage)| (*source, *usage)));
        }
        Ok(found)
    }

    fn forget_sources(&mut self, service: u32) -> Result<()> {
        for (source, _) in self.sources_of(|source| source.service == service)? {
            remove(&mut self.sources, &source)?;
        }
        Ok(())
    }
}

/// Limits as packets read them, with a flow table of this capacity; none if nothing is limited.
pub fn entry(limits: &Limits, capacity: u32) -> Option<abi::Limits> {
    let Limits { connections, connections_per_source, new_per_second, new_per_second_per_source, share, answer } =
        limits;
    // At least one, so that a small share of a small table admits something.
    let quota = share.map(|share| share.of(capacity.into()).max(1));
    let connections = connections.iter().chain(&quota).min().copied();
    let total = Limit::new(connections, *new_per_second);
    let per_source = Limit::new(*connections_per_source, *new_per_second_per_source);
    let is_limit = (total, per_source) != (Limit::NONE, Limit::NONE);
    let port_share = share.map_or(0, Share::percent);
    is_limit.then(|| abi::Limits { port_share, ..abi::Limits::new(total, per_source, (*answer).into()) })
}

fn remove<K: aya::Pod, V: aya::Pod>(map: &mut BpfHashMap<MapData, K, V>, key: &K) -> Result<()> {
    match map.remove(key) {
        Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
        Err(error) => Err(error).context("remove limits"),
    }
}
