//! The benchmarks: what the gateway costs, with its peers beside it in the same run.
//!
//! | suite | measures |
//! |---|---|
//! | `micro` | the packet programs alone, by `BPF_PROG_TEST_RUN` |
//! | `live` | real traffic through namespaces, the gateway and its peers in turns |
//! | `scale` | cost against flows, services, backends, fill; the daemon's own work |

mod figure;
mod live;
mod micro;
mod scale;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use figure::Findings;

/// Measure the gateway beside its peers.
#[derive(Parser)]
struct Arguments {
    /// Run only this suite.
    suite: Option<Suite>,
    /// Fewer samples and points: minutes instead of tens of minutes.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    Micro,
    Live,
    Scale,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut findings = Findings::default();
    for suite in Suite::value_variants() {
        if arguments.suite.is_none_or(|wanted| wanted == *suite) {
            match suite {
                Suite::Micro => micro::measure(arguments.quick, &mut findings)?,
                Suite::Live => live::measure(arguments.quick, &mut findings)?,
                Suite::Scale => scale::measure(arguments.quick, &mut findings)?,
            }
        }
    }
    Ok(())
}
