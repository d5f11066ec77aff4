//! What the datapath needs of the kernel and of the process: a recent kernel, its type information, capabilities.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use super::privileges::{self, REQUIRED};

/// The oldest kernel that the programs are made for.
pub const KERNEL: (u32, u32) = (6, 1);

/// Where the kernel shows its types.
pub const BTF: &str = "/sys/kernel/btf/vmlinux";

/// What this host lacks. Displays as a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    #[error("the kernel is {found}, and the gateway needs {}.{} or later: upgrade it", KERNEL.0, KERNEL.1)]
    Kernel { found: String },
    #[error("the kernel shows no type information in {BTF}: run one that is built with CONFIG_DEBUG_INFO_BTF=y")]
    Btf,
    #[error("the gateway lacks {}: run it as root, or grant them to its service", .0.join(", "))]
    Capabilities(Vec<String>),
}

/// One error with a sentence for everything that this host lacks.
pub fn check() -> Result<()> {
    let unmet = unmet()?;
    if unmet.is_empty() {
        return Ok(());
    }
    bail!(unmet.iter().map(Unmet::to_string).collect::<Vec<_>>().join("\n"))
}

/// Everything that this host lacks.
pub fn unmet() -> Result<Vec<Unmet>> {
    let btf = (!Path::new(BTF).exists()).then_some(Unmet::Btf);
    let lacking = REQUIRED - privileges::effective(REQUIRED)?;
    let capabilities = (!lacking.is_empty()).then(|| Unmet::Capabilities(privileges::names(lacking)));
    Ok(old_kernel(&release()?).into_iter().chain(btf).chain(capabilities).collect())
}

/// The running kernel's release, such as `6.1.0-28-amd64`.
pub fn release() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(PATH).with_context(|| format!("read {PATH}; is /proc mounted?"))?;
    Ok(release.trim().to_owned())
}

/// A release that is not a version is taken for a recent one.
pub fn old_kernel(release: &str) -> Option<Unmet> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (version < KERNEL).then(|| Unmet::Kernel { found: release.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_told_from_recent_ones() {
        for old in ["5.10.0-30-amd64", "6.0.19", "4.19.1"] {
            assert_eq!(old_kernel(old), Some(Unmet::Kernel { found: old.to_owned() }));
        }
        for recent in ["6.1.0-28-amd64", "6.18.44", "10.0", "odd"] {
            assert_eq!(old_kernel(recent), None, "{recent}");
        }
    }

    #[test]
    fn unmet_requirement_is_a_sentence_with_its_remedy() {
        assert_eq!(
            Unmet::Capabilities(vec!["CAP_BPF".to_owned()]).to_string(),
            "the gateway lacks CAP_BPF: run it as root, or grant them to its service"
        );
    }
}
