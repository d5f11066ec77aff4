//! The initial file system of a machine: busybox, the gateway, the programs of the lab with their libraries, the
//! kernel's modules, and the script that is its first process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::command;

const INIT: &str = include_str!("../../kernels/init.sh");

/// Modules that the gateway and the lab need where the kernel does not have them built in, by path without the suffix.
const MODULES: [&str; 3] = ["drivers/net/veth", "net/sched/sch_ingress", "net/sched/cls_bpf"];

/// Programs of the host that busybox has no match for.
const PROGRAMS: [&str; 2] = ["ip", "ethtool"];

/// Builds the file system for the unpacked `kernel` below `folder`. Returns the archive.
pub fn build(folder: &Path, kernel: &Path, gateway: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for name in ["bin", "dev", "modules", "proc", "run", "sys", "tmp"] {
        let path = root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    copy(&which::which("busybox").context("find busybox")?, &root.join("bin/busybox"))?;
    let stripped = root.join("bin/gateway");
    command::run(Command::new("strip").arg("-o").arg(&stripped).arg(gateway))?;
    copy_libraries(gateway, &root)?;
    for program in PROGRAMS {
        let path = find_program(program)?;
        copy(&path, &root.join("bin").join(program))?;
        copy_libraries(&path, &root)?;
    }
    copy_modules(kernel, &root)?;
    let init = root.join("init");
    fs::write(&init, INIT).with_context(|| format!("write {}", init.display()))?;
    command::run(Command::new("chmod").arg("+x").arg(&init))?;
    let archive = folder.join("image.cpio");
    pack(&root, &archive)?;
    Ok(archive)
}

fn find_program(name: &str) -> Result<PathBuf> {
    which::which_in(name, Some("/usr/sbin:/sbin:/usr/bin:/bin"), "/").with_context(|| format!("find {name}"))
}

fn copy_libraries(program: &Path, root: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(program).output().context("start `ldd`")?;
    ensure!(output.status.success(), "`ldd {}` failed ({})", program.display(), output.status);
    let listing = String::from_utf8(output.stdout).context("read the output of `ldd`")?;
    for library in listing.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &root.join(library.trim_start_matches('/')))?;
    }
    Ok(())
}

fn copy_modules(kernel: &Path, root: &Path) -> Result<()> {
    let modules = super::package::only_entry(&kernel.join("lib/modules"), "")?.join("kernel");
    for (order, module) in MODULES.iter().enumerate() {
        let target = root.join("modules").join(format!("{order}.ko"));
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
