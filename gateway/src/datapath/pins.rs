//! Where the datapath is pinned, and what is there.
//!
//! `ROOT/vN/maps/NAME`, and `ROOT/vN/MODE/INTERFACE` for the link in each mode, with the version of the map layouts:
//! one of another version lies beside it, is recognised, and is not touched. The programs are in `ROOT/vN/programs`. A TC
//! filter, which is no link, is noted as the folder `ROOT/vN/clsact/INTERFACE`, with a folder `qdisc` in it where the
//! gateway made the queueing discipline that carries it. What else is below the root is not the gateway's.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use gateway_common::abi::VERSION;

use crate::model::status::AttachMode;

/// The maps by their names in the object.
pub const MAPS: [&str; 17] = [
    "FLOWS",
    "HALF_OPEN",
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "OPEN_FLOWS",
    "PRESSURE",
    "COUNTERS",
    "REASONS",
    "SNAT",
    "LINKS",
    "SETTINGS",
    "LIMITS",
    "TOTAL_USAGE",
    "SOURCE_USAGE",
    "WATCH",
    "SIGHTINGS",
];

pub const MODES: [AttachMode; 3] = [AttachMode::XdpNative, AttachMode::XdpGeneric, AttachMode::Tc];

/// The folder of notes about TC filters.
const FILTERS: &str = "clsact";

/// In the note of a filter: the queueing discipline is the gateway's too.
const QDISC: &str = "qdisc";

/// A bpffs refuses names with a dot, which VLAN interfaces have; U+2024, one dot leader, stands for it.
const DOT: &str = "\u{2024}";

/// A folder on a bpffs that belongs to the gateway.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    /// Name of the folder of one version.
    version: String,
}

impl Pins {
    /// The folder of the maps.
    pub const MAPS: &str = "maps";
    /// The folder of the programs.
    const PROGRAMS: &str = "programs";

    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), version: format!("v{VERSION}") }
    }

    /// Those of every version that is there, below the same root.
    pub fn versions(&self) -> Result<Vec<Self>> {
        let names = list(&self.root)?.into_iter().filter(|name| is_version(name));
        Ok(names.map(|version| Self { root: self.root.clone(), version }).collect())
    }

    /// What is below the root and not the gateway's.
    pub fn foreign(&self) -> Result<Vec<PathBuf>> {
        let names = list(&self.root)?.into_iter().filter(|name| !is_version(name));
        Ok(names.map(|name| self.root.join(name)).collect())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folders.
    pub fn prepare(&self) -> Result<()> {
        for folder in self.folder_names() {
            let path = self.folder().join(folder);
            fs::create_dir_all(&path).with_context(|| format!("make the folder {}", path.display()))?;
        }
        Ok(())
    }

    pub fn exist(&self) -> bool {
        self.root.exists()
    }

    /// The folder of this version.
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.version)
    }

    /// What is in it.
    pub fn folder_names(&self) -> [&'static str; 6] {
        let [native, generic, tc] = MODES.map(AttachMode::name);
        [native, generic, tc, Self::MAPS, Self::PROGRAMS, FILTERS]
    }

    /// The folder of the links in one mode.
    pub fn mode(&self, mode: AttachMode) -> PathBuf {
        self.folder().join(mode.name())
    }

    /// Interfaces that a TC filter is noted for.
    pub fn filters(&self) -> Result<Vec<String>> {
        list(&self.folder().join(FILTERS))
    }

    pub fn map(&self, name: &str) -> PathBuf {
        self.folder().join(Self::MAPS).join(name)
    }

    /// The folder of the programs, each build's in a folder of its own.
    pub fn programs(&self) -> PathBuf {
        self.folder().join(Self::PROGRAMS)
    }

    /// The link of `interface` in `mode`.
    pub fn link(&self, mode: AttachMode, interface: &str) -> PathBuf {
        self.mode(mode).join(interface.replace('.', DOT))
    }

    /// Notes that `interface` has a TC filter, of which nothing else would tell a later process.
    pub fn note_filter(&self, interface: &str) -> Result<()> {
        let note = self.filter(interface);
        fs::create_dir_all(&note).with_context(|| format!("make the folder {}", note.display()))
    }

    /// Notes that the clsact qdisc of `interface` is the gateway's.
    pub fn note_qdisc(&self, interface: &str) -> Result<()> {
        let note = self.filter(interface).join(QDISC);
        fs::create_dir_all(&note).with_context(|| format!("make the folder {}", note.display()))
    }

    /// Forgets the notes, if there are any. `true`: the clsact qdisc was the gateway's.
    pub fn forget_filter(&self, interface: &str) -> Result<bool> {
        let note = self.filter(interface);
        let made_qdisc = remove_folder(&note.join(QDISC))?;
        remove_folder(&note)?;
        Ok(made_qdisc)
    }

    /// Interfaces that something is pinned or noted for, in whatever mode the version knows.
    pub fn attached(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for folder in list(&self.folder())? {
            if folder != Self::MAPS && folder != Self::PROGRAMS {
                names.extend(list(&self.folder().join(folder))?.iter().map(|name| name.replace(DOT, ".")));
            }
        }
        Ok(names)
    }

    /// Removes everything of this version, and the root if that was all.
    pub fn remove(&self) -> Result<()> {
        let version = self.folder();
        fs::remove_dir_all(&version).with_context(|| format!("remove {}", version.display()))?;
        if list(&self.root)?.is_empty() {
            remove_folder(&self.root)?;
        }
        Ok(())
    }

    fn filter(&self, interface: &str) -> PathBuf {
        self.folder().join(FILTERS).join(interface.replace('.', DOT))
    }
}

/// Whether a version of the gateway has given this name.
fn is_version(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit()))
}

/// Removes an empty folder. `false`: there was none.
fn remove_folder(path: &Path) -> Result<bool> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("remove the folder {}", path.display())),
    }
}

/// The names in a folder, sorted; none if it is not there.
pub fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("list {}", folder.display())),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().with_context(|| format!("list {}", folder.display()))?;
    names.sort_unstable();
    Ok(names)
}
