//! The table at the end of the demo.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

/// What a stage showed.
pub struct Outcome {
    pub title: &'static str,
    /// Connections by container, before the deployment.
    pub before: BTreeMap<String, usize>,
    pub served: usize,
    pub failed: usize,
    /// Bits per second.
    pub transfer: f64,
    pub longest_pause: Duration,
}

/// One row a stage.
pub fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["Network", "Connections", "Failed", "Balance", "Transfer", "Longest exchange in the deployment"]);
    for outcome in outcomes {
        let balance: Vec<_> = outcome.before.values().map(usize::to_string).collect();
        table.add_row([
            outcome.title.to_owned(),
            outcome.served.to_string(),
            outcome.failed.to_string(),
            balance.join(" : "),
            format!("{:.0} Mbit/s", outcome.transfer / 1e6),
            format!("{:.1?}", outcome.longest_pause),
        ]);
    }
    table
}
