//! `gateway service set`.

use anyhow::Result;
use clap::ArgGroup;

use super::Name;
use crate::{
    cli::{health::HealthOptions, output::print, policy::PolicyOptions},
    control::Client,
    model::change::ServiceChange,
};

/// Change a service's policy or how its backends are probed
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what")
        .args(["algorithm", "idle_timeout", "drain_timeout", "on_deadline", "no_backend", "unknown_flow"])
        .args(HealthOptions::IDS)
        .required(true)
        .multiple(true),
    after_help = "Examples:\n  gateway service set mqtt --algorithm least-connections --drain-timeout 2m\n  \
        gateway service set web --health http --health-path /healthz"
)]
pub struct Set {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    policy: PolicyOptions,
    #[command(flatten)]
    health: Option<HealthOptions>,
}

impl Set {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { name: Name { name }, policy, health } = self;
        let health = match health {
            Some(options) => Some(options.on(client.service(&name).await?.health)),
            None => None,
        };
        let change = ServiceChange { policy: policy.into(), health, ..ServiceChange::default() };
        let changed = client.set_service(&name, &change).await?;
        print(&format!("service {} changed", changed.name))
    }
}
