//! The kernel's maps as the core sees them, without a way to change them: what is read is copied once, and what the
//! core writes stays in the copies.

use std::{
    cell::{Cell, RefCell},
    fmt::Display,
};

use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError};
use gateway_common::{
    abi::{
        Address, Backend, BackendCounters, Change, Client, Flow, Limits, Link, MAX_TRIED, Retry, Scratch, Service,
        ServiceKey, Settings, Slot, Source, Syn, Tuple, Usage,
    },
    nat::{self, InsertError},
};
use nix::time::{ClockId, clock_gettime};

use super::overlay::Overlay;
use crate::tables::{
    clock,
    flow_table::{self, FLOWS, FlowTable, HALF_OPEN},
    mapped::MappedArray,
};

/// Handles of the maps.
pub struct Maps {
    pub settings: MappedArray<Settings>,
    pub slots: MappedArray<Slot>,
    pub flows: Box<dyn FlowTable>,
    pub half_open: Box<dyn FlowTable>,
    backends: MappedArray<Backend>,
    open_flows: MappedArray<i64>,
    services: BpfHashMap<MapData, ServiceKey, Service>,
    limits: BpfHashMap<MapData, u32, Limits>,
    totals: BpfHashMap<MapData, u32, Usage>,
    sources: BpfHashMap<MapData, Source, Usage>,
    links: BpfHashMap<MapData, u32, Link>,
    snat: Array<MapData, Address>,
    pressure: Array<MapData, i64>,
}

impl Maps {
    /// `open` opens another handle of a map by its name.
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        let array = |name: &str| open(name).map(Map::Array);
        let hash = |name: &str| open(name).map(Map::HashMap);
        Ok(Self {
            settings: MappedArray::new(&open("SETTINGS")?).context("map the settings")?,
            slots: MappedArray::new(&open("SLOTS")?).context("map the slot array")?,
            flows: flow_table::open(FLOWS, &open)?,
            half_open: flow_table::open(HALF_OPEN, &open)?,
            backends: MappedArray::new(&open("BACKENDS")?).context("map the backend array")?,
            open_flows: MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
            services: BpfHashMap::try_from(hash("SERVICES")?).context("open the service map")?,
            limits: BpfHashMap::try_from(hash("LIMITS")?).context("open the map of limits")?,
            totals: BpfHashMap::try_from(hash("TOTAL_USAGE")?).context("open the services' accounts")?,
            sources: BpfHashMap::try_from(Map::LruHashMap(open("SOURCE_USAGE")?))
                .context("open the sources' accounts")?,
            links: BpfHashMap::try_from(hash("LINKS")?).context("open the map of links")?,
            snat: Array::try_from(array("SNAT")?).context("open the snat array")?,
            pressure: Array::try_from(array("PRESSURE")?).context("open the array of waiting SYNs")?,
        })
    }

    pub fn service(&self, key: &ServiceKey) -> Result<Option<Service>> {
        found("the service map", self.services.get(key, 0))
    }

    pub fn limits(&self, service: u32) -> Result<Option<Limits>> {
        found("the map of limits", self.limits.get(&service, 0))
    }

    pub fn total_usage(&self, service: u32) -> Result<Option<Usage>> {
        found("the services' accounts", self.totals.get(&service, 0))
    }

    pub fn source_usage(&self, source: &Source) -> Result<Option<Usage>> {
        found("the sources' accounts", self.sources.get(source, 0))
    }

    pub fn link(&self, interface: u32) -> Result<Option<Link>> {
        found("the map of links", self.links.get(&interface, 0))
    }

    pub fn snat(&self, index: u32) -> Result<Option<Address>> {
        found("the snat array", self.snat.get(&index, 0))
    }

    fn pressure(&self, backend: u32) -> Result<Option<i64>> {
        found("the array of waiting SYNs", self.pressure.get(&backend, 0))
    }
}

fn found<V>(map: impl Display, entry: Result<V, MapError>) -> Result<Option<V>> {
    match entry {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::OutOfBounds { .. }) => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("read {map}"))),
    }
}

/// The maps for one packet, at one moment.
pub struct View<'a> {
    maps: &'a Maps,
    settings: Settings,
    now: u32,
    micros: u32,
    flows: Flows<'a>,
    half_open: Flows<'a>,
    services: Overlay<ServiceKey, Service>,
    backends: Overlay<u32, Backend>,
    snat: Overlay<u32, Address>,
    open_flows: Overlay<u32, i64>,
    limits: Overlay<u32, Limits>,
    totals: Overlay<u32, Usage>,
    sources: Overlay<Source, Usage>,
    counters: Overlay<u32, BackendCounters>,
    pressure: Overlay<u32, i64>,
    syns: Overlay<u32, Syn>,
    scratch: Overlay<(), Scratch>,
    random: RefCell<fastrand::Rng>,
    /// Elements of the slot array that were read, in their order.
    slots_read: RefCell<Vec<u32>>,
    failure: Cell<Option<anyhow::Error>>,
}

impl<'a> View<'a> {
    /// With these settings in the place of the kernel's.
    pub fn new(maps: &'a Maps, settings: Settings) -> Result<Self> {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).context("read the clock")?;
        Ok(Self {
            settings,
            now: clock::now()?,
            micros: std::time::Duration::from(time).as_micros() as u32,
            flows: Flows { kernel: &*maps.flows, entries: Overlay::new() },
            half_open: Flows { kernel: &*maps.half_open, entries: Overlay::new() },
            services: Overlay::new(),
            backends: Overlay::new(),
            snat: Overlay::new(),
            open_flows: Overlay::new(),
            limits: Overlay::new(),
            totals: Overlay::new(),
            sources: Overlay::new(),
            counters: Overlay::new(),
            pressure: Overlay::new(),
            syns: Overlay::new(),
            scratch: Overlay::new(),
            random: RefCell::new(fastrand::Rng::new()),
            slots_read: RefCell::default(),
            failure: Cell::new(None),
            maps,
        })
    }

    /// The backend that was chosen, by its index; 0 if none was.
    pub fn chosen(&self) -> u32 {
        nat::Tables::scratch(self).map_or(0, |scratch| scratch.backend)
    }

    /// The client's direction of the flow that the packet belongs to by now.
    pub fn original(&self, tuple: &Tuple) -> Option<Flow> {
        let established = nat::FlowTable::get(&self.flows, tuple);
        established.or_else(|| nat::FlowTable::get(&self.half_open, tuple)).copied()
    }

    /// Elements of the slot array that were read, in their order.
    pub fn slots_read(&self) -> Vec<u32> {
        self.slots_read.borrow().clone()
    }

    /// An error if a map could not be read, so that what was decided counts for nothing.
    pub fn check(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// None, and noted, where a map could not be read.
    fn noted<V>(&self, entry: Result<Option<V>>) -> Option<V> {
        entry.unwrap_or_else(|error| {
            self.failure.set(Some(error));
            None
        })
    }

    fn open_flows_of(&self, backend: u32) -> Option<&mut i64> {
        let array = &self.maps.open_flows;
        self.open_flows.get(backend, || (backend < array.len()).then(|| array.get(backend)))
    }
}

impl<'a> nat::Tables for View<'a> {
    type Flows = Flows<'a>;
    type HalfOpen = Flows<'a>;

    fn flows(&self) -> &Flows<'a> {
        &self.flows
    }

    fn half_open(&self) -> &Flows<'a> {
        &self.half_open
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn now(&self) -> u32 {
        self.now
    }

    fn micros(&self) -> u32 {
        self.micros
    }

    fn random(&self) -> u32 {
        self.random.borrow_mut().u32(..)
    }

    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(*key, || self.noted(self.maps.service(key))).map(|it| &*it)
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.slots_read.borrow_mut().push(index);
        let array = &self.maps.slots;
        (index < array.len()).then(|| array.get(index))
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        let array = &self.maps.backends;
        self.backends.get(index, || (index < array.len()).then(|| array.get(index))).map(|it| &*it)
    }

    fn scratch(&self) -> Option<&mut Scratch> {
        self.scratch.get((), || Some(EMPTY))
    }

    fn snat(&self, index: u32) -> Option<&Address> {
        self.snat.get(index, || self.noted(self.maps.snat(index))).map(|it| &*it)
    }

    fn open_flows(&self, backend: u32) -> i64 {
        self.open_flows_of(backend).map_or(0, |open| *open)
    }

    fn add_open_flows(&self, backend: u32, change: i64) {
        if let Some(open) = self.open_flows_of(backend) {
            self.add(open, change);
        }
    }

    fn limits(&self, service: u32) -> Option<&Limits> {
        self.limits.get(service, || self.noted(self.maps.limits(service))).map(|it| &*it)
    }

    fn total_usage(&self, service: u32) -> Option<&mut Usage> {
        self.totals.get(service, || self.noted(self.maps.total_usage(service)))
    }

    fn source_usage(&self, source: &Source) -> Option<&mut Usage> {
        self.sources.get(*source, || self.noted(self.maps.source_usage(source)))
    }

    fn open_account(&self, source: &Source) {
        if self.source_usage(source).is_none() {
            self.sources.set(*source, Some(Usage::default()));
        }
    }

    fn add(&self, number: &mut i64, change: i64) {
        *number = number.wrapping_add(change);
    }

    /// Counts for nobody.
    fn counters(&self, backend: u32) -> Option<&mut BackendCounters> {
        self.counters.get(backend, || Some(BackendCounters::default()))
    }

    fn pressure(&self, backend: u32) -> Option<&mut i64> {
        self.pressure.get(backend, || self.noted(self.maps.pressure(backend)))
    }

    /// Nothing is known of earlier SYNs: their map is the packet programs' own.
    fn syn(&self, hash: u32) -> Option<&mut Syn> {
        self.syns.get(hash, || Some(Syn::EMPTY))
    }
}

/// A flow table that takes writes in memory.
pub struct Flows<'a> {
    kernel: &'a dyn FlowTable,
    entries: Overlay<Tuple, Flow>,
}

impl nat::FlowTable for Flows<'_> {
    fn get(&self, tuple: &Tuple) -> Option<&mut Flow> {
        self.entries.get(*tuple, || self.kernel.get(tuple))
    }

    fn insert(&self, flow: &Flow) -> Result<(), InsertError> {
        if self.get(&flow.from).is_some() {
            return Err(InsertError::Exists);
        }
        self.entries.set(flow.from, Some(*flow));
        Ok(())
    }

    fn remove(&self, tuple: &Tuple) {
        self.entries.set(*tuple, None);
    }
}

const EMPTY: Scratch = Scratch {
    original: Flow::EMPTY,
    reply: Flow::EMPTY,
    backend: 0,
    retry: Retry::None,
    tried: [0; MAX_TRIED],
    elsewhere: 0,
    rewritten: 0,
    limited: 0,
    admitted: 0,
    client: Client { known: 0, isn: 0, cookie: 0 },
    change: Change::Nothing,
};
