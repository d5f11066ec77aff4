//! `gateway backend remove`.

use anyhow::Result;

use super::Target;
use crate::{cli::output::print, control::Client};

/// Remove a backend from a service
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway backend remove mqtt 10.0.1.4:1883")]
pub struct Remove {
    #[command(flatten)]
    target: Target,
}

impl Remove {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Target { service, address } = self.target;
        client.remove_backend(&service, address).await?;
        print(&format!("backend {address} removed from {service}"))
    }
}
