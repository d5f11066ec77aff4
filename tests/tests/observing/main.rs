//! What an operator sees of a gateway at work: its metrics, its flows, whose connection is whose, and what happens.

mod events;
mod metrics;
mod scrape;
