//! Real TCP between namespaces: servers with one behaviour each, clients that verify every byte, and loads.
//!
//! Everything has a deadline ([`DEADLINE`] unless said otherwise), so that a lost packet fails a test instead of
//! stopping it.

use std::time::Duration;

pub mod churn;
pub mod client;
pub mod crowd;
pub mod grpc;
pub mod heartbeat;
pub mod http;
pub mod instance;
pub mod payload;
pub mod prober;
pub mod server;
pub mod sessions;
pub mod syns;
pub mod transfers;

pub use churn::{Churn, FirstToClose, Pace, Tally};
pub use client::Failure;
pub use heartbeat::Heartbeat;
pub use instance::Instance;
pub use prober::{Prober, Probes};
pub use server::{Behaviour, Server};
pub use sessions::{SessionTally, Sessions};
pub use transfers::{TransferTally, Transfers};

/// How long a read, write or connect may take before it counts as failed.
pub const DEADLINE: Duration = Duration::from_secs(20);
