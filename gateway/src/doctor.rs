//! What this host can do for the gateway: a list of checks, each with what it found, why that matters, and the fix.
//!
//! Nothing on the host is changed: programs are verified and dropped, interfaces are only looked at. A check that lacks the
//! right to look says so, and is neither good nor bad.

use std::path::PathBuf;

use serde::Serialize;

use crate::{datapath::Pins, host::sysctl::Family};

mod interfaces;
mod kernel;
mod process;
mod programs;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The interfaces that the gateway is to run on; none: those that are up.
    pub interfaces: Vec<String>,
    /// The families that it is to forward; empty: those that each interface has addresses of.
    pub families: Vec<Family>,
    pub pins: Pins,
    /// The socket of the Docker daemon, if the gateway is to use one.
    pub docker: Option<PathBuf>,
}

/// How a check went, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Good,
    /// This user may not look.
    Unknown,
    /// The gateway runs, but not as well as it could.
    Warning,
    /// The gateway cannot run.
    Missing,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    /// The interface that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub outcome: Outcome,
    pub found: String,
    /// Why it matters.
    pub why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// A check's name and why it matters.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    why: &'static str,
}

impl Check {
    fn good(self, found: impl Into<String>) -> Finding {
        let Self { name, why } = self;
        Finding { check: name, interface: None, outcome: Outcome::Good, found: found.into(), why, fix: None }
    }

    fn unknown(self, found: impl Into<String>) -> Finding {
        let fix = Some("run it as root".to_owned());
        Finding { outcome: Outcome::Unknown, fix, ..self.good(found) }
    }

    fn warning(self, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Warning, fix: Some(fix.into()), ..self.good(found) }
    }

    fn missing(self, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Missing, fix: Some(fix.into()), ..self.good(found) }
    }
}

impl Finding {
    fn on(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }
}

/// Makes every check.
pub async fn examine(scope: &Scope) -> Vec<Finding> {
    let mut findings = vec![
        kernel::release(),
        kernel::type_information(),
        kernel::compiler(),
        kernel::unprivileged_programs(),
        kernel::tc_links(),
        kernel::grace_periods(),
        process::capabilities(),
        process::other_rights(),
        programs::file_system(scope.pins.root()),
        programs::pins(&scope.pins),
        programs::verifier(),
    ];
    findings.extend(process::docker(scope.docker.as_deref()));
    findings.extend(interfaces::findings(scope).await);
    findings.extend(interfaces::rules().await);
    findings
}

/// Whether nothing that the gateway needs is known to be missing.
pub fn can_run(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.outcome != Outcome::Missing)
}
