//! The initial file system of a machine: busybox, the gateway, tests, the programs of the lab with their libraries, the
//! kernel's modules, and the script that is its first process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::package::Kernel;
use crate::command;

const INIT: &str = include_str!("../../kernels/init.sh");

/// Modules that the gateway and the lab need where the kernel does not have them built in, by path without the suffix,
/// each after those that it needs itself.
const MODULES: [&str; 9] = [
    "drivers/net/veth",
    "net/sched/sch_ingress",
    "net/sched/cls_bpf",
    "net/llc/llc",
    "net/802/stp",
    "net/bridge/bridge",
    "net/802/garp",
    "net/802/mrp",
    "net/8021q/8021q",
];

/// Programs of the host that busybox has no match for.
const PROGRAMS: [&str; 5] = ["bpftool", "ethtool", "ip", "ping", "tc"];

/// Where tests look for programs that cargo built beside them.
const BUILT: &str = "target/debug";

const FOLDERS: [&str; 11] =
    ["bin", "dev", "etc", "mnt", "modules", "proc", "run", "sys", "tmp", "target/debug/deps", "usr/bin"];

/// What the file system holds beside the kernel's modules.
pub struct Image<'a> {
    pub gateway: &'a Path,
    /// The program of the servers that the tests start.
    pub server: &'a Path,
    pub tests: &'a [(&'static str, PathBuf)],
    /// What the script runs, in its own words.
    pub plan: &'a str,
}

impl Image<'_> {
    /// Builds the file system for the unpacked `kernel` below `folder`. Returns the archive.
    pub fn build(&self, folder: &Path, kernel: &Kernel) -> Result<PathBuf> {
        let root = folder.join("root");
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
        }
        for name in FOLDERS {
            let path = root.join(name);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        copy(&which::which("busybox").context("find busybox")?, &root.join("bin/busybox"))?;
        for name in PROGRAMS {
            install(&find_program(name)?, &root, &format!("bin/{name}"))?;
        }
        install(self.gateway, &root, &format!("{BUILT}/gateway"))?;
        install(self.server, &root, &format!("{BUILT}/server"))?;
        for (name, program) in self.tests {
            install(program, &root, &format!("{BUILT}/deps/{name}"))?;
        }
        copy_modules(kernel, &root)?;
        write(&root.join("plan"), self.plan)?;
        write(&root.join("init"), INIT)?;
        command::run(Command::new("chmod").arg("+x").arg(root.join("init")))?;
        let archive = folder.join("image.cpio");
        pack(&root, &archive)?;
        Ok(archive)
    }
}

fn find_program(name: &str) -> Result<PathBuf> {
    which::which_in(name, Some("/usr/sbin:/sbin:/usr/bin:/bin"), "/").with_context(|| format!("find {name}"))
}

/// Copies a program without its debug information, and the libraries that it loads.
fn install(program: &Path, root: &Path, to: &str) -> Result<()> {
    command::run(Command::new("strip").arg("-o").arg(root.join(to)).arg(program))?;
    let output = Command::new("ldd").arg(program).output().context("start `ldd`")?;
    ensure!(output.status.success(), "`ldd {}` failed ({})", program.display(), output.status);
    let listing = String::from_utf8(output.stdout).context("read the output of `ldd`")?;
    for library in listing.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &root.join(library.trim_start_matches('/')))?;
    }
    Ok(())
}

fn copy_modules(kernel: &Kernel, root: &Path) -> Result<()> {
    let modules = kernel.modules()?.join("kernel");
    for (order, module) in MODULES.iter().enumerate() {
        let target = root.join("modules").join(format!("{order:02}.ko"));
        let plain = modules.join(format!("{module}.ko"));
        let compressed = modules.join(format!("{module}.ko.xz"));
        if plain.exists() {
            copy(&plain, &target)?;
        } else if compressed.exists() {
            let file = fs::File::create(&target).with_context(|| format!("create {}", target.display()))?;
            command::run(Command::new("xz").args(["--decompress", "--stdout"]).arg(compressed).stdout(file))?;
        }
    }
    Ok(())
}

fn pack(root: &Path, archive: &Path) -> Result<()> {
    let file = fs::File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let find = Command::new("find").current_dir(root).arg(".").stdout(Stdio::piped()).spawn();
    let mut find = find.context("start `find`")?;
    let names = find.stdout.take().context("`find` has no output")?;
    let mut cpio = Command::new("busybox");
    cpio.args(["cpio", "--create", "--format", "newc"]).current_dir(root).stdin(names).stdout(file);
    command::run(cpio.stderr(Stdio::null()))?;
    let status = find.wait().context("wait for `find`")?;
    ensure!(status.success(), "`find` failed ({status})");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
