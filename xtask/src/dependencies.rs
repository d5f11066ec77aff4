//! What the workspace depends on: packages of a registry alone, under licences that go with the workspace's own.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::command::{announce, cargo, spell};

/// Licences that a package may be had under. The Mozilla licence asks for changes of the package itself only.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks all packages that `Cargo.lock` names, by what cargo knows of them; nothing is looked up.
pub fn check() -> Result<()> {
    announce("Checking", "the licences and sources of dependencies");
    let mut metadata = cargo(&["metadata", "--format-version=1", "--locked"]);
    let output = metadata.output().with_context(|| format!("start `{}`", spell(&metadata)))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read what cargo knows of the packages")?;
    let packages = metadata["packages"].as_array().context("cargo knows of no packages")?;
    let problems: Vec<String> = packages.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    bail!("dependencies that cannot be used:\n{}", problems.join("\n"))
}

/// What is wrong with a package of `cargo metadata`.
fn problem(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("a package without a name");
    match package["source"].as_str() {
        // Of the workspace.
        None => return None,
        Some(source) if source.starts_with("registry+") => {}
        Some(source) => return Some(format!("{name} comes from {source}, and not from a registry")),
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} does not say its licence in the form of SPDX"));
    };
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(is_allowed) => None,
        Ok(_) => Some(format!("{name} is under {licence}")),
        Err(error) => Some(format!("{name} is under {licence}, which is no licence of SPDX: {error}")),
    }
}

fn is_allowed(wanted: &spdx::LicenseReq) -> bool {
    wanted.license.id().is_some_and(|id| LICENCES.contains(&id.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(source: &str, licence: &str) -> bool {
        problem(&json!({"name": "it", "source": source, "license": licence})).is_some()
    }

    #[test]
    fn licences_that_bind_the_workspace_and_other_sources_are_found() {
        for fine in ["MIT", "MIT/Apache-2.0", "Apache-2.0 WITH LLVM-exception OR GPL-3.0", "MPL-2.0+", "MIT AND ISC"] {
            assert!(!found("registry+index", fine), "{fine}");
        }
        for wrong in ["GPL-3.0-only", "MIT AND AGPL-3.0-or-later", "LicenseRef-own", "whatever"] {
            assert!(found("registry+index", wrong), "{wrong}");
        }
        assert!(found("git+https://example.com/it", "MIT"));
        assert!(problem(&json!({"name": "own", "source": null, "license": "MIT"})).is_none());
        assert!(problem(&json!({"name": "it", "source": "registry+index", "license": null})).is_some());
    }
}
