//! What a gateway holds of a machine, compared between a moment when everything is in use and the end.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aya::maps::MapData;
use gateway::tables::flow_table::{self, FLOWS, HALF_OPEN};
use gateway_tests::{Gateway, Lab, leftovers::pins_of};

/// A flow that was left half open or was reset is forgotten after 4 minutes, by a sweep every 5 seconds; a backend repeats its
/// SYN-ACK for a minute before.
const QUIET_TIMEOUT: Duration = Duration::from_secs(6 * 60);
const QUIET_INTERVAL: Duration = Duration::from_secs(1);
/// Memory that comes and goes with what the allocator keeps, beyond half as much again.
const SPARE_MEMORY: u64 = 16 << 20;
/// Connections to the control socket and probes that are under way when it is counted.
const SPARE_FILES: usize = 16;

/// What a daemon and its datapath hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holdings {
    /// Bytes of the daemon's resident memory.
    pub memory: u64,
    pub files: usize,
    pub pins: usize,
    pub zombies: usize,
}

impl Holdings {
    pub fn of(lab: &Lab, daemon: u32) -> Self {
        let process = PathBuf::from(format!("/proc/{daemon}"));
        Self {
            memory: resident(&process).expect("a running daemon has a status"),
            files: fs::read_dir(process.join("fd")).expect("a running daemon has files").count(),
            pins: pins_of(lab.id()).len(),
            zombies: zombies(daemon),
        }
    }

    /// What has grown beyond what use explains, in words.
    pub fn leaks_since(&self, before: &Self) -> Vec<String> {
        let grown = |what: &str, now: u64, before: u64, limit: u64| {
            (now > limit).then(|| format!("{what}: {now}, with everything in use {before}"))
        };
        let files = (self.files as u64, before.files as u64);
        [
            grown("bytes of memory", self.memory, before.memory, before.memory * 3 / 2 + SPARE_MEMORY),
            grown("open files", files.0, files.1, files.1 + SPARE_FILES as u64),
            grown("pins", self.pins as u64, before.pins as u64, before.pins as u64),
            grown("zombies", self.zombies as u64, before.zombies as u64, 0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, files, pins, .. } = self;
        write!(f, "{:.1} MB, {files} files, {pins} pins", *memory as f64 / 1e6)
    }
}

/// Entries that the tables hold, of both directions, open flows by the backends' own count, and accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    pub established: usize,
    pub half_open: usize,
    /// What the backends' counters say.
    pub counted: u64,
}

impl Flows {
    pub fn of(lab: &Lab, gateway: &Gateway) -> Self {
        let backends = gateway.json(&["backend", "list"]);
        let open =
            |backend: &serde_json::Value| backend["counters"]["open_flows"].as_u64().expect("backends have counters");
        let entries = |name| entries(lab, name).unwrap_or_else(|e| panic!("count the entries of {name}: {e:#}"));
        Self {
            established: entries(FLOWS),
            half_open: entries(HALF_OPEN),
            counted: backends.as_array().expect("a list of backends").iter().map(open).sum(),
        }
    }

    /// Waits until nothing is left, or until everything should be; gives what there is.
    pub fn when_quiet(lab: &Lab, gateway: &Gateway) -> Self {
        let deadline = Instant::now() + QUIET_TIMEOUT;
        loop {
            let flows = Self::of(lab, gateway);
            if flows == Self::default() || Instant::now() > deadline {
                return flows;
            }
            std::thread::sleep(QUIET_INTERVAL);
        }
    }
}

impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { established, half_open, counted } = self;
        write!(f, "{established} entries, {half_open} half-open ones, {counted} counted as open")
    }
}

fn entries(lab: &Lab, name: &str) -> Result<usize> {
    let open = |name: &str| {
        let pin = pins_of(lab.id()).into_iter().find(|pin| pin.ends_with(Path::new("maps").join(name)));
        Ok(MapData::from_pin(pin.with_context(|| format!("{name} is not pinned"))?)?)
    };
    let mut entries = 0;
    flow_table::open(name, &open)?.visit(&mut |_| entries += 1)?;
    Ok(entries)
}

/// Resident memory of a process in bytes.
fn resident(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Children that have ended and that nobody has waited for.
fn zombies(parent: u32) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let is_zombie = |path: PathBuf| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name before may hold anything, also parentheses.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some(fields.next()? == "Z" && fields.next()?.parse() == Ok(parent))
    };
    processes.filter(|process| is_zombie(process.path()) == Some(true)).count()
}
