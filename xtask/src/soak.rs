//! `soak`: two gateways under load, to which everything happens at random.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    privilege,
    setup::{self, Need},
    workspace,
};

/// Run two gateways under load while everything happens to them at random, and judge every connection.
#[derive(clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  cargo xtask soak --minutes 5\n  cargo xtask soak --minutes 30 --seed 7\n  cargo xtask soak \
                  --help"
)]
pub struct Soak {
    /// Options of the soak.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Soak {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[Need::Lab])?;
        announce("Building", "the gateway and its soak");
        command::run(&mut cargo(&["build", "--package=gateway", "--package=gateway-tests", "--bins"]))?;
        privilege::mount_bpffs()?;
        let gateway = workspace::binary("debug", "gateway")?;
        let soak = workspace::binary("debug", "soak")?;
        announce("Running", "the soak");
        let variables = [("GATEWAY_BIN", gateway.as_os_str())];
        let mut soak = privilege::as_root(soak, &variables, "make network namespaces and load packet programs")?;
        command::run(soak.args(self.arguments))
    }
}
