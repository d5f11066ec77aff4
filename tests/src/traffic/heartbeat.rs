//! One connection with a small verified exchange every few milliseconds: proof that a flow lives on while
//! something happens around it.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::client::{self, Failure};
use crate::{Namespace, eventually};

const INTERVAL: Duration = Duration::from_millis(5);

/// A connection to an [`Echo`](super::Behaviour::Echo) server, in use until it is stopped.
#[derive(Debug)]
pub struct Heartbeat {
    stop: Arc<AtomicBool>,
    beats: Arc<AtomicUsize>,
    worker: Option<JoinHandle<Result<Duration, Failure>>>,
}

impl Heartbeat {
    /// Connects and begins.
    #[track_caller]
    pub fn start(namespace: &Namespace, to: SocketAddr) -> Self {
        let stream = client::connect(namespace, to).unwrap_or_else(|e| panic!("connect to {to}: {e}"));
        Self::on(stream)
    }

    /// Begins on an open connection to a server that echoes.
    pub fn on(stream: TcpStream) -> Self {
        let (stop, beats) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let worker = {
            let (stop, beats) = (Arc::clone(&stop), Arc::clone(&beats));
            thread::spawn(move || beat(&stream, &stop, &beats))
        };
        Self { stop, beats, worker: Some(worker) }
    }

    /// Waits for `count` more exchanges.
    #[track_caller]
    pub fn expect_beats(&self, count: usize) {
        let goal = self.beats.load(Ordering::Relaxed) + count;
        eventually(super::DEADLINE, || {
            let done = self.beats.load(Ordering::Relaxed);
            if done >= goal { Ok(()) } else { Err(format!("{done} of {goal} exchanges are done")) }
        });
    }

    /// Waits until the connection fails, and tells how.
    #[track_caller]
    pub fn failure(mut self, timeout: Duration) -> Failure {
        let worker = self.worker.take().expect("a heartbeat is stopped once");
        eventually(timeout, || if worker.is_finished() { Ok(()) } else { Err("the connection lives on") });
        worker.join().expect("worker does not panic").expect_err("nobody has stopped it")
    }

    /// Ends the connection and gives the longest time that one exchange took.
    ///
    /// # Errors
    /// How the connection failed.
    pub fn stop(mut self) -> Result<Duration, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let worker = self.worker.take().expect("a heartbeat is stopped once");
        worker.join().expect("worker does not panic")
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn beat(stream: &TcpStream, stop: &AtomicBool, beats: &AtomicUsize) -> Result<Duration, Failure> {
    let mut longest = Duration::ZERO;
    for seed in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        client::exchange_short(stream, seed)?;
        longest = longest.max(start.elapsed());
        beats.fetch_add(1, Ordering::Relaxed);
        thread::sleep(INTERVAL);
    }
    Ok(longest)
}
