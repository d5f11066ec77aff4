//! What the packet programs and the daemon share.
//!
//! [`abi`] is the layout of every map, [`nat`] the decisions taken for a packet. Both are `no_std` and know
//! neither aya nor a kernel: the same code runs in the XDP program, in the TC program and in host tests.

#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod nat;
