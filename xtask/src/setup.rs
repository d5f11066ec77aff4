//! `setup`: puts on the machine what building and testing need, and nothing that is there already.
//!
//! It installs by itself where apt is and the right to use it; elsewhere it says exactly what to install.
//! Nothing is installed before it has been named.

mod linker;
mod packages;

use std::process::Command;

use anyhow::{Context as _, Result};

pub use self::packages::Need;
use crate::{
    command::{self, announce},
    toolchain::{Compiler, DISTRIBUTION, Toolchain},
    workspace,
};

/// Install what building, linting and testing need. Does nothing where everything is there.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask setup")]
pub struct Setup {}

impl Setup {
    pub fn execute(self) -> Result<()> {
        let toolchain = ensure(&Need::ALL)?;
        let compiler = toolchain.compiler;
        announce(
            "Ready",
            &format!("packet programs: toolchain `{}`, LLVM {}", compiler.toolchain, compiler.llvm_major),
        );
        Ok(())
    }
}

/// The toolchain of the packet programs; installs what is missing of it, and of what `needs` adds to it.
pub fn ensure(needs: &[Need]) -> Result<Toolchain> {
    which::which("rustup").context("find rustup, which runs the compilers: install it from https://rustup.rs")?;
    let found = Toolchain::find(workspace::root());
    let mut missing = packages::missing(needs, found.as_ref());
    if found.is_none() {
        missing.extend(packages::missing_of_toolchain(compiler().as_ref()));
    }
    if !missing.is_empty() {
        packages::install(&missing)?;
    }
    let programs = packages::missing_programs(needs);
    if !programs.is_empty() {
        packages::install_programs(&programs)?;
    }
    match found {
        Some(toolchain) => Ok(toolchain),
        None => complete_toolchain(),
    }
}

/// The preferred compiler for which a bpf-linker can be built here.
fn compiler() -> Option<Compiler> {
    Compiler::candidates().find(|compiler| packages::llvm_available(compiler.llvm_major))
}

/// From the installed packages to a toolchain: links the compiler into rustup and builds the linker.
fn complete_toolchain() -> Result<Toolchain> {
    let compiler = match compiler() {
        Some(compiler) => compiler,
        None => link_distribution_compiler()?,
    };
    linker::install(&compiler)?;
    Toolchain::find(workspace::root()).context("bpf-linker is not where it was installed")
}

fn link_distribution_compiler() -> Result<Compiler> {
    announce("Linking", &format!("the distribution's compiler as rustup toolchain `{DISTRIBUTION}`"));
    command::run(Command::new("rustup").args(["toolchain", "link", DISTRIBUTION, "/usr"]))?;
    compiler().context("the distribution's compiler does not run, or its source is not in /usr/lib/rustlib/src")
}
