//! The maps of the packet programs, from the daemon's side.

mod backends;
mod clock;
mod cut;
mod drift;
mod explain;
mod fill;
pub mod flow_table;
mod flows;
mod limits;
mod maglev;
mod mapped;
mod regions;
mod retired;
mod services;
mod sightings;
mod sweep;
mod syscall;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap as BpfHashMap, Map, MapData, PerCpuArray};
use gateway_common::{
    abi::{self, Cookies, Egress, Link, MAX_SNAT, Settings, Watched, ticks_from_secs},
    nat::{self, Reason},
};

pub use cut::Cutter;
use flow_table::FlowTable;
use flows::FlowTables;
pub use retired::Terms;
pub use sweep::{Named, Sweeper, Swept};

use crate::{
    config::{self, PortRange, SynCookies},
    datapath::{Attached, Datapath},
    host::links::{Interface, Kind},
    lifecycle::{PacketTables, ResolvedService},
    model::{
        Answer,
        explanation::Explanation,
        flow::{Flow, FlowFilter, FlowOrder, FlowPage},
        sighting::{Sighting, Wanted},
        status::{
            Action, AttachMode, BackendCounters, DatapathStatus, Hook, InterfaceStatus, ProgramStatus, ReasonCount,
            SweepTotals, TableFill,
        },
    },
};

/// What the sources of translated packets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snat {
    pub addresses: Vec<IpAddr>,
    pub ports: PortRange,
}

/// The maps, and what is in them.
pub struct Tables {
    services: services::Services,
    backends: backends::Backends,
    flows: Box<dyn FlowTable>,
    half_open: Box<dyn FlowTable>,
    cutter: Cutter,
    accounts: limits::Accounts,
    reasons: PerCpuArray<MapData, u64>,
    open_flows: mapped::MappedArray<i64>,
    settings: mapped::MappedArray<Settings>,
    explained: explain::Maps,
    capacity: u32,
    half_open_places: u32,
    interfaces: Vec<Attached>,
    warnings: Vec<String>,
    idle_timeouts: HashMap<String, u32>,
    /// Of the latest sweep, and of all.
    swept: Mutex<(Swept, SweepTotals)>,
    programs: Option<Arc<Datapath>>,
    sightings: sightings::Sightings,
}

impl Tables {
    /// Opens the maps of a loaded datapath and tells them about the host: its source addresses, how many flows there may
    /// be, how SYNs in excess are answered, and how connections end whose service was removed while no daemon ran.
    pub fn new(datapath: &Datapath, snat: &Snat, limits: &config::Flows, removed: Terms) -> Result<Self> {
        let open = |name: &str| datapath.map(name);
        let settings = mapped::MappedArray::new(&open("SETTINGS")?).context("map the settings")?;
        let flows = flow_table::open(flow_table::FLOWS, &open)?;
        let half_open = flow_table::open(flow_table::HALF_OPEN, &open)?;
        let half_open_capacity = half_open.capacity() / 2;
        // Maps that were adopted keep their size.
        let capacity = limits.capacity.min((flows.capacity() / 2).saturating_sub(half_open_capacity));
        let tables = Self {
            services: services::Services::new(open("SERVICES")?, &open("SLOTS")?, capacity, removed)?,
            backends: backends::Backends::new(&open("BACKENDS")?, &open("OPEN_FLOWS")?, open("COUNTERS")?)?,
            reasons: PerCpuArray::try_from(Map::PerCpuArray(open("REASONS")?)).context("open the reason counters")?,
            open_flows: mapped::MappedArray::new(&open("OPEN_FLOWS")?).context("map the counters of open flows")?,
            capacity,
            half_open_places: half_open.places() / 2,
            flows,
            half_open,
            cutter: Cutter::new(|name| datapath.map(name))?,
            accounts: limits::Accounts::new(|name| datapath.map(name))?,
            settings,
            explained: explain::Maps::new(open)?,
            interfaces: Vec::new(),
            warnings: Vec::new(),
            idle_timeouts: HashMap::new(),
            swept: Mutex::default(),
            programs: None,
            sightings: sightings::Sightings::new(|name| datapath.map(name))?,
        };
        tables.write_snat(open("SNAT")?, snat)?;
        let settings = Settings {
            capacity: tables.capacity,
            half_open: half_open_capacity,
            full: limits.full.into(),
            cookies: limits.syn_cookies.into(),
            // A daemon that was killed may have left somebody's wish.
            watched: Watched::NOTHING,
            ..tables.settings.get(0)
        };
        tables.settings.set(0, settings);
        Ok(tables)
    }

    /// Tells the programs by which interfaces XDP can send, and makes them look up their next hops anew.
    pub fn set_links(&mut self, links: MapData, host: &[Interface], attached: &[Attached]) -> Result<()> {
        let mut map: BpfHashMap<_, u32, Link> =
            BpfHashMap::try_from(Map::HashMap(links)).context("open the map of links")?;
        let native = |index| attached.iter().any(|it| it.ifindex == index && it.mode == AttachMode::XdpNative);
        let wanted: HashMap<u32, Link> = host
            .iter()
            .filter_map(|interface| {
                let (device, vlan) = match interface.kind {
                    Kind::Vlan { parent, id } if native(parent) => (parent, id),
                    _ if native(interface.index) => (interface.index, 0),
                    _ => return None,
                };
                Some((interface.index, Link { device, egress: Egress::native(vlan), reserved: 0 }))
            })
            .collect();
        let present: Vec<u32> = map.keys().collect::<Result<_, _>>().context("read the map of links")?;
        for index in present.iter().filter(|index| !wanted.contains_key(index)) {
            map.remove(index).context("remove a link")?;
        }
        for (index, link) in &wanted {
            map.insert(index, link, 0).context("write a link")?;
        }
        let veth = host.iter().any(|interface| interface.kind == Kind::Veth && native(interface.index));
        let mut settings = self.settings.get(0);
        settings.redirect_back = u32::from(veth);
        self.settings.set(0, settings);
        self.forget_hops()
    }

    /// Makes every cached next hop stale.
    pub fn forget_hops(&mut self) -> Result<()> {
        let mut settings = self.settings.get(0);
        settings.generation = settings.generation.wrapping_add(1);
        let again = settings.generation == 0;
        // 0 marks a hop that is never current.
        settings.generation = settings.generation.max(1);
        self.settings.set(0, settings);
        if again {
            self.flows.forget_hops(settings.generation)?;
            self.half_open.forget_hops(settings.generation)?;
        }
        Ok(())
    }

    /// What `status` shows of the interfaces.
    pub fn set_interfaces(&mut self, interfaces: Vec<Attached>) {
        self.interfaces = interfaces;
    }

    /// The programs that `status` tells the run time of.
    pub fn set_programs(&mut self, datapath: Arc<Datapath>) {
        self.programs = Some(datapath);
    }

    /// What `status` warns of.
    pub fn set_warnings(&mut self, warnings: Vec<String>) {
        self.warnings = warnings;
    }

    /// The idle timeout of a backend's flows, in ticks.
    pub fn idle_timeouts(&self) -> impl Fn(u32) -> u32 + use<> {
        let default = ticks_from_secs(crate::model::Policy::default().idle_timeout.as_secs());
        // By the backend's index: it is asked for each entry of a sweep.
        let mut by_backend = vec![default; self.open_flows.len() as usize];
        for (index, name) in self.backends.names() {
            if let (Some(timeout), Some(own)) =
                (by_backend.get_mut(index as usize), self.idle_timeouts.get(&name.service))
            {
                *timeout = *own;
            }
        }
        move |backend| by_backend.get(backend as usize).copied().unwrap_or(default)
    }

    /// The indices of backends that are wanted no more.
    pub fn retired(&self) -> Vec<u32> {
        self.backends.retired().collect()
    }

    /// Takes a sweep's findings over: table fill for `status`, and indices that can be given away. Those are of `retired`,
    /// which had been retired before it began: it may have missed the last flow of any other.
    pub fn take_swept(&mut self, swept: Swept, retired: &[u32]) -> Result<()> {
        for index in retired.iter().filter(|index| !swept.by_backend.contains_key(index)) {
            self.backends.free(*index)?;
        }
        let mut latest = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, SweepTotals { sweeps, removed, time_ns }) = *latest;
        let totals = SweepTotals {
            sweeps: sweeps + 1,
            removed: removed + swept.removed,
            time_ns: time_ns + u64::try_from(swept.took.as_nanos()).unwrap_or(u64::MAX),
        };
        *latest = (swept, totals);
        Ok(())
    }

    /// Ends the connections whose backend or service was removed and has had the time of a drain since.
    pub fn cut_removed(&mut self) -> Result<()> {
        for answer in [Answer::Reset, Answer::Drop] {
            let overdue = self.backends.overdue(answer);
            if overdue.is_empty() {
                continue;
            }
            let open = self.cutter.cut(&overdue, answer.into()).context("cut the connections of what was removed")?;
            self.accounts.count_anew()?;
            self.backends.settle(&overdue);
            if open > 0 {
                let names = overdue.iter().filter_map(|index| self.backends.name(*index));
                let mut addresses: Vec<String> = names.map(|name| name.address.to_string()).collect();
                addresses.sort_unstable();
                log::warn!("cut {open} connections of backends that were removed: {}", addresses.join(", "));
            }
        }
        Ok(())
    }

    fn write_snat(&self, map: MapData, snat: &Snat) -> Result<()> {
        let mut map: Array<_, abi::Address> = Array::try_from(Map::Array(map)).context("open the snat array")?;
        let mut settings = self.settings.get(0);
        (settings.snat_v4, settings.snat_v6) = (0, 0);
        for address in &snat.addresses {
            let (count, base) = match address {
                IpAddr::V4(_) => (&mut settings.snat_v4, 0),
                IpAddr::V6(_) => (&mut settings.snat_v6, MAX_SNAT),
            };
            anyhow::ensure!(*count < MAX_SNAT, "at most {MAX_SNAT} snat addresses of a family are possible");
            map.set(base + *count, abi::Address::from(*address), 0).context("write the snat array")?;
            *count += 1;
        }
        settings.first_port = snat.ports.first();
        settings.ports = u16::try_from(snat.ports.len()).unwrap_or(u16::MAX);
        self.settings.set(0, settings);
        Ok(())
    }
}

impl PacketTables for Tables {
    fn apply(&mut self, services: &[Arc<ResolvedService>]) -> Result<()> {
        let ticks = |timeout: Duration| ticks_from_secs(timeout.as_secs().max(1));
        self.idle_timeouts = services
            .iter()
            .map(|resolved| (resolved.service.name.clone(), ticks(resolved.service.policy.idle_timeout)))
            .collect();
        self.services.apply(services, &mut self.backends)?;
        self.accounts.apply(&self.services.limits())
    }

    fn flows(&self, filter: &FlowFilter, order: Option<FlowOrder>, limit: usize) -> Result<FlowPage> {
        FlowTables::new(&*self.flows, &*self.half_open, &self.backends)?.list(filter, order, limit)
    }

    fn who(&self, snat: SocketAddr, backend: SocketAddr) -> Result<Option<Flow>> {
        Ok(FlowTables::new(&*self.flows, &*self.half_open, &self.backends)?.who(snat, backend))
    }

    fn cut(&mut self, service: &str, backend: SocketAddr, answer: Answer) -> Result<u64> {
        let open = self.cutter.cut(&self.backends.indices(service, backend).collect(), answer.into())?;
        self.accounts.count_anew()?;
        Ok(open)
    }

    fn open_flows(&self, service: &str, backend: SocketAddr) -> u64 {
        self.backends.indices(service, backend).map(|index| self.backends.open_flows(index)).sum()
    }

    fn backend_counters(&self) -> Result<Vec<BackendCounters>> {
        let source_ports = self.source_ports();
        let swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        self.backends.totals(|index| swept.0.by_backend.get(&index).copied().unwrap_or_default(), &source_ports)
    }

    fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        self.explain_syn(from, to).with_context(|| format!("explain a SYN from {from} to {to}"))
    }

    fn reasons(&self) -> Result<Vec<ReasonCount>> {
        self.reason_counts()
    }

    fn watch(&mut self, wanted: Option<&Wanted>) -> Result<()> {
        let mut settings = self.settings.get(0);
        if settings.watched == Watched::NOTHING {
            self.sightings.forget()?;
        }
        settings.watched = wanted.map_or(Ok(Watched::NOTHING), |wanted| self.sightings.begin(wanted))?;
        self.settings.set(0, settings);
        Ok(())
    }

    fn take_sightings(&mut self) -> Result<Vec<Sighting>> {
        self.sightings.take(&self.backends, &self.interfaces)
    }

    fn status(&self) -> Result<DatapathStatus> {
        let open = self.open_flows.get(0).max(0).cast_unsigned();
        // Where the oldest make way, they do so entry by entry: a flow is two of them, not necessarily its own.
        let half_open = count_entries(&*self.half_open)? / 2;
        let fill = |open, capacity: u32| TableFill { open, capacity: capacity.into() };
        let interfaces = self.interfaces.iter().map(|attached| InterfaceStatus {
            name: attached.name.clone(),
            ifindex: attached.ifindex,
            mode: attached.mode,
        });
        let (flows, half_open) = (fill(open, self.capacity), fill(half_open, self.half_open_places));
        let mut warnings = self.warnings.clone();
        warnings.extend(fill::warnings(flows, half_open, &self.source_ports()));
        Ok(DatapathStatus {
            interfaces: interfaces.collect(),
            flows,
            half_open,
            reasons: self.reason_counts()?,
            programs: self.program_status()?,
            sweeps: self.swept.lock().unwrap_or_else(PoisonError::into_inner).1,
            warnings,
        })
    }
}

impl Tables {
    /// Source ports towards each backend, as the latest sweep has seen them.
    fn source_ports(&self) -> BTreeMap<SocketAddr, TableFill> {
        let swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |index| swept.0.by_backend.get(&index).map_or(0, |named| named.ports);
        fill::source_ports(&self.backends, taken, &self.settings.get(0))
    }

    /// The packet programs, each with the interfaces that it is on: TC on all, XDP where the mode is one of XDP's.
    fn program_status(&self) -> Result<Vec<ProgramStatus>> {
        let Some(datapath) = &self.programs else { return Ok(Vec::new()) };
        let on = |hook| self.interfaces.iter().filter(move |it| hook == Hook::Tc || it.mode != AttachMode::Tc);
        let status = |(hook, runs, run_time): (Hook, u64, Duration)| ProgramStatus {
            hook,
            interfaces: on(hook).map(|it| it.name.clone()).collect(),
            runs,
            run_time_ns: u64::try_from(run_time.as_nanos()).unwrap_or(u64::MAX),
        };
        Ok(datapath.run_times()?.into_iter().map(status).collect())
    }

    /// Packets by reason. What XDP passes to the kernel comes by the TC program next, which counts it again: so
    /// for reasons to pass only TC's count is taken, except for what XDP hands to TC.
    fn reason_counts(&self) -> Result<Vec<ReasonCount>> {
        let count = |hook: usize, reason: Reason| -> Result<u64> {
            let index = (hook * Reason::COUNT + reason as usize) as u32;
            Ok(self.reasons.get(&index, 0).context("read the reason counters")?.iter().sum())
        };
        let reasons = Reason::ALL.iter().map(|reason| {
            let (xdp, tc) = (count(0, *reason)?, count(1, *reason)?);
            let seen_twice = reason.action() == nat::Action::Pass && *reason != Reason::HandedToTc;
            Ok(ReasonCount {
                reason: reason.name().to_owned(),
                action: action(reason.action()),
                packets: if seen_twice { tc } else { xdp + tc },
            })
        });
        reasons.collect()
    }
}

fn count_entries(table: &dyn FlowTable) -> Result<u64> {
    let mut count = 0;
    table.visit(&mut |_| count += 1)?;
    Ok(count)
}

impl From<SynCookies> for Cookies {
    fn from(when: SynCookies) -> Self {
        match when {
            SynCookies::Auto => Self::InFloods,
            SynCookies::Off => Self::Never,
            SynCookies::Always => Self::Always,
        }
    }
}

fn action(action: nat::Action) -> Action {
    match action {
        nat::Action::Pass => Action::Pass,
        nat::Action::Drop => Action::Drop,
        nat::Action::Forward => Action::Forward,
        nat::Action::Answer => Action::Answer,
    }
}
