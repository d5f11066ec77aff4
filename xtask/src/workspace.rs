//! Where things are: the workspace's folder and cargo's target folder.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's folder")
}

/// What cargo built `name` into, of the given profile's folder (`debug`, `release`), beside this very program.
pub fn binary(profile: &str, name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("find the path of xtask itself")?;
    let target = own.ancestors().nth(2).with_context(|| format!("{} lies in no target folder", own.display()))?;
    Ok(target.join(profile).join(name))
}

/// The target triple of the machine, as rustc names it.
pub fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("start `rustc`")?;
    let version = String::from_utf8(output.stdout).context("read rustc's version")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
