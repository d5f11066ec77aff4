//! `gateway backend drain`.

use anyhow::Result;

use super::Target;
use crate::{
    cli::output::print,
    control::Client,
    model::change::{BackendChange, WantedState},
};

/// Give a backend no new connections; its open ones go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway backend drain mqtt 10.0.1.4:1883")]
pub struct Drain {
    #[command(flatten)]
    target: Target,
}

impl Drain {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Target { service, address } = self.target;
        let change = BackendChange { weight: None, state: Some(WantedState::Draining) };
        client.set_backend(&service, address, &change).await?;
        print(&format!("backend {address} of {service} is draining"))
    }
}
