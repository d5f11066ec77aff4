//! `gateway man`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::{Cli, output::print};

/// Print the manual page, or write one for every command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway man --out /usr/local/share/man/man1")]
pub struct Man {
    /// Write gateway.1, gateway-status.1 and so on here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub fn execute(self) -> Result<()> {
        let Some(folder) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            return print(&String::from_utf8(page)?);
        };
        fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
            .with_context(|| format!("write manual pages to {}", folder.display()))
    }
}
