//! A server as a program of its own, which the gateway can tell to end: the binary `server` of this package.

use std::{io, net::SocketAddr, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{Host, Process, gateway};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub struct Instance {
    process: Process,
    address: SocketAddr,
}

impl Instance {
    /// Starts a server that calls itself `name`, on every address of `host`, and waits until it listens. `address` is
    /// where clients are to be sent.
    #[track_caller]
    pub fn start(host: &Host, address: SocketAddr, name: &str) -> Self {
        let program = gateway::built("server");
        let mut process = Process::start(host.command(program).args([&address.port().to_string(), name]));
        process.wait_for_line("listening", START_TIMEOUT);
        Self { process, address }
    }

    /// The backend with its process, as `gateway` takes it.
    pub fn backend(&self) -> String {
        format!("{},pid={}", self.address, self.process.id())
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end of a server that was killed, and so has no ledger.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) {
        self.process.wait(timeout);
    }

    /// Whether a server that was told to end does so in this time.
    pub fn ends_within(&mut self, timeout: Duration) -> bool {
        self.process.ends_within(timeout)
    }

    /// Waits for the end of a server that was told to end, and asks what it has done.
    #[track_caller]
    pub fn ledger(mut self, timeout: Duration) -> Ledger {
        let output = self.process.wait(timeout);
        let last = output.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
        last.and_then(|json| Ledger::from_json(&json)).unwrap_or_else(|| panic!("no ledger: {output:?}"))
    }
}

/// What a server has done in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Connections that came to their end.
    pub ended: u64,
    /// Connections that were reset or broke off within a request.
    pub failed: u64,
    /// Requests that were answered.
    pub answered: u64,
}

impl Ledger {
    pub fn to_json(self) -> Value {
        json!({ "ended": self.ended, "failed": self.failed, "answered": self.answered })
    }

    fn from_json(json: &Value) -> Option<Self> {
        let number = |name: &str| json.get(name)?.as_u64();
        Some(Self { ended: number("ended")?, failed: number("failed")?, answered: number("answered")? })
    }
}

impl FromIterator<io::Result<u64>> for Ledger {
    /// From the outcome of each connection: how many of its requests were answered.
    fn from_iter<I: IntoIterator<Item = io::Result<u64>>>(connections: I) -> Self {
        let mut ledger = Self::default();
        for connection in connections {
            match connection {
                Ok(answered) => {
                    ledger.ended += 1;
                    ledger.answered += answered;
                }
                Err(_) => ledger.failed += 1,
            }
        }
        ledger
    }
}
