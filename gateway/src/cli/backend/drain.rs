//! `gateway backend drain`.

use std::time::Duration;

use anyhow::Result;

use super::Target;
use crate::{
    cli::{output::print, progress::Progress},
    control::{
        Client,
        views::{BackendQuery, BackendView},
    },
    model::{Signal, change::DrainOrder},
};

/// How often the gateway is asked how far it is.
const POLL: Duration = Duration::from_millis(100);

/// Give a backend no new connections, signal its process, and cut what is open at the deadline
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway backend drain mqtt 10.0.1.4:1883\n  \
    gateway backend drain mqtt 10.0.1.4:1883 --timeout 10m --wait --remove\n\n\
    `gateway backend set mqtt 10.0.1.4:1883 --active` takes a drained backend back into service.")]
pub struct Drain {
    #[command(flatten)]
    target: Target,
    /// Time that open connections get (as the service has it)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Cut open connections at once
    #[arg(long, conflicts_with = "timeout")]
    now: bool,
    /// Do not signal the backend's process
    #[arg(long)]
    no_signal: bool,
    /// Remove the backend from the service in the end
    #[arg(long)]
    remove: bool,
    /// Wait for the end
    #[arg(long)]
    wait: bool,
}

impl Drain {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { target: Target { service, address }, timeout, now, no_signal, remove, wait } = self;
        let timeout = if now { Some(Duration::ZERO) } else { timeout };
        client.drain_backend(&service, address, &DrainOrder { timeout, signal: !no_signal, remove }).await?;
        if !wait && !now {
            return print(&format!("backend {address} of {service} is draining"));
        }
        let progress = Progress::new();
        let query = BackendQuery { service: Some(service.clone()) };
        loop {
            let backends = client.backends(&query).await?;
            let backend = backends.iter().find(|backend| backend.address == address);
            let Some(backend) = backend.filter(|backend| !has_ended(backend)) else {
                if let Some(BackendView { drain: Some(drain), .. }) = backend
                    && let Signal::Failed(reason) = &drain.signal
                {
                    progress.say(&format!("its process could not be signalled: {reason}"))?;
                }
                return progress.finish(&format!("backend {address} of {service} has drained"));
            };
            let open = backend.counters.map_or(0, |counters| counters.open_flows);
            progress.show(&format!("{address} is draining: {open} open connections"));
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Ended, or taken back into service by somebody else.
fn has_ended(backend: &BackendView) -> bool {
    backend.drain.as_ref().is_none_or(|drain| drain.ended)
}
