//! `test`: lint, then every test in one run of the test runner, whose summary comes last.
//!
//! Host tests run as the invoking user, the namespace tests of `gateway-tests` as root. They find the gateway
//! under test in `GATEWAY_BIN`. The last step is a part of them on other kernels.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    command::{self, announce, cargo},
    kernels::{self, Which},
    lint::{self, USERSPACE},
    privilege,
    setup::{self, Need},
    workspace,
};

/// The variable that names the gateway under test.
const GATEWAY_BIN: &str = "GATEWAY_BIN";
/// What the names of all variables begin with that tests read.
const VARIABLES: &str = "GATEWAY_";
/// The variable that names the kind of flow table of the gateways under test.
const FLOW_TABLE: &str = "GATEWAY_FLOW_TABLE";
/// The package whose tests need root.
const ROOT_PACKAGE: &str = "gateway-tests";

/// Run lint and every test: unit, property, fixtures, namespaces.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask test hairpin --no-lint\n  cargo xtask test --flow-table \
                  hash\n  cargo xtask test --kernel 6.1,6.12"
)]
pub struct Test {
    /// Run only the tests whose name contains this.
    filter: Option<String>,
    /// Leave out format, clippy and documentation.
    #[arg(long)]
    no_lint: bool,
    /// What holds the flows of the gateways under test: the default, or the kernel's hash maps.
    #[arg(long, value_name = "KIND", value_parser = ["buckets", "hash"], default_value = "buckets")]
    flow_table: String,
    /// Run only what can be run on other kernels: on Debian's newest of each of these series, in an emulator.
    #[arg(long, value_name = "SERIES", value_delimiter = ',')]
    kernel: Vec<String>,
}

impl Test {
    pub fn execute(self) -> Result<()> {
        if !self.kernel.is_empty() {
            let which = self.filter.as_deref().map_or(Which::All, Which::Named);
            return self.on_kernels(&self.kernel, which);
        }
        let toolchain = setup::ensure(if self.no_lint { &[Need::Lab, Need::Applications] } else { &Need::ALL })?;
        if !self.no_lint {
            lint::check(&toolchain)?;
        }
        let gateway = build()?;
        privilege::mount_bpffs()?;
        if command::succeeds("cargo", &["nextest", "--version"]) {
            self.with_nextest(&gateway)
        } else {
            self.with_cargo_test(&gateway)
        }?;
        if self.filter.is_none() && kernels::are_possible() {
            self.on_kernels(&kernels::USUAL.map(str::to_owned), Which::Brief)?;
        }
        Ok(())
    }

    fn on_kernels(&self, series: &[String], which: Which) -> Result<()> {
        setup::ensure(&[Need::Lab, Need::Kernels])?;
        kernels::test(series, which, &build()?, &self.flow_table)
    }

    fn with_nextest(&self, gateway: &Path) -> Result<()> {
        if self.filter.is_none() {
            // The examples of the documentation are the one kind of test that nextest does not run.
            announce("Testing", "the examples of the documentation");
            command::run(cargo(&["test", "--quiet", "--doc"]).args(USERSPACE))?;
        }
        announce("Testing", "with cargo nextest");
        let mut nextest = cargo(&["nextest", "run"]);
        nextest.args(runner()?).args(USERSPACE).args(&self.filter);
        command::run(nextest.env(GATEWAY_BIN, gateway).env(FLOW_TABLE, &self.flow_table))
    }

    fn with_cargo_test(&self, gateway: &Path) -> Result<()> {
        announce("Testing", "with cargo test, which does not end a test that hangs (cargo nextest would)");
        command::run(cargo(&["test"]).args(USERSPACE).args(["--exclude", ROOT_PACKAGE]).args(&self.filter))?;
        let mut test = cargo(&["test", "--package", ROOT_PACKAGE]);
        test.args(runner()?).args(&self.filter).args(["--", "--test-threads=2"]);
        command::run(test.env(GATEWAY_BIN, gateway).env(FLOW_TABLE, &self.flow_table))
    }
}

/// The gateway under test.
fn build() -> Result<PathBuf> {
    announce("Building", "the gateway under test");
    command::run(&mut cargo(&["build", "--quiet", "--package=gateway"]))?;
    workspace::binary("debug", "gateway")
}

/// The arguments with which cargo starts test programs through [`TestProgram`], where this process is not root.
pub fn runner() -> Result<Vec<String>> {
    if privilege::is_root() {
        return Ok(Vec::new());
    }
    // sudo asks for the password here, once; the tests have no terminal to ask on.
    command::run(privilege::as_root("true", &[], "run the namespace tests")?.stdout(Stdio::null()))?;
    let own = env::current_exe().context("find the path of xtask itself")?;
    Ok(vec!["--config".to_owned(), format!("target.'cfg(unix)'.runner=[{own:?}, 'test-program']")])
}

/// Run one test program, as root if it belongs to the namespace tests.
#[derive(clap::Args)]
pub struct TestProgram {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

impl TestProgram {
    pub fn execute(self) -> Result<()> {
        let [program, arguments @ ..] = self.command.as_slice() else { unreachable!("clap requires a command") };
        let package = env::var("CARGO_PKG_NAME").context("read CARGO_PKG_NAME: only cargo starts test programs")?;
        let mut command = if package == ROOT_PACKAGE {
            let all = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
            let own: Vec<_> = all.filter(|(name, _)| name.starts_with(VARIABLES)).collect();
            let variables: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_os_str())).collect();
            privilege::as_root(program, &variables, "run the namespace tests")?
        } else {
            Command::new(program)
        };
        command::run(command.args(arguments))
    }
}
