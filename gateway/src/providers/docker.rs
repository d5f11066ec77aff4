//! Containers that become backends by their labels.
//!
//! The Docker daemon may be down, restarted or silent for a while: nothing is taken away meanwhile, since containers
//! outlive it, and their probes tell whether they work. When it is back, everything is compared anew, as it is from
//! time to time.

use std::{collections::BTreeSet, convert::Infallible, path::Path, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use tokio::time;

mod client;
mod container;
mod event;
mod inventory;
mod labels;
mod plan;
mod reconcile;
mod snapshot;
#[cfg(test)]
mod tests;

use client::Session;
use event::Event;
use inventory::Inventory;
use reconcile::Reconciler;
use snapshot::Snapshot;

use crate::{
    host::netfilter,
    lifecycle::{Engine, PacketTables},
};

/// Everything is compared anew at least this often.
const RESYNC: Duration = Duration::from_secs(30);

/// Between two attempts to reach the daemon: the first wait, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The interfaces of this host behind which containers are.
pub trait Bridges: Send + Sync + 'static {
    /// Sees to it that the packets that come in by these interfaces are seen. Those of earlier calls that are gone
    /// from the host are forgotten.
    ///
    /// # Errors
    /// There is no telling what the host has. An interface that cannot be attached to is no error.
    fn attach(&self, names: &BTreeSet<String>) -> impl Future<Output = Result<Vec<Refused>>> + Send;
}

/// An interface that could not be attached to.
#[derive(Clone, Debug)]
pub struct Refused {
    pub bridge: String,
    pub reason: String,
}

/// Follows the containers of the daemon at `socket` for as long as the future is polled.
pub async fn run<P: PacketTables>(socket: &Path, engine: Arc<Engine<P>>, bridges: impl Bridges) {
    let mut provider = Provider {
        bridges,
        reconciler: Reconciler::new(engine),
        inventory: Inventory::default(),
        snapshot: Snapshot::default(),
        bridges_in_use: BTreeSet::new(),
        rules: Vec::new(),
    };
    let mut backoff = BACKOFF.0;
    loop {
        let Err(error) = provider.follow(socket, &mut backoff).await;
        provider.reconciler.lost(format!("Docker: {error:#}; containers stay backends as they are until it answers"));
        time::sleep(backoff).await;
        backoff = BACKOFF.1.min(backoff * 2);
    }
}

struct Provider<P, B> {
    bridges: B,
    reconciler: Reconciler<P>,
    inventory: Inventory,
    /// What the inventory makes.
    snapshot: Snapshot,
    bridges_in_use: BTreeSet<String>,
    /// Rules that are in the way of containers behind these bridges.
    rules: Vec<String>,
}

impl<P: PacketTables, B: Bridges> Provider<P, B> {
    /// Follows one run of the daemon, until it ends.
    async fn follow(&mut self, socket: &Path, backoff: &mut Duration) -> Result<Infallible> {
        let session = Session::open(socket).await?;
        // Before the listing, so that nothing happens between the two.
        let mut events = pin!(session.events());
        let mut desired = self.reconciler.engine().watch();
        let mut resync = time::interval(RESYNC);
        loop {
            tokio::select! {
                _ = resync.tick() => {
                    self.inventory.replace(session.containers().await?);
                    // What depends on the host's rules is looked at anew as well.
                    self.bridges_in_use.clear();
                    self.take_snapshot(&session).await?;
                    *backoff = BACKOFF.0;
                }
                event = events.next() => {
                    let Some(event) = event else { bail!("the daemon at {} has ended", socket.display()) };
                    self.take_in(&session, event?).await?;
                    self.take_snapshot(&session).await?;
                }
                // What could not be done before may be possible now.
                changed = desired.changed() => changed.context("the engine is gone")?,
            }
            desired.borrow_and_update();
            self.reconciler.reconcile(&self.snapshot).await?;
        }
    }

    async fn take_in(&mut self, session: &Session, event: Event) -> Result<()> {
        match event {
            Event::Killed { container, signal } => self.inventory.signalled(&container, &signal),
            Event::Changed { container } => {
                let now = session.container(&container).await?;
                self.inventory.update(&container, now);
            }
        }
        Ok(())
    }

    async fn take_snapshot(&mut self, session: &Session) -> Result<()> {
        let mut networks = session.networks().await?;
        let wanted = Snapshot::of(self.inventory.containers(), &networks).bridges;
        let mut refused = BTreeSet::new();
        for Refused { bridge, reason } in self.bridges.attach(&wanted).await? {
            networks.retain(|network| network.bridge != bridge);
            refused.insert(format!("containers behind {bridge} cannot be backends: {reason}"));
        }
        self.snapshot = Snapshot::of(self.inventory.containers(), &networks);
        self.snapshot.findings.extend(refused);
        if wanted != self.bridges_in_use {
            self.rules = netfilter::rules_against_replies().await;
            self.bridges_in_use = wanted;
        }
        if !self.rules.is_empty() {
            self.snapshot.findings.insert(format!(
                "what containers answer is dropped by `{}`: take it out of PREROUTING, or set \
                 net.bridge.bridge-nf-call-iptables=0",
                self.rules.join("`, `")
            ));
        }
        Ok(())
    }
}
