//! `gateway doctor`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::builder::NonEmptyStringValueParser;
use comfy_table::{Cell, Color};
use serde_json::json;

use super::{
    output::{Format, cell, print, table},
    pins::Pins,
};
use crate::{
    config::Config,
    datapath,
    doctor::{self, Finding, Outcome, Scope},
    host::sysctl::Family,
};

/// Say what this host can do for the gateway, and what it lacks; needs no daemon and changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gateway doctor\n  gateway doctor --config /etc/gateway/gateway.toml\n\n\
    Exit code 1: something is missing that the gateway needs. As root it can look at everything.")]
pub struct Doctor {
    /// Look at what this configuration file needs
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look at this interface (repeatable; those that are up, if neither it nor a file is given)
    #[arg(long = "interface", value_name = "IF", value_parser = NonEmptyStringValueParser::new())]
    interfaces: Vec<String>,
    #[command(flatten)]
    pins: Pins,
    #[command(flatten)]
    format: Format,
}

impl Doctor {
    pub async fn execute(self) -> Result<()> {
        let findings = doctor::examine(&self.scope()?).await;
        let can_run = doctor::can_run(&findings);
        if self.format.is_json() {
            print(&serde_json::to_string_pretty(&json!({ "can_run": can_run, "findings": findings }))?)?;
        } else {
            print(&text(&findings))?;
        }
        if can_run { Ok(()) } else { Err(anyhow!("this host lacks what the gateway needs, see above")) }
    }

    fn scope(&self) -> Result<Scope> {
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let mut interfaces: Vec<String> = config.interfaces.iter().map(|interface| interface.name.clone()).collect();
        interfaces
            .extend(self.interfaces.iter().filter(|name| !interfaces.contains(name)).cloned().collect::<Vec<_>>());
        let mut families: Vec<Family> = config.snat.addresses.iter().map(Family::of).collect();
        families.sort_unstable_by_key(Family::to_string);
        families.dedup();
        let pins = datapath::Pins::at(&self.pins.folder);
        Ok(Scope { interfaces, families, pins, docker: config.docker.map(|docker| docker.socket) })
    }
}

fn text(findings: &[Finding]) -> String {
    let rows = findings.iter().map(|finding| {
        let about = finding.interface.as_deref().unwrap_or("-");
        vec![outcome(finding.outcome), cell(finding.check), cell(about), cell(&finding.found)]
    });
    let remedies = findings.iter().filter_map(|finding| {
        let about = finding.interface.as_ref().map_or(String::new(), |interface| format!(" ({interface})"));
        Some(format!("{}{about}: {}\n  {}", finding.check, finding.why, finding.fix.as_ref()?))
    });
    let remedies: Vec<String> = remedies.collect();
    let table = table(&["", "CHECK", "INTERFACE", "FOUND"], rows);
    if remedies.is_empty() { table } else { format!("{table}\n\n{}", remedies.join("\n")) }
}

fn outcome(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Good => Cell::new("good").fg(Color::Green),
        Outcome::Unknown => Cell::new("unknown").fg(Color::Cyan),
        Outcome::Warning => Cell::new("warning").fg(Color::Yellow),
        Outcome::Missing => Cell::new("missing").fg(Color::Red),
    }
}
