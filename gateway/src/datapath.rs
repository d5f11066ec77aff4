//! The packet programs in the kernel: load, attach, pin, adopt, detach.
//!
//! Maps, and where the kernel has them links, are pinned below one folder of a bpffs, so packets never depend on
//! this process: a daemon that starts finds what is pinned, adopts the maps if their layouts are its own, and
//! replaces the programs in one step. Nothing of another version is ever adopted.

mod attach;
mod pins;

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapType},
    programs::{SchedClassifier, Xdp},
};
use gateway_common::abi::{Settings, buckets_for};

pub use attach::{Attached, Wanted};
pub use pins::Pins;

use crate::{host::links::Interface, model::flow::FlowMap};

/// The compiled packet programs, with a flow table of either kind.
static BUCKETS_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-buckets"));
static HASH_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-hash"));

const XDP_PROGRAM: &str = "gateway_xdp";
const TC_PROGRAM: &str = "gateway_tc";

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
    pub fn map_sizes(self) -> [(&'static str, u32); 6] {
        // A flow is two entries. Room beyond the capacity is for handshakes that complete at the limit.
        let flow_entries = self.flows.saturating_add(self.half_open).saturating_mul(2);
        [
            ("FLOWS", flow_map_size(self.flow_map, flow_entries)),
            ("HALF_OPEN", flow_map_size(self.flow_map, self.half_open.saturating_mul(2))),
            ("SLOTS", self.backends.saturating_mul(64).max(1 << 16)),
            ("BACKENDS", self.backends.saturating_add(1)),
            ("OPEN_FLOWS", self.backends.saturating_add(1)),
            ("COUNTERS", self.backends.saturating_add(1)),
        ]
    }
}

/// The loaded programs.
pub struct Datapath {
    ebpf: Mutex<Ebpf>,
    pins: Pins,
}

impl Datapath {
    /// Loads the programs, over the pinned maps if there are any.
    pub fn load(pins: Pins, mut capacity: Capacity) -> Result<Self> {
        pins.prepare()?;
        if let Ok(pinned) = MapData::from_pin(pins.map("FLOWS")) {
            capacity.flow_map = kind_of(&pinned)?;
        }
        let mut loader = EbpfLoader::new();
        let paths = pins::MAPS.map(|name| (name, pins.map(name)));
        for (name, path) in &paths {
            loader.map_pin_path(name, path.as_path());
        }
        for (name, entries) in capacity.map_sizes() {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load(object(capacity.flow_map)).context("load the packet programs into the kernel")?;
        ebpf_program::<Xdp>(&mut ebpf, XDP_PROGRAM)?.load().context("load the XDP program")?;
        ebpf_program::<SchedClassifier>(&mut ebpf, TC_PROGRAM)?.load().context("load the TC program")?;
        let datapath = Self { ebpf: Mutex::new(ebpf), pins };
        datapath.check_adopted()?;
        datapath.prepare_settings(capacity.flow_map)?;
        Ok(datapath)
    }

    /// A second handle of a map, for whoever reads or writes it.
    pub fn map(&self, name: &str) -> Result<MapData> {
        MapData::from_pin(self.pins.map(name)).with_context(|| format!("open the pinned map {name}"))
    }

    /// Attaches to `interface` in the wanted mode, replacing an earlier gateway's programs in one step.
    pub fn attach(&self, interface: &Interface, wanted: Wanted) -> Result<Attached> {
        attach::attach(&mut self.ebpf(), &self.pins, interface, wanted)
    }

    /// Takes the programs off an interface, which may be gone.
    pub fn detach(&self, name: &str) -> Result<()> {
        attach::detach(&self.pins, name)
    }

    /// Takes the programs off interfaces that are pinned but not among `wanted`.
    pub fn detach_others(&self, wanted: &[&str]) -> Result<()> {
        for name in self.pins.attached()? {
            if !wanted.contains(&name.as_str()) {
                attach::detach(&self.pins, &name)?;
            }
        }
        Ok(())
    }

    /// Gives fresh maps what never changes: the flow table's size and the secrets of the hashes.
    fn prepare_settings(&self, flow_map: FlowMap) -> Result<()> {
        let size = |name| -> Result<u32> {
            let info = self.map(name)?.info().with_context(|| format!("ask for the size of {name}"))?;
            Ok(if flow_map == FlowMap::Buckets { info.max_entries() } else { 0 })
        };
        let mut map: Array<_, Settings> =
            Array::try_from(Map::Array(self.map("SETTINGS")?)).context("open the settings")?;
        let mut settings = map.get(&0, 0).context("read the settings")?;
        if settings.seed == 0 {
            let random = |number| RandomState::new().hash_one(number) as u32;
            settings.seed = random(0) | 1;
            settings.hash_keys = std::array::from_fn(random);
        }
        (settings.buckets, settings.half_open_buckets) = (size("FLOWS")?, size("HALF_OPEN")?);
        map.set(0, settings, 0).context("write the settings")
    }

    fn ebpf(&self) -> MutexGuard<'_, Ebpf> {
        self.ebpf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adopted maps have the layouts of this build, whatever their folder's name says.
    fn check_adopted(&self) -> Result<()> {
        for (name, map) in self.ebpf().maps() {
            let Some(data) = map_data(map) else { continue };
            let Ok(pinned) = MapData::from_pin(self.pins.map(name)) else { continue };
            let (ours, theirs) = (data.info()?, pinned.info()?);
            ensure!(
                (ours.key_size(), ours.value_size()) == (theirs.key_size(), theirs.value_size()),
                "the pinned map {name} has another layout; remove it with `gateway detach`"
            );
        }
        Ok(())
    }
}

/// Takes the datapath off every interface and removes what is pinned. `false`: there was nothing.
pub fn detach(pins: &Pins) -> Result<bool> {
    if !pins.exist() {
        return Ok(false);
    }
    for name in pins.attached()? {
        attach::detach(pins, &name)?;
    }
    pins.remove()?;
    Ok(true)
}

fn ebpf_program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    program.try_into().with_context(|| format!("{name} is a program of another type"))
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
