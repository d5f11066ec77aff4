//! Cost against flows, services, backends and fill, and the daemon's own work.
//!
//! | part | what is measured |
//! |---|---|
//! | `memory` | of a flow in the kernel |
//! | `apply` | one change, and a large configuration, from the request until it is in the maps |
//! | `start` | from the daemon's start to the first connection that goes through |
//! | `process_memory` | of the daemon, by flows and services |
//! | `sweep` | the processor time of the sweeper, by flows |
//! | `curves` | the packet program's time, by all that grows |
//! | `ports` | new flows as source ports run out |

mod apply;
mod curves;
mod flow_tables;
mod front_server;
pub mod memory;
mod ports;
mod process_memory;
mod start;
mod sweep;

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow};
use gateway_tests::Topology;

use crate::{figure::Findings, names::scale as names};

/// Runs the suite. What fails is a finding; an error ends the whole run.
pub fn measure(quick: bool, findings: &mut Findings) -> Result<()> {
    // First, while the kernel's allocator holds nothing of others' tables.
    part(findings, names::MEMORY_PER_FLOW, |findings| memory::measure(quick, findings));
    part(findings, "the daemon", |findings| {
        let lab = Topology::two_arm(1).build();
        part(findings, names::APPLY_CHANGE, |findings| apply::one_change(&lab, quick, findings));
        part(findings, names::APPLY_ALL, |findings| apply::configuration(&lab, quick, findings));
        part(findings, names::START, |findings| start::measure(&lab, quick, findings));
        part(findings, names::DAEMON_BY_SERVICES, |findings| process_memory::by_services(&lab, findings));
        if !quick {
            part(findings, names::DAEMON_BY_FLOWS, |findings| process_memory::by_flows(&lab, findings));
        }
        Ok(())
    });
    part(findings, names::SWEEP, |findings| sweep::measure(quick, findings));
    part(findings, names::BY_BACKENDS, |findings| curves::backends(quick, findings));
    part(findings, names::NEW_BY_PORTS, |findings| ports::measure(quick, findings));
    if !quick {
        part(findings, names::BY_SERVICES, curves::services);
        part(findings, names::NEW_BY_SNAT, curves::source_addresses);
        part(findings, names::BY_FILL, curves::fill);
        part(findings, names::BY_FLOWS, curves::flows);
    }
    Ok(())
}

/// Does one part; its failure leaves the others as they are. The laboratory panics where it fails.
fn part(findings: &mut Findings, case: &str, work: impl FnOnce(&mut Findings) -> Result<()>) {
    findings.step(case);
    let outcome = catch_unwind(AssertUnwindSafe(|| work(findings)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(anyhow!("{}", text.unwrap_or("a panic without words")))
    });
    if let Err(error) = outcome {
        findings.fail(case, names::DAEMON, format!("{error:#}"));
    }
}
