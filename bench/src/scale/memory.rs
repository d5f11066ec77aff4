//! Kernel memory of the flow tables.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aya::maps::MapData;

use super::flow_tables::FlowTables;
use crate::{
    figure::{Figure, Findings},
    harness::flow_table::MAPS,
    names::{axis, scale as names},
};

/// What a table with room for so many flows takes when it holds them, for each of them.
pub fn measure(quick: bool, findings: &mut Findings) -> Result<()> {
    let (sizes, rounds): (&[u32], _) = if quick { (&[1_000_000], 1) } else { (&[10_000, 100_000, 1_000_000], 3) };
    for flows in sizes {
        let samples = (0..rounds).map(|_| bytes_per_flow(*flows)).collect::<Result<_>>()?;
        let figure = Figure::new(names::MEMORY_PER_FLOW, names::DAEMON, "bytes", samples);
        findings.push(figure.at(axis::FLOWS, (*flows).into()));
    }
    Ok(())
}

/// What the maps take before they hold anything, and by how much the kernel's allocator grows as they are filled:
/// elements that are allocated one by one take more than the kernel accounts a map for.
fn bytes_per_flow(flows: u32) -> Result<f64> {
    let before = allocated()?;
    let tables = FlowTables::new(flows)?;
    let empty: u64 = MAPS.iter().map(|name| accounted(&tables.map(name)?)).sum::<Result<_>>()?;
    let loaded = allocated()?;
    tables.fill(0..flows, |_| 60)?;
    let grown = allocated()?.saturating_sub(loaded);
    drop(tables);
    wait_until_freed(before, grown)?;
    Ok((empty + grown) as f64 / f64::from(flows))
}

/// The kernel frees a table's elements in the background, which the next measure is not to see. Others allocate
/// meanwhile, so this ends at the latest after ten seconds.
fn wait_until_freed(before: u64, grown: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while grown != 0 && allocated()? > before + grown / 20 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Bytes that the kernel accounts a map for.
pub fn accounted(map: &MapData) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.with_context(|| format!("{path} tells no memory of a map"))
}

/// Bytes in objects of the kernel's general allocator, of whatever is allocated piece by piece.
fn allocated() -> Result<u64> {
    let text = fs::read_to_string("/proc/slabinfo").context("read /proc/slabinfo")?;
    let caches = text.lines().filter(|line| line.starts_with("kmalloc-")).map(|line| {
        // The cache's name, active objects, objects, size of an object.
        let field = |index: usize| line.split_whitespace().nth(index).and_then(|field| field.parse::<u64>().ok());
        Some(field(1)? * field(3)?)
    });
    caches.sum::<Option<u64>>().context("/proc/slabinfo has another form")
}
