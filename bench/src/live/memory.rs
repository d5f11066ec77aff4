//! What a subject's front server holds in memory.

use std::fs;

use anyhow::{Context, Result};

use super::stand::Stand;

/// Bytes: what the programs of the front server have resident, and the kernel's objects, which are those of the whole
/// machine. Differences count: between them only the subject's connections were opened, with two sockets each at the
/// ends that are the same for every subject, and routing's only cost.
pub fn used(stand: &Stand) -> Result<u64> {
    let programs = stand.programs()?.into_iter().map(|id| field(&format!("/proc/{id}/status"), "VmRSS:"));
    let programs = programs.sum::<Result<u64>>()?;
    Ok(programs + field("/proc/meminfo", "Slab:")?)
}

/// A number of kilobytes.
fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("find {name} in {path}"))?;
    let number = line.split_whitespace().next().with_context(|| format!("read {name} in {path}"))?;
    Ok(number.parse::<u64>()? * 1024)
}
