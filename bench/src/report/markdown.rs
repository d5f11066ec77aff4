//! The report as Markdown, for `docs/benchmarks.md`.

use std::fmt::Write;

use super::{
    Report,
    group::{Group, groups},
    plots::Plot,
};
use crate::{
    figure::{Figure, Findings},
    goals::Outcome,
    number,
};

pub fn render(report: &Report, plots: &[Plot]) -> String {
    let mut text = String::new();
    write_report(&mut text, report, plots).expect("writing to a string does not fail");
    text
}

fn write_report(text: &mut String, report: &Report, plots: &[Plot]) -> std::fmt::Result {
    writeln!(text, "## The run\n")?;
    for (name, value) in report.machine.rows() {
        writeln!(text, "- {name}: {value}")?;
    }
    let suites = report.suites.iter().map(|(name, secs)| format!("{name} ({secs} s)")).collect::<Vec<_>>().join(", ");
    writeln!(text, "- suites: {suites}{}", if report.quick { ", quick" } else { "" })?;
    write_goals(text, &report.goals)?;
    writeln!(
        text,
        "\n## Figures\n\nMedians; in brackets the smallest and the largest sample; × the baseline's median."
    )?;
    for group in groups(&report.findings) {
        write_group(text, &group, &report.findings)?;
        if let Some(plot) = plots.iter().find(|plot| plot.title == group.title()) {
            writeln!(text, "\n![{}]({})", plot.title, plot.file)?;
        }
    }
    write_failures(text, &report.findings)
}

fn write_goals(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(text, "\n## Goals\n\n| goal | wanted | measured | |\n|---|---|---|---|")?;
    for outcome in outcomes {
        let verdict = if outcome.is_met() == Some(false) { "**missed**" } else { outcome.verdict() };
        writeln!(text, "| {} | {} | {} | {verdict} |", outcome.goal, outcome.wanted(), outcome.found())?;
    }
    Ok(())
}

/// Subjects as rows; for curves the places as columns.
fn write_group(text: &mut String, group: &Group, findings: &Findings) -> std::fmt::Result {
    let baseline = group.baseline.map(|subject| format!("; baseline: {subject}")).unwrap_or_default();
    writeln!(text, "\n### {}\n\n{}{baseline}\n", capitalised(group.case), group.unit)?;
    let mut places: Vec<Option<u64>> = group.figures.iter().map(|figure| place(figure)).collect();
    places.sort_unstable();
    places.dedup();
    let names: Vec<String> = places.iter().map(|place| place.map(number::count).unwrap_or_default()).collect();
    writeln!(text, "| {} | {} |", group.axis.unwrap_or_default(), names.join(" | "))?;
    writeln!(text, "|---|{}", "---|".repeat(places.len()))?;
    for subject in group.subjects() {
        let cells = places.iter().map(|wanted| {
            let figure = group.figures.iter().find(|it| it.subject == subject && place(it) == *wanted);
            figure.map(|figure| cell(figure, findings)).unwrap_or_default()
        });
        writeln!(text, "| {subject} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

fn write_failures(text: &mut String, findings: &Findings) -> std::fmt::Result {
    if findings.failures.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n## Failures\n")?;
    for failure in &findings.failures {
        writeln!(text, "- {}, {}: {}", failure.case, failure.subject, failure.error)?;
    }
    Ok(())
}

fn place(figure: &Figure) -> Option<u64> {
    figure.at.as_ref().map(|point| point.value)
}

fn cell(figure: &Figure, findings: &Findings) -> String {
    let ratio = findings.ratio(figure).map(|ratio| format!(", {}", number::ratio(ratio))).unwrap_or_default();
    let [median, min, max] = [figure.median(), figure.min(), figure.max()].map(number::quantity);
    format!("{median} ({min}–{max}){ratio}")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
