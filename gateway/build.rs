//! Compiles the packet programs and leaves the object as `$OUT_DIR/gateway`, for the library to embed.
//!
//! It follows `aya_build::build_ebpf`, which fixes the compiler flags and so cannot choose the BPF processor.

#[path = "build/toolchain.rs"]
mod toolchain;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use toolchain::Toolchain;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace's folder");
    for input in ["gateway-ebpf", "gateway-common/src", "gateway-common/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let Some(toolchain) = Toolchain::find(root) else {
        println!(
            "cargo::error=the packet programs need a compiler and a linker for BPF that are not on this machine: run \
             `cargo xtask setup`, which installs them or says what to install"
        );
        return ExitCode::SUCCESS; // cargo stops at the error above, and shows nothing else
    };
    match build_object(root, &toolchain) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build_object(root: &Path, toolchain: &Toolchain) -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").context("cargo sets CARGO_CFG_TARGET_ARCH")?;
    let endian = env::var("CARGO_CFG_TARGET_ENDIAN").context("cargo sets CARGO_CFG_TARGET_ENDIAN")?;
    ensure!(endian == "little", "the packet programs are built for little-endian machines only");

    // An own target folder: the outer cargo holds the lock of the shared one.
    let target = out.join("ebpf");
    let mut cargo = toolchain.cargo("build", &architecture);
    cargo.current_dir(root).arg("--bin=gateway").arg("--target-dir").arg(&target);
    let status = cargo.status().with_context(|| format!("start {cargo:?}"))?;
    ensure!(status.success(), "compile the packet programs ({status})");

    let object = target.join("bpfel-unknown-none/release/gateway");
    fs::copy(&object, out.join("gateway")).with_context(|| format!("copy {}", object.display()))?;
    Ok(())
}
