//! The distribution's packages: which are missing, and their installation with apt.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{self, announce, spell},
    privilege,
    toolchain::{Compiler, DISTRIBUTION, Toolchain},
};

/// What a command needs beyond the toolchain of the packet programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Clippy for the packet programs, and what the fuzz targets are checked with.
    Lint,
    /// The compiler of libFuzzer.
    Fuzz,
    /// The programs with which tests and demo build networks and make traffic.
    Lab,
    /// The servers and clients that tests run through the gateway.
    Applications,
    /// What the benchmarks measure beside the gateway.
    Peers,
    /// What packages are made with.
    Packages,
    /// The emulator that boots kernels, and what is put into its machines.
    Kernels,
}

impl Need {
    /// What building, linting and testing need: neither the benchmarks' peers nor packages nor kernels.
    pub const ALL: [Self; 4] = [Self::Lint, Self::Fuzz, Self::Lab, Self::Applications];
}

/// Debian 12's compiler with the source of `core`, and the LLVM it uses.
const COMPILER: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev"];
const COMPILER_CLIPPY: &str = "rust-web-clippy";
const CPP_COMPILER: &str = "g++";
/// The programs of the lab, each with the package that brings it.
const LAB: [(&str, &str); 16] = [
    ("bpftool", "bpftool"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("dockerd", "docker.io"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("python3", "python3"),
    ("sysctl", "procps"),
    ("systemd-analyze", "systemd"),
    ("tcpdump", "tcpdump"),
    ("tmux", "tmux"),
    ("tshark", "tshark"),
];

/// Servers that people run behind a gateway, their clients, and a browser, each with the package that brings it.
const APPLICATIONS: [(&str, &str); 10] = [
    ("chromium", "chromium"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("promtool", "prometheus"),
    ("redis-benchmark", "redis-tools"),
    ("redis-server", "redis-server"),
];

/// Proxies that do the gateway's work in user space: a program, or a file, each with the package that brings it.
const PEERS: [(&str, &str); 3] =
    [("haproxy", "haproxy"), ("nginx", "nginx"), (NGINX_STREAM_MODULE, "libnginx-mod-stream")];
const NGINX_STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Keeps out what would start a server when its package is installed, and at every boot from then on.
const WITHOUT_UNITS: [&str; 6] = [
    "-o",
    "DPkg::Options::=--path-exclude=/lib/systemd/system/*",
    "-o",
    "DPkg::Options::=--path-exclude=/usr/lib/systemd/system/*",
    "-o",
    "DPkg::Options::=--path-exclude=/etc/init.d/*",
];

/// The programs that make packages, each with the package that brings it.
const PACKAGES: [(&str, &str); 3] = [("dpkg-deb", "dpkg"), ("strip", "binutils"), ("tar", "tar")];

/// The programs that boot kernels, each with the package that brings it.
const KERNELS: [(&str, &str); 4] = [
    ("busybox", "busybox-static"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
];

/// The packages that `needs` lacks, given the toolchain that is there.
pub fn missing(needs: &[Need], toolchain: Option<&Toolchain>) -> Vec<String> {
    let mut packages = Vec::new();
    let distribution = toolchain.is_none_or(|toolchain| toolchain.compiler.toolchain == DISTRIBUTION);
    if needs.contains(&Need::Lint) && distribution && !Path::new("/usr/bin/cargo-clippy").exists() {
        packages.push(COMPILER_CLIPPY.to_owned());
    }
    if (needs.contains(&Need::Lint) || needs.contains(&Need::Fuzz)) && !on_path("c++") {
        packages.push(CPP_COMPILER.to_owned());
    }
    for (need, programs) in [(Need::Lab, &LAB[..]), (Need::Packages, &PACKAGES), (Need::Kernels, &KERNELS)] {
        if needs.contains(&need) {
            packages.extend(missing_of(programs));
        }
    }
    packages
}

/// The packages of servers that `needs` lacks: for [`install_programs`].
pub fn missing_programs(needs: &[Need]) -> Vec<String> {
    let mut packages = Vec::new();
    for (need, programs) in [(Need::Applications, &APPLICATIONS[..]), (Need::Peers, &PEERS)] {
        if needs.contains(&need) {
            packages.extend(missing_of(programs));
        }
    }
    packages.sort();
    packages.dedup();
    packages
}

fn missing_of(programs: &[(&str, &str)]) -> Vec<String> {
    let lacking = programs.iter().filter(|(program, _)| !on_path(program));
    lacking.map(|(_, package)| (*package).to_owned()).collect()
}

/// The packages to build a toolchain from, given the compiler that is there.
pub fn missing_of_toolchain(compiler: Option<&Compiler>) -> Vec<String> {
    match compiler {
        Some(compiler) if llvm_installed(compiler.llvm_major) => Vec::new(),
        Some(compiler) => vec![llvm_package(compiler.llvm_major)],
        None => COMPILER.into_iter().filter(|package| !is_installed(package)).map(str::to_owned).collect(),
    }
}

/// Whether LLVM's library of this release is installed or apt can install it.
pub fn llvm_available(major: u32) -> bool {
    llvm_installed(major) || command::succeeds("apt-cache", &["show", &llvm_package(major)])
}

/// Installs packages with apt, saying so first.
///
/// # Errors
///
/// Without apt, or without the right to use it, the error says what to install by hand.
pub fn install(packages: &[String]) -> Result<()> {
    install_with(&[], packages)
}

/// Installs packages of servers as [`install`] does, but only their programs: no server is started, neither by the
/// installation nor at the next boot.
///
/// # Errors
///
/// As [`install`].
pub fn install_programs(packages: &[String]) -> Result<()> {
    install_with(&WITHOUT_UNITS, packages)
}

fn install_with(options: &[&str], packages: &[String]) -> Result<()> {
    let list = packages.join(" ");
    if which::which("apt-get").is_err() {
        bail!("this machine has no apt: install what Debian 12 calls {list} by hand; docs/building.md says how");
    }
    announce("Installing", &format!("Debian's packages {list}"));
    let by_hand =
        || format!("to install by hand, as root: apt-get update && apt-get install --no-install-recommends {list}");
    apt(&["update", "--quiet=2"]).with_context(by_hand)?;
    apt(&[&["install", "--quiet", "--yes", "--no-install-recommends"], options, &strs(packages)].concat())
        .with_context(by_hand)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let variables = [("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
    let mut apt = privilege::as_root("apt-get", &variables, "install packages")?;
    apt.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    announce("Running", &spell(&apt));
    command::run(&mut apt)
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn llvm_package(major: u32) -> String {
    format!("llvm-{major}-dev")
}

fn llvm_installed(major: u32) -> bool {
    Path::new(&format!("/usr/lib/llvm-{major}/include")).exists()
        && Path::new(&format!("/usr/lib/llvm-{major}/bin/llvm-config")).exists()
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

/// Whether a program is there, also where only root's PATH leads; a file by its absolute path.
fn on_path(program: &str) -> bool {
    Path::new(program).is_absolute() && Path::new(program).exists()
        || which::which(program).is_ok()
        || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).is_file())
}
