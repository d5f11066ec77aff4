//! Kernels as apt has them: found, downloaded and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{self, announce};

/// The flavour for virtual machines: small, with all that a gateway needs.
const FLAVOUR: &str = "-cloud-amd64";

/// The package of the newest kernel of `series` (`6.1`).
pub fn newest(series: &str) -> Result<String> {
    let prefix = format!("linux-image-{series}.");
    let output = Command::new("apt-cache").args(["pkgnames", &prefix]).output().context("start `apt-cache`")?;
    ensure!(output.status.success(), "`apt-cache pkgnames` failed ({})", output.status);
    let names = String::from_utf8(output.stdout).context("read the names of packages")?;
    let kernels = names.lines().filter(|name| name.ends_with(FLAVOUR));
    let newest = kernels.max_by_key(|name| numbers(name));
    newest.map(str::to_owned).with_context(|| {
        format!("apt has no package {prefix}*{FLAVOUR}: run `apt-get update`, or name a series of this Debian release")
    })
}

/// The folder into which `package` is unpacked, below `folder`; it is downloaded the first time.
pub fn fetch(folder: &Path, package: &str) -> Result<PathBuf> {
    let unpacked = folder.join(package);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let download = folder.join("download");
    if download.exists() {
        fs::remove_dir_all(&download).with_context(|| format!("remove {}", download.display()))?;
    }
    fs::create_dir_all(&download).with_context(|| format!("create {}", download.display()))?;
    announce("Downloading", package);
    // Root's apt would download as a user who may not write here, and warn about it.
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet=2", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(&download);
    command::run(&mut apt)?;
    let archive = only_entry(&download, package)?;
    let partial = download.join("unpacked");
    command::run(Command::new("dpkg").arg("--extract").arg(archive).arg(&partial))?;
    fs::rename(&partial, &unpacked).with_context(|| format!("rename {}", partial.display()))?;
    fs::remove_dir_all(&download).with_context(|| format!("remove {}", download.display()))?;
    Ok(unpacked)
}

/// The entry of `folder` whose name begins with `prefix`.
pub fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    bail!("{} has no {prefix}*", folder.display())
}

/// The numbers in a name, by which versions are ordered.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(numbers("linux-image-6.1.0-100-cloud-amd64") > numbers("linux-image-6.1.0-56-cloud-amd64"));
        assert!(numbers("linux-image-6.12.117+deb12-cloud-amd64") > numbers("linux-image-6.12.9+deb12-cloud-amd64"));
    }
}
