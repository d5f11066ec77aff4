//! `gateway service remove`.

use anyhow::Result;

use super::Name;
use crate::{cli::output::print, control::Client};

/// Remove a service
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway service remove mqtt")]
pub struct Remove {
    #[command(flatten)]
    name: Name,
}

impl Remove {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let name = self.name.name;
        client.remove_service(&name).await?;
        print(&format!("service {name} removed"))
    }
}
