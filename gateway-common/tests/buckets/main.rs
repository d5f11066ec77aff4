//! The flow table in buckets: every interleaving of few CPUs, and long histories of one beside a reference.

mod interleavings;
mod reference;

use gateway_common::abi::{Flow, Tuple};

const HASH_KEYS: [u32; 10] = [0x1357_9bdf, 2, 3, 5, 7, 11, 13, 17, 19, 23];

/// An entry that is told from others by its number and its mark.
fn entry(number: u16, mark: u32) -> Flow {
    let client = format!("198.51.100.1:{number}").parse().unwrap();
    let service = "203.0.113.10:80".parse().unwrap();
    Flow { from: Tuple::from_sockets(client, service), backend: mark, ..Flow::EMPTY }
}
