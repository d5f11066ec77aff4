//! `dist`: what is installed, in `target/dist`: a static program, a Debian package and a container image.
//!
//! The same sources and tools give the same packages: times of files are that of the last commit.

mod debian;
mod image;
mod program;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    command::{self, announce},
    setup::{self, Need},
    workspace,
};

/// Build the static program, the Debian package and the container image, with their checksums.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask dist")]
pub struct Dist {
    /// Package this program instead of building one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The version of the packages.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// Where the results go; what is there of an earlier run is replaced.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What every package is made from.
struct Release {
    version: String,
    /// The program.
    program: PathBuf,
    /// Seconds since 1970.
    time: u64,
    /// The folder of the results.
    out: PathBuf,
    /// A folder to build in, gone in the end.
    scratch: PathBuf,
}

impl Dist {
    pub fn execute(self) -> Result<()> {
        let out = self.out.unwrap_or_else(|| workspace::root().join("target/dist"));
        let scratch = out.join("scratch");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        }
        fs::create_dir_all(&scratch).with_context(|| format!("make the folder {}", scratch.display()))?;
        let scratch = fs::canonicalize(scratch)?;
        let program = match self.program {
            Some(program) => fs::canonicalize(&program).with_context(|| format!("find {}", program.display()))?,
            None => {
                setup::ensure(&[Need::Packages])?;
                program::build(&scratch)?
            }
        };
        let release = Release { version: self.version, program, time: time(), out, scratch };
        let files = [program::copy(&release)?, debian::package(&release)?, image::archive(&release)?];
        let mut sums = String::new();
        for file in &files {
            let name = file.file_name().context("a package has a name")?.to_string_lossy();
            writeln!(sums, "{}  {name}", sha256(file)?)?;
        }
        fs::write(release.out.join("SHA256SUMS"), sums).context("write SHA256SUMS")?;
        fs::remove_dir_all(&release.scratch).context("remove the scratch folder")?;
        for file in &files {
            announce("Ready", &file.display().to_string());
        }
        Ok(())
    }
}

impl Release {
    /// A command that packs `folder` into `archive`, owned by root and in a fixed order.
    fn tar(&self, folder: &Path, archive: &Path) -> Command {
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
        tar.arg(format!("--mtime=@{}", self.time)).arg("-C").arg(folder).arg("-cf").arg(archive);
        tar
    }
}

/// Of the last commit; of 1980 where there is none, which every format can say.
fn time() -> u64 {
    let text = git(&["log", "-1", "--format=%ct"]);
    text.and_then(|text| text.parse().ok()).unwrap_or(315_532_800)
}

/// What git says of the workspace; none without git or outside of a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(workspace::root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Copies a file and makes its folder; `mode` in octal.
fn install(source: &Path, target: &Path, mode: &str) -> Result<()> {
    command::run(Command::new("install").args(["-D", "-m", mode]).arg(source).arg(target))
}

/// What a program prints.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("start `{}`", command::spell(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", command::spell(command), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
