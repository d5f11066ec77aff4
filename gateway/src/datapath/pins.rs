//! Where the datapath is pinned, and what is there.
//!
//! `ROOT/v3/maps/NAME`, and `ROOT/v3/MODE/INTERFACE` for the link in each mode, with the version of the map layouts:
//! one of another version lies beside it, is recognised, and is not touched. The programs are in `ROOT/v3/programs`. A TC
//! filter, which is no link, is noted as the empty folder `ROOT/v3/clsact/INTERFACE`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gateway_common::abi::VERSION;

use crate::model::status::AttachMode;

/// The maps by their names in the object.
pub const MAPS: [&str; 14] = [
    "FLOWS",
    "HALF_OPEN",
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "OPEN_FLOWS",
    "COUNTERS",
    "REASONS",
    "SNAT",
    "LINKS",
    "SETTINGS",
    "LIMITS",
    "TOTAL_USAGE",
    "SOURCE_USAGE",
];

const MODES: [AttachMode; 3] = [AttachMode::XdpNative, AttachMode::XdpGeneric, AttachMode::Tc];

/// The folder of notes about TC filters.
const FILTERS: &str = "clsact";

/// A bpffs refuses names with a dot, which VLAN interfaces have; U+2024, one dot leader, stands for it.
const DOT: &str = "\u{2024}";

/// A folder on a bpffs that belongs to the gateway.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folders. Refuses where another version of the gateway has pinned its own.
    pub fn prepare(&self) -> Result<()> {
        for entry in list(&self.root)? {
            if entry != version_name() {
                bail!(
                    "{} holds {entry}, which another version of the gateway has pinned; stop that one and run its \
                     `gateway detach`, or remove the folder",
                    self.root.display()
                );
            }
        }
        for folder in MODES.map(AttachMode::name).into_iter().chain(["maps", FILTERS]) {
            let path = self.version().join(folder);
            fs::create_dir_all(&path).with_context(|| format!("make the folder {}", path.display()))?;
        }
        Ok(())
    }

    pub fn exist(&self) -> bool {
        self.root.exists()
    }

    pub fn map(&self, name: &str) -> PathBuf {
        self.version().join("maps").join(name)
    }

    /// The folder of the programs, each build's in a folder of its own.
    pub fn programs(&self) -> PathBuf {
        self.version().join("programs")
    }

    /// The link of `interface` in `mode`.
    pub fn link(&self, mode: AttachMode, interface: &str) -> PathBuf {
        self.version().join(mode.name()).join(interface.replace('.', DOT))
    }

    /// Notes that `interface` has a TC filter, of which nothing else would tell a later process.
    pub fn note_filter(&self, interface: &str) -> Result<()> {
        let note = self.filter(interface);
        fs::create_dir_all(&note).with_context(|| format!("make the folder {}", note.display()))
    }

    /// Forgets the note, if there is one.
    pub fn forget_filter(&self, interface: &str) -> Result<()> {
        let note = self.filter(interface);
        match fs::remove_dir(&note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove the folder {}", note.display()))
            }
            _ => Ok(()),
        }
    }

    /// Interfaces that something is pinned or noted for.
    pub fn attached(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for folder in MODES.map(AttachMode::name).into_iter().chain([FILTERS]) {
            names.extend(list(&self.version().join(folder))?.iter().map(|name| name.replace(DOT, ".")));
        }
        Ok(names)
    }

    /// Removes everything below the root, and the root.
    pub fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.root).with_context(|| format!("remove {}", self.root.display()))
    }

    fn filter(&self, interface: &str) -> PathBuf {
        self.version().join(FILTERS).join(interface.replace('.', DOT))
    }

    fn version(&self) -> PathBuf {
        self.root.join(version_name())
    }
}

fn version_name() -> String {
    format!("v{VERSION}")
}

fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("list {}", folder.display())),
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .with_context(|| format!("list {}", folder.display()))
}
