//! `gateway flows`.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;

use super::output::{Format, bytes, cell, flow_state, seconds, table};
use crate::{
    control::{Client, MAX_FLOWS, views::FlowQuery},
    model::flow::{Flow, FlowPage, FlowState},
};

/// List open connections
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway flows mqtt --state established\n  \
    gateway flows --client 198.51.100.7 --limit 20 --json")]
pub struct Flows {
    /// Only of this service
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new())]
    service: Option<String>,
    /// Only to this backend
    #[arg(long, value_name = "A:P")]
    backend: Option<SocketAddr>,
    /// Only from this client's address
    #[arg(long, value_name = "A")]
    client: Option<IpAddr>,
    /// Only in this TCP state, such as ESTABLISHED
    #[arg(long, value_name = "S")]
    state: Option<FlowState>,
    /// List so many at most
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

impl Flows {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { service, backend, client: from, state, limit, format } = self;
        let page = client.flows(&FlowQuery { service, backend, client: from, state, limit: Some(limit) }).await?;
        format.print(&page, text)
    }
}

fn text(page: &FlowPage) -> String {
    let header = ["STATE", "SERVICE", "CLIENT", "PUBLIC", "SNAT", "BACKEND", "AGE", "IDLE", "TO BACKEND", "TO CLIENT"];
    let row = |flow: &Flow| {
        vec![
            flow_state(flow.state),
            cell(&flow.service),
            cell(flow.client),
            cell(flow.public),
            cell(flow.snat),
            cell(flow.backend),
            cell(seconds(flow.age_seconds)),
            cell(seconds(flow.idle_seconds)),
            cell(bytes(flow.original.bytes)),
            cell(bytes(flow.reply.bytes)),
        ]
    };
    let listed = table(&header, page.flows.iter().map(row));
    match page.flows.len() as u64 {
        all if all == page.total => listed,
        some => format!("{listed}\n\n{some} of {} flows; --limit lists more", page.total),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..=MAX_FLOWS) => Ok(limit),
        _ => Err(format!("a number of 1 to {MAX_FLOWS} is needed")),
    }
}
