//! Ctrl-C and SIGTERM: a process that ends by a signal drops nothing, so the lab is removed by its names.

use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::leftovers;

/// Removes every lab of this process and ends it when it is interrupted. Call it before threads are started.
///
/// # Panics
/// When the kernel refuses to block signals.
pub fn clean_up_on_signals() {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    // Threads inherit the mask, so only the waiting one gets the signals; the lab's programs start without it.
    signals.thread_block().expect("the signals can be blocked");
    thread::spawn(move || {
        let signal = signals.wait().expect("the set holds real signals");
        eprintln!("\n{signal}: removing the lab");
        leftovers::remove_own();
        std::process::exit(128 + signal as i32);
    });
}
