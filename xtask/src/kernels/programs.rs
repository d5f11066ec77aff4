//! The programs of the namespace tests, as cargo builds them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    command::{cargo, spell},
    lint::USERSPACE,
};

/// Builds the test programs of these names, and gives each with its path.
pub fn build<const COUNT: usize>(names: [&'static str; COUNT]) -> Result<Vec<(&'static str, PathBuf)>> {
    // The same packages as in `cargo xtask test`, so that the same features are asked of every crate, and nothing is
    // built twice.
    let mut build = cargo(&["test", "--quiet", "--no-run", "--message-format=json-render-diagnostics"]);
    build.args(USERSPACE).args(names.iter().flat_map(|name| ["--test", name]));
    let messages = output(&mut build)?;
    let find = |name| {
        let built = messages.lines().filter_map(|line| executable(line, name)).next();
        Ok((name, built.with_context(|| format!("cargo built no test program {name}"))?))
    };
    names.into_iter().map(find).collect()
}

/// Checks that a test program has these tests: one that is asked for others runs nothing and says that all went well.
pub fn ensure_holds(program: &Path, tests: &[&str]) -> Result<()> {
    let listed = output(Command::new(program).args(["--list", "--format", "terse"]))?;
    for test in tests {
        ensure!(listed.lines().any(|line| line == format!("{test}: test")), "{} has no {test}", program.display());
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("start `{}`", spell(command)))?;
    ensure!(output.status.success(), "`{}` failed ({})", spell(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("read the output of `{}`", spell(command)))
}

/// The test program `name`, where this message of cargo tells of it.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_wanted = message["target"]["name"] == name && message["target"]["kind"][0] == "test";
    is_wanted.then(|| message["executable"].as_str().map(PathBuf::from))?
}
