//! What `cargo xtask dist` makes, around the gateway under test, is installed and run.

mod debian;
mod image;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use gateway_tests::{Lab, Process, gateway::program};

const PATIENCE: Duration = Duration::from_secs(180);

/// Packages of a program in this version, in a folder of the lab.
#[track_caller]
fn packages(lab: &Lab, gateway: &Path, version: &str) -> PathBuf {
    let xtask = program().with_file_name("xtask");
    assert!(xtask.exists(), "{} is missing: run `cargo build --package xtask`", xtask.display());
    let out = lab.directory().join(format!("dist-{version}"));
    // As that of a release; with its symbols it would take minutes to pack.
    let stripped = lab.directory().join("stripped");
    let mut strip = Command::new("strip");
    Process::start(strip.arg("-o").arg(&stripped).arg(gateway)).wait(PATIENCE).success();
    let mut command = Command::new(xtask);
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    command.args(["dist", "--version", version, "--program"]).arg(stripped).arg("--out").arg(&out);
    Process::start(&mut command).wait(PATIENCE).success();
    out
}

#[test]
fn checksums_are_those_of_the_packages() {
    let lab = gateway_tests::Topology::two_arm(1).build();
    let out = packages(&lab, &program(), "1.2.3");
    let mut check = Command::new("sha256sum");
    let said = Process::start(check.args(["--check", "SHA256SUMS"]).current_dir(&out)).wait(PATIENCE).success().stdout;
    assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), 3, "{said}");
    let files = std::fs::read_dir(&out).unwrap().count();
    assert_eq!(files, 4, "the packages and their checksums, nothing else");
}
