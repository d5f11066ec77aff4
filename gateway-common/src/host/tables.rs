//! The maps in memory, and the host around them: clock, randomness, settings.
#![expect(unsafe_code, reason = "references into tables that outlive a borrow, as the kernel's maps give them")]

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use super::{HostFlows, HostFrame, Local, WhenFull};
use crate::{
    abi::{
        Address, Algorithm, Answer, Backend, BackendCounters, Change, Client, Direction, Family, Flow, Limits,
        MAX_SNAT, MAX_TRIED, Retry, Scratch, Seen, Service, ServiceKey, Settings, Slot, Source, Syn, TICK_SHIFT, Usage,
    },
    nat::{FlowTable, Network, State, Tables, Verdict, cut, process, state},
};

/// Slots of a service, and so the granularity of weights.
const SLOTS_PER_SERVICE: u32 = 1021;
/// Backends at most, index 0 (none) included.
const MAX_BACKENDS: usize = 256;
const HALF_OPEN_CAPACITY: usize = 1 << 12;
const FLOW_CAPACITY: u32 = 1 << 12;
/// Places where SYNs are remembered: few, so that they are overwritten.
const SYNS: u32 = 1 << 8;

/// What a service does besides listening.
#[derive(Clone, Copy, Debug)]
pub struct ServiceOptions {
    pub algorithm: Algorithm,
    pub no_backend: Answer,
    pub unknown_flow: Answer,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { algorithm: Algorithm::Maglev, no_backend: Answer::Reset, unknown_flow: Answer::Drop }
    }
}

/// All maps of the packet programs.
pub struct HostTables {
    pub flows: HostFlows,
    pub half_open: HostFlows,
    pub settings: Settings,
    pub services: HashMap<ServiceKey, Service>,
    pub slots: Vec<Slot>,
    pub backends: Vec<Backend>,
    /// The clock, in ticks.
    pub now: Cell<u32>,
    snat: [Address; 2 * MAX_SNAT as usize],
    open_flows: Vec<Cell<i64>>,
    counters: Vec<UnsafeCell<BackendCounters>>,
    pressure: Vec<UnsafeCell<i64>>,
    syns: Vec<UnsafeCell<Syn>>,
    limits: HashMap<u32, Limits>,
    totals: HashMap<u32, UnsafeCell<Usage>>,
    sources: RefCell<HashMap<Source, Box<UnsafeCell<Usage>>>>,
    scratch: UnsafeCell<Scratch>,
    headers: RefCell<Network>,
    random: RefCell<fastrand::Rng>,
}

impl HostTables {
    /// Tables without services, with source ports from 40000 and random numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let settings = Settings {
            generation: 1,
            first_port: 40000,
            ports: 25536,
            capacity: FLOW_CAPACITY,
            half_open: HALF_OPEN_CAPACITY as u32 / 2,
            ..Settings::default()
        };
        Self {
            flows: HostFlows::new(2 * FLOW_CAPACITY as usize, WhenFull::Refuse),
            half_open: HostFlows::new(HALF_OPEN_CAPACITY, WhenFull::Forget),
            settings,
            services: HashMap::new(),
            slots: Vec::new(),
            backends: vec![FREE],
            now: Cell::new(1_000),
            snat: [Address::UNSPECIFIED; 2 * MAX_SNAT as usize],
            open_flows: vec![Cell::new(0); MAX_BACKENDS],
            counters: (0..MAX_BACKENDS).map(|_| UnsafeCell::default()).collect(),
            pressure: (0..MAX_BACKENDS).map(|_| UnsafeCell::default()).collect(),
            syns: (0..SYNS).map(|_| UnsafeCell::new(Syn::EMPTY)).collect(),
            limits: HashMap::new(),
            totals: HashMap::new(),
            sources: RefCell::default(),
            scratch: UnsafeCell::new(Scratch {
                original: Flow::EMPTY,
                reply: Flow::EMPTY,
                backend: 0,
                retry: Retry::None,
                elsewhere: 0,
                rewritten: 0,
                tried: [0; MAX_TRIED],
                limited: 0,
                admitted: 0,
                client: Client::default(),
                change: Change::Nothing,
            }),
            headers: RefCell::new(Network::EMPTY),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// Lets the core decide on a packet. As in the kernel, the work space holds the headers of the packet before.
    pub fn process<L: Local>(&self, frame: &mut HostFrame<'_, L>) -> Verdict {
        process(frame, self, &mut self.headers.borrow_mut())
    }

    /// Adds a source address to those of its family.
    pub fn add_snat(&mut self, ip: IpAddr) {
        let address = Address::from(ip);
        let (base, count) = match address.family() {
            Family::V4 => (0, &mut self.settings.snat_v4),
            Family::V6 => (MAX_SNAT, &mut self.settings.snat_v6),
        };
        self.snat[(base + *count) as usize] = address;
        *count += 1;
    }

    /// Adds a service whose slots are shared out by weight in turn (not by Maglev, which the daemon computes).
    /// Returns the backends' indices.
    pub fn add_service(
        &mut self,
        listen: SocketAddr,
        options: ServiceOptions,
        backends: &[(SocketAddr, u16)],
    ) -> Vec<u32> {
        let id = self.services.len() as u32 + 1;
        let indices: Vec<u32> =
            backends.iter().map(|&(address, weight)| self.add_backend(id, address, weight)).collect();
        let first_slot = self.slots.len() as u32;
        let tickets: Vec<u32> = indices
            .iter()
            .zip(backends)
            .flat_map(|(&index, &(_, weight))| std::iter::repeat_n(index, weight.into()))
            .collect();
        let slots = if tickets.is_empty() { 0 } else { SLOTS_PER_SERVICE };
        self.slots.extend((0..slots).map(|place| Slot(tickets[place as usize % tickets.len()])));
        let ServiceOptions { algorithm, no_backend, unknown_flow } = options;
        let service = Service { id, first_slot, slots, algorithm, no_backend, unknown_flow, limited: 0 };
        self.services.insert(service_key(listen), service);
        indices
    }

    /// The service at `listen`.
    pub fn service_mut(&mut self, listen: SocketAddr) -> &mut Service {
        self.services.get_mut(&service_key(listen)).unwrap_or_else(|| panic!("no service listens on {listen}"))
    }

    /// Sets or removes the limits of the service at `listen` and counts anew, as the daemon does.
    pub fn set_limits(&mut self, listen: SocketAddr, limits: Option<Limits>) {
        let service = self.service_mut(listen);
        let id = service.id;
        service.limited = u8::from(limits.is_some());
        match limits {
            Some(limits) => {
                self.limits.insert(id, limits);
                self.totals.entry(id).or_default();
                self.recount(id);
            }
            None => {
                self.limits.remove(&id);
                self.totals.remove(&id);
                self.sources.get_mut().retain(|source, _| source.service != id);
            }
        }
    }

    /// Corrects what is counted of a service's connections to what there are.
    fn recount(&mut self, service: u32) {
        let by_source = self.connections(service);
        let total = self.totals.get_mut(&service).expect("the service has limits");
        total.get_mut().open = by_source.values().sum();
        let sources = self.sources.get_mut();
        sources.iter_mut().filter(|(source, _)| source.service == service).for_each(|(_, it)| it.get_mut().open = 0);
        if self.limits[&service].by_source == 0 {
            sources.retain(|source, _| source.service != service);
        } else {
            for (source, open) in by_source {
                sources.entry(source).or_default().get_mut().open = open;
            }
        }
    }

    /// The connections of a service that are not finished, by source.
    pub fn connections(&self, service: u32) -> BTreeMap<Source, i64> {
        let mut open = BTreeMap::new();
        for table in [self.half_open.entries(), self.flows.entries()] {
            for (tuple, flow) in table.iter().filter(|(_, flow)| flow.direction == Direction::Original) {
                let reply = table.get(&flow.to.reversed()).map_or(Seen::NOTHING, |twin| twin.seen);
                if self.backends[flow.backend as usize].service == service && !state(flow.seen, reply).is_finished() {
                    *open.entry(Source::new(service, &tuple.src)).or_default() += 1;
                }
            }
        }
        open
    }

    /// Identifiers of the services with limits, and whether their sources are accounted for.
    pub fn limited(&self) -> impl Iterator<Item = (u32, bool)> {
        self.limits.iter().map(|(id, limits)| (*id, limits.by_source != 0))
    }

    /// Gives all slots of the service at `listen` to these of its backends in turn.
    pub fn send_to(&mut self, listen: SocketAddr, backends: &[u32]) {
        let service = self.service_mut(listen);
        service.slots = if backends.is_empty() { 0 } else { SLOTS_PER_SERVICE };
        let (first, slots) = (service.first_slot as usize, service.slots as usize);
        for (slot, backend) in self.slots[first..][..slots].iter_mut().zip(backends.iter().cycle()) {
            *slot = Slot(*backend);
        }
    }

    /// Gives all slots of the service at `listen` to one backend.
    pub fn send_all_to(&mut self, listen: SocketAddr, backend: u32) {
        self.send_to(listen, &[backend]);
    }

    /// Cuts all flows of a backend, as the daemon does. Returns how many were open.
    pub fn cut(&mut self, backend: u32, answer: Answer) -> u64 {
        let originals = |flows: &HostFlows| {
            flows
                .entries()
                .into_iter()
                .filter(move |(_, flow)| flow.backend == backend && flow.direction == Direction::Original)
        };
        for (tuple, original) in originals(&self.half_open) {
            self.half_open.remove(&tuple);
            self.half_open.remove(&original.to.reversed());
        }
        let mut open = 0;
        for (tuple, original) in originals(&self.flows) {
            let reply = original.to.reversed();
            let twin = self.flows.find(&reply).expect("a flow has two directions");
            if state(original.seen, twin.seen) == State::TimeWait {
                continue;
            }
            open += u64::from(!state(original.seen, twin.seen).is_finished());
            for tuple in [tuple, reply] {
                cut::mark(self.flows.get(&tuple).expect("just found"), answer, self.now());
            }
        }
        self.add_open_flows(backend, -open.cast_signed());
        if let Some(&Backend { service, .. }) = self.backends.get(backend as usize)
            && self.limits.contains_key(&service)
        {
            self.recount(service);
        }
        open
    }

    /// Lets time pass.
    pub fn advance(&self, ticks: u32) {
        self.now.set(self.now.get().wrapping_add(ticks));
    }

    /// A backend's totals.
    pub fn totals(&self, backend: u32) -> BackendCounters {
        // SAFETY: nobody writes while the copy is made, for the tables are not `Sync`.
        unsafe { *self.counters[backend as usize].get() }
    }

    /// Loses the SYNs that are remembered, as when others overwrite them.
    pub fn forget_syns(&mut self) {
        self.syns.iter_mut().for_each(|syn| *syn.get_mut() = Syn::EMPTY);
    }

    /// Ends the lives of removed flows.
    pub fn reclaim(&mut self) {
        self.flows.reclaim();
        self.half_open.reclaim();
    }

    fn add_backend(&mut self, service: u32, address: SocketAddr, weight: u16) -> u32 {
        assert!(self.backends.len() < MAX_BACKENDS, "more than {MAX_BACKENDS} backends");
        self.backends.push(Backend {
            address: address.ip().into(),
            port: address.port().to_be_bytes(),
            weight,
            service,
            in_use: 1,
            reserved: [0; 7],
        });
        self.backends.len() as u32 - 1
    }
}

/// Index 0 of the backends.
const FREE: Backend =
    Backend { address: Address::UNSPECIFIED, port: [0; 2], weight: 0, service: 0, in_use: 0, reserved: [0; 7] };

fn service_key(listen: SocketAddr) -> ServiceKey {
    ServiceKey::new(listen.ip().into(), listen.port().to_be_bytes())
}

impl Tables for HostTables {
    type Flows = HostFlows;
    type HalfOpen = HostFlows;

    fn flows(&self) -> &HostFlows {
        &self.flows
    }

    fn half_open(&self) -> &HostFlows {
        &self.half_open
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn now(&self) -> u32 {
        self.now.get()
    }

    /// The ticks in finer units: time passes only when a test says so.
    fn micros(&self) -> u32 {
        ((u64::from(self.now.get()) << TICK_SHIFT) / 1_000) as u32
    }

    fn random(&self) -> u32 {
        self.random.borrow_mut().u32(..)
    }

    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.slots.get(index as usize).copied()
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        self.backends.get(index as usize)
    }

    fn scratch(&self) -> Option<&mut Scratch> {
        // SAFETY: the core uses one reference to the scratch room at a time, and the tables are not `Sync`.
        Some(unsafe { &mut *self.scratch.get() })
    }

    fn snat(&self, index: u32) -> Option<&Address> {
        self.snat.get(index as usize)
    }

    fn open_flows(&self, backend: u32) -> i64 {
        self.open_flows.get(backend as usize).map_or(0, Cell::get)
    }

    fn add_open_flows(&self, backend: u32, change: i64) {
        if let Some(open) = self.open_flows.get(backend as usize) {
            open.set(open.get() + change);
        }
    }

    fn limits(&self, service: u32) -> Option<&Limits> {
        self.limits.get(&service)
    }

    fn total_usage(&self, service: u32) -> Option<&mut Usage> {
        // SAFETY: the core uses one reference to an account at a time, and the tables are not `Sync`.
        self.totals.get(&service).map(|usage| unsafe { &mut *usage.get() })
    }

    fn source_usage(&self, source: &Source) -> Option<&mut Usage> {
        // SAFETY: as above; behind a box, and removed only by `set_limits`, which needs the tables exclusively.
        self.sources.borrow().get(source).map(|usage| unsafe { &mut *usage.get() })
    }

    fn open_account(&self, source: &Source) {
        self.sources.borrow_mut().entry(*source).or_default();
    }

    fn add(&self, number: &mut i64, change: i64) {
        *number = number.wrapping_add(change);
    }

    fn counters(&self, backend: u32) -> Option<&mut BackendCounters> {
        let counters = self.counters.get(backend as usize)?;
        // SAFETY: the core uses one reference to a backend's counters at a time, and the tables are not `Sync`.
        Some(unsafe { &mut *counters.get() })
    }

    fn pressure(&self, backend: u32) -> Option<&mut i64> {
        let due = self.pressure.get(backend as usize)?;
        // SAFETY: the core uses one reference to a bucket at a time, and the tables are not `Sync`.
        Some(unsafe { &mut *due.get() })
    }

    fn syn(&self, hash: u32) -> Option<&mut Syn> {
        let place = &self.syns[(hash % SYNS) as usize];
        // SAFETY: the core uses one reference to a remembered SYN at a time, and the tables are not `Sync`.
        Some(unsafe { &mut *place.get() })
    }
}
