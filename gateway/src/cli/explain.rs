//! `gateway explain`.

use std::net::SocketAddr;

use anyhow::Result;
use clap::error::ErrorKind;

use super::output::Format;
use crate::control::{Client, views::ExplainQuery};

mod steps;

/// Say what would become of a client's SYN, and why
///
/// The datapath's own code decides over copies of its tables. Nothing is sent, changed or counted. It exits with 0 also
/// where the SYN would be refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway explain --from 198.51.100.7:51234 --to 203.0.113.10:20003")]
pub struct Explain {
    /// The client
    #[arg(long, value_name = "CLIENT:PORT")]
    from: SocketAddr,
    /// Where it connects to
    #[arg(long, value_name = "SERVICE:PORT")]
    to: SocketAddr,
    #[command(flatten)]
    format: Format,
}

impl Explain {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { from, to, format } = self;
        let query = ExplainQuery { from, to };
        if let Err(error) = query.ends() {
            clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).exit();
        }
        format.print(&client.explain(&query).await?, steps::text)
    }
}
