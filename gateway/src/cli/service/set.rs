//! `gateway service set`.

use anyhow::Result;
use clap::ArgGroup;

use super::Name;
use crate::{
    cli::{health::HealthOptions, limits::LimitOptions, output::print, policy::PolicyOptions},
    control::Client,
    model::change::ServiceChange,
};

/// Change a service's policy, how its backends are probed, or its limits
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what")
        .args(["algorithm", "idle_timeout", "drain_timeout", "on_deadline", "no_backend", "unknown_flow"])
        .args(HealthOptions::IDS)
        .args(LimitOptions::IDS)
        .required(true)
        .multiple(true),
    after_help = "Examples:\n  gateway service set mqtt --algorithm least-connections --drain-timeout 2m\n  \
        gateway service set web --health http --health-path /healthz\n  \
        gateway service set mqtt --max-new-per-source 50 --max-connections none"
)]
pub struct Set {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    policy: PolicyOptions,
    #[command(flatten)]
    health: Option<HealthOptions>,
    #[command(flatten)]
    limits: Option<LimitOptions>,
}

impl Set {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { name: Name { name }, policy, health, limits } = self;
        let present = client.service(&name).await?;
        let change = ServiceChange {
            policy: policy.into(),
            health: health.map(|options| options.on(present.health)),
            limits: limits.map(|options| options.on(present.limits)),
        };
        let changed = client.set_service(&name, &change).await?;
        print(&format!("service {} changed", changed.name))
    }
}
