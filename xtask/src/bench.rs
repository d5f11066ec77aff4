//! `bench`: the benchmarks, with the gateway and its peers in the same run.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    privilege,
    setup::{self, Need},
    workspace,
};

/// Measure the gateway beside its peers; the report goes to target/bench.
#[derive(clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  cargo xtask bench --quick\n  cargo xtask bench micro\n  cargo xtask bench --against \
                  EARLIER/report.json\n  cargo xtask bench --help"
)]
pub struct Bench {
    /// A suite (micro, live, scale) and options of the benchmarks.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Bench {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[Need::Lab, Need::Peers])?;
        announce("Building", "the gateway and its benchmarks");
        command::run(&mut cargo(&["build", "--release", "--package=gateway", "--package=gateway-bench", "--bins"]))?;
        privilege::mount_bpffs()?;
        let gateway = workspace::binary("release", "gateway")?;
        let bench = workspace::binary("release", "bench")?;
        announce("Running", "the benchmarks");
        let variables = [("GATEWAY_BIN", gateway.as_os_str())];
        let mut bench = privilege::as_root(bench, &variables, "make network namespaces and load packet programs")?;
        // The last folder given counts.
        bench.arg("--output").arg(workspace::root().join("target/bench")).args(self.arguments);
        command::run(&mut bench)
    }
}
