//! Packet programs of the benchmarks.
//!
//! The *drivers* turn one packet into many: each run makes the packet anew, of a flow drawn at random, and goes on
//! into the program under test. The others are what the gateway's programs are compared with.

#![no_std]
#![no_main]

mod frames;
#[expect(unsafe_code, reason = "the context of the hook and its helpers")]
mod live;
#[expect(unsafe_code, reason = "packets are made in place")]
mod make;
mod maps;
#[expect(unsafe_code, reason = "map values behind pointers of the kernel")]
mod plain;
#[allow(dead_code, reason = "userspace makes what is in it")]
mod plan;
#[expect(unsafe_code, reason = "the context of the hook and its helpers")]
mod tc;
#[expect(unsafe_code, reason = "the context of the hook and its helpers")]
mod xdp;

/// The kernel's helpers are for programs under a GPL-compatible licence.
#[expect(unsafe_code, reason = "the loader finds it by section and name")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses a program that could reach this.
    loop {}
}
