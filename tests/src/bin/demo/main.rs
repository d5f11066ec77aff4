//! The gateway at work in a lab of network namespaces: a client, a front server with the real datapath,
//! containers; balanced connections, a transfer, a rolling deployment under load, a summary.
//!
//! Needs root and no configuration; leaves nothing behind, also when it is interrupted.

use std::process::ExitCode;

use gateway_tests::{BackendSide, Family, Mode, Topology, interrupt};

mod stage;
mod summary;

use stage::Stage;
use summary::Outcome;

fn main() -> ExitCode {
    interrupt::clean_up_on_signals();
    let stages = [
        Stage {
            title: "XDP, IPv4: containers on other hosts, two network cards",
            topology: Topology::two_arm(4),
            mode: Mode::XdpNative,
            family: Family::V4,
        },
        Stage {
            title: "TC, IPv6: containers on the front server itself, behind a bridge",
            topology: Topology::new(BackendSide::Bridge, 4),
            mode: Mode::Tc,
            family: Family::V6,
        },
    ];
    let outcomes = stages.map(|stage| stage.play());
    println!("\n== Summary\n\n{}", summary::table(&outcomes));
    if outcomes.iter().all(Outcome::is_flawless) {
        println!("\nEvery connection was served, none was cut. All namespaces, pins and programs are gone again.");
        ExitCode::SUCCESS
    } else {
        println!("\nConnections failed or were cut: this should not be. Please report it with the output above.");
        ExitCode::FAILURE
    }
}
