//! What the datapath needs of the kernel and of the process: a recent kernel, its type information, capabilities.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// The oldest kernel that the programs are made for.
const KERNEL: (u32, u32) = (6, 1);

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Capability and its bit, by `linux/capability.h`.
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// `CAP_SYS_ADMIN` implies the capabilities that were split off from it.
const SYS_ADMIN: u32 = 21;
const SPLIT_FROM_SYS_ADMIN: [u32; 2] = [38, 39];

/// What this host lacks. Displays as a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    #[error("the kernel is {found}, and the gateway needs {}.{} or later: upgrade it", KERNEL.0, KERNEL.1)]
    Kernel { found: String },
    #[error("the kernel shows no type information in {BTF}: run one that is built with CONFIG_DEBUG_INFO_BTF=y")]
    Btf,
    #[error("the gateway lacks {}: run it as root, or grant them to its service", .0.join(", "))]
    Capabilities(Vec<&'static str>),
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
    let release = read("/proc/sys/kernel/osrelease")?;
    let status = read("/proc/self/status")?;
    let effective = effective_capabilities(&status).context("/proc/self/status has no CapEff")?;
    let btf = (!Path::new(BTF).exists()).then_some(Unmet::Btf);
    let capabilities = missing_capabilities(effective);
    let capabilities = (!capabilities.is_empty()).then_some(Unmet::Capabilities(capabilities));
    Ok(old_kernel(release.trim()).into_iter().chain(btf).chain(capabilities).collect())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {path}; is /proc mounted?"))
}

/// A release that is not a version is taken for a recent one.
fn old_kernel(release: &str) -> Option<Unmet> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (version < KERNEL).then(|| Unmet::Kernel { found: release.to_owned() })
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let granted = |bit: u32| has(bit) || has(SYS_ADMIN) && SPLIT_FROM_SYS_ADMIN.contains(&bit);
    CAPABILITIES.into_iter().filter(|(_, bit)| !granted(*bit)).map(|(name, _)| name).collect()
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
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tgateway\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective_capabilities(status), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("Name:\tgateway\n"), None);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing_capabilities(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_capabilities(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << 12 | 1 << 38 | 1 << 39), [""; 0]);
    }

    #[test]
    fn unmet_requirement_is_a_sentence_with_its_remedy() {
        assert_eq!(
            Unmet::Capabilities(vec!["CAP_BPF"]).to_string(),
            "the gateway lacks CAP_BPF: run it as root, or grant them to its service"
        );
    }
}
