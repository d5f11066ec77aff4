//! Those who watch packets and flows.
//!
//! The datapath shows what any of them wants, and nothing once the last one has gone. Each has a queue: whoever is too slow to
//! empty it loses sightings, is told how many, and holds nobody up.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::spawn_blocking,
    time,
};

use super::{Engine, PacketTables};
use crate::model::sighting::{Sighting, Wanted};

/// Between two looks at what the datapath shows: in that time no ring fills.
const INTERVAL: Duration = Duration::from_millis(20);

/// Sightings that wait for one who watches.
const QUEUE: usize = 8192;

/// Everybody who watches at the moment.
#[derive(Debug, Default)]
pub struct Watching {
    watchers: Mutex<Vec<Watcher>>,
}

#[derive(Debug)]
struct Watcher {
    wanted: Wanted,
    queue: mpsc::Sender<Arc<Sighting>>,
    lost: Arc<AtomicU64>,
}

/// What one who watches gets, until it is dropped.
#[derive(Debug)]
pub struct View {
    queue: mpsc::Receiver<Arc<Sighting>>,
    lost: Arc<AtomicU64>,
}

impl View {
    /// The next sighting; none once the gateway has stopped.
    pub async fn next(&mut self) -> Option<Arc<Sighting>> {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => self.queue.recv().await,
            sightings => Some(Arc::new(Sighting::Lost { sightings })),
        }
    }
}

impl<P: PacketTables> Engine<P> {
    /// Begins to watch.
    pub fn sightings(self: &Arc<Self>, wanted: Wanted) -> Result<View> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let mut watchers = self.watching().watchers();
        let is_first = watchers.is_empty();
        watchers.push(Watcher { wanted, queue: sender, lost: lost.clone() });
        let begun = self.show(&watchers);
        if begun.is_err() {
            watchers.pop();
        } else if is_first {
            tokio::spawn(look(self.clone()));
        }
        begun.map(|()| View { queue, lost })
    }

    /// Ends all views: the gateway stops.
    pub fn end_sightings(&self) -> Result<()> {
        let mut watchers = self.watching().watchers();
        watchers.clear();
        self.show(&watchers)
    }

    /// Has the datapath show what all of them want together.
    fn show(&self, watchers: &[Watcher]) -> Result<()> {
        let wanted = watchers.iter().map(|watcher| watcher.wanted).reduce(Wanted::and);
        self.attend(|tables| tables.watch(wanted.as_ref()))
    }

    /// Hands out what the datapath has shown. False: nobody watches any more.
    fn hand_out(&self) -> Result<bool> {
        let taken = self.attend(P::take_sightings)?;
        let mut watchers = self.watching().watchers();
        let before = watchers.len();
        watchers.retain(|watcher| !watcher.queue.is_closed());
        for sighting in taken.into_iter().map(Arc::new) {
            for watcher in watchers.iter().filter(|watcher| watcher.wanted.includes(&sighting)) {
                if let Err(TrySendError::Full(_)) = watcher.queue.try_send(sighting.clone()) {
                    watcher.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if watchers.len() < before {
            self.show(&watchers)?;
        }
        Ok(!watchers.is_empty())
    }
}

impl Watching {
    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for as long as anybody watches.
async fn look<P: PacketTables>(engine: Arc<Engine<P>>) {
    loop {
        time::sleep(INTERVAL).await;
        let engine = engine.clone();
        match spawn_blocking(move || engine.hand_out()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => log::error!("cannot read what the datapath shows: {error:#}"),
        }
    }
}
