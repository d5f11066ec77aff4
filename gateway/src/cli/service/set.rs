//! `gateway service set`.

use anyhow::Result;
use clap::ArgGroup;

use super::Name;
use crate::{
    cli::{output::print, policy::PolicyOptions},
    control::Client,
    model::change::ServiceChange,
};

/// Change a service's policy
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what")
        .args(["algorithm", "idle_timeout", "drain_timeout", "on_deadline", "no_backend", "unknown_flow"])
        .required(true)
        .multiple(true),
    after_help = "Example:\n  gateway service set mqtt --algorithm least-connections --drain-timeout 2m"
)]
pub struct Set {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    policy: PolicyOptions,
}

impl Set {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let change = ServiceChange { policy: self.policy.into(), ..ServiceChange::default() };
        let changed = client.set_service(&self.name.name, &change).await?;
        print(&format!("service {} changed", changed.name))
    }
}
