//! Kernel packages in the distribution's archive: those that this machine's apt knows, and those of newer releases.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::command::{self, announce, spell};

/// Debian's releases that may have a kernel which the machine's own has not, the newest kernels last.
const RELEASES: [&str; 3] = ["bookworm-backports", "trixie", "trixie-backports"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with the lists of packages that it is to use; nothing of the machine's own lists is changed.
pub struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// As this machine is set up.
    pub fn of_this_machine() -> Self {
        Self { options: Vec::new() }
    }

    /// For Debian's newer releases, from the same mirror, with lists below `folder` that are brought up to date.
    pub fn of_newer_releases(folder: &Path) -> Result<Self> {
        let mirror = mirror()?;
        let lists = folder.join("apt");
        fs::create_dir_all(lists.join("partial")).with_context(|| format!("create {}", lists.display()))?;
        let line = |release| format!("deb [signed-by={KEYRING}] {mirror} {release} main\n");
        let sources = folder.join("sources.list");
        let text = RELEASES.map(line).concat();
        fs::write(&sources, text).with_context(|| format!("write {}", sources.display()))?;
        let options = [
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=-".to_owned(),
            format!("Dir::State::Lists={}", lists.display()),
            // Its caches are of the machine's own lists.
            "Dir::Cache::PkgCache=".to_owned(),
            "Dir::Cache::SrcPkgCache=".to_owned(),
        ];
        let apt = Self { options: options.to_vec() };
        command::run(apt.command("apt-get").args(["--quiet=2", "update"]))?;
        Ok(apt)
    }

    /// The names of packages that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Downloads a package into `folder`.
    pub fn download(&self, package: &str, folder: &Path) -> Result<()> {
        announce("Downloading", package);
        let mut apt = self.command("apt-get");
        command::run(apt.args(["--quiet=2", "download", package]).current_dir(folder)).with_context(|| {
            format!("download {package}: the mirror may not have it any more (then `apt-get update`), or not answer")
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Root's apt would download as a user who may not write here, and warn about it.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command.args(self.options.iter().flat_map(|option| ["-o", option]));
        command
    }
}

/// The mirror of Debian that this machine uses.
fn mirror() -> Result<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Label: Debian"]);
    let mirrors = output(&mut apt)?;
    let first = mirrors.lines().next();
    first.map(str::to_owned).context("apt has no lists of Debian, and so names no mirror: run `apt-get update`")
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("start `{}`", spell(command)))?;
    ensure!(output.status.success(), "`{}` failed ({})", spell(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("read the output of `{}`", spell(command)))
}
