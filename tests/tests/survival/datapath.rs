//! What the kernel holds of a lab's gateway, by the identifiers that the kernel gives.

use std::{collections::BTreeMap, path::PathBuf};

use aya::{
    maps::MapInfo,
    programs::{
        ProgramInfo,
        links::{FdLink, PinnedLink},
    },
};
use gateway_tests::{Lab, leftovers::pins_of};

/// Identifiers of everything that is pinned, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    pub programs: BTreeMap<PathBuf, u32>,
    pub maps: BTreeMap<PathBuf, u32>,
    /// Each with the program that it runs.
    pub links: BTreeMap<PathBuf, (u32, u32)>,
}

impl Pinned {
    /// Of the datapath of a lab.
    #[track_caller]
    pub fn of(lab: &Lab) -> Self {
        let mut pinned = Self::default();
        for path in pins(lab) {
            let folder = |name: &str| path.iter().any(|part| part == name);
            if folder("programs") {
                let program = ProgramInfo::from_pin(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                pinned.programs.insert(path, program.id());
            } else if folder("maps") {
                let map = MapInfo::from_pin(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                pinned.maps.insert(path, map.id());
            } else {
                let link = PinnedLink::from_pin(&path).map(FdLink::from).and_then(|link| link.info());
                let link = link.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                pinned.links.insert(path, (link.id(), link.program_id()));
            }
        }
        pinned
    }

    /// The identifiers of the links alone.
    pub fn link_ids(&self) -> Vec<u32> {
        self.links.values().map(|(link, _)| *link).collect()
    }

    /// The programs that the links run.
    pub fn attached(&self) -> Vec<u32> {
        self.links.values().map(|(_, program)| *program).collect()
    }
}

/// Every pin of a lab.
pub fn pins(lab: &Lab) -> Vec<PathBuf> {
    pins_of(lab.id())
}
