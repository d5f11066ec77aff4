//! `run`: the daemon from source, with the privileges it needs.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    command::{self, announce, cargo, spell},
    privilege, setup, workspace,
};

/// Build the gateway and run `gateway run ARGS` as root, directly or through sudo.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask run -- --interface eth0\n  cargo xtask run -- --config gateway.toml")]
pub struct Run {
    /// Arguments of `gateway run`.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

impl Run {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[])?;
        announce("Building", "the gateway");
        command::run(&mut cargo(&["build", "--release", "--package=gateway"]))?;
        privilege::mount_bpffs()?;
        let mut gateway = privilege::as_root(workspace::binary("release", "gateway")?, &[], "load packet programs")?;
        gateway.arg("run").args(self.arguments);
        announce("Running", &spell(&gateway));
        command::run(&mut gateway)
    }
}
