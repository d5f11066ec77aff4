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
    config::{self, Config},
    datapath,
    doctor::{self, Finding, Outcome, Scope},
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
    /// Try native XDP: attach a program that lets everything pass, where there is none, for a moment. Some drivers
    /// reset their link for it, which interrupts traffic
    #[arg(long)]
    probe: bool,
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
            print(&serde_json::to_string_pretty(&json!({ "can_run": can_run, "checks": findings }))?)?;
        } else {
            print(&text(&findings))?;
        }
        if can_run { Ok(()) } else { Err(anyhow!("this host lacks what the gateway needs, see above")) }
    }

    fn scope(&self) -> Result<Scope> {
        let mut config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        for name in &self.interfaces {
            if config.interfaces.iter().all(|interface| interface.name != *name) {
                config.interfaces.push(config::Interface { name: name.clone(), mode: config::Mode::Auto });
            }
        }
        Ok(Scope { config, pins: datapath::Pins::at(&self.pins.folder), probe: self.probe })
    }
}

fn text(findings: &[Finding]) -> String {
    let rows = findings.iter().map(|finding| {
        let about = finding.interface.as_deref().unwrap_or("-");
        vec![outcome(finding.result), cell(finding.name), cell(about), cell(&finding.detail)]
    });
    let remedies = findings.iter().filter_map(|finding| {
        let about = finding.interface.as_ref().map_or(String::new(), |interface| format!(" ({interface})"));
        Some(format!("{}{about}: {}\n  {}", finding.name, finding.why, finding.fix.as_ref()?))
    });
    let remedies: Vec<String> = remedies.collect();
    let table = table(&["RESULT", "CHECK", "INTERFACE", "DETAIL"], rows);
    if remedies.is_empty() { table } else { format!("{table}\n\n{}", remedies.join("\n")) }
}

fn outcome(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Ok => Cell::new("ok").fg(Color::Green),
        Outcome::Unknown => Cell::new("unknown").fg(Color::Cyan),
        Outcome::Warning => Cell::new("warning").fg(Color::Yellow),
        Outcome::Error => Cell::new("error").fg(Color::Red),
    }
}
