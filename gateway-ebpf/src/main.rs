//! The packet programs: one for XDP, one for TC, around the core in `gateway_common::nat`.
//!
//! Both do the same: wrap the packet as a [`Frame`](gateway_common::nat::Frame), let the core decide over the
//! shared maps, count the reason, and turn the verdict into the hook's action.

#![no_std]
#![no_main]
#![expect(internal_features, reason = "atomic addition has no stable form for this target")]
#![feature(core_intrinsics)]

#[expect(unsafe_code, reason = "counters behind pointers of the kernel")]
mod maps;
#[expect(unsafe_code, reason = "a packet's bytes as headers, within the bounds that the verifier checks")]
mod packet;
#[expect(unsafe_code, reason = "bpf_fib_lookup and its unions")]
mod route;
#[expect(unsafe_code, reason = "map values behind pointers of the kernel, shared by all CPUs")]
mod tables;
#[expect(unsafe_code, reason = "the context of the hook and its helpers")]
mod tc;
#[expect(unsafe_code, reason = "frames as bytes in map memory")]
mod watch;
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
