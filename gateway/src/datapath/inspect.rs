//! What is pinned, judged before anything is touched: it is taken over as a whole, or refused with the way out.
//!
//! Foreign is what another version of the gateway has pinned, and what nobody of the gateway's has: things of another kind
//! at a pin's place, links with a program that is not pinned beside them, names that no pin has. Unfinished is what a start
//! leaves that was killed: that is completed.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    maps::MapInfo,
    programs::{
        ProgramInfo,
        links::{FdLink, LinkType, PinnedLink},
    },
};
use aya_obj::Object;

use super::{
    Capacity, Pins, object,
    object_kind::{self, Kind},
    pins::{MAPS, MODES, list},
    program_maps,
    programs::NAMES,
};
use crate::model::status::AttachMode;

const WAY_OUT: &str = "what is attached goes on as it is; `gateway detach` takes it off and removes the gateway's pins, \
                       which ends the connections through it, and then the gateway starts afresh";

/// Refuses pins that are not this version's datapath or the beginning of one.
pub fn check(pins: &Pins) -> Result<()> {
    no_foreign_names(pins)?;
    let programs = pinned_programs(pins)?;
    let mut maps = HashSet::new();
    for path in MAPS.map(|name| pins.map(name)) {
        if expect_kind(&path, Kind::Map)? {
            maps.insert(MapInfo::from_pin(&path).with_context(|| format!("open the map {}", path.display()))?.id());
        }
    }
    let mut links = 0;
    for mode in MODES {
        for path in list(&pins.mode(mode))?.into_iter().map(|name| pins.mode(mode).join(name)) {
            expect_kind(&path, Kind::Link)?;
            let program = check_link(&path, mode, &programs)?;
            ensure!(
                maps.is_subset(program),
                "{} runs over other maps than those that are pinned: {WAY_OUT}",
                path.display()
            );
            links += 1;
        }
    }
    let missing = MAPS.iter().find(|name| !pins.map(name).exists());
    if let (Some(missing), true) = (missing, links > 0 || !pins.filters()?.is_empty()) {
        bail!("{} is gone, and a datapath that uses it is attached: {WAY_OUT}", pins.map(missing).display());
    }
    Ok(())
}

/// Refuses pinned maps that programs of this build cannot use.
pub fn check_layouts(pins: &Pins, capacity: Capacity) -> Result<()> {
    let ours = Object::parse(object(capacity.flow_map)).context("read the packet programs")?;
    let sized = capacity.map_sizes().map(|(name, _)| name);
    for name in MAPS {
        let path = pins.map(name);
        if !path.exists() {
            continue;
        }
        let pinned = MapInfo::from_pin(&path).with_context(|| format!("open the pinned map {}", path.display()))?;
        let expected = ours.maps.get(name).with_context(|| format!("the packet programs have no map {name}"))?;
        let kind = pinned.map_type().map(|kind| kind as u32).unwrap_or(u32::MAX);
        ensure!(
            (kind, pinned.key_size(), pinned.value_size())
                == (expected.map_type(), expected.key_size(), expected.value_size())
                && (sized.contains(&name) || pinned.max_entries() == expected.max_entries()),
            "the pinned map {} has another layout than this gateway's: {WAY_OUT}",
            path.display()
        );
    }
    Ok(())
}

fn no_foreign_names(pins: &Pins) -> Result<()> {
    if let Some(foreign) = pins.foreign()?.first() {
        bail!("{} is not the gateway's: move it away, or name another folder with --bpffs", foreign.display());
    }
    let version = pins.folder();
    if let Some(other) = pins.versions()?.into_iter().find(|other| other.folder() != version) {
        let attached: Vec<String> = other.attached()?.into_iter().collect();
        let attached = if attached.is_empty() { "nothing".to_owned() } else { attached.join(", ") };
        bail!(
            "{} is the datapath of another version of the gateway, attached to {attached}: start that version again, or \
             let go of it: {WAY_OUT}",
            other.folder().display()
        );
    }
    let known = pins.folder_names();
    let in_version = list(&version)?.into_iter().filter(|name| !known.contains(&name.as_str()));
    let maps = version.join(Pins::MAPS);
    let in_maps = list(&maps)?.into_iter().filter(|name| !MAPS.contains(&name.as_str()));
    let foreign = in_version.map(|name| version.join(name)).chain(in_maps.map(|name| maps.join(name))).next();
    match foreign {
        Some(path) => {
            bail!("{} is not the gateway's: move it away, or name another folder with --bpffs", path.display())
        }
        None => Ok(()),
    }
}

/// The pinned programs, of whatever build, by their identifiers, with those of their maps.
pub fn pinned_programs(pins: &Pins) -> Result<HashMap<u32, HashSet<u32>>> {
    let mut programs = HashMap::new();
    for build in list(&pins.programs())? {
        for (name, kind) in NAMES {
            let path = pins.programs().join(&build).join(name);
            if expect_kind(&path, Kind::Program)? {
                let info = ProgramInfo::from_pin(&path).with_context(|| format!("open {}", path.display()))?;
                ensure!(info.program_type() == kind, "{} is a program of another type: {WAY_OUT}", path.display());
                let maps = object_kind::open(&path).and_then(program_maps::map_ids);
                let maps = maps.with_context(|| format!("ask for the maps of {}", path.display()))?;
                programs.insert(info.id(), maps.into_iter().collect());
            }
        }
    }
    Ok(programs)
}

/// The maps of the program that a link runs.
fn check_link<'a>(path: &Path, mode: AttachMode, programs: &'a HashMap<u32, HashSet<u32>>) -> Result<&'a HashSet<u32>> {
    let link = FdLink::from(PinnedLink::from_pin(path).with_context(|| format!("open the link {}", path.display()))?);
    let info = link.info().with_context(|| format!("ask for the link {}", path.display()))?;
    let expected = if mode == AttachMode::Tc { LinkType::Tcx } else { LinkType::Xdp };
    let program = programs.get(&info.program_id()).filter(|_| info.link_type().is_ok_and(|found| found == expected));
    program.with_context(|| {
        format!("the link {} does not run a program of the gateway's that is pinned: {WAY_OUT}", path.display())
    })
}

/// Whether something is at `path`; if so it is of this kind.
fn expect_kind(path: &Path, kind: Kind) -> Result<bool> {
    let found = Kind::of(path).with_context(|| format!("open the pin {}", path.display()))?;
    match found {
        None if fs::symlink_metadata(path).is_err() => Ok(false),
        Some(found) if found == kind => Ok(true),
        found => {
            let found = found.unwrap_or(Kind::Foreign).name();
            bail!("{} is {found}, where the gateway pins {}: {WAY_OUT}", path.display(), kind.name())
        }
    }
}
