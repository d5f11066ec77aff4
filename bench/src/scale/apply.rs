//! How long it takes until the maps are what was asked for.

use std::{
    fs::File,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use gateway::model::change::BackendChange;
use gateway_tests::{Gateway, GatewayConfig, Lab, gateway::command};

use super::front_server::{self, ServiceMap, backend, config, listen, name};
use crate::{
    figure::{Figure, Findings},
    names::{axis, scale as names},
};

const SERVICES: u16 = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at the maps.
const LOOK: Duration = Duration::from_micros(500);
/// The stretches of the slot array that a change leaves are used again after two seconds.
const GRACE: Duration = Duration::from_millis(2_100);

/// A backend gets another weight, again and again, among one service and among many.
pub fn one_change(lab: &Lab, quick: bool, findings: &mut Findings) -> Result<()> {
    let changes = if quick { 10 } else { 50 };
    let disk = (0..changes).map(|_| durable_write(&lab.directory())).collect::<Result<_>>()?;
    findings.push(Figure::new(names::APPLY_CHANGE, names::DISK, "ms", disk));
    for services in [1, SERVICES] {
        let _gateway = Gateway::start(lab, &config(lab, 0..services, 1));
        let record = |findings: &mut Findings, subject, samples| {
            findings.push(Figure::new(names::APPLY_CHANGE, subject, "ms", samples).at(axis::SERVICES, services.into()));
        };
        let mut by_api = change_by_api(lab)?;
        let samples = (0..changes).map(|turn| timed_change(lab, 2 + turn % 2, &mut by_api)).collect::<Result<_>>()?;
        record(findings, names::DAEMON, samples);
        let mut by_cli = |weight: u16| -> Result<()> {
            let (name, backend) = (name(0), backend(lab, 0).to_string());
            let arguments = ["backend", "set", &name, &backend, "--weight", &weight.to_string()];
            let output = command(lab).args(arguments).output().context("run the command line")?;
            ensure!(output.status.success(), "{arguments:?}: {output:?}");
            Ok(())
        };
        let samples = (0..changes).map(|turn| timed_change(lab, 4 + turn % 2, &mut by_cli)).collect::<Result<_>>()?;
        record(findings, names::COMMAND_LINE, samples);
    }
    Ok(())
}

/// All services are new, then all of them have changed.
pub fn configuration(lab: &Lab, quick: bool, findings: &mut Findings) -> Result<()> {
    let rounds = if quick { 1 } else { 3 };
    let (small, large) = (config(lab, 0..1, 1), config(lab, 0..SERVICES, 1));
    let gateway = Gateway::start(lab, &small);
    let services = ServiceMap::open(lab)?;
    let last = listen(lab, SERVICES - 1);
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        new.push(reload(&gateway, &large, || services.place(last).is_some())?);
        ensure!(services.len() == usize::from(SERVICES), "{} services are in the maps", services.len());
        thread::sleep(GRACE);
        let before = services.place(last);
        let other = config(lab, 0..SERVICES, 2 + round % 2);
        changed.push(reload(&gateway, &other, || services.place(last) != before)?);
        thread::sleep(GRACE);
        reload(&gateway, &small, || services.len() == 1)?;
        thread::sleep(GRACE);
    }
    findings.push(Figure::new(names::APPLY_ALL, names::DAEMON, "ms", new));
    findings.push(Figure::new(names::APPLY_ALL, names::ALL_CHANGED, "ms", changed));
    Ok(())
}

/// Milliseconds from SIGHUP until `done`.
fn reload(gateway: &Gateway, config: &GatewayConfig, done: impl Fn() -> bool) -> Result<f64> {
    let started = Instant::now();
    gateway.reload(config);
    while !done() {
        ensure!(started.elapsed() < TIMEOUT, "the new configuration is not in the maps; log:\n{}", gateway.log());
        thread::sleep(LOOK);
    }
    Ok(milliseconds(started))
}

/// Sets the weight of the first service's first backend by the control API.
fn change_by_api(lab: &Lab) -> Result<impl FnMut(u16) -> Result<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let (client, name, backend) = (front_server::client(lab), name(0), backend(lab, 0));
    Ok(move |weight| {
        let change = BackendChange { weight: Some(weight), state: None };
        runtime.block_on(client.set_backend(&name, backend, &change)).context("set a backend's weight")?;
        Ok(())
    })
}

/// Milliseconds that `change` to this weight takes, which is in the maps when it returns.
fn timed_change(lab: &Lab, weight: u16, change: &mut impl FnMut(u16) -> Result<()>) -> Result<f64> {
    let services = ServiceMap::open(lab)?;
    let before = services.place(listen(lab, 0));
    let started = Instant::now();
    change(weight)?;
    let took = milliseconds(started);
    ensure!(services.place(listen(lab, 0)) != before, "the change was answered and is not in the maps");
    Ok(took)
}

fn durable_write(folder: &Path) -> Result<f64> {
    let path = folder.join("page");
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let started = Instant::now();
    file.write_all(&[1; 4096])?;
    file.sync_data()?;
    Ok(milliseconds(started))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
