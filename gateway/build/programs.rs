//! Compiles packet programs within a build script, and leaves their object where the library embeds it.
//!
//! It follows `aya_build::build_ebpf`, which fixes the compiler flags and so cannot choose the BPF processor.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};

use crate::toolchain::Toolchain;

/// Packet programs of the workspace.
pub struct Programs {
    pub package: &'static str,
    /// Its binary; the object has the same name, in `$OUT_DIR`.
    pub binary: &'static str,
}

impl Programs {
    /// The whole build script of a package that lies in the workspace's folder.
    pub fn build(&self) -> ExitCode {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace's folder");
        for input in [self.package, "gateway-common/src", "gateway-common/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
            println!("cargo::rerun-if-changed={}", root.join(input).display());
        }
        let Some(toolchain) = Toolchain::find(root) else {
            println!(
                "cargo::error=the packet programs need a compiler and a linker for BPF that are not on this machine: run \
                 `cargo xtask setup`, which installs them or says what to install"
            );
            return ExitCode::SUCCESS; // cargo stops at the error above, and shows nothing else
        };
        match self.build_object(root, &toolchain) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn build_object(&self, root: &Path, toolchain: &Toolchain) -> Result<()> {
        let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
        let architecture = env::var("CARGO_CFG_TARGET_ARCH").context("cargo sets CARGO_CFG_TARGET_ARCH")?;
        let endian = env::var("CARGO_CFG_TARGET_ENDIAN").context("cargo sets CARGO_CFG_TARGET_ENDIAN")?;
        ensure!(endian == "little", "the packet programs are built for little-endian machines only");

        // An own target folder: the outer cargo holds the lock of the shared one.
        let target = out.join("ebpf");
        let mut cargo = toolchain.cargo("build", self.package, &architecture);
        cargo.current_dir(root).args(["--bin", self.binary]).arg("--target-dir").arg(&target);
        let status = cargo.status().with_context(|| format!("start {cargo:?}"))?;
        ensure!(status.success(), "compile the packet programs ({status})");

        let object = target.join("bpfel-unknown-none/release").join(self.binary);
        fs::copy(&object, out.join(self.binary)).with_context(|| format!("copy {}", object.display()))?;
        Ok(())
    }
}
