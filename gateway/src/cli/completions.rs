//! `gateway completions`.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, output::print};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway completions bash > /usr/share/bash-completion/completions/gateway")]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn execute(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gateway", &mut script);
        print(&String::from_utf8(script)?)
    }
}
