//! `gateway run`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgGroup, builder::NonEmptyStringValueParser};

use super::pins::Pins;
use crate::{
    daemon::{self, Host, RunOptions},
    logging::{self, LogFormat},
};

/// Run the daemon: attach the datapath, serve the control socket, until SIGTERM or SIGINT
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("where").args(["config", "interfaces"]).required(true).multiple(true),
    after_help = "Examples:\n  \
        gateway run --config /etc/gateway/gateway.toml\n  \
        gateway run --interface eth0 --interface eth1 --set-sysctls\n\n\
        SIGHUP reloads the file. RUST_LOG sets what is logged to stderr, such as RUST_LOG=debug."
)]
pub struct Run {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Attach to this interface, beside those of the file (repeatable)
    #[arg(long = "interface", value_name = "IF", value_parser = NonEmptyStringValueParser::new())]
    interfaces: Vec<String>,
    /// Keep what is set at run time in this folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Take the datapath off at the end; otherwise it goes on forwarding
    #[arg(long)]
    detach_on_exit: bool,
    /// Set the sysctls that forwarding needs; they stay set
    #[arg(long)]
    set_sysctls: bool,
    /// What is logged to stderr: sentences, or a JSON object a line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(flatten)]
    pins: Pins,
}

impl Run {
    /// Runs the daemon on the host that `host` makes of the options, before there is a second thread; `socket` wins over
    /// the file's.
    pub fn execute<H: Host>(self, socket: Option<PathBuf>, host: impl FnOnce(&RunOptions) -> Result<H>) -> Result<()> {
        let Self { config, interfaces, state, detach_on_exit, set_sysctls, log_format, pins } = self;
        logging::start(log_format);
        let pins = pins.folder;
        let options = RunOptions { config, interfaces, socket, state, detach_on_exit, pins, set_sysctls };
        let host = host(&options)?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(daemon::run(&options, host))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    fn parse(line: &str) -> Result<Run, ErrorKind> {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.run).map_err(|error| error.kind())
    }

    #[test]
    fn file_and_flags_go_together() {
        let run =
            parse("--config a.toml --interface eth0 --interface eth1 --detach-on-exit --set-sysctls --log-format json")
                .unwrap();
        assert_eq!(run.config, Some("a.toml".into()));
        assert_eq!(run.interfaces, ["eth0", "eth1"]);
        assert!(run.detach_on_exit && run.set_sysctls);
        assert_eq!(run.log_format, LogFormat::Json);
    }

    #[test]
    fn wrong_lines_are_refused() {
        assert_eq!(parse("").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("--set-sysctls").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("--config").unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse("--config a --config b").unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(parse("--interface=").unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse("a.toml").unwrap_err(), ErrorKind::UnknownArgument);
        assert_eq!(parse("--config a --detach-on-exit=yes").unwrap_err(), ErrorKind::TooManyValues);
    }
}
