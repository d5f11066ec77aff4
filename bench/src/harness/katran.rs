//! Katran's balancer (facebookincubator/katran), from an object that the user has built: one service, one backend.
//!
//! The object is loaded by bpftool, whose library knows its maps of maps. Nothing of Katran is part of this repository;
//! maps are found by their names.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use aya::{
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
    programs::{ProgramFd, ProgramInfo},
};
use gateway_tests::LabId;

use super::{
    SERVICE_PORT, batch,
    plan::{BACKENDS, SERVICE},
};

const TCP: u8 = 6;
/// Of its consistent hashing, for the first service.
const RING: u32 = 65_537;
const BACKEND: u32 = 1;

/// The program with its maps, pinned in a folder that goes with the value.
pub struct Katran {
    pins: PathBuf,
}

impl Katran {
    /// Flows that it may know, twice the most that are measured.
    pub const FLOWS: u32 = 1 << 21;

    pub fn load(object: &Path) -> Result<Self> {
        let katran = Self { pins: PathBuf::from(format!("/sys/fs/bpf/gwtest-{}", LabId::new())) };
        fs::create_dir(&katran.pins).with_context(|| format!("create {}", katran.pins.display()))?;
        let object = object.to_str().context("the path of Katran's object is no text")?;
        bpftool(&["prog", "load", object, &katran.pin("program"), "type", "xdp", "pinmaps", &katran.pin("")])
            .with_context(|| format!("load {object}"))?;
        katran.give_it_flows()?;
        katran.give_it_a_service()?;
        Ok(katran)
    }

    pub fn program(&self) -> Result<ProgramFd> {
        let program = ProgramInfo::from_pin(self.pin("program")).context("open Katran's program")?;
        program.fd().context("open Katran's program")
    }

    /// Packets of TCP whose flow it did not know. Its counters are pairs of numbers.
    pub fn misses(&self) -> Result<u64> {
        let stats = PerCpuArray::<_, [u64; 2]>::try_from(Map::PerCpuArray(self.map("stats")?))?;
        // The first half belongs to services, the second starts with all packets and all misses.
        let totals = stats.len() / 2;
        Ok(stats.get(&totals, 0).context("read Katran's counters")?.iter().map(|[_, misses]| misses).sum())
    }

    /// One table for all processors, of which the measurements use one.
    fn give_it_flows(&self) -> Result<()> {
        let (table, mapping) = (self.pin("flows"), self.pin("lru_mapping"));
        let entries = Self::FLOWS.to_string();
        let size = ["key", "40", "value", "16", "entries", &entries, "name", "flows"];
        bpftool(&[&["map", "create", &table, "type", "lru_hash"], &size[..]].concat())?;
        for cpu in 0..aya::util::nr_cpus().map_err(|(_, error)| error).context("count the processors")? {
            let key = u32::try_from(cpu)?.to_ne_bytes().map(|byte| byte.to_string());
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            let update = ["map", "update", "pinned", &mapping, "key"];
            bpftool(&[&update[..], &key, &["value", "pinned", &table]].concat())?;
        }
        Ok(())
    }

    fn give_it_a_service(&self) -> Result<()> {
        // An address in a field for either family, port, protocol; flags and number.
        let mut key = [0_u8; 20];
        key[..4].copy_from_slice(&SERVICE.to_be_bytes());
        key[16..18].copy_from_slice(&(SERVICE_PORT as u16).to_be_bytes());
        key[18] = TCP;
        let mut services = HashMap::<_, [u8; 20], [u32; 2]>::try_from(Map::HashMap(self.map("vip_map")?))?;
        services.insert(key, [0, 0], 0).context("write Katran's service")?;
        // An address likewise, and flags.
        let mut backend = [0_u8; 20];
        backend[..4].copy_from_slice(&BACKENDS.to_be_bytes());
        let mut backends = Array::<_, [u8; 20]>::try_from(Map::Array(self.map("reals")?))?;
        backends.set(BACKEND, backend, 0).context("write Katran's backend")?;
        let ring = self.map("ch_rings")?;
        let places: Vec<u32> = (0..RING.min(ring.info()?.max_entries())).collect();
        batch::update(&ring, &places, &vec![BACKEND; places.len()]).context("write Katran's ring")?;
        let mut control = Array::<_, [u8; 8]>::try_from(Map::Array(self.map("ctl_array")?))?;
        control.set(0, [2, 0, 0, 0, 0, 0xb1, 0, 0], 0).context("write Katran's router")
    }

    fn map(&self, name: &str) -> Result<MapData> {
        MapData::from_pin(self.pin(name)).with_context(|| format!("Katran's object has no map {name}"))
    }

    fn pin(&self, name: &str) -> String {
        self.pins.join(name).display().to_string()
    }
}

impl Drop for Katran {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.pins) {
            eprintln!("cannot remove {}: {error}", self.pins.display());
        }
    }
}

fn bpftool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("bpftool").args(arguments).output().context("start bpftool")?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "bpftool {}: {}", arguments.join(" "), String::from_utf8_lossy(&said).trim());
    Ok(())
}
