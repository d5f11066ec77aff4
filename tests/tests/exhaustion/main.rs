//! Floods, full tables and ports that run out: what is there goes on, what is refused is counted by its reason, and room
//! comes back.
//!
//! `GATEWAY_FLOOD_SECONDS` makes the floods longer than they are by default.

mod flood;
mod full_table;
mod port_rest;
mod source_ports;
