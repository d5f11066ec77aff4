//! The packet programs and where they are pinned.

use std::path::Path;

use super::{Check, Finding};
use crate::{
    datapath::{self, Pins},
    host::{
        bpffs,
        privileges::{self, REQUIRED},
    },
};

pub(super) fn file_system(pins: &Path) -> Finding {
    let check = Check { name: "bpffs", why: "what is pinned there forwards packets without the daemon" };
    match bpffs::is_below_bpffs(pins) {
        Ok(true) => check.ok(format!("{} is on one", pins.display())),
        Ok(false) if !pins.starts_with(bpffs::MOUNT_POINT) => check.error(
            format!("{} is on no BPF file system", pins.display()),
            format!("use a folder below {}", bpffs::MOUNT_POINT),
        ),
        Ok(false) if privileges::may_mount() => check.warning(
            format!("none is mounted on {}; the gateway mounts it when it starts", bpffs::MOUNT_POINT),
            format!("mount -t bpf bpf {} -o mode=0700", bpffs::MOUNT_POINT),
        ),
        Ok(false) => check.error(
            format!("none is mounted on {}", bpffs::MOUNT_POINT),
            format!("as root: mount -t bpf bpf {} -o mode=0700", bpffs::MOUNT_POINT),
        ),
        Err(error) => check.unknown(format!("{error:#}")),
    }
}

pub(super) fn pins(pins: &Pins) -> Finding {
    let check = Check { name: "pins", why: "what is pinned and not this version's is never adopted" };
    if privileges::effective(REQUIRED).is_ok_and(|had| had != REQUIRED) {
        return check.unknown("not looked at: the kernel shows them to privileged users only");
    }
    match datapath::check_pins(pins) {
        Ok(()) if pins.exist() => check.ok("of this version; they are adopted"),
        Ok(()) => check.ok("none"),
        Err(error) => check.error(format!("{error:#}"), "docs/recovery.md says what can be done"),
    }
}

/// Loads the programs for a moment, with small tables and no pins.
pub(super) fn verifier() -> Finding {
    let check = Check { name: "packet programs", why: "every kernel's verifier judges them by rules of its own" };
    if privileges::effective(REQUIRED).is_ok_and(|had| had != REQUIRED) {
        return check.unknown("not tried: the kernel loads them for privileged users only");
    }
    match datapath::try_load() {
        Ok(()) => check.ok("the kernel takes them"),
        Err(error) => check.error(
            format!("the kernel refuses them: {error:#}"),
            "upgrade the kernel, and report it to the makers of the gateway",
        ),
    }
}
