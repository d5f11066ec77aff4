//! What a check found, in words that programs can rely on.

use serde::Serialize;

/// How a check went, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    /// It could not be looked at.
    Unknown,
    /// The gateway runs, but not as well as it could.
    Warning,
    /// The gateway cannot run as it is asked to.
    Error,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of the check.
    pub name: &'static str,
    /// The interface that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub result: Outcome,
    pub detail: String,
    /// Why it matters.
    pub why: &'static str,
    /// A command where one mends it, otherwise what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    pub(super) fn on(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }
}

/// A check's name and why it matters.
#[derive(Clone, Copy)]
pub(super) struct Check {
    pub name: &'static str,
    pub why: &'static str,
}

impl Check {
    pub fn ok(self, detail: impl Into<String>) -> Finding {
        let Self { name, why } = self;
        Finding { name, interface: None, result: Outcome::Ok, detail: detail.into(), why, fix: None }
    }

    /// For want of a right.
    pub fn unknown(self, detail: impl Into<String>) -> Finding {
        let fix = Some("run it as root".to_owned());
        Finding { fix, ..self.unseen(detail) }
    }

    /// For another reason.
    pub fn unseen(self, detail: impl Into<String>) -> Finding {
        Finding { result: Outcome::Unknown, ..self.ok(detail) }
    }

    pub fn warning(self, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { result: Outcome::Warning, fix: Some(fix.into()), ..self.ok(detail) }
    }

    pub fn error(self, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { result: Outcome::Error, fix: Some(fix.into()), ..self.ok(detail) }
    }
}
