//! `gateway status`.

use anyhow::Result;

use super::output::{Format, cell, seconds, table};
use crate::{
    control::{
        Client,
        views::{BackendCount, StatusView},
    },
    model::status::TableFill,
};

/// Show interfaces, services, table fill, packets by reason and warnings
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway status --json | jq '.reasons[] | select(.action == \"drop\")'")]
pub struct Status {
    #[command(flatten)]
    format: Format,
}

impl Status {
    pub async fn execute(self, client: &Client) -> Result<()> {
        self.format.print(&client.status().await?, text)
    }
}

fn text(status: &StatusView) -> String {
    let StatusView { version, uptime_seconds, services, backends, datapath } = status;
    let interfaces =
        datapath.interfaces.iter().map(|interface| vec![cell(&interface.name), cell(interface.mode.name())]);
    let totals = [
        ("services", format!("{} of the file, {} added", services.file, services.control)),
        ("backends", counts(*backends)),
        ("flows", fill(datapath.flows)),
        ("half-open flows", fill(datapath.half_open)),
    ];
    let reasons = datapath.reasons.iter().filter(|count| count.packets > 0);
    let reasons = reasons.map(|count| vec![cell(count.action.name()), cell(&count.reason), cell(count.packets)]);
    let mut sections = vec![
        format!("gateway {version}, up {}", seconds(*uptime_seconds)),
        table(&["INTERFACE", "MODE"], interfaces),
        table(&["TABLE", "FILL"], totals.map(|(what, how)| vec![cell(what), cell(how)])),
        table(&["ACTION", "REASON", "PACKETS"], reasons),
    ];
    if !datapath.warnings.is_empty() {
        let warnings: Vec<String> = datapath.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        sections.push(warnings.join("\n"));
    }
    sections.join("\n\n")
}

fn counts(BackendCount { starting, active, down, draining }: BackendCount) -> String {
    let down = if down > 0 { format!(" ({down} down)") } else { String::new() };
    let starting = if starting > 0 { format!("{starting} starting, ") } else { String::new() };
    format!("{starting}{active} active{down}, {draining} draining")
}

fn fill(TableFill { open, capacity }: TableFill) -> String {
    let percent = open as f64 * 100.0 / capacity.max(1) as f64;
    format!("{open} of {capacity} ({percent:.1} %)")
}
