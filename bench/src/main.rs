//! The benchmarks: what the gateway costs, with its peers beside it in the same run.
//!
//! | suite | measures |
//! |---|---|
//! | `micro` | the packet programs alone, by `BPF_PROG_TEST_RUN` |
//! | `live` | real traffic through namespaces, the gateway and its peers in turns |
//! | `scale` | cost against flows, services, backends, fill; the daemon's own work |

mod capacity;
mod figure;
mod goals;
mod harness;
mod live;
mod micro;
mod names;
mod number;
mod progress;
mod report;
mod scale;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::{Parser, ValueEnum};

use figure::Findings;
use progress::Progress;
use report::Report;

/// Measure the gateway beside its peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Run only this suite.
    suite: Option<Suite>,
    /// Fewer samples and points: minutes instead of tens of minutes.
    #[arg(long)]
    quick: bool,
    /// Show what has moved since an earlier run.
    #[arg(long, value_name = "REPORT.JSON")]
    against: Option<PathBuf>,
    /// Katran's balancer beside the gateway in `micro`: an object that you have built, see docs/benchmarking.md.
    #[arg(long, value_name = "OBJECT")]
    katran: Option<PathBuf>,
    /// Where the report goes.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench", overrides_with = "output")]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    Micro,
    Live,
    Scale,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Live => "live",
            Self::Scale => "scale",
        }
    }

    fn measure(self, arguments: &Arguments, findings: &mut Findings) -> Result<()> {
        match self {
            Self::Micro => micro::measure(arguments.quick, arguments.katran.as_deref(), findings),
            Self::Live => live::measure(arguments.quick, findings),
            Self::Scale => scale::measure(arguments.quick, findings),
        }
    }
}

/// Fails if anything could not be measured; whatever was is reported all the same.
fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let earlier = arguments.against.as_deref().map(Report::read).transpose()?;
    let progress = Progress::new();
    let mut findings = Findings::new(progress.clone());
    let wanted = Suite::value_variants().iter().filter(|suite| arguments.suite.is_none_or(|wanted| wanted == **suite));
    let mut suites = Vec::new();
    for suite in wanted {
        let start = Instant::now();
        if let Err(error) = suite.measure(&arguments, &mut findings) {
            findings.fail(suite.name(), "the whole suite", format!("{error:#}"));
        }
        suites.push((suite.name().to_owned(), start.elapsed().as_secs()));
    }
    progress.finish();

    let report = Report::new(arguments.quick, suites, findings);
    println!("{}", report.text());
    if let Some(earlier) = &earlier {
        println!("\n{}", report.against(earlier));
    }
    println!();
    for path in report.write(&arguments.output)? {
        println!("wrote {}", path.display());
    }
    Ok(if report.findings.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
