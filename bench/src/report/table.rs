//! The report on the terminal.

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

use super::{
    Report,
    group::{Group, groups},
};
use crate::{figure::Findings, goals::Outcome, number};

pub fn render(report: &Report) -> String {
    let mut parts: Vec<String> = groups(&report.findings).iter().map(|group| case(group, &report.findings)).collect();
    parts.push(goals(&report.goals));
    parts.extend(failures(&report.findings));
    parts.join("\n\n")
}

/// A table whose columns after the first are numbers.
pub(super) fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn case(group: &Group, findings: &Findings) -> String {
    let mut table = new(&["subject", group.axis.unwrap_or_default(), "median", "min–max", "ratio"]);
    for figure in &group.figures {
        table.add_row([
            figure.subject.clone(),
            figure.at.as_ref().map(|point| number::count(point.value)).unwrap_or_default(),
            number::quantity(figure.median()),
            format!("{}–{}", number::quantity(figure.min()), number::quantity(figure.max())),
            findings.ratio(figure).map(number::ratio).unwrap_or_default(),
        ]);
    }
    let baseline = group.baseline.map(|subject| format!("; ratio: to {subject}")).unwrap_or_default();
    format!("== {}{baseline}\n{}", group.title(), table.trim_fmt())
}

fn goals(outcomes: &[Outcome]) -> String {
    let mut table = new(&["goal", "wanted", "measured", ""]);
    for outcome in outcomes {
        let colour = match outcome.is_met() {
            Some(true) => Color::Green,
            Some(false) => Color::Red,
            None => Color::DarkGrey,
        };
        table.add_row([
            Cell::new(&outcome.goal),
            Cell::new(outcome.wanted()),
            Cell::new(outcome.found()),
            Cell::new(outcome.verdict()).fg(colour),
        ]);
    }
    format!("== goals\n{}", table.trim_fmt())
}

fn failures(findings: &Findings) -> Option<String> {
    let lines = findings.failures.iter().map(|it| format!("{}, {}: {}", it.case, it.subject, it.error));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| format!("== failures\n{}", lines.join("\n")))
}
