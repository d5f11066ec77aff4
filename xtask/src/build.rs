//! `build`: the daemon with its packet programs inside, and the other default members.

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    setup,
};

/// Build the workspace's default members, after set-up if that is needed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask build --release")]
pub struct Build {
    /// Build with optimisations. The packet programs are optimised in either profile.
    #[arg(long)]
    release: bool,
}

impl Build {
    pub fn execute(self) -> Result<()> {
        setup::ensure(&[])?;
        announce("Building", "the workspace");
        command::run(cargo(&["build"]).args(self.release.then_some("--release")))
    }
}
