//! The program: static, so that it runs on every distribution, and stripped.
//!
//! It is linked with the C library's static form. The gateway asks it for no names of hosts or users, which is what a static
//! one cannot do on its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{Release, git, install};
use crate::{
    command::{self, announce, cargo},
    workspace,
};

/// Builds it, and leaves it in `folder`.
pub fn build(folder: &Path) -> Result<PathBuf> {
    let host = workspace::host()?;
    announce("Building", &format!("the static program for {host}"));
    let mut build = cargo(&["build", "--release", "--package=gateway", "--target", &host]);
    // Named, so that neither build scripts nor the packet programs get it.
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", host.to_uppercase().replace('-', "_"));
    build.env(flags, "-C target-feature=+crt-static");
    build.env("GATEWAY_COMMIT", commit().unwrap_or_default());
    command::run(&mut build)?;
    let built = workspace::root().join("target").join(&host).join("release/gateway");
    let program = folder.join("gateway");
    install(&built, &program, "0755")?;
    // Here and not in the profile: the type information of the packet programs has to stay.
    command::run(Command::new("strip").arg(&program))?;
    Ok(program)
}

/// Puts it among the results.
pub fn copy(release: &Release) -> Result<PathBuf> {
    let target = release.out.join(format!("gateway-{}-{}-linux", release.version, std::env::consts::ARCH));
    install(&release.program, &target, "0755")?;
    Ok(target)
}

/// The last commit; marked where files differ from it.
fn commit() -> Option<String> {
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}
