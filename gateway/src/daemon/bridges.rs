//! The bridges of local containers: the datapath is attached to them as containers behind them become backends.
//!
//! They need not be in the configuration, because Docker makes and removes them at any time. One that an earlier
//! gateway attached to is adopted at the start, or connections through it would end there.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};

use super::forwarding::Forwarding;
use crate::{
    datapath::{Attached, Datapath, Pins, Wanted},
    host::links::{self, Interface, Kind},
    lifecycle::Engine,
    providers::docker::{Bridges, Refused},
    tables::Tables,
};

/// Attaches to bridges.
pub struct ContainerBridges {
    datapath: Arc<Datapath>,
    forwarding: Forwarding,
    engine: Arc<Engine<Tables>>,
    /// All interfaces that the datapath is attached to.
    attached: Mutex<Vec<Attached>>,
}

impl ContainerBridges {
    pub fn new(
        datapath: Arc<Datapath>,
        attached: Vec<Attached>,
        forwarding: Forwarding,
        engine: Arc<Engine<Tables>>,
    ) -> Self {
        Self { datapath, forwarding, engine, attached: Mutex::new(attached) }
    }

    fn try_attach(&self, name: &str, host: &[Interface]) -> Result<()> {
        let interface = host.iter().find(|interface| interface.name == name);
        let interface = interface.context("this host has no such interface; does Docker run on another one?")?;
        ensure!(interface.kind == Kind::Bridge, "it is not a bridge");
        if lock(&self.attached).iter().any(|it| it.ifindex == interface.index) {
            return Ok(());
        }
        self.forwarding.ensure(&[name])?;
        let attached = self.datapath.attach(interface, Wanted::Auto)?;
        lock(&self.attached).push(attached);
        Ok(())
    }

    /// Forgets the interfaces that are gone from the host; the programs on them went with them.
    fn forget_gone(&self, host: &[Interface]) -> Result<()> {
        let is_there = |attached: &Attached| host.iter().any(|interface| interface.index == attached.ifindex);
        let mut attached = lock(&self.attached);
        for gone in attached.iter().filter(|it| !is_there(it)) {
            self.datapath.detach(&gone.name)?;
        }
        attached.retain(is_there);
        Ok(())
    }
}

impl Bridges for ContainerBridges {
    async fn attach(&self, names: &BTreeSet<String>) -> Result<Vec<Refused>> {
        let host = links::snapshot().await?;
        self.forget_gone(&host)?;
        let failure = |name: &String| {
            let error = self.try_attach(name, &host).err()?;
            Some(Refused { bridge: name.clone(), reason: format!("{error:#}") })
        };
        let refused = names.iter().filter_map(failure).collect();
        let attached = lock(&self.attached).clone();
        self.engine.attend(|tables| {
            tables.set_interfaces(attached);
            Ok(())
        })?;
        self.engine.look()?;
        Ok(refused)
    }
}

/// The bridges beside `wanted` that an earlier gateway attached to.
pub async fn of_earlier_gateway(pins: &Pins, wanted: &[Interface]) -> Result<Vec<Interface>> {
    let pinned = pins.attached()?;
    let mut host = links::snapshot().await?;
    host.retain(|it| it.kind == Kind::Bridge && pinned.contains(&it.name) && !wanted.contains(it));
    Ok(host)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
