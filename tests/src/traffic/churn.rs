//! Connections that come and go at a bounded rate while something else happens.

use std::{
    collections::BTreeMap,
    io::Read,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::client::{self, Failure};
use crate::Namespace;

const WORKERS: u32 = 4;

/// Which side ends a connection, and so keeps it in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstToClose {
    /// Of an [`Identify`](super::Behaviour::Identify) server.
    Client,
    /// An [`IdentifyAndClose`](super::Behaviour::IdentifyAndClose) server.
    Server,
}

/// What came of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that did all they should, by the server that answered.
    pub served_by: BTreeMap<String, usize>,
    /// Connections that did not, by reason.
    pub failures: BTreeMap<Failure, usize>,
}

impl Tally {
    pub fn served(&self) -> usize {
        self.served_by.values().sum()
    }

    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    fn add(&mut self, outcome: Result<String, Failure>) {
        match outcome {
            Ok(server) => *self.served_by.entry(server).or_default() += 1,
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    fn merge(&mut self, other: Self) {
        for (server, count) in other.served_by {
            *self.served_by.entry(server).or_default() += count;
        }
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
    }
}

/// A load of short connections: connect, read the server's name, a verified exchange, close.
#[derive(Debug)]
pub struct Churn {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Tally>>,
}

impl Churn {
    /// Starts `per_second` connections a second from `namespace`.
    #[track_caller]
    pub fn start(namespace: &Namespace, to: SocketAddr, per_second: u32) -> Self {
        Self::start_closing(namespace, to, per_second, FirstToClose::Client)
    }

    /// Starts the load with a choice of who closes.
    #[track_caller]
    pub fn start_closing(namespace: &Namespace, to: SocketAddr, per_second: u32, first: FirstToClose) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let interval = Duration::from_secs(1) * WORKERS / per_second;
        let start = |_| {
            let stop = Arc::clone(&stop);
            namespace.spawn(move || work(&stop, to, interval, first))
        };
        Self { workers: (0..WORKERS).map(start).collect(), stop }
    }

    /// Lets the load run for a time and ends it.
    #[track_caller]
    pub fn run_for(self, duration: Duration) -> Tally {
        thread::sleep(duration);
        self.stop()
    }

    /// Ends the load and tells what came of it.
    #[track_caller]
    pub fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for worker in self.workers.drain(..) {
            tally.merge(worker.join().expect("workers do not panic"));
        }
        tally
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(stop: &AtomicBool, to: SocketAddr, interval: Duration, first: FirstToClose) -> Tally {
    let mut tally = Tally::default();
    let mut next = Instant::now();
    for seed in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tally.add(one_connection(to, seed, first));
        next += interval;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    tally
}

fn one_connection(to: SocketAddr, seed: u64, first: FirstToClose) -> Result<String, Failure> {
    let mut stream = client::connect_here(to)?;
    let server = client::read_identity(&stream)?;
    client::exchange_short(&stream, seed)?;
    if first == FirstToClose::Server && stream.read(&mut [0])? != 0 {
        return Err(Failure::WrongBytes);
    }
    Ok(server)
}
