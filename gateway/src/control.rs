//! The control API: HTTP and JSON over a unix socket, typed on both sides.
//!
//! `docs/api.md` describes it. The server answers every well-formed request with JSON, also an unknown path, and
//! closes what is slow or malformed; the [`Client`] is what the command line uses. Access is by file permission (the
//! socket's mode is 0660) and by what the kernel says of the peer; every change is logged with who asked for it.

mod audit;
mod client;
mod error;
mod extract;
mod peer;
mod routes;
mod server;
mod socket;
pub mod views;

pub use client::{Client, ClientError, Stream};
pub use error::{ApiError, ErrorKind};
pub use routes::{readings, router};
pub use server::serve;
pub use socket::{ControlSocket, is_answered};

/// Largest request body, in bytes; a service with 10,000 backends fits.
const MAX_BODY: usize = 1 << 20;

/// Most flows that one answer lists.
pub const MAX_FLOWS: usize = 100_000;
