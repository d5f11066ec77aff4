//! `gateway backend set`.

use anyhow::Result;
use clap::ArgGroup;

use super::Target;
use crate::{
    cli::output::print,
    control::Client,
    model::change::{BackendChange, WantedState},
};

/// Change a backend's weight, or make a draining one active again
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").args(["weight", "active"]).required(true).multiple(true),
    after_help = "Example:\n  gateway backend set mqtt 10.0.1.4:1883 --weight 5 --active"
)]
pub struct Set {
    #[command(flatten)]
    target: Target,
    /// Share of new connections, relative to the other backends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    weight: Option<u16>,
    /// Give it new connections again
    #[arg(long)]
    active: bool,
}

impl Set {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Target { service, address } = self.target;
        let change = BackendChange { weight: self.weight, state: self.active.then_some(WantedState::Active) };
        client.set_backend(&service, address, &change).await?;
        print(&format!("backend {address} of {service} changed"))
    }
}
