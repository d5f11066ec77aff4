//! Connections that come and go at a bounded rate while something else happens.

use std::{
    collections::BTreeMap,
    io::Read,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    DEADLINE,
    client::{self, Failure},
};
use crate::Namespace;

const WORKERS: u32 = 4;

/// How connections come and go.
#[derive(Clone, Debug)]
pub struct Pace {
    pub per_second: u32,
    pub first_to_close: FirstToClose,
    /// Connections at the same time, at most.
    pub workers: u32,
    /// For a handshake.
    pub deadline: Duration,
    /// Addresses that take turns as the client's; empty: the kernel chooses.
    pub sources: Vec<IpAddr>,
}

impl Pace {
    /// Clients close first.
    pub fn new(per_second: u32) -> Self {
        let first_to_close = FirstToClose::Client;
        Self { per_second, first_to_close, workers: WORKERS, deadline: DEADLINE, sources: Vec::new() }
    }
}

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
        Self::start_at(namespace, to, Pace::new(per_second))
    }

    /// Starts the load with a choice of who closes.
    #[track_caller]
    pub fn start_closing(namespace: &Namespace, to: SocketAddr, per_second: u32, first: FirstToClose) -> Self {
        Self::start_at(namespace, to, Pace { first_to_close: first, ..Pace::new(per_second) })
    }

    /// Starts the load at a pace.
    #[track_caller]
    pub fn start_at(namespace: &Namespace, to: SocketAddr, pace: Pace) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Arc::new(pace);
        let start = |worker| {
            let (stop, pace) = (Arc::clone(&stop), Arc::clone(&pace));
            namespace.spawn(move || work(&stop, to, &pace, worker))
        };
        Self { workers: (0..pace.workers).map(start).collect(), stop }
    }

    /// Lets the load run for a time and ends it.
    #[track_caller]
    pub fn run_for(self, duration: Duration) -> Tally {
        thread::sleep(duration);
        self.stop()
    }

    /// Has the load end with the connections that are open or being opened.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the load and tells what came of it.
    #[track_caller]
    pub fn stop(mut self) -> Tally {
        self.end();
        let mut tally = Tally::default();
        for worker in self.workers.drain(..) {
            tally.merge(worker.join().expect("workers do not panic"));
        }
        tally
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(stop: &AtomicBool, to: SocketAddr, pace: &Pace, worker: u32) -> Tally {
    let interval = Duration::from_secs(1) * pace.workers / pace.per_second;
    let mut tally = Tally::default();
    // Workers take turns, also with the first connection.
    let mut next = Instant::now() + interval * worker / pace.workers;
    // Each connection of the load says other bytes than any other.
    for seed in u64::from(worker) << 32.. {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tally.add(one_connection(to, seed, pace));
        next += interval;
    }
    tally
}

fn one_connection(to: SocketAddr, seed: u64, pace: &Pace) -> Result<String, Failure> {
    let mut stream = match pace.sources.len() {
        0 => client::connect_here(to, pace.deadline)?,
        sources => client::connect_from(pace.sources[seed as u32 as usize % sources], to, pace.deadline)?,
    };
    let server = client::read_identity(&stream)?;
    client::exchange_short(&stream, seed)?;
    if pace.first_to_close == FirstToClose::Server && stream.read(&mut [0])? != 0 {
        return Err(Failure::WrongBytes);
    }
    Ok(server)
}
