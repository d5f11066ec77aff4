//! Where the datapath is pinned, and what is there.
//!
//! `ROOT/v1/maps/NAME`, and `ROOT/v1/MODE/INTERFACE` for the link in each mode, with the version of the map layouts:
//! one of another version lies beside it, is recognised, and is not touched.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gateway_common::abi::VERSION;

use crate::model::status::AttachMode;

/// The maps by their names in the object.
pub const MAPS: [&str; 11] = [
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
];

const MODES: [AttachMode; 3] = [AttachMode::XdpNative, AttachMode::XdpGeneric, AttachMode::Tc];

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
        for folder in MODES.map(AttachMode::name).into_iter().chain(["maps"]) {
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

    /// The link of `interface` in `mode`.
    pub fn link(&self, mode: AttachMode, interface: &str) -> PathBuf {
        self.version().join(mode.name()).join(interface.replace('.', DOT))
    }

    /// Interfaces that something is pinned for.
    pub fn attached(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for mode in MODES {
            names.extend(list(&self.version().join(mode.name()))?.iter().map(|name| name.replace(DOT, ".")));
        }
        Ok(names)
    }

    /// Removes everything below the root, and the root.
    pub fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.root).with_context(|| format!("remove {}", self.root.display()))
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
