//! `demo`: the gateway in a lab of network namespaces, with real connections.

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    privilege,
    setup::{self, Need},
    workspace,
};

/// Show the gateway at work in a lab of its own; needs no configuration and leaves nothing behind.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask demo")]
pub struct Demo {}

impl Demo {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[Need::Lab])?;
        announce("Building", "the gateway and its demo");
        command::run(&mut cargo(&["build", "--package=gateway", "--package=gateway-tests", "--bins"]))?;
        privilege::mount_bpffs()?;
        let gateway = workspace::binary("debug", "gateway")?;
        let demo = workspace::binary("debug", "demo")?;
        announce("Running", "the demo");
        let variables = [("GATEWAY_BIN", gateway.as_os_str())];
        command::run(&mut privilege::as_root(demo, &variables, "make network namespaces and load packet programs")?)
    }
}
