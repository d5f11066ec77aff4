//! The packet programs in the kernel: loaded, or taken over from an earlier daemon.
//!
//! The kernel verifies what it loads, which takes longer than all else of a start. So the programs are pinned in a folder
//! that is named after the object they come from, and a daemon of the same build takes them over, provided that
//! they use the very maps that are pinned.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::MapData,
    programs::{Program, SchedClassifier, Xdp, XdpMode},
};
use aya_obj::{generated::bpf_prog_type, programs::XdpAttachType};

use super::{
    Pins,
    pins::{self, list},
    program_maps::map_ids,
};

const XDP: &str = "gateway_xdp";
pub const TC: &str = "gateway_tc";

/// The programs by their names in the object, with their types.
pub const NAMES: [(&str, bpf_prog_type); 2] =
    [(XDP, bpf_prog_type::BPF_PROG_TYPE_XDP), (TC, bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS)];

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

    /// Puts the programs of `object`, which is loaded, into the kernel and pins them beside any others.
    pub fn load(ebpf: &mut Ebpf, pins: &Pins, object: &[u8]) -> Result<Self> {
        let folder = folder(pins, object);
        // Programs of this build over other maps, or one without the other.
        remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
        verify(ebpf)?;
        for name in [XDP, TC] {
            let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
            program.pin(folder.join(name)).with_context(|| format!("pin the program {name}"))?;
        }
        Self::open(&folder)
    }

    /// Removes the pins of other builds: to be called when no link runs them any more, because a link is known by its
    /// program.
    pub fn forget_others(pins: &Pins, object: &[u8]) -> Result<()> {
        let own = folder(pins, object);
        let all = list(&pins.programs())?.into_iter().map(|build| pins.programs().join(build));
        all.filter(|build| *build != own).try_for_each(|build| remove(&build))
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
        let used = [map_ids(self.xdp.fd()?)?, map_ids(self.tc.fd()?)?];
        Ok(used.into_iter().all(|used| pinned.iter().all(|id| used.contains(id))))
    }
}

/// Puts the programs of `ebpf` into the kernel.
pub fn verify(ebpf: &mut Ebpf) -> Result<()> {
    for name in [XDP, TC] {
        match ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))? {
            Program::Xdp(xdp) => xdp.load().context("load the XDP program")?,
            Program::SchedClassifier(tc) => tc.load().context("load the TC program")?,
            _ => anyhow::bail!("{name} is a program of another type"),
        }
    }
    Ok(())
}

/// Runs the XDP program, which is loaded, natively on an interface, and takes it off.
pub fn attach_for_a_moment(ebpf: &mut Ebpf, index: u32) -> Result<()> {
    let program = ebpf.program_mut(XDP).with_context(|| format!("the object has no program {XDP}"))?;
    let xdp: &mut Xdp = program.try_into().context("it is a program of another type")?;
    let link = xdp.attach_to_if_index(index, XdpMode::Driver).context("the driver refuses it")?;
    xdp.detach(link).context("take it off")
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn folder(pins: &Pins, object: &[u8]) -> PathBuf {
    let fingerprint = BuildHasherDefault::<DefaultHasher>::default().hash_one(object);
    pins.programs().join(format!("{fingerprint:016x}"))
}
