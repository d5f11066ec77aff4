//! What an operator sees of a gateway at work: its metrics, its flows, whose connection is whose, what happens, and what
//! would become of a SYN. Looking changes nothing.

mod cost;
mod events;
mod examples;
mod explain;
mod flows;
mod metrics;
mod scrape;
mod top;
mod unchanged;
mod watching;
mod who;

use serde_json::Value;

/// The complete lines so far, as JSON.
#[track_caller]
fn objects(text: &str) -> Vec<Value> {
    let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    complete.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
