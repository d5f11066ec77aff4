//! From the daemon's start to the first connection that goes through it.

use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use gateway_tests::{
    Gateway, Lab,
    traffic::{Behaviour, Server, client},
};

use super::front_server::{BACKENDS, backend, config, listen};
use crate::{
    figure::{Figure, Findings},
    names::{axis, scale as names},
};

const DEADLINE: Duration = Duration::from_secs(30);
/// A SYN that got lost is sent again by a fresh attempt, not a second later by the kernel.
const ATTEMPT: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(1);

/// With few and with many services, over a pinned datapath and over none.
pub fn measure(lab: &Lab, quick: bool, findings: &mut Findings) -> Result<()> {
    let serve = |number| Server::start(&lab.backends[0], backend(lab, number).port(), Behaviour::Echo);
    let _servers: Vec<_> = (0..BACKENDS).map(serve).collect();
    let starts = if quick { 2 } else { 7 };
    for services in [1, 1_000] {
        let (mut cold, mut cached) = (Vec::new(), Vec::new());
        for _ in 0..starts {
            let (took, gateway) = start(lab, 0..services)?;
            cold.push(took);
            gateway.stop();
            // Other services than those that are pinned, so that it takes the new daemon to forward to them.
            let (took, gateway) = start(lab, services..2 * services)?;
            cached.push(took);
            drop(gateway);
        }
        for (subject, samples) in [(names::COLD, cold), (names::CACHED, cached)] {
            findings.push(Figure::new(names::START, subject, "ms", samples).at(axis::SERVICES, services.into()));
        }
    }
    Ok(())
}

/// Starts the daemon; milliseconds until a client is connected to its last service.
fn start(lab: &Lab, numbers: std::ops::Range<u16>) -> Result<(f64, Gateway<'_>)> {
    let config = config(lab, numbers.clone(), 1);
    let service = listen(lab, numbers.end - 1);
    let started = Instant::now();
    let connected = lab.client.spawn(move || connected(service));
    let gateway = Gateway::start(lab, &config);
    let connected = connected.join().ok().flatten();
    let connected = connected.with_context(|| format!("nobody answers; log:\n{}", gateway.log()))?;
    let stream = client::connect(&lab.client, service).map_err(|failure| anyhow::anyhow!("connect: {failure}"))?;
    client::exchange(&stream, 1, 1_000).map_err(|failure| anyhow::anyhow!("exchange: {failure}"))?;
    Ok((connected.duration_since(started).as_secs_f64() * 1_000.0, gateway))
}

/// When a connection was first possible.
fn connected(to: SocketAddr) -> Option<Instant> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if TcpStream::connect_timeout(&to, ATTEMPT).is_ok() {
            return Some(Instant::now());
        }
        thread::sleep(PAUSE);
    }
    None
}
