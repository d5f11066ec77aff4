//! What the user sees of a report: order, filter, what is unfolded, where the cursor is.
//!
//! Keys change it, drawing reads it; neither knows the terminal.

use std::collections::BTreeSet;

use super::{
    activity::Activity,
    report::{Report, Row},
};

/// By what services and backends are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    Name,
    State,
    #[default]
    New,
    Open,
    Handshake,
    Failed,
    Traffic,
}

impl Column {
    pub const ALL: [Self; 7] =
        [Self::Name, Self::State, Self::New, Self::Open, Self::Handshake, Self::Failed, Self::Traffic];

    /// For the menu.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::New => "new connections",
            Self::Open => "open flows",
            Self::Handshake => "SYN-ACK time",
            Self::Failed => "failures",
            Self::Traffic => "traffic",
        }
    }

    /// What is compared. What is not known is less than nothing.
    fn figure(self, activity: &Activity) -> f64 {
        let figure = match self {
            Self::Name | Self::State => None,
            Self::New => activity.new,
            Self::Open => Some(activity.open as f64),
            Self::Handshake => activity.handshake_mean(),
            Self::Failed => activity.failed,
            Self::Traffic => activity.traffic(),
        };
        figure.unwrap_or(-1.0)
    }
}

/// What takes the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Table,
    /// A filter is typed.
    Filter,
    /// A column is chosen; which of [`Column::ALL`] the cursor is on.
    Sort(usize),
    Help,
}

/// The screen's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screen {
    pub mode: Mode,
    pub sort: Column,
    /// The other way round than is usual for the column.
    pub is_inverted: bool,
    pub filter: String,
    /// Names of the services whose backends are shown.
    pub unfolded: BTreeSet<String>,
    /// Which line the cursor is on.
    pub cursor: usize,
    /// The first line that is shown.
    pub offset: usize,
    /// Lines of the table that there was room for.
    pub page: usize,
    /// Rates are not taken anew for now.
    pub is_paused: bool,
    /// Nobody is there to press keys.
    pub is_batch: bool,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub row: &'a Row,
    /// Its service, if it is a backend.
    pub service: Option<&'a str>,
    pub is_unfolded: bool,
}

impl Screen {
    /// The lines in their order: services that match the filter, each with its backends if they are shown. A backend
    /// that matches brings its service.
    pub fn lines<'a>(&self, report: &'a Report) -> Vec<Line<'a>> {
        let mut lines = Vec::new();
        for service in self.sorted(&report.services) {
            let is_match = self.matches(&service.name);
            let backends: Vec<_> =
                self.sorted(&service.backends).into_iter().filter(|it| is_match || self.matches(&it.name)).collect();
            if !is_match && backends.is_empty() {
                continue;
            }
            let is_unfolded = self.unfolded.contains(&service.name) || !is_match;
            lines.push(Line { row: service, service: None, is_unfolded });
            if is_unfolded {
                let name = Some(service.name.as_str());
                lines.extend(backends.into_iter().map(|row| Line { row, service: name, is_unfolded: false }));
            }
        }
        lines
    }

    /// Puts the cursor on a line that is there.
    pub fn settle(&mut self, lines: usize) {
        self.cursor = self.cursor.min(lines.saturating_sub(1));
    }

    fn matches(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Figures with the largest first, words in their order; the name decides between equals.
    fn sorted<'a>(&self, rows: &'a [Row]) -> Vec<&'a Row> {
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        match self.sort {
            Column::Name => {}
            Column::State => rows.sort_by(|a, b| a.state.cmp(&b.state)),
            column => rows.sort_by(|a, b| column.figure(&b.activity).total_cmp(&column.figure(&a.activity))),
        }
        if self.is_inverted {
            rows.reverse();
        }
        rows
    }
}
