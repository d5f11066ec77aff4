//! `gateway backend list`.

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;

use super::table_of;
use crate::{
    cli::output::Format,
    control::{Client, views::BackendQuery},
};

/// List backends with their state and counters
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway backend list mqtt")]
pub struct List {
    /// Only of this service
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new())]
    service: Option<String>,
    #[command(flatten)]
    format: Format,
}

impl List {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let backends = client.backends(&BackendQuery { service: self.service }).await?;
        self.format.print(&backends, |backends| table_of(backends))
    }
}
