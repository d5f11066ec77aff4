//! Active health checks: each backend is probed at its service's interval, and the [`Engine`](super::Engine) is told
//! of what changes.
//!
//! A probe only asks: it leaves no connection open and carries no request that changes anything. What goes wrong on
//! this side of the network, such as a source address that is gone, is shown but never held against a backend.

mod grpc;
mod http;
mod monitor;
mod pace;
mod probe;
mod streak;
mod tcp;
mod watch;

pub use monitor::run;
