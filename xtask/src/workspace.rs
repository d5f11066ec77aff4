//! Where things are: the workspace's folder and cargo's target folder.

use std::{
    env,
    path::{Path, PathBuf},
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
