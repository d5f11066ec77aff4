//! The gateway under test: the real program in the front server's namespace, with its own socket, state and pins.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{Lab, Output, Process};

mod another_build;
mod config;

pub use another_build::another_build;
pub use config::{GatewayConfig, Mode, ServiceConfig};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running daemon. Dropping it stops it and takes its datapath off.
#[derive(Debug)]
pub struct Gateway<'lab> {
    lab: &'lab Lab,
    process: Process,
    leaves_datapath: bool,
}

impl<'lab> Gateway<'lab> {
    /// Starts `gateway run` on the lab's front server and waits until it is ready.
    #[track_caller]
    pub fn start(lab: &'lab Lab, config: &GatewayConfig) -> Self {
        Self::start_with(lab, &config.to_toml(), &[])
    }

    /// Starts `gateway run` with a configuration text and more arguments.
    #[track_caller]
    pub fn start_with(lab: &'lab Lab, config: &str, arguments: &[&str]) -> Self {
        Self::start_program(lab, &program(), config, arguments)
    }

    /// The same with another program than the one under test.
    #[track_caller]
    pub fn start_program(lab: &'lab Lab, program: &Path, config: &str, arguments: &[&str]) -> Self {
        let mut process = Process::start(run(lab, program, config).args(arguments));
        process.wait_for_line("ready", START_TIMEOUT);
        Self { lab, process, leaves_datapath: false }
    }

    /// Replaces the configuration file and makes the daemon read it.
    #[track_caller]
    pub fn reload(&self, config: &GatewayConfig) {
        self.reload_text(&config.to_toml());
    }

    /// The same with a configuration text.
    #[track_caller]
    pub fn reload_text(&self, config: &str) {
        write_config(self.lab, config);
        self.process.signal(Signal::SIGHUP);
    }

    /// Runs a command of the gateway against this daemon.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        cli(self.lab, arguments)
    }

    /// The JSON of a command that must succeed; `--json` is added.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        self.cli(&[arguments, &["--json"]].concat()).success().json()
    }

    /// Packets that had an outcome, by the name of its reason.
    #[track_caller]
    pub fn packets(&self, reason: &str) -> u64 {
        let status = self.json(&["status"]);
        let reasons = status["reasons"].as_array().expect("status lists reasons");
        let found = reasons.iter().find(|count| count["reason"] == reason);
        let count = found.and_then(|count| count["packets"].as_u64());
        count.unwrap_or_else(|| panic!("no reason {reason} in {status}"))
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the daemon with SIGTERM and leaves its datapath in force.
    #[track_caller]
    pub fn stop(mut self) -> Output {
        self.leaves_datapath = true;
        self.process.signal(Signal::SIGTERM);
        self.process.wait(STOP_TIMEOUT)
    }

    /// Ends the daemon as a crash does and leaves its datapath in force.
    pub fn kill(mut self) {
        self.leaves_datapath = true;
        self.process.signal(Signal::SIGKILL);
        self.process.wait(STOP_TIMEOUT);
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the gateway of {}\n{}---", self.lab.id(), self.log());
        }
        if self.process.exit_status().is_none() {
            self.process.signal(Signal::SIGTERM);
            let deadline = Instant::now() + STOP_TIMEOUT;
            while self.process.exit_status().is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        if !self.leaves_datapath {
            // What it cannot take off goes with the namespace and the lab's pin folder.
            let _ = command(self.lab).arg("detach").output();
        }
    }
}

/// Runs the program once, for example `gateway check`, whether a daemon runs or not.
#[track_caller]
pub fn cli(lab: &Lab, arguments: &[&str]) -> Output {
    Process::start(command(lab).args(arguments)).wait(Duration::from_secs(30))
}

/// `gateway run` of a program with a configuration text, for who does not wait until it is ready.
#[track_caller]
pub fn run(lab: &Lab, program: &Path, config: &str) -> Command {
    write_config(lab, config);
    let mut run = command_of(lab, program);
    run.args(["run", "--config"]).arg(config_path(lab));
    run
}

/// The gateway's program in the front server's namespace, told to use the lab's socket and pins.
pub fn command(lab: &Lab) -> Command {
    command_of(lab, &program())
}

fn command_of(lab: &Lab, program: &Path) -> Command {
    let mut command = lab.front.command(program);
    command
        .env("GATEWAY_SOCKET", lab.directory().join("gateway.sock"))
        .env("GATEWAY_BPFFS", lab.id().pin_directory())
        .env("RUST_BACKTRACE", "1");
    command
}

/// The program under test: `GATEWAY_BIN`, or the one that cargo built beside this test.
#[track_caller]
pub fn program() -> PathBuf {
    env::var_os("GATEWAY_BIN").map_or_else(|| built("gateway"), PathBuf::from)
}

/// A program that cargo built beside this one.
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    let own = env::current_exe().expect("a running program has a path");
    let profile = own.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    let program = profile.expect("cargo puts programs below the profile's folder").join(name);
    assert!(program.exists(), "{} is missing: run `cargo build` first", program.display());
    program
}

fn config_path(lab: &Lab) -> PathBuf {
    lab.directory().join("gateway.toml")
}

#[track_caller]
fn write_config(lab: &Lab, config: &str) {
    let path: &Path = &config_path(lab);
    std::fs::write(path, config).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
}
