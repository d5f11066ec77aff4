//! The dashboard in a real browser on the front server.

mod deployment;
mod page;
mod pictures;
mod stage;
