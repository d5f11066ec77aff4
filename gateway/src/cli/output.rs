//! What commands print: tables for people, JSON for programs.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;
use comfy_table::{Attribute, Cell, Color, Table, presets};
use serde::Serialize;

use crate::model::{BackendState, HealthReport, HealthStatus, flow::FlowState};

/// Empties a terminal and goes to its first line (ECMA-48, ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The `--json` option of a read command.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Format {
    /// Prints a value as JSON, or what `text` makes of it.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.is_json() { print(&serde_json::to_string_pretty(value)?) } else { print(&text(value)) }
    }

    /// Prints a value that is shown again and again: on a terminal in the place of the one before, as JSON a line each.
    pub fn print_anew<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.is_json() {
            return print(&serde_json::to_string(value)?);
        }
        let place = if io::stdout().is_terminal() { CLEAR } else { "" };
        print(&format!("{place}{}", text(value)))
    }

    pub fn is_json(self) -> bool {
        self.json
    }
}

/// Prints text and ends the line.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write!(stdout, "{text}{end}")?;
    stdout.flush().map_err(Into::into)
}

/// Columns of text under a header, without lines; coloured only on a terminal.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A cell of plain text.
pub fn cell(value: impl ToString) -> Cell {
    Cell::new(value)
}

pub fn backend_state(state: BackendState) -> Cell {
    match state {
        BackendState::Starting => Cell::new("starting").fg(Color::Cyan),
        BackendState::Active => Cell::new("active").fg(Color::Green),
        BackendState::Draining => Cell::new("draining").fg(Color::Yellow),
    }
}

/// `up 3m`, `down 12s: connection refused`; `-` where nothing is probed.
pub fn health(report: Option<&HealthReport>) -> Cell {
    let Some(report) = report else { return Cell::new("-") };
    let since = largest_unit(report.since.elapsed().unwrap_or_default());
    let (status, color) = match report.status {
        HealthStatus::Unknown => ("unknown", None),
        HealthStatus::Starting => ("starting", Some(Color::Cyan)),
        HealthStatus::Up => ("up", Some(Color::Green)),
        HealthStatus::Down => ("down", Some(Color::Red)),
    };
    // A failed probe of a backend that is up may be an old one.
    let error = report.error.as_ref().filter(|_| report.status != HealthStatus::Up);
    let cell =
        Cell::new(error.map_or_else(|| format!("{status} {since}"), |error| format!("{status} {since}: {error}")));
    color.map_or(cell.clone(), |color| cell.fg(color))
}

/// `3m` of 3 minutes and 20 seconds.
fn largest_unit(duration: Duration) -> String {
    const UNITS: [(u64, char); 3] = [(24 * 3600, 'd'), (3600, 'h'), (60, 'm')];
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(unit, _)| seconds >= *unit);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

pub fn flow_state(state: FlowState) -> Cell {
    let cell = Cell::new(state);
    if state == FlowState::Established { cell.fg(Color::Green) } else { cell }
}

/// `1h 2m 3s`.
pub fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = bytes.checked_ilog2().unwrap_or(0) / 10;
    match (power, UNITS.get(power as usize)) {
        (1.., Some(unit)) => format!("{:.1} {unit}", bytes as f64 / 2f64.powi(10 * power as i32)),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_binary_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn times_are_in_their_largest_unit() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(|seconds| largest_unit(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
    }

    #[test]
    fn health_tells_the_error_of_a_backend_that_is_not_up() {
        let report = |status| HealthReport { error: Some("connection refused".into()), ..HealthReport::now(status) };
        let shown = |status| health(Some(&report(status))).content();
        assert_eq!(shown(HealthStatus::Down), "down 0s: connection refused");
        assert_eq!(shown(HealthStatus::Starting), "starting 0s: connection refused");
        assert_eq!(shown(HealthStatus::Up), "up 0s");
        assert_eq!(health(None).content(), "-");
    }

    #[test]
    fn table_is_plain_columns() {
        let text = table(&["NAME", "STATE"], [vec![cell("a"), cell("x")], vec![cell("longer"), cell("y")]]);
        assert_eq!(text, "NAME    STATE\na       x\nlonger  y");
    }
}
