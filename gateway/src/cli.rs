//! The command line: one file a verb.
//!
//! Every verb but `run`, `check`, `doctor`, `completions` and `man` is a client of the daemon's control socket. Tables are for
//! people; `--json` is for programs, with the field names of `docs/api.md`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    config,
    control::Client,
    daemon::{self, LinuxHost},
    datapath::Pins,
};

mod backend;
mod capture;
mod check;
mod completions;
mod deploy;
mod detach;
mod doctor;
mod env;
mod events;
mod exit;
mod explain;
mod flows;
mod health;
mod limits;
mod man;
mod output;
mod pins;
mod policy;
mod progress;
mod run;
mod service;
mod sightings;
mod status;
mod top;
mod trace;
mod version;
mod who;

pub use detach::Detach;
pub use exit::report;
pub use run::Run;

/// A NAT gateway for raw TCP: services on this host's public addresses, backends behind it
#[derive(Debug, Parser)]
#[command(
    name = "gateway",
    version,
    long_version = version::long(),
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon, 4 not found, 5 refused"
)]
pub struct Cli {
    /// The daemon's control socket
    #[arg(long, global = true, env = "GATEWAY_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Status(status::Status),
    #[command(subcommand)]
    Service(service::Service),
    Env(env::Env),
    #[command(subcommand)]
    Backend(backend::Backend),
    Deploy(deploy::Deploy),
    Flows(flows::Flows),
    Who(who::Who),
    Trace(trace::Trace),
    Capture(capture::Capture),
    Explain(explain::Explain),
    Events(events::Events),
    Top(top::Top),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Detach(Detach),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Cli {
    /// Does what the command line says.
    pub fn execute(self) -> Result<()> {
        let socket = self.socket.clone().unwrap_or_else(|| config::Control::default().socket);
        let client = || Client::new(socket.clone());
        match self.command {
            Command::Run(verb) => verb.execute(self.socket, LinuxHost::prepare),
            Command::Status(verb) => wait(verb.execute(&client())),
            Command::Service(verb) => wait(verb.execute(&client())),
            Command::Env(verb) => wait(verb.execute(&client())),
            Command::Backend(verb) => wait(verb.execute(&client())),
            Command::Deploy(verb) => wait(verb.execute(&client())),
            Command::Flows(verb) => wait(verb.execute(&client())),
            Command::Who(verb) => wait(verb.execute(&client())),
            Command::Trace(verb) => wait(verb.execute(&client())),
            Command::Capture(verb) => wait(verb.execute(&client())),
            Command::Explain(verb) => wait(verb.execute(&client())),
            Command::Events(verb) => wait(verb.execute(&client())),
            Command::Top(verb) => wait(verb.execute(&client())),
            Command::Check(verb) => verb.execute(),
            Command::Doctor(verb) => wait(verb.execute()),
            Command::Detach(verb) => wait(verb.execute(&socket, async |pins| daemon::detach(&Pins::at(pins)).await)),
            Command::Completions(verb) => verb.execute(),
            Command::Man(verb) => verb.execute(),
        }
    }
}

/// Runs a client's exchange on this thread.
fn wait(exchange: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(exchange)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn every_command(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().flat_map(every_command);
        std::iter::once(command.clone()).chain(below).collect()
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for mut command in every_command(&Cli::command()).into_iter().filter(|command| !command.has_subcommands()) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{}: {help}", command.get_name());
        }
    }
}
