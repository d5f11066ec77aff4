//! The container image: the program and nothing else, as an archive for `docker load`.
//!
//! The archive is of the form that `docker save` writes and every container engine reads: a configuration and one layer, named
//! by their digests, and a manifest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::json;

use super::{Release, install, sha256};
use crate::command::{self, announce};

pub fn archive(release: &Release) -> Result<PathBuf> {
    let archive = release.out.join(format!("gateway-{}-image.tar", release.version));
    announce("Packing", &archive.display().to_string());
    let folder = release.scratch.join("image");
    fs::create_dir_all(&folder)?;
    let layer = layer(release, &folder)?;
    let configuration = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/gateway"],
            "Cmd": ["run", "--config", "/etc/gateway/gateway.toml"],
            "Env": ["PATH=/usr/bin"],
            "Labels": {
                "org.opencontainers.image.title": "gateway",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
    });
    fs::write(folder.join("configuration"), configuration.to_string())?;
    let id = sha256(&folder.join("configuration"))?;
    fs::rename(folder.join("configuration"), folder.join(format!("{id}.json")))?;
    let manifest = json!([{
        "Config": format!("{id}.json"),
        "RepoTags": [format!("gateway:{}", release.version)],
        "Layers": [format!("{layer}.tar")],
    }]);
    fs::write(folder.join("manifest.json"), manifest.to_string())?;
    command::run(release.tar(&folder, &archive).arg("."))?;
    Ok(archive)
}

/// Packs the layer into `folder` and gives its digest.
fn layer(release: &Release, folder: &Path) -> Result<String> {
    let root = release.scratch.join("layer");
    install(&release.program, &root.join("usr/bin/gateway"), "0755")?;
    // What is mounted, or written to, in a container.
    for place in ["etc/gateway", "run/gateway", "var/lib/gateway", "sys", "proc", "tmp"] {
        fs::create_dir_all(root.join(place))?;
    }
    let packed = folder.join("layer.tar");
    command::run(release.tar(&root, &packed).args(["--mode=u=rwX,go=rX", "."]))?;
    let digest = sha256(&packed)?;
    fs::rename(packed, folder.join(format!("{digest}.tar")))?;
    Ok(digest)
}

/// This machine's, as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
