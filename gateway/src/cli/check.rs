//! `gateway check`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use nix::net::if_::if_nametoindex;
use serde_json::json;

use super::{
    exit::Refused,
    output::{Format, print},
};
use crate::config::{Config, ConfigErrors, Finding};

/// Validate a configuration file and do nothing else
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway check /etc/gateway/gateway.toml && systemctl reload gateway")]
pub struct Check {
    /// The configuration file
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

impl Check {
    pub fn execute(self) -> Result<()> {
        let checked = self.load();
        if self.format.is_json() {
            return self.print_json(checked);
        }
        let config = checked?;
        for warning in &config.warnings {
            print(&format!("warning: {warning}"))?;
        }
        let backends: usize = config.services.iter().map(|service| service.backends.len()).sum();
        let (file, services) = (self.file.display(), config.services.len());
        print(&format!("{file} is valid; services: {services}, backends: {backends}"))
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        let config = Config::load(&self.file)?;
        config.check_interfaces(|name| if_nametoindex(name).is_ok())?;
        Ok(config)
    }

    fn print_json(&self, checked: Result<Config, ConfigErrors>) -> Result<()> {
        let none: &[Finding] = &[];
        let (errors, warnings) = match &checked {
            Ok(config) => (none, config.warnings.as_slice()),
            Err(errors) => (errors.findings(), none),
        };
        let valid = errors.is_empty();
        print(&serde_json::to_string_pretty(&json!({ "valid": valid, "errors": errors, "warnings": warnings }))?)?;
        if valid { Ok(()) } else { Err(anyhow!(Refused(format!("{} is not valid", self.file.display())))) }
    }
}
