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

const MEBIBYTE: f64 = 1_048_576.0;
const TIMEOUT: Duration = Duration::from_secs(60);

/// With few and with many services.
pub fn by_services(lab: &Lab, findings: &mut Findings) -> Result<()> {
    for services in [1, 1_000] {
        let mut gateway = Gateway::start(lab, &config(lab, 0..services, 1));
        let figure = Figure::new(names::DAEMON_BY_SERVICES, names::DAEMON, "MiB", vec![resident(&mut gateway)?]);
        findings.push(figure.at(axis::SERVICES, services.into()));
    }
    Ok(())
}

/// With as many flows as the table has room for, after two sweeps of them.
pub fn by_flows(lab: &Lab, findings: &mut Findings) -> Result<()> {
    for flows in [10_000, 100_000, 1_000_000] {
        let mut gateway = Gateway::start(lab, &config(lab, 0..1, 1).capacity(flows, 1 << 14));
        flow_tables::fill(&front_server::map(lab, flow_tables::MAPS[0])?, 0..flows, |_| 60)?;
        wait_for_sweeps(lab, flows.into())?;
        let figure = Figure::new(names::DAEMON_BY_FLOWS, names::DAEMON, "MiB", vec![resident(&mut gateway)?]);
        findings.push(figure.at(axis::FLOWS, flows.into()));
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

/// What is resident of the daemon, in MiB.
fn resident(gateway: &mut Gateway<'_>) -> Result<f64> {
    let path = format!("/proc/{}/status", gateway.process().id());
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    let kibibytes: f64 = kibibytes.with_context(|| format!("{path} tells no resident memory"))?;
    Ok(kibibytes * 1024.0 / MEBIBYTE)
}
