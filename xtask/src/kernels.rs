//! Tests on Debian's kernels, booted in an emulator.
//!
//! Every kernel's verifier judges the packet programs by its own rules, and old kernels lack what the gateway has a
//! substitute for. A machine is a kernel and an initial file system that holds the gateway, some of the namespace tests
//! with the programs that they need, and a script (`kernels/init.sh`); it has no disk and no network, and nothing is
//! installed on the host.

mod apt;
mod image;
mod package;
mod programs;

use std::{
    env::consts::ARCH,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{
    image::Image,
    package::{Kernel, Package},
};
use crate::{
    command::{announce, spell},
    workspace,
};

/// What every test run ends with: the oldest kernel that the gateway is made for, without TCX, and one with it.
pub const USUAL: [&str; 2] = ["6.1", "6.12"];

/// What is run in a machine: a program of the namespace tests, and which of its tests; all where none is named. They need
/// few programs beside the gateway, and little time: the emulator is slow.
const TESTS: [(&str, &[&str]); 2] = [("fixtures", &["the_verifier_accepts_both_programs"]), ("every_kernel", &[])];

/// The part of it that every test run ends with: both programs are loaded and attached, and XDP forwards.
const BRIEF: [(&str, &[&str]); 2] =
    [("fixtures", &["the_verifier_accepts_both_programs"]), ("every_kernel", &["native_xdp_forwards_to_other_hosts"])];

/// Which tests are run.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    Brief,
    All,
    /// Of all programs the tests whose name contains this.
    Named(&'a str),
}

/// What the script prints last if all went well.
const PASSED: &str = "PASSED";
/// Seconds that a machine may run; it takes a tenth of that where nothing else does.
const TIME_LIMIT: &str = "600";

/// Whether machines can be emulated here: their kernels are those of x86-64.
pub fn are_possible() -> bool {
    ARCH == "x86_64"
}

/// Boots the newest kernel of each of `series` (`6.1`) and runs tests there.
///
/// # Errors
///
/// No such kernel is to be had, or a test fails on it: the others are tried all the same.
pub fn test(series: &[String], which: Which, gateway: &Path, flow_table: &str) -> Result<()> {
    ensure!(are_possible(), "the kernels and the emulator are for x86-64, and this machine is {ARCH}");
    let folder = workspace::root().join("target/kernels");
    let packages = series.iter().map(|series| Package::newest(&folder, series)).collect::<Result<Vec<_>>>()?;
    let kernels = packages.iter().map(|package| package.fetch(&folder)).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    announce("Building", "the tests for the kernels");
    let tests = programs::build(TESTS.map(|(program, _)| program))?;
    for ((_, names), (_, program)) in TESTS.iter().zip(&tests).chain(BRIEF.iter().zip(&tests)) {
        programs::ensure_holds(program, names)?;
    }
    let server = workspace::binary("debug", "server")?;
    let image = Image { gateway, server: &server, tests: &tests, plan: &plan(which, flow_table) };
    let mut failed = Vec::new();
    for (name, kernel) in names.iter().zip(&kernels) {
        announce("Booting", name);
        if !boot(kernel, &image.build(&folder, kernel)?)? {
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("tests fail on {}, see above", failed.join(", "));
    }
    announce("Passed", &names.join(", "));
    Ok(())
}

/// The part of the script that says what is run.
fn plan(which: Which, flow_table: &str) -> String {
    let run = |(program, names): (&str, &[&str])| match which {
        // libtest takes a name as a filter too.
        Which::Named(filter) => format!("run {program} {filter:?}\n"),
        _ if names.is_empty() => format!("run {program}\n"),
        _ => format!("run {program} --exact {}\n", names.join(" ")),
    };
    let tests = if matches!(which, Which::Brief) { BRIEF } else { TESTS };
    format!("export GATEWAY_FLOW_TABLE={flow_table}\n{}", tests.map(run).concat())
}

/// Runs a machine to its end, with its console on the terminal. Whether everything passed.
fn boot(kernel: &Kernel, image: &Path) -> Result<bool> {
    // KVM is not asked for: inside of another virtual machine it may be there and not work. The processor is a plain one,
    // because to emulate the wide registers of newer ones takes time.
    let mut machine = Command::new("timeout");
    machine.args([TIME_LIMIT, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem", "-smp", "2", "-m", "2048"]);
    machine.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    machine.arg("-kernel").arg(kernel.image()?).arg("-initrd").arg(image);
    machine
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut running = machine.spawn().with_context(|| format!("start `{}`", spell(&machine)))?;
    let console = running.stdout.take().context("the machine has no console")?;
    let mut passed = false;
    for line in BufReader::new(console).split(b'\n') {
        let line = line.context("read the machine's console")?;
        let line = String::from_utf8_lossy(&line);
        println!("{}", line.trim_end());
        passed |= line.trim_end() == PASSED;
    }
    running.wait().context("wait for the machine's end")?;
    Ok(passed)
}
