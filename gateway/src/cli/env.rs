//! `gateway env`.

use anyhow::Result;
use serde_json::json;

use super::{output::Format, service::Name};
use crate::control::Client;

/// Print a service's URL as an environment variable: TCP_URL=tcp://HOST:PORT
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  docker run --env \"$(gateway env mqtt)\" client")]
pub struct Env {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    format: Format,
}

impl Env {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let url = client.service(&self.name.name).await?.url;
        self.format.print(&json!({ "TCP_URL": url }), |_| format!("TCP_URL={url}"))
    }
}
