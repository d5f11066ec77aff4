//! `kernels`: the gateway on Debian's kernels, booted in an emulator.
//!
//! Every kernel's verifier judges the packet programs by its own rules, so a change that this machine's kernel accepts can
//! be refused by an older one. A machine is a kernel and an initial file system that holds the gateway and a script
//! (`kernels/init.sh`); it has no disk and no network, and nothing is installed on the host.

mod image;
mod package;

use std::{
    env::consts::ARCH,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    command::{self, announce, cargo, spell},
    setup::{self, Need},
    workspace,
};

/// What the script prints last if all went well.
const PASSED: &str = "PASSED";
/// Seconds that a machine may run; it takes 30 where nothing else does.
const TIME_LIMIT: &str = "600";

/// Boot Debian's kernels in an emulator, and forward through the gateway on each.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask kernels\n  cargo xtask kernels 6.1")]
pub struct Kernels {
    /// The newest kernel of each of these series that apt has
    #[arg(value_name = "SERIES", default_values = ["6.1", "6.12"])]
    series: Vec<String>,
}

impl Kernels {
    pub fn execute(self) -> Result<()> {
        ensure!(ARCH == "x86_64", "the kernels and the emulator are for x86-64, and this machine is {ARCH}");
        setup::ensure(&[Need::Lab, Need::Kernels])?;
        announce("Building", "the gateway");
        command::run(&mut cargo(&["build", "--package=gateway"]))?;
        let gateway = workspace::binary("debug", "gateway")?;
        let folder = workspace::root().join("target/kernels");
        let packages = self.series.iter().map(|series| package::newest(series)).collect::<Result<Vec<_>>>()?;
        for package in &packages {
            let kernel = package::fetch(&folder, package)?;
            announce("Booting", package);
            boot(&kernel, &image::build(&folder, &kernel, &gateway)?)?;
        }
        announce("Passed", &packages.join(", "));
        Ok(())
    }
}

/// Runs a machine to its end. Its console is shown.
fn boot(kernel: &Path, image: &Path) -> Result<()> {
    // KVM is not asked for: inside of another virtual machine it may be there and not work.
    let mut machine = Command::new("timeout");
    machine.args([TIME_LIMIT, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"]);
    machine.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    machine.arg("-kernel").arg(boot_image(kernel)?).arg("-initrd").arg(image);
    machine.args(["-append", "console=ttyS0 quiet panic=-1"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = machine.spawn().with_context(|| format!("start `{}`", spell(&machine)))?;
    let console = running.stdout.take().context("the machine has no console")?;
    let mut passed = false;
    for line in BufReader::new(console).split(b'\n') {
        let line = line.context("read the machine's console")?;
        let line = String::from_utf8_lossy(&line);
        println!("{}", line.trim_end());
        passed |= line.trim_end() == PASSED;
    }
    let status = running.wait().context("wait for the machine's end")?;
    ensure!(passed, "the gateway does not work on this kernel, see above ({status})");
    Ok(())
}

fn boot_image(kernel: &Path) -> Result<PathBuf> {
    package::only_entry(&kernel.join("boot"), "vmlinuz-")
}
