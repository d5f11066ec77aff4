//! What has moved between two runs.
//!
//! A figure has moved if the spreads of the two runs do not overlap. Two runs are further apart than the rounds of
//! one, so even that may be a neighbour's doing: a claim needs both sides in one run.

use super::{Report, table};
use crate::{
    figure::{Figure, Findings},
    number,
};

pub fn render(report: &Report, earlier: &Report) -> String {
    let changes = changes(&report.findings, &earlier.findings);
    let (moved, still): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.is_outside_spread());
    let mut table = table::new(&["case, subject", "", "before", "after", "ratio", ""]);
    for change in moved {
        let at = change.after.at.as_ref().map(|point| format!("{} {}", number::count(point.value), point.axis));
        table.add_row([
            format!("{}, {} ({})", change.after.case, change.after.subject, change.after.unit),
            at.unwrap_or_default(),
            number::quantity(change.before.median()),
            number::quantity(change.after.median()),
            number::ratio(change.ratio()),
            (if change.is_improvement() { "better" } else { "worse" }).to_owned(),
        ]);
    }
    format!(
        "== against {}, {}\n{}\n{} more figures are within their spreads; {} are of one run only",
        earlier.machine.commit,
        earlier.machine.taken,
        table.trim_fmt(),
        still.len(),
        report.findings.figures.len() + earlier.findings.figures.len() - 2 * changes.len(),
    )
}

/// A figure of both runs.
struct Change<'a> {
    before: &'a Figure,
    after: &'a Figure,
}

fn changes<'a>(after: &'a Findings, before: &'a Findings) -> Vec<Change<'a>> {
    let pairs = after.figures.iter().filter_map(|after| {
        let before = before.figures.iter().find(|before| before.is_same_measure(after))?;
        Some(Change { before, after })
    });
    pairs.collect()
}

impl Change<'_> {
    fn ratio(&self) -> f64 {
        self.after.median() / self.before.median()
    }

    fn is_outside_spread(&self) -> bool {
        self.after.min() > self.before.max() || self.after.max() < self.before.min()
    }

    fn is_improvement(&self) -> bool {
        self.after.more_is_better() == (self.after.median() > self.before.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: &str, samples: &[f64]) -> Figure {
        Figure::new("case", "subject", unit, samples.to_vec())
    }

    #[test]
    fn only_what_leaves_the_spread_has_moved() {
        let before = figure("ns", &[10.0, 12.0, 11.0]);
        for (samples, moved) in [([9.0, 9.5, 9.9], true), ([9.0, 9.5, 10.0], false), ([12.1, 13.0, 14.0], true)] {
            let after = figure("ns", &samples);
            assert_eq!(Change { before: &before, after: &after }.is_outside_spread(), moved, "{samples:?}");
        }
    }

    #[test]
    fn less_is_better_but_for_rates() {
        let is_better = |unit| {
            let (before, after) = (figure(unit, &[10.0]), figure(unit, &[8.0]));
            Change { before: &before, after: &after }.is_improvement()
        };
        assert_eq!(["ns/packet", "connections/s", "Gbit/s", "ms"].map(is_better), [true, false, false, true]);
    }

    #[test]
    fn figures_are_paired_by_case_subject_place_and_unit() {
        let (mut before, mut after) = (Findings::default(), Findings::default());
        before.push(figure("ns", &[10.0]).at("flows", 1));
        before.push(figure("ns", &[20.0]).at("flows", 2));
        after.push(figure("ns", &[30.0]).at("flows", 2));
        after.push(figure("us", &[30.0]).at("flows", 1));
        let changes = changes(&after, &before);
        assert_eq!(changes.iter().map(Change::ratio).collect::<Vec<_>>(), [1.5]);
    }
}
