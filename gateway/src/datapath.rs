//! The packet programs in the kernel: load, attach, pin, adopt, detach.
//!
//! Maps, and where the kernel has them links, are pinned below one folder of a bpffs, so packets never depend on
//! this process: a daemon that starts finds what is pinned, adopts the maps if their layouts are its own, and
//! replaces the programs in one step. Nothing of another version is ever adopted.

mod attach;
mod inspect;
mod link;
mod object_kind;
mod other_programs;
mod pins;
mod program_maps;
mod programs;

use std::{
    hash::{BuildHasher, RandomState},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapType},
    sys::{Stats, enable_stats},
    util::nr_cpus,
};
use aya_obj::Object;
use gateway_common::abi::{Settings, buckets_for};

pub use attach::{Attached, Wanted, faces_containers};
pub use other_programs::{OtherProgram, other_xdp, tc_before};
pub use pins::Pins;

use self::programs::Programs;
use crate::{
    host::links::Interface,
    model::{flow::FlowMap, status::Hook},
    tables::flow_table::{FLOWS, HALF_OPEN},
};

/// The compiled packet programs, with a flow table of either kind.
static BUCKETS_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-buckets"));
static HASH_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-hash"));

/// The programs over a flow table of this kind.
pub const fn object(flow_map: FlowMap) -> &'static [u8] {
    match flow_map {
        FlowMap::Buckets => BUCKETS_OBJECT,
        FlowMap::Hash => HASH_OBJECT,
    }
}

/// Elements of a flow table of this kind for so many entries.
pub const fn flow_map_size(flow_map: FlowMap, entries: u32) -> u32 {
    match flow_map {
        FlowMap::Buckets => buckets_for(entries),
        FlowMap::Hash => entries,
    }
}

/// Kind and sizes of the tables. They are fixed when the maps are made; maps that are adopted keep theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Established flows.
    pub flows: u32,
    /// Half-open flows.
    pub half_open: u32,
    pub backends: u32,
    pub flow_map: FlowMap,
}

impl Capacity {
    /// Entries of each map whose size depends on the configuration.
    pub fn map_sizes(self) -> [(&'static str, u32); 7] {
        // A flow is two entries. Room beyond the capacity is for handshakes that complete at the limit.
        let flow_entries = self.flows.saturating_add(self.half_open).saturating_mul(2);
        [
            (FLOWS, flow_map_size(self.flow_map, flow_entries)),
            (HALF_OPEN, flow_map_size(self.flow_map, self.half_open.saturating_mul(2))),
            ("SLOTS", self.backends.saturating_mul(64).max(1 << 16)),
            ("BACKENDS", self.backends.saturating_add(1)),
            ("OPEN_FLOWS", self.backends.saturating_add(1)),
            ("PRESSURE", self.backends.saturating_add(1)),
            ("COUNTERS", self.backends.saturating_add(1)),
        ]
    }
}

/// The loaded programs.
pub struct Datapath {
    programs: Mutex<Programs>,
    pins: Pins,
    flow_map: FlowMap,
}

impl Datapath {
    /// Loads the programs, over the pinned maps if there are any, unless those that are pinned are the same. What is
    /// pinned and not this version's datapath is refused before anything is touched.
    pub fn load(pins: Pins, mut capacity: Capacity) -> Result<Self> {
        inspect::check(&pins)?;
        pins.prepare()?;
        if let Ok(pinned) = MapData::from_pin(pins.map(FLOWS)) {
            capacity.flow_map = kind_of(&pinned)?;
        }
        let programs = match Programs::adopt(&pins, object(capacity.flow_map)) {
            Some(programs) => programs,
            None => {
                inspect::check_layouts(&pins, capacity)?;
                load(&pins, capacity)?
            }
        };
        let datapath = Self { programs: Mutex::new(programs), pins, flow_map: capacity.flow_map };
        datapath.prepare_settings(capacity.flow_map)?;
        Ok(datapath)
    }

    /// A second handle of a map, for whoever reads or writes it.
    pub fn map(&self, name: &str) -> Result<MapData> {
        MapData::from_pin(self.pins.map(name)).with_context(|| format!("open the pinned map {name}"))
    }

    /// Attaches to `interface` in the wanted mode, replacing an earlier gateway's programs in one step.
    pub fn attach(&self, interface: &Interface, wanted: Wanted) -> Result<Attached> {
        attach::attach(&mut self.programs(), &self.pins, interface, wanted)
    }

    /// Takes the programs off an interface that is gone.
    pub fn detach(&self, name: &str) -> Result<()> {
        attach::detach(&self.pins, name).map(drop)
    }

    /// Takes the programs off interfaces that are pinned but not among `wanted`, which have been attached to, and lets go
    /// of other builds' programs. Returns those whose clsact qdisc is the
    /// gateway's and of no more use.
    pub fn detach_others(&self, wanted: &[&str]) -> Result<Vec<String>> {
        let mut qdiscs = Vec::new();
        for name in self.pins.attached()? {
            if !wanted.contains(&name.as_str()) && attach::detach(&self.pins, &name)? {
                qdiscs.push(name);
            }
        }
        Programs::forget_others(&self.pins, object(self.flow_map))?;
        Ok(qdiscs)
    }

    /// How often each program has run and for how long, as far as the kernel has counted it.
    pub fn run_times(&self) -> Result<[(Hook, u64, Duration); 2]> {
        let programs = self.programs();
        let (xdp, tc) = (programs.xdp.info(), programs.tc.info());
        let (xdp, tc) = (xdp.context("ask for the XDP program")?, tc.context("ask for the TC program")?);
        Ok([(Hook::Xdp, xdp.run_count(), xdp.run_time()), (Hook::Tc, tc.run_count(), tc.run_time())])
    }

    /// Gives fresh maps what never changes: the flow table's size and the secrets of the hashes.
    fn prepare_settings(&self, flow_map: FlowMap) -> Result<()> {
        let size = |name| -> Result<u32> {
            let info = self.map(name)?.info().with_context(|| format!("ask for the size of {name}"))?;
            Ok(if flow_map == FlowMap::Buckets { info.max_entries() } else { 0 })
        };
        let mut map: Array<_, Settings> =
            Array::try_from(Map::Array(self.map("SETTINGS")?)).context("open the settings")?;
        let present = map.get(&0, 0).context("read the settings")?;
        let mut settings = present;
        if settings.seed == 0 {
            let random = |number| RandomState::new().hash_one(number) as u32;
            settings.seed = random(0) | 1;
            settings.hash_keys = std::array::from_fn(random);
            settings.cookie_key = std::array::from_fn(random);
        }
        (settings.buckets, settings.half_open_buckets) = (size(FLOWS)?, size(HALF_OPEN)?);
        if settings == present {
            return Ok(());
        }
        map.set(0, settings, 0).context("write the settings")
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(pins: &Pins, capacity: Capacity) -> Result<Programs> {
    let mut loader = EbpfLoader::new();
    // The programs know nothing of the kernel's types, which are some megabytes.
    loader.btf(None);
    let paths = pins::MAPS.map(|name| (name, pins.map(name)));
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    for (name, entries) in capacity.map_sizes() {
        loader.map_max_entries(name, entries);
    }
    let mut ebpf = loader.load(object(capacity.flow_map)).with_context(|| {
        let flows = capacity.flows;
        format!("load the packet programs into the kernel, with tables for [flows] capacity {flows}")
    })?;
    Programs::load(&mut ebpf, pins, object(capacity.flow_map))
}

/// Refuses pins that are not this version's datapath, as [`Datapath::load`] does.
pub fn check_pins(pins: &Pins) -> Result<()> {
    inspect::check(pins)
}

/// Lets the kernel judge the programs, over small tables, and drops them.
pub fn try_load() -> Result<()> {
    programs::verify(&mut load_small()?)
}

/// Attaches the XDP program natively, over empty tables, to an interface that has none, and takes it off: for a moment
/// every packet passes through it to the kernel.
pub fn try_attach(index: u32) -> Result<()> {
    let mut ebpf = load_small()?;
    programs::verify(&mut ebpf)?;
    programs::attach_for_a_moment(&mut ebpf, index)
}

/// The memory that tables of this capacity take at once, in bytes; those of [`FlowMap::Hash`] take theirs with use, and this
/// much when they are full.
pub fn table_memory(capacity: Capacity) -> Result<u64> {
    /// What the kernel adds to an entry of a hash map, about.
    const HASH_OVERHEAD: u64 = 64;
    let object = Object::parse(object(capacity.flow_map)).context("read the packet programs")?;
    let processors = nr_cpus().map_err(|(_, error)| error).context("count the processors")? as u64;
    let size = |(name, entries): (&str, u32)| {
        let map = object.maps.get(name).with_context(|| format!("the packet programs have no map {name}"))?;
        let value = u64::from(map.value_size()).next_multiple_of(8);
        let is = |kind: MapType| map.map_type() == kind as u32;
        let entry = match () {
            () if is(MapType::Array) => value,
            () if is(MapType::PerCpuArray) => value * processors,
            () => value + u64::from(map.key_size()) + HASH_OVERHEAD,
        };
        anyhow::Ok(entry * u64::from(entries))
    };
    capacity.map_sizes().into_iter().map(size).sum()
}

fn load_small() -> Result<Ebpf> {
    let flow_map = FlowMap::default();
    let capacity = Capacity { flows: 1, half_open: 1, backends: 1, flow_map };
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for (name, entries) in capacity.map_sizes() {
        loader.map_max_entries(name, entries);
    }
    loader.load(object(flow_map)).context("load the maps")
}

/// Has the kernel count runs and run time of all packet programs, until the descriptor is closed.
pub fn count_run_time() -> Result<OwnedFd> {
    Ok(enable_stats(Stats::RunTime)?)
}

/// What [`detach`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// There was a datapath.
    pub was_there: bool,
    /// Interfaces whose clsact qdisc is the gateway's and of no more use.
    pub qdiscs: Vec<String>,
    /// What is among the pins, is not the gateway's, and was left alone.
    pub foreign: Vec<PathBuf>,
}

/// Takes the datapath, of whatever version, off every interface and removes what is pinned.
pub fn detach(pins: &Pins) -> Result<Detached> {
    let mut detached = Detached::default();
    for version in pins.versions()? {
        for name in version.attached()? {
            if attach::detach(&version, &name)? {
                detached.qdiscs.push(name);
            }
        }
        version.remove()?;
        detached.was_there = true;
    }
    detached.foreign = pins.foreign()?;
    Ok(detached)
}

/// Another handle of a map of programs that were loaded without pins.
pub fn map_handle(ebpf: &Ebpf, name: &str) -> Result<MapData> {
    let map = ebpf.map(name).with_context(|| format!("the object has no {name}"))?;
    let data = map_data(map).with_context(|| format!("{name} is a map of another kind"))?;
    let fd = data.fd().as_fd().try_clone_to_owned().with_context(|| format!("duplicate the handle of {name}"))?;
    MapData::from_fd(fd).with_context(|| format!("open {name}"))
}

fn kind_of(flows: &MapData) -> Result<FlowMap> {
    let kind = flows.info().and_then(|info| info.map_type()).context("ask for the kind of the pinned flow table")?;
    Ok(if kind == MapType::Array { FlowMap::Buckets } else { FlowMap::Hash })
}

fn map_data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) | Map::PerCpuArray(data) => Some(data),
        _ => None,
    }
}

/// The folder of the pins when nothing else is said.
pub fn default_pins() -> &'static Path {
    Path::new("/sys/fs/bpf/gateway")
}
