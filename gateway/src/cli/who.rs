//! `gateway who`.

use std::net::SocketAddr;

use anyhow::Result;

use super::output::{Format, cell, flow_state, seconds, table};
use crate::{control::Client, model::flow::Flow};

/// Show the client behind a connection that a backend sees
///
/// A backend sees the front server's address and a port of the gateway's choice. These two, and the address and port that it
/// listens on, name the connection. It is known while it is open and for a minute or more after its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway who 10.0.0.1:61007 10.0.1.2:1883 --json | jq -r .client")]
pub struct Who {
    /// Where the connection comes from, as the backend sees it
    #[arg(value_name = "SNAT_ADDRESS:PORT")]
    snat: SocketAddr,
    /// The backend's own end of it
    #[arg(value_name = "BACKEND_ADDRESS:PORT")]
    backend: SocketAddr,
    #[command(flatten)]
    format: Format,
}

impl Who {
    pub async fn execute(self, client: &Client) -> Result<()> {
        self.format.print(&client.who(self.snat, self.backend).await?, text)
    }
}

fn text(flow: &Flow) -> String {
    let header = ["CLIENT", "PUBLIC", "SERVICE", "BACKEND", "STATE", "AGE"];
    let row = vec![
        cell(flow.client),
        cell(flow.public),
        cell(&flow.service),
        cell(flow.backend),
        flow_state(flow.state),
        cell(seconds(flow.age_seconds)),
    ];
    table(&header, [row])
}
