//! `gateway deploy`: asks for a deployment and shows how it goes. The daemon carries it through by itself.

use std::time::Duration;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;

use super::{backend::spec, output::print, progress::Progress};
use crate::{
    control::Client,
    model::{DeploymentOptions, NewBackend, Wait, change::NewDeployment},
};

mod watch;

use watch::Watch;

/// Replace the backends of a service by new ones, without losing a connection
///
/// The new backends are handshaken; once they answer, new connections go to them, the processes of the old ones are
/// signalled, and the old ones keep their open connections until these end or the drain timeout cuts them. Where no
/// new backend answers in time, nothing is switched and nobody is signalled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway deploy web --backend 10.0.1.4:80 --backend 10.0.1.5:80\n  \
    gateway deploy web --backend 10.0.1.4:80,container=web-4 --wait all --timeout 2m --drain-timeout 10m\n\n\
Ctrl-C before the switch undoes everything; after it, the gateway carries the deployment through alone.")]
pub struct Deploy {
    /// The service
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new())]
    service: String,
    /// A backend to have from now on, and the process that is signalled when it goes (repeatable)
    #[arg(long = "backend", value_name = spec::FORM, value_parser = spec::parse, required = true)]
    backends: Vec<NewBackend>,
    /// How many new backends have to answer before the switch: all, any, or a number
    #[arg(long, value_name = "N", default_value = "any", value_parser = wait)]
    wait: Wait,
    /// How long they have to do so
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How long open connections of the old backends go on (as the service has it)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    drain_timeout: Option<Duration>,
    /// How long after the switch errors of the new backends bring the old ones back, or `off`; the old ones are signalled
    /// only when it is over
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        default_missing_value = "10s",
        num_args = 0..=1,
        value_parser = rollback_window
    )]
    rollback_on_errors: Duration,
    /// Do not roll back, and signal the old backends at once
    #[arg(long, conflicts_with = "rollback_on_errors")]
    no_rollback_on_errors: bool,
    /// Return once new connections go to the new backends
    #[arg(long)]
    detach: bool,
    /// Print the deployment as JSON in the end, and no progress
    #[arg(long)]
    json: bool,
}

impl Deploy {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let rollback_window = if self.no_rollback_on_errors { Duration::ZERO } else { self.rollback_on_errors };
        let Self { service, backends, wait, timeout, drain_timeout, detach, json, .. } = self;
        let options = DeploymentOptions { wait, timeout, drain_timeout, rollback_window };
        let deployment = client.deploy(&service, &NewDeployment { backends, options }).await?;
        let progress = if json { Progress::silent() } else { Progress::new() };
        let outcome = Watch::new(client, &service, deployment.number, progress, detach).follow().await;
        if json {
            let latest = client.service(&service).await?.deployment;
            print(&serde_json::to_string_pretty(&latest)?)?;
        }
        outcome
    }
}

fn rollback_window(text: &str) -> Result<Duration, humantime::DurationError> {
    match text {
        "on" | "true" => Ok(DeploymentOptions::default().rollback_window),
        "off" | "false" => Ok(Duration::ZERO),
        duration => humantime::parse_duration(duration),
    }
}

fn wait(text: &str) -> Result<Wait, String> {
    match text {
        "all" => Ok(Wait::All),
        "any" => Ok(Wait::Any),
        number => match number.parse() {
            Ok(0) | Err(_) => Err("is not all, any, or a number of 1 or more".to_owned()),
            Ok(count) => Ok(Wait::Count(count)),
        },
    }
}
