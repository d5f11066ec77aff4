//! What the packet programs and the daemon share.
//!
//! [`abi`] is the layout of every map, [`nat`] the decisions taken for a packet. Both are `no_std` and know
//! neither aya nor a kernel: the same code runs in the XDP program, in the TC program and in host tests. The
//! feature `host` adds the world that it runs in there.

#![cfg_attr(not(any(test, feature = "host")), no_std)]

pub mod abi;
#[cfg(feature = "host")]
pub mod host;
pub mod nat;
