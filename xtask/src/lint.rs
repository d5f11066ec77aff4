//! `lint`: format, clippy and rustdoc with warnings denied, for userspace and for the packet programs.

use std::env::consts::ARCH;

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    dependencies,
    setup::{self, Need},
    toolchain::Toolchain,
    workspace,
};

/// Check format, clippy and documentation of both sides, with warnings denied.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask lint")]
pub struct Lint {}

impl Lint {
    pub fn execute(self) -> Result<()> {
        check(&setup::ensure(&[Need::Lint])?)
    }
}

/// The whole lint, with a toolchain that set-up found.
pub fn check(toolchain: &Toolchain) -> Result<()> {
    dependencies::check()?;
    announce("Checking", "the format");
    command::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    announce("Checking", "userspace with clippy");
    let mut clippy = cargo(&["clippy", "--quiet", "--all-targets", "--features=gateway-fuzz/libfuzzer"]);
    command::run(clippy.args(USERSPACE).args(["--", "-D", "warnings"]))?;
    announce("Checking", &format!("the packet programs with clippy of toolchain `{}`", toolchain.compiler.toolchain));
    for package in PACKET_PROGRAMS {
        let mut clippy = toolchain.cargo("clippy", package, ARCH);
        clippy.current_dir(workspace::root()).args(["--target-dir", "target/ebpf-lint", "--", "-D", "warnings"]);
        command::run(&mut clippy)?;
    }
    announce("Checking", "the documentation");
    let mut doc = cargo(&[&["doc", "--quiet", "--no-deps", "--document-private-items"], &USERSPACE[..]].concat());
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Everything that runs on the host.
pub const USERSPACE: [&str; 5] = ["--workspace", "--exclude", "gateway-ebpf", "--exclude", "bench-ebpf"];

/// What runs in the kernel.
const PACKET_PROGRAMS: [&str; 2] = ["gateway-ebpf", "bench-ebpf"];
