//! What this host can do for the gateway: a list of checks, each with what it found, why that matters, and the fix.
//!
//! Nothing on the host is changed: programs are verified and dropped, interfaces are only looked at. The exception is asked
//! for, [`Scope::probe`]. A check that lacks the right to look says so, and is neither good nor bad.

use crate::{config::Config, datapath::Pins, host::sysctl::Family};

mod backends;
mod finding;
mod interfaces;
mod kernel;
mod memory;
mod offloads;
mod other_programs;
mod ports;
mod process;
mod programs;
mod queues;
mod rules;
mod xdp;

use finding::Check;
pub use finding::{Finding, Outcome};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What the gateway is to do. Without interfaces, those of the host that are up are looked at.
    pub config: Config,
    pub pins: Pins,
    /// Attach a packet program natively for a moment, where an interface has none. A driver may reset its link for it.
    pub probe: bool,
}

impl Scope {
    /// The families that are to be forwarded; empty: those that each interface has addresses of.
    fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self.config.snat.addresses.iter().map(Family::of).collect();
        families.sort_unstable_by_key(Family::to_string);
        families.dedup();
        families
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
        memory::tables(scope),
    ];
    findings.extend(process::docker(scope.config.docker.as_ref().map(|docker| docker.socket.as_path())));
    findings.extend(ports::findings(&scope.config));
    findings.extend(interfaces::findings(scope).await);
    findings.extend(backends::findings(&scope.config).await);
    findings.extend(rules::findings().await);
    findings
}

/// Whether nothing that the gateway needs is known to be missing.
pub fn can_run(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.result != Outcome::Error)
}
