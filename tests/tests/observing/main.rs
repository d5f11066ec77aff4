//! What an operator sees of a gateway at work: its metrics, its flows, whose connection is whose, and what happens.

mod cost;
mod events;
mod flows;
mod metrics;
mod scrape;
mod who;
