//! Kernels as Debian packs them: found, downloaded and unpacked, never installed.
//!
//! Until Linux 7.2 one package has all of a kernel, with its image in `/boot` and its modules in `/lib`; later ones are in
//! three, and everything is in `/usr/lib/modules`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::apt::Apt;
use crate::command::{self, announce};

/// The flavour for virtual machines: small, with all that a gateway needs.
const FLAVOUR: &str = "-cloud-amd64";
/// What the names of a kernel's packages begin with; the first is always there.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel, and the apt that has its packages.
pub struct Package {
    /// Of the one that stands for the kernel.
    pub name: String,
    apt: Apt,
}

/// A kernel's files.
pub struct Kernel {
    root: PathBuf,
}

impl Package {
    /// The newest kernel of `series` (`6.1`): of this machine's release, or of a newer one, whose lists are kept below
    /// `folder`.
    pub fn newest(folder: &Path, series: &str) -> Result<Self> {
        let apt = Apt::of_this_machine();
        if let Some(name) = newest(&apt, series)? {
            return Ok(Self { name, apt });
        }
        announce("Looking", &format!("for Linux {series} in newer releases of Debian"));
        let apt = Apt::of_newer_releases(folder)?;
        match newest(&apt, series)? {
            Some(name) => Ok(Self { name, apt }),
            None => bail!("no release of Debian has Linux {series}, as far as is known here: run `apt-get update`"),
        }
    }

    /// The kernel unpacked below `folder`; it is downloaded the first time.
    pub fn fetch(&self, folder: &Path) -> Result<Kernel> {
        let unpacked = folder.join(&self.name);
        if unpacked.exists() {
            return Ok(Kernel { root: unpacked });
        }
        let download = folder.join("download");
        if download.exists() {
            fs::remove_dir_all(&download).with_context(|| format!("remove {}", download.display()))?;
        }
        fs::create_dir_all(&download).with_context(|| format!("create {}", download.display()))?;
        let partial = download.join("unpacked");
        for package in self.parts()? {
            self.apt.download(&package, &download)?;
            let archive = only_entry(&download, &format!("{package}_"))?;
            command::run(Command::new("dpkg").arg("--extract").arg(archive).arg(&partial))?;
        }
        fs::rename(&partial, &unpacked).with_context(|| format!("rename {}", partial.display()))?;
        fs::remove_dir_all(&download).with_context(|| format!("remove {}", download.display()))?;
        Ok(Kernel { root: unpacked })
    }

    /// All packages of the kernel.
    fn parts(&self) -> Result<Vec<String>> {
        let [image, others @ ..] = PARTS;
        let release = self.name.strip_prefix(image).context("a kernel's package has another name")?;
        let mut parts = vec![self.name.clone()];
        for name in others.map(|part| format!("{part}{release}")) {
            if self.apt.names(&name)?.contains(&name) {
                parts.push(name);
            }
        }
        Ok(parts)
    }
}

impl Kernel {
    /// What the emulator boots.
    pub fn image(&self) -> Result<PathBuf> {
        let boot = self.root.join("boot");
        if boot.exists() { only_entry(&boot, "vmlinuz-") } else { Ok(self.modules()?.join("vmlinuz")) }
    }

    /// The folder of its modules.
    pub fn modules(&self) -> Result<PathBuf> {
        let folders = ["lib/modules", "usr/lib/modules"].map(|folder| self.root.join(folder));
        let folder = folders.iter().find(|folder| folder.exists());
        only_entry(folder.with_context(|| format!("{} has no modules", self.root.display()))?, "")
    }
}

fn newest(apt: &Apt, series: &str) -> Result<Option<String>> {
    let names = apt.names(&format!("linux-image-{series}."))?;
    Ok(names.into_iter().filter(|name| name.ends_with(FLAVOUR)).max_by_key(|name| numbers(name)))
}

/// The entry of `folder` whose name begins with `prefix`.
fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
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
