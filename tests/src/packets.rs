//! Frames as bytes: capturing them, checking them with a parser that shares no code with the gateway, and
//! sending ones that no socket would send.

pub mod capture;
pub mod checksums;
pub mod flood;
pub mod raw_host;
pub mod segment;
pub mod socket;

pub use capture::{Capture, Captured};
pub use flood::{Flood, FloodWire, Strangers};
pub use raw_host::RawHost;
pub use segment::Segment;
pub use socket::PacketSocket;
