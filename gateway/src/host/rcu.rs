//! Waiting for what the kernel does under RCU, as packet programs run.
#![expect(unsafe_code, reason = "membarrier(2), which no library wraps")]

use std::io;

use anyhow::{Context, Result};

/// Waits for a grace period: whatever ran under RCU when this was called has ended when it returns.
///
/// membarrier(2) with `MEMBARRIER_CMD_GLOBAL` is `synchronize_rcu` (kernel/sched/membarrier.c). An error on a kernel with
/// processors that never tick (`nohz_full`), which does not offer it.
pub fn synchronize() -> Result<()> {
    // SAFETY: takes no pointers.
    match unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("wait for a grace period of RCU by membarrier(2)"),
    }
}
