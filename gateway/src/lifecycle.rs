//! The way from what the operator wants to what the packet tables hold.
//!
//! [`Desired`] is the wanted state as a value: its operations are pure and either give the next state or a
//! [`Refusal`]. The [`Engine`] is the only one to change the packet tables and the state store, one change at a
//! time, and each change is in force, persisted and published, or none of these.

mod conductor;
mod desired;
mod differences;
mod engine;
mod event_log;
mod events;
pub mod health;
mod health_book;
mod lookout;
mod packet_tables;
mod ports;
mod processes;
mod refusal;
mod site;
mod steps;
mod watching;

pub use conductor::conduct;
pub use desired::{Desired, Entry, Record, Write};
pub use engine::{ChangeError, Engine};
pub use events::{Events, Reader};
pub use health_book::{HealthBook, Observation};
pub use lookout::Lookout;
pub use packet_tables::{PacketTables, ResolvedService};
pub use processes::{Stopper, identify};
pub use refusal::{Kind, Refusal};
pub use site::{HostAddresses, NoSnatPorts, Site};
pub use watching::View;
