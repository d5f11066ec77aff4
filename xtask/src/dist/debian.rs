//! The Debian package: program, unit, manual pages, completions, documentation. What its scripts promise stands in
//! `docs/packaging.md`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{Release, install, output};
use crate::{
    command::{self, announce},
    workspace,
};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Shells, each with where Debian looks for the completions of a program named gateway.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/gateway"),
    ("zsh", "usr/share/zsh/vendor-completions/_gateway"),
    ("fish", "usr/share/fish/vendor_completions.d/gateway.fish"),
];

pub fn package(release: &Release) -> Result<PathBuf> {
    let architecture = architecture();
    let package = release.out.join(format!("gateway_{}_{architecture}.deb", release.version));
    announce("Packing", &package.display().to_string());
    let root = release.scratch.join("debian");
    fill(release, &root)?;
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(control.join("control"), fields(&release.version, architecture, installed_size(&root)?))?;
    for script in SCRIPTS {
        install(&workspace::root().join("packaging/debian").join(script), &control.join(script), "0755")?;
    }
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", release.time.to_string()).args(["--root-owner-group", "--build"]);
    output(build.arg(&root).arg(&package))?;
    Ok(package)
}

fn fill(release: &Release, root: &Path) -> Result<()> {
    let workspace = workspace::root();
    install(&release.program, &root.join("usr/bin/gateway"), "0755")?;
    let unit = root.join("usr/lib/systemd/system/gateway.service");
    install(&workspace.join("packaging/gateway.service"), &unit, "0644")?;
    for (shell, place) in COMPLETIONS {
        let script = output(Command::new(&release.program).args(["completions", shell]))?;
        write(&root.join(place), &script)?;
    }
    let pages = root.join("usr/share/man/man1");
    output(Command::new(&release.program).args(["man", "--out"]).arg(&pages))?;
    for page in fs::read_dir(&pages).context("list the manual pages")? {
        compress(&page?.path())?;
    }
    let documents = root.join("usr/share/doc/gateway");
    install(&workspace.join("gateway.example.toml"), &documents.join("examples/gateway.toml"), "0644")?;
    install(&workspace.join("CHANGELOG.md"), &documents.join("changelog"), "0644")?;
    compress(&documents.join("changelog"))?;
    for document in fs::read_dir(workspace.join("docs")).context("list the documents")? {
        let document = document?.path();
        if document.extension().is_some_and(|extension| extension == "md") {
            install(&document, &documents.join("docs").join(document.file_name().unwrap_or_default()), "0644")?;
        }
    }
    write(&documents.join("copyright"), copyright()?.as_bytes())?;
    readable(root)
}

/// Whatever the umask of the builder: folders can be entered by all, and nobody but root writes.
fn readable(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            readable(&path)?;
        } else if entry.metadata()?.permissions().mode() & 0o100 == 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

fn fields(version: &str, architecture: &str, installed_size: u64) -> String {
    format!(
        "Package: gateway\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The gateway's authors \
         <gateway@localhost>\nInstalled-Size: {installed_size}\nPre-Depends: init-system-helpers (>= 1.54~)\n\
         Recommends: bpftool, ethtool\nSection: net\nPriority: optional\nDescription: NAT gateway for raw TCP on XDP and TC\n \
         Gives services in containers, on this host or on others, a public port\n of their own, balances connections \
         and carries deployments through\n without the loss of one. Packets are translated by eBPF programs, which go\n \
         on when the daemon is stopped, crashes or is upgraded.\n"
    )
}

fn copyright() -> Result<String> {
    let licences = ["LICENSE-MIT", "LICENSE-APACHE"].map(|name| {
        let text = fs::read_to_string(workspace::root().join(name)).with_context(|| format!("read {name}"))?;
        anyhow::Ok(format!("\n--- {name}\n\n{text}"))
    });
    let [mit, apache] = licences;
    Ok(format!("The gateway is licensed under either of MIT and Apache-2.0, at your choice.\n{}{}", mit?, apache?))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn compress(path: &Path) -> Result<()> {
    // Without name and time, so that the same page gives the same bytes.
    command::run(Command::new("gzip").args(["-9", "--no-name"]).arg(path))
}

/// In KiB, as Debian counts.
fn installed_size(root: &Path) -> Result<u64> {
    let text = String::from_utf8(output(Command::new("du").args(["-sk", "--apparent-size"]).arg(root))?)?;
    let size = text.split_whitespace().next().and_then(|number| number.parse().ok());
    size.context("du prints a number")
}

/// This machine's, as Debian calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
