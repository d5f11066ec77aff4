//! The core by its behaviour: frames in, verdicts, frames and tables out.
//!
//! Every test runs over both families where the family makes a difference. Results are read by `etherparse`, which
//! computes every checksum from scratch.

mod answers;
mod cookies;
mod cutting;
mod documented;
mod established;
mod fail_over;
mod finishing;
mod frames;
mod handshake;
mod icmp;
mod limits;
mod link_layer;
mod martians;
mod opening;
mod ports;
mod properties;
mod selection;
mod spoofed;
mod take_over;
mod world;
