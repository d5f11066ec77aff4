//! `gateway flows`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use tokio::time;

use super::output::{Format, bytes, cell, flow_state, seconds, table};
use crate::{
    control::{Client, MAX_FLOWS, views::FlowQuery},
    model::flow::{Flow, FlowPage, FlowSort, FlowState},
};

/// Shortest time between two listings.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// List or count open connections
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway flows mqtt --state established\n  \
    gateway flows --client 198.51.100.7 --limit 20 --json\n  \
    gateway flows --sort bytes --limit 10 --watch 5s\n  \
    gateway flows mqtt --count")]
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
    /// Sort by this, and list the first; otherwise any are listed, by service and client
    #[arg(long, value_name = "KEY")]
    sort: Option<FlowSort>,
    /// Sort the other way round
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// List so many at most
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = limit)]
    limit: usize,
    /// Only say how many there are
    #[arg(long, conflicts_with_all = ["sort", "limit"])]
    count: bool,
    /// Show them again and again, every 2 s unless an interval is given; ends with Ctrl-C
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s", value_parser = interval)]
    watch: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl Flows {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { service, backend, client: from, state, sort, reverse, limit, count, watch, format } = self;
        let limit = Some(if count { 0 } else { limit });
        let query = FlowQuery { service, backend, client: from, state, sort, reverse, limit };
        let text = |page: &FlowPage| if count { page.total.to_string() } else { text(page) };
        let Some(interval) = watch else { return format.print(&client.flows(&query).await?, text) };
        loop {
            format.print_anew(&client.flows(&query).await?, text)?;
            time::sleep(interval).await;
        }
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

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= MIN_INTERVAL => Ok(interval),
        Ok(_) => Err("100ms is the shortest".to_owned()),
        Err(error) => Err(format!("an interval such as 5s is needed: {error}")),
    }
}
