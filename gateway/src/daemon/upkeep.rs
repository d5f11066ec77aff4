//! What goes on while the gateway runs: following the network's changes, keeping neighbours resolved, sweeping.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{task::spawn_blocking, time};

use crate::{
    datapath::{Attached, Datapath},
    host::{links, neighbours::Neighbours, watch::Watch},
    lifecycle::{Desired, Engine},
    tables::{Sweeper, Tables},
};

/// Between two sweeps, at least; and at least this many times as long as one takes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
const SWEEP_SHARE: u32 = 20;

/// How often the deadlines of removed backends are looked at.
const DEADLINES_INTERVAL: Duration = Duration::from_secs(1);

/// Neighbours are looked after this often even when nothing changes.
const NEIGHBOURS_INTERVAL: Duration = Duration::from_secs(30);

/// Runs until it is dropped.
pub async fn run(datapath: Arc<Datapath>, attached: Vec<Attached>, engine: Arc<Engine<Tables>>) -> Result<()> {
    let sweeper = Sweeper::new(|name| datapath.map(name))?;
    tokio::select! {
        result = follow_network(&datapath, &attached, &engine) => result.context("follow the network's changes"),
        result = keep_neighbours(&engine) => result.context("keep neighbours resolved"),
        result = sweep(sweeper, &engine) => result.context("sweep the flow tables"),
        result = cut_removed(&engine) => result.context("drain what was removed"),
    }
    .inspect_err(|error| log::error!("upkeep has stopped, restart the gateway: {error:#}"))
}

/// Makes cached next hops stale whenever a link, address, route or neighbour changes.
async fn follow_network(datapath: &Datapath, attached: &[Attached], engine: &Engine<Tables>) -> Result<()> {
    let mut watch = Watch::start().await?;
    loop {
        watch.changed().await?;
        engine.attend(Tables::forget_hops)?;
        let host = links::snapshot().await?;
        let links = datapath.map("LINKS")?;
        engine.attend(|tables| tables.set_links(links, &host, attached))?;
    }
}

/// Keeps the next hops towards all backends resolved.
async fn keep_neighbours(engine: &Engine<Tables>) -> Result<()> {
    let mut neighbours = Neighbours::new().await?;
    let mut desired = engine.watch();
    loop {
        let addresses = backend_addresses(&desired.borrow_and_update());
        if let Err(error) = neighbours.keep(&addresses).await {
            log::warn!("cannot keep the neighbours of all backends resolved: {error:#}");
        }
        tokio::select! {
            changed = desired.changed() => changed.context("the engine is gone")?,
            () = time::sleep(NEIGHBOURS_INTERVAL) => {}
        }
    }
}

fn backend_addresses(desired: &Desired) -> Vec<IpAddr> {
    let services = desired.resolved();
    let all = services.iter().flat_map(|resolved| &resolved.service.backends).map(|backend| backend.address.ip());
    let mut addresses: Vec<IpAddr> = all.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Ends the connections of removed backends at their deadline.
async fn cut_removed(engine: &Arc<Engine<Tables>>) -> Result<()> {
    loop {
        time::sleep(DEADLINES_INTERVAL).await;
        let engine = engine.clone();
        if let Err(error) = spawn_blocking(move || engine.attend(Tables::cut_removed)).await? {
            log::error!("{error:#}");
        }
    }
}

/// Removes flows that are over.
async fn sweep(mut sweeper: Sweeper, engine: &Arc<Engine<Tables>>) -> Result<()> {
    loop {
        let engine = engine.clone();
        let started = Instant::now();
        sweeper = spawn_blocking(move || -> Result<Sweeper> {
            let (idle_timeouts, retired) = engine.attend(|tables| Ok((tables.idle_timeouts(), tables.retired())))?;
            let swept = sweeper.sweep(idle_timeouts)?;
            if swept.removed > 0 {
                log::debug!("swept {} flows, {} are left", swept.removed, swept.flows);
            }
            engine.attend(|tables| tables.take_swept(swept, &retired))?;
            Ok(sweeper)
        })
        .await??;
        time::sleep(SWEEP_INTERVAL.max(started.elapsed() * SWEEP_SHARE)).await;
    }
}
