//! bpf-linker, built for the compiler's own LLVM into the workspace's target folder.

use anyhow::Result;

use crate::{
    command::{self, announce, cargo},
    toolchain::{BPF_LINKER_VERSION, Compiler, tools_folder},
    workspace,
};

pub fn install(compiler: &Compiler) -> Result<()> {
    let llvm = compiler.llvm_major;
    let folder = tools_folder(workspace::root());
    announce(
        "Installing",
        &format!("bpf-linker {BPF_LINKER_VERSION} for LLVM {llvm} in {} (1-2 minutes)", folder.display()),
    );
    let mut install = cargo(&["install", "bpf-linker", "--quiet", "--locked", "--version", BPF_LINKER_VERSION]);
    install.args(["--no-default-features", "--features", &format!("llvm-{llvm}"), "--force", "--root"]).arg(folder);
    // Otherwise the build script takes whichever llvm-config comes first on the PATH.
    install.env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
    command::run(&mut install)
}
