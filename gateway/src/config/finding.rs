//! What is wrong in a configuration, and where.
//!
//! Every finding names the file, what is wrong and what would be right; it has a line and a column whenever it is
//! about a piece of text. Findings are collected, not thrown: one run reports all of them, in the file's order.

use std::{cell::RefCell, fmt, ops::Range};

use serde::Serialize;

/// Something wrong, without a place: the sentence about it and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    pub remedy: String,
}

/// Shorthand for a [`Fault`].
pub fn fault(message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault { message: message.into(), remedy: remedy.into() }
}

/// An error or a warning about a configuration; prints as `file:line:column: message; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub file: String,
    /// From 1; absent when the finding is about the file as a whole.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    pub message: String,
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}; {}", self.message, self.remedy)
    }
}

/// Why a configuration is refused: at least one finding, in the file's order. Prints one per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<Finding>);

impl ConfigErrors {
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// `Err` if there are findings.
    pub(super) fn refuse(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self(findings)) }
    }
}

impl From<Finding> for ConfigErrors {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects findings while a file is read. Shared by reference among the readers of its parts.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, errors: RefCell::default(), warnings: RefCell::default() }
    }

    pub fn error(&self, at: &Range<usize>, fault: Fault) {
        self.errors.borrow_mut().push(self.finding(at, fault));
    }

    pub fn warn(&self, at: &Range<usize>, fault: Fault) {
        self.warnings.borrow_mut().push(self.finding(at, fault));
    }

    /// Number of errors so far; equal before and after a part means that the part is sound.
    pub fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// The finding that a fault at this byte range is.
    pub fn finding(&self, at: &Range<usize>, fault: Fault) -> Finding {
        let offset = self.text.floor_char_boundary(at.start);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = self.line_starts[line - 1];
        let column = self.text[line_start..offset].chars().count() + 1;
        let Fault { message, remedy } = fault;
        Finding { file: self.file.to_owned(), line: Some(line), column: Some(column), message, remedy }
    }

    /// The warnings, or the errors if there are any; both in the file's order.
    pub fn into_warnings(self) -> Result<Vec<Finding>, ConfigErrors> {
        ConfigErrors::refuse(in_file_order(self.errors.into_inner()))?;
        Ok(in_file_order(self.warnings.into_inner()))
    }
}

fn in_file_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings.dedup();
    findings
}
