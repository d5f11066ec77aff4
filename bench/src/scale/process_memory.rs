//! Resident memory of the daemon.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use gateway_tests::{Gateway, Lab};

use super::{
    flow_tables,
    front_server::{self, config},
};
use crate::{
    figure::{Figure, Findings},
    names::{axis, scale as names},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// With few and with many services.
pub fn by_services(lab: &Lab, findings: &mut Findings) -> Result<()> {
    for services in [1, 1_000] {
        let mut gateway = Gateway::start(lab, &config(lab, 0..services, 1));
        record(&mut gateway, names::DAEMON_BY_SERVICES, axis::SERVICES, services.into(), findings)?;
    }
    Ok(())
}

/// With as many flows as the table has room for, after two sweeps of them.
pub fn by_flows(lab: &Lab, findings: &mut Findings) -> Result<()> {
    for flows in [10_000, 100_000, 1_000_000] {
        let mut gateway = Gateway::start(lab, &config(lab, 0..1, 1).capacity(flows, 1 << 14));
        flow_tables::fill(&|name| front_server::map(lab, name), 0..flows, |_| 60)?;
        wait_for_sweeps(lab, flows.into())?;
        record(&mut gateway, names::DAEMON_BY_FLOWS, axis::FLOWS, flows.into(), findings)?;
    }
    Ok(())
}

/// The count of open flows is corrected by the second sweep that finds it wrong.
fn wait_for_sweeps(lab: &Lab, flows: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let started = Instant::now();
    loop {
        let status = runtime.block_on(front_server::client(lab).status()).context("ask for the status")?;
        if status.datapath.flows.open == flows {
            return Ok(());
        }
        ensure!(started.elapsed() < TIMEOUT, "the daemon counts {} flows, not {flows}", status.datapath.flows.open);
        thread::sleep(Duration::from_millis(200));
    }
}

/// What is resident of the daemon: its own, and with the maps that it shares with the packet programs.
fn record(gateway: &mut Gateway<'_>, case: &str, axis: &str, at: u64, findings: &mut Findings) -> Result<()> {
    let path = format!("/proc/{}/status", gateway.process().id());
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    for (subject, field) in [(names::DAEMON, "RssAnon:"), (names::WITH_MAPS, "VmRSS:")] {
        let kibibytes =
            text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok());
        let kibibytes: f64 = kibibytes.with_context(|| format!("{path} has no {field}"))?;
        findings.push(Figure::new(case, subject, "MiB", vec![kibibytes / 1024.0]).at(axis, at));
    }
    Ok(())
}
