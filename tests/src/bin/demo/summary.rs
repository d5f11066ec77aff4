//! The table at the end of the demo.

use std::collections::BTreeMap;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

/// What a stage showed.
pub struct Outcome {
    pub title: &'static str,
    /// Connections that were served.
    pub by_container: BTreeMap<String, usize>,
    pub failed: usize,
    /// Connections that stay open and were ended by neither client nor server.
    pub cut: usize,
    /// Connections that stay open and went from an old container to a new one.
    pub moved: usize,
    /// Bits per second.
    pub transfer: f64,
}

impl Outcome {
    pub fn is_flawless(&self) -> bool {
        self.failed == 0 && self.cut == 0
    }
}

/// One row a stage.
pub fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["Network", "Connections", "Failed", "Cut", "Moved", "By container", "Transfer"]);
    for outcome in outcomes {
        let made = outcome.by_container.values().sum::<usize>() + outcome.failed;
        let by_container = outcome.by_container.iter().map(|(container, count)| format!("{container} {count:>5}"));
        table.add_row([
            outcome.title.to_owned(),
            made.to_string(),
            outcome.failed.to_string(),
            outcome.cut.to_string(),
            outcome.moved.to_string(),
            by_container.collect::<Vec<_>>().join("\n"),
            format!("{:.0} Mbit/s", outcome.transfer / 1e6),
        ]);
    }
    table
}
