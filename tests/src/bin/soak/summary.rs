//! The table at the end, and what is wrong in it.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use gateway_tests::traffic::Failure;

use crate::{
    action::Action,
    leaks::{Flows, Holdings},
};

/// Reasons that nothing of what happens here gives a packet. A flood may find no source port towards its own backends.
const UNEXPECTED: [&str; 10] = [
    "malformed",
    "no_backend",
    "no_backend_reset",
    "table_full",
    "rewrite_failed",
    "route_unsupported",
    "limit_connections",
    "limit_connections_reset",
    "expired",
    "time_exceeded",
];

/// What became of a site.
pub struct Outcome {
    pub name: &'static str,
    pub lasted: Duration,
    pub actions: BTreeMap<Action, usize>,
    pub connections: usize,
    pub exchanges: usize,
    pub explained: BTreeMap<Failure, usize>,
    pub unexplained: Vec<String>,
    /// When everything had been in use once, and in the end.
    pub warm: Holdings,
    pub last: Holdings,
    pub left: Flows,
    pub reasons: BTreeMap<String, u64>,
}

impl Outcome {
    /// What should not be, a sentence each.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = self.unexplained.clone();
        if self.left != Flows::default() {
            findings.push(format!("flows are left: {}", self.left));
        }
        findings.extend(self.last.leaks_since(&self.warm));
        let unexpected =
            self.reasons.iter().filter(|(name, packets)| UNEXPECTED.contains(&name.as_str()) && **packets > 0);
        findings.extend(unexpected.map(|(name, packets)| format!("{packets} packets were {name}")));
        findings.into_iter().map(|finding| format!("{}: {finding}", self.name)).collect()
    }
}

/// One row a site.
pub fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "Site",
        "Happened",
        "Connections",
        "Exchanges",
        "Explained",
        "Unexplained",
        "Daemon when warm",
        "at the end",
        "Left",
        "Packets",
    ]);
    for outcome in outcomes {
        let counts = |counts: &mut dyn Iterator<Item = (String, usize)>| {
            counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join("\n")
        };
        let packets = outcome.reasons.iter().filter(|(_, packets)| **packets > 0);
        table.add_row([
            format!("{}\n{} s", outcome.name, outcome.lasted.as_secs()),
            counts(&mut outcome.actions.iter().map(|(action, count)| (action.to_string(), *count))),
            outcome.connections.to_string(),
            outcome.exchanges.to_string(),
            counts(&mut outcome.explained.iter().map(|(failure, count)| (failure.to_string(), *count))),
            outcome.unexplained.len().to_string(),
            outcome.warm.to_string(),
            outcome.last.to_string(),
            outcome.left.to_string(),
            packets.map(|(name, packets)| format!("{name} {packets}")).collect::<Vec<_>>().join("\n"),
        ]);
    }
    table
}
