//! Compiles packet programs within a build script, and leaves their object where the library embeds it.
//!
//! It follows `aya_build::build_ebpf`, which fixes the compiler flags and so cannot choose the BPF processor.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};

use crate::{btf, toolchain::Toolchain};

/// An object's name in `$OUT_DIR`, and the arguments that cargo gets for it.
pub type Object = (&'static str, &'static [&'static str]);

/// Packet programs of the workspace.
pub struct Programs {
    pub package: &'static str,
    pub binary: &'static str,
    pub objects: &'static [Object],
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
        match self.objects.iter().try_for_each(|(name, arguments)| self.build_object(root, &toolchain, name, arguments))
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn build_object(&self, root: &Path, toolchain: &Toolchain, name: &str, arguments: &[&str]) -> Result<()> {
        let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
        let architecture = env::var("CARGO_CFG_TARGET_ARCH").context("cargo sets CARGO_CFG_TARGET_ARCH")?;
        let endian = env::var("CARGO_CFG_TARGET_ENDIAN").context("cargo sets CARGO_CFG_TARGET_ENDIAN")?;
        ensure!(endian == "little", "the packet programs are built for little-endian machines only");

        // An own target folder: the outer cargo holds the lock of the shared one.
        let target = out.join("ebpf");
        let mut cargo = toolchain.cargo("build", self.package, &architecture);
        cargo.current_dir(root).args(["--bin", self.binary]).arg("--target-dir").arg(&target).args(arguments);
        let status = cargo.status().with_context(|| format!("start {cargo:?}"))?;
        ensure!(status.success(), "compile the packet programs ({status})");

        let object = target.join("bpfel-unknown-none/release").join(self.binary);
        let mut bytes = fs::read(&object).with_context(|| format!("read {}", object.display()))?;
        btf::level_unions(&mut bytes).with_context(|| format!("mend the type information of {}", object.display()))?;
        fs::write(out.join(name), bytes).with_context(|| format!("write {name}"))
    }
}
