//! `gateway service url`.

use anyhow::Result;
use serde_json::json;

use super::Name;
use crate::{cli::output::Format, control::Client};

/// Print where clients reach a service: tcp://HOST:PORT
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  curl \"$(gateway service url web | sed s/tcp/http/)\"")]
pub struct Url {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    format: Format,
}

impl Url {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let url = client.service(&self.name.name).await?.url;
        self.format.print(&json!({ "url": url }), |_| url.clone())
    }
}
