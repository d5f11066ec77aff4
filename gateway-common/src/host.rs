//! The core's surroundings without a kernel: tables in memory, frames in vectors, scripted routes, a clock that is
//! set. For tests, fuzz targets and benchmarks; `gateway explain` takes its frames from here.
//!
//! Nothing here is random but what its seed says, and nothing waits. Packets are built and judged by `etherparse`,
//! which shares no code with the core.

mod envelope;
mod flows;
mod frame;
mod invariants;
mod message;
mod packet;
mod tables;
mod traffic;

pub use envelope::Envelope;
pub use flows::{HostFlows, WhenFull};
pub use frame::{HostFrame, Local, Routes, Stack, Wire};
pub use invariants::{Snapshot, check};
pub use message::Message;
pub use packet::Packet;
pub use tables::{HostTables, ServiceOptions};
pub use traffic::{Oddity, Step, Traffic, fragment};
