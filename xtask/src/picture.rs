//! `picture`: the README's picture of `gateway top`.

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    privilege,
    setup::{self, Need},
    workspace,
};

/// Make docs/pictures/top.svg anew: a real screen of `gateway top`, of real traffic in a lab.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask picture")]
pub struct Picture {}

impl Picture {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[Need::Lab])?;
        announce("Building", "the gateway and what takes its picture");
        command::run(&mut cargo(&["build", "--package=gateway", "--package=gateway-tests", "--bins"]))?;
        privilege::mount_bpffs()?;
        let gateway = workspace::binary("debug", "gateway")?;
        let picture = workspace::binary("debug", "picture")?;
        announce("Running", "a lab with traffic");
        let variables = [("GATEWAY_BIN", gateway.as_os_str())];
        let mut picture = privilege::as_root(picture, &variables, "make network namespaces and load packet programs")?;
        command::run(picture.arg("docs/pictures/top.svg"))
    }
}
