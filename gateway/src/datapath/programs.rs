//! The packet programs in the kernel: loaded, or taken over from an earlier daemon.
//!
//! The kernel verifies what it loads, which takes longer than all else of a start. So the programs are pinned in a folder
//! that is named after the object they come from, and a daemon of the same build takes them over, provided that
//! they use the very maps that are pinned.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::MapData,
    programs::{Program, SchedClassifier, Xdp},
};
use aya_obj::programs::XdpAttachType;

use super::{Pins, pins};

const XDP: &str = "gateway_xdp";
pub const TC: &str = "gateway_tc";

/// Both programs, pinned.
pub struct Programs {
    pub xdp: Xdp,
    pub tc: SchedClassifier,
}

impl Programs {
    /// Those of an earlier daemon, if they come from this object and are over the pinned maps.
    pub fn adopt(pins: &Pins, object: &[u8]) -> Option<Self> {
        let programs = Self::open(&folder(pins, object)).ok()?;
        let over_pinned_maps = programs.use_maps_of(pins).unwrap_or(false);
        over_pinned_maps.then_some(programs)
    }

    /// Puts the programs of `object`, which is loaded, into the kernel and pins them, in place of any others.
    pub fn load(ebpf: &mut Ebpf, pins: &Pins, object: &[u8]) -> Result<Self> {
        let folder = folder(pins, object);
        // What interfaces run stays, by their links.
        let _ = fs::remove_dir_all(pins.programs());
        fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
        for name in [XDP, TC] {
            let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
            match program {
                Program::Xdp(xdp) => xdp.load().context("load the XDP program")?,
                Program::SchedClassifier(tc) => tc.load().context("load the TC program")?,
                _ => anyhow::bail!("{name} is a program of another type"),
            }
            program.pin(folder.join(name)).with_context(|| format!("pin the program {name}"))?;
        }
        Self::open(&folder)
    }

    fn open(folder: &Path) -> Result<Self> {
        let open = |name| folder.join(name);
        Ok(Self {
            xdp: Xdp::from_pin(open(XDP), XdpAttachType::Interface).context("open the pinned XDP program")?,
            tc: SchedClassifier::from_pin(open(TC)).context("open the pinned TC program")?,
        })
    }

    fn use_maps_of(&self, pins: &Pins) -> Result<bool> {
        let pinned = pins::MAPS.iter().map(|name| Ok(MapData::from_pin(pins.map(name))?.info()?.id()));
        let pinned = pinned.collect::<Result<HashSet<u32>>>()?;
        let used = [self.xdp.info()?.map_ids()?, self.tc.info()?.map_ids()?];
        Ok(used.into_iter().all(|used| used.is_some_and(|used| pinned.iter().all(|id| used.contains(id)))))
    }
}

fn folder(pins: &Pins, object: &[u8]) -> PathBuf {
    let fingerprint = BuildHasherDefault::<DefaultHasher>::default().hash_one(object);
    pins.programs().join(format!("{fingerprint:016x}"))
}
