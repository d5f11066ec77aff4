//! The compiler and the linker that build the packet programs: one choice, shared by the build script and
//! `cargo xtask`.
//!
//! Looking changes nothing on the machine and needs no network. A compiler qualifies if rustup can run it, it
//! carries the source of `core` (no precompiled `core` exists for BPF), and a bpf-linker that reads its LLVM
//! bitcode is there.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The name under which set-up links the distribution's compiler into rustup.
pub const DISTRIBUTION: &str = "gateway-ebpf";
/// The version of bpf-linker that set-up installs.
pub const BPF_LINKER_VERSION: &str = "0.13.0";

const TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build `core` for BPF.
#[derive(Debug)]
pub struct Compiler {
    pub toolchain: &'static str,
    pub llvm_major: u32,
}

impl Compiler {
    /// The compilers that rustup knows and that carry the source of `core`, the preferred one first.
    pub fn candidates() -> impl Iterator<Item = Self> {
        ["nightly", DISTRIBUTION].into_iter().filter_map(Self::probe)
    }

    fn probe(toolchain: &'static str) -> Option<Self> {
        let sysroot = PathBuf::from(ask_rustc(toolchain, &["--print", "sysroot"])?.trim());
        if !sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
            return None;
        }
        let version = ask_rustc(toolchain, &["-vV"])?;
        let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        let llvm_major = llvm.split('.').next()?.parse().ok()?;
        Some(Self { toolchain, llvm_major })
    }
}

/// A compiler with the folder of a bpf-linker that fits it.
#[derive(Debug)]
pub struct Toolchain {
    pub compiler: Compiler,
    linker_folder: PathBuf,
}

impl Toolchain {
    /// The toolchain of the workspace at `root`, or `None` if no compiler has a linker that fits it.
    pub fn find(root: &Path) -> Option<Self> {
        Compiler::candidates().find_map(|compiler| {
            let linker_folder = linker_folder(root, &compiler)?;
            Some(Self { compiler, linker_folder })
        })
    }

    /// `cargo SUBCOMMAND` for the packet programs of `package`, as they run on `architecture` (`x86_64`, `aarch64`, …).
    ///
    /// Whatever an outer cargo put into the environment to steer its own compiler is kept away from this one.
    pub fn cargo(&self, subcommand: &str, package: &str, architecture: &str) -> Command {
        let mut command = rustup_run(self.compiler.toolchain, "cargo");
        command.args([subcommand, "--package", package, "--release", "--target", TARGET, "-Zbuild-std=core"]);
        command.env("RUSTC_BOOTSTRAP", "1"); // for build-std, on a compiler that is not a nightly
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(architecture).join("\x1f"));
        command.env("PATH", self.path());
        for name in ["RUSTC", "RUSTDOC", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
            command.env_remove(name);
        }
        command
    }

    fn rustflags(&self, architecture: &str) -> Vec<String> {
        vec![
            format!("--cfg=bpf_target_arch=\"{architecture}\""),
            "-Cdebuginfo=2".to_owned(),
            // Type information, by which the kernel verifies global functions on their own.
            "-Clink-arg=--btf".to_owned(),
            // 32-bit arithmetic and jumps; in Linux since 5.1.
            "-Ctarget-cpu=v3".to_owned(),
            // BPF has no vectors: they would be spelled out over a stack that has no room for them.
            "-Cno-vectorize-loops".to_owned(),
            "-Cno-vectorize-slp".to_owned(),
        ]
    }

    fn path(&self) -> std::ffi::OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.linker_folder.clone()).chain(env::split_paths(&inherited));
        env::join_paths(folders).expect("folders that come from PATH fit into PATH")
    }
}

/// Where set-up installs its tools, for the workspace at `root`.
pub fn tools_folder(root: &Path) -> PathBuf {
    root.join("target/tools")
}

/// The workspace's own bpf-linker if it was built for the compiler's LLVM, otherwise the one on the PATH.
fn linker_folder(root: &Path, compiler: &Compiler) -> Option<PathBuf> {
    let tools = tools_folder(root);
    // `cargo install` keeps this record of what it built and with which features.
    let installed = std::fs::read_to_string(tools.join(".crates2.json")).unwrap_or_default();
    let fits = installed.contains(&format!("bpf-linker {BPF_LINKER_VERSION} "))
        && installed.contains(&format!("\"llvm-{}\"", compiler.llvm_major));
    let own = tools.join("bin");
    if fits && own.join("bpf-linker").is_file() {
        return Some(own);
    }
    Some(which::which("bpf-linker").ok()?.parent()?.to_owned())
}

fn ask_rustc(toolchain: &str, arguments: &[&str]) -> Option<String> {
    let output = rustup_run(toolchain, "rustc").args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok())?
}

fn rustup_run(toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, program]).env("RUSTUP_AUTO_INSTALL", "0");
    command
}
