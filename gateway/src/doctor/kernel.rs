//! The running kernel.

use std::fs;

use super::{Check, Finding};
use crate::host::{
    rcu,
    requirements::{self, BTF, KERNEL, Unmet},
};

pub(super) fn release() -> Finding {
    let check = Check { name: "kernel", why: "the packet programs use what older kernels do not have" };
    match requirements::release() {
        Ok(release) => match requirements::old_kernel(&release) {
            Some(unmet @ Unmet::Kernel { .. }) => check.error(release, format!("upgrade it: {unmet}")),
            _ => check.ok(format!("{release}; {}.{} or later is needed", KERNEL.0, KERNEL.1)),
        },
        Err(error) => check.error(format!("{error:#}"), "mount proc on /proc"),
    }
}

pub(super) fn type_information() -> Finding {
    let check = Check { name: "type information", why: "the verifier judges the programs' functions by their types" };
    match fs::metadata(BTF) {
        Ok(_) => check.ok(BTF),
        Err(error) => check.error(
            format!("{BTF}: {error}"),
            "run a kernel that is built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are",
        ),
    }
}

pub(super) fn compiler() -> Finding {
    let check =
        Check { name: "JIT", why: "without it every packet is handled by an interpreter, several times slower" };
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => check.warning("off", "sysctl -w net.core.bpf_jit_enable=1"),
        Ok(_) => check.ok("on"),
        // The setting is the machine's, and other network namespaces than its first do not show it.
        Err(_) => check.unseen("this network namespace does not show it"),
    }
}

pub(super) fn unprivileged_programs() -> Finding {
    let check = Check {
        name: "unprivileged BPF",
        why: "where every user may load programs, a flaw of the verifier is everybody's way into the kernel",
    };
    match fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").as_deref().map(str::trim) {
        Ok("0") => check.warning("allowed", "sysctl -w kernel.unprivileged_bpf_disabled=2"),
        Ok(_) | Err(_) => check.ok("not allowed"),
    }
}

pub(super) fn tc_links() -> Finding {
    let check = Check { name: "TCX", why: "links are replaced in one step, and other TC programs do not collide" };
    match fs::read(BTF) {
        Ok(types) if has_function(&types, "tcx_link_attach") => check.ok("links"),
        Ok(_) => check.warning("none; filters of the clsact qdisc instead", "upgrade to Linux 6.6 or later"),
        Err(error) => check.unknown(format!("{BTF}: {error}")),
    }
}

/// Whether a name is among those of the type information.
fn has_function(types: &[u8], name: &str) -> bool {
    let wanted: Vec<u8> = [b"\0", name.as_bytes(), b"\0"].concat();
    types.windows(wanted.len()).any(|window| window == wanted)
}

pub(super) fn grace_periods() -> Finding {
    let check = Check { name: "membarrier", why: "the sweeper waits by it until no packet uses what it has removed" };
    match rcu::synchronize() {
        Ok(()) => check.ok("grace periods are waited for"),
        Err(error) => check.warning(
            format!("{error:#}; a fixed time is waited instead"),
            "none is needed; kernels with processors that never tick (nohz_full) do not offer it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_whole_names() {
        let types = b"xx\0tcx_link_attach\0tcx_link_attached\0";
        assert!(has_function(types, "tcx_link_attach"));
        assert!(has_function(types, "tcx_link_attached"));
        assert!(!has_function(types, "tcx_link"));
    }
}
