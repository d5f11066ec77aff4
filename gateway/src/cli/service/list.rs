//! `gateway service list`.

use anyhow::Result;

use crate::{
    cli::output::{Format, cell, table},
    control::{Client, views::ServiceView},
    model::{Listen, Owner},
};

/// List the services
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway service list --json | jq -r '.[].url'")]
pub struct List {
    #[command(flatten)]
    format: Format,
}

impl List {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let services = client.services().await?;
        let header = ["NAME", "OWNER", "LISTEN", "BACKENDS", "OPEN FLOWS", "CONNECTIONS"];
        self.format.print(&services, |services| table(&header, services.iter().map(row)))
    }
}

fn row(service: &ServiceView) -> Vec<comfy_table::Cell> {
    let listens: Vec<String> = service.listen.iter().map(Listen::to_string).collect();
    vec![
        cell(&service.name),
        cell(owner(service.owner)),
        cell(listens.join(", ")),
        cell(format!("{}/{} in use", service.in_use(), service.backends.len())),
        cell(service.open_flows()),
        cell(service.connections()),
    ]
}

/// The name of an owner, as in JSON.
pub(super) fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::File => "file",
        Owner::Control => "control",
    }
}
