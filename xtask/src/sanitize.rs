//! `sanitize`: the packet core's tests under AddressSanitizer, which sees accesses that no bounds check guards.

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    workspace,
};

/// Run the tests of the packet core under AddressSanitizer.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask sanitize")]
pub struct Sanitize {}

impl Sanitize {
    pub fn execute(self) -> Result<()> {
        let Self {} = self;
        announce("Testing", "gateway-common under AddressSanitizer");
        // With a target named, cargo keeps the flags away from build scripts and macros.
        let host = workspace::host()?;
        // Not the model checker's tests: it moves between stacks, which the sanitizer takes for errors.
        let mut test = cargo(&["test", "--package=gateway-common", "--lib", "--test=nat", "--target", &host]);
        // The runtime is part of stable toolchains, the option is not stable.
        command::run(test.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address"))
    }
}
