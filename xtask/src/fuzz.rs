//! `fuzz`: the targets of `fuzz/targets`, guided by coverage and bounded in time.
//!
//! libFuzzer needs no nightly: the compiler passes that record coverage are LLVM's, and stable rustc can run them.
//! A finding is kept under `fuzz/artifacts`, what was learnt under `fuzz/corpus`; inputs to start from are under
//! `fuzz/seeds`.
//!
//! `fuzz programs` attacks the packet programs in the kernel instead, beside the core: the test of
//! `tests/tests/fixtures/fuzzed.rs`, for longer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{self, announce, cargo},
    privilege,
    setup::{self, Need},
    test, workspace,
};

/// Edge counters, their addresses, and the operands of comparisons, as libFuzzer expects them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// The cargo profile of the targets, and the name of its folder.
const PROFILE: &str = "fuzz";

/// Attack the parsers and the packet core with random input that coverage guides, or the programs in the kernel.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz configuration --seconds 600\n  \
                  cargo xtask fuzz programs --minutes 10 --seed 7"
)]
pub struct Fuzz {
    #[command(subcommand)]
    programs: Option<Attack>,
    /// The one target to run; all of them, one after another, if absent.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

#[derive(clap::Subcommand)]
enum Attack {
    Programs(Programs),
}

/// Compare the packet programs in the kernel with the core, on random and damaged traffic
#[derive(clap::Args)]
struct Programs {
    /// How long each of the two programs is attacked.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Where to begin, as an earlier run has printed it; anywhere if absent.
    #[arg(long)]
    seed: Option<u64>,
}

impl Programs {
    fn execute(self) -> Result<()> {
        setup::ensure(&[Need::Lab])?;
        privilege::mount_bpffs()?;
        announce("Fuzzing", &format!("the packet programs, XDP and TC for {} min each", self.minutes));
        let mut test = cargo(&["test", "--package=gateway-tests", "--test=fixtures"]);
        test.args(test::runner()?).env("GATEWAY_FUZZ_SECONDS", (60 * self.minutes).to_string());
        test.envs(self.seed.map(|seed| ("GATEWAY_FUZZ_SEED", seed.to_string())));
        // One after the other, so that each has the processors; what they print has the seeds.
        command::run(test.args(["fuzzed::", "--", "--test-threads=1", "--nocapture"]))
    }
}

impl Fuzz {
    pub fn execute(self) -> Result<()> {
        if let Some(Attack::Programs(attack)) = self.programs {
            return attack.execute();
        }
        setup::ensure(&[Need::Fuzz])?;
        let folder = workspace::root().join("fuzz");
        let mut targets = targets(&folder.join("targets"))?;
        if let Some(wanted) = &self.target {
            if !targets.contains(wanted) {
                bail!("there is no fuzz target `{wanted}`: the targets are {}", targets.join(", "));
            }
            targets.retain(|target| target == wanted);
        }
        targets.iter().try_for_each(|target| self.attack(&folder, target))
    }

    fn attack(&self, folder: &Path, target: &str) -> Result<()> {
        announce("Building", &format!("fuzz target {target}"));
        let program = build(target)?;
        let [corpus, artifacts, seeds] = ["corpus", "artifacts", "seeds"].map(|kind| folder.join(kind).join(target));
        for kept in [&corpus, &artifacts] {
            fs::create_dir_all(kept).with_context(|| format!("create {}", kept.display()))?;
        }
        announce("Fuzzing", &format!("{target} for {} s", self.seconds));
        let mut fuzzer = Command::new(program);
        fuzzer.arg(format!("-max_total_time={}", self.seconds)).arg("-timeout=10");
        fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(corpus);
        command::run(fuzzer.args(seeds.is_dir().then_some(seeds)))
    }
}

/// Builds a target with coverage, in a target folder of its own: no other build has these flags.
fn build(target: &str) -> Result<PathBuf> {
    let host = workspace::host()?;
    let folder = workspace::root().join("target/fuzz");
    let mut build =
        cargo(&["build", "--package=gateway-fuzz", "--features=libfuzzer", "--profile", PROFILE, "--bin", target]);
    // With a target named, cargo keeps the flags away from build scripts and macros.
    build.args(["--target", &host, "--target-dir"]).arg(&folder).env("RUSTFLAGS", COVERAGE);
    command::run(&mut build)?;
    Ok(folder.join(host).join(PROFILE).join(target))
}

/// The names of the files in the folder of the targets, sorted.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.with_context(|| format!("list {}", folder.display()))?;
    let stems = entries.iter().filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned));
    let mut targets: Vec<String> = stems.collect();
    targets.sort();
    Ok(targets)
}
