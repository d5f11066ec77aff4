//! Compiles the packet programs of the benchmarks and leaves the object as `$OUT_DIR/programs`.

#[path = "../gateway/build/btf.rs"]
mod btf;
#[path = "../gateway/build/programs.rs"]
mod programs;
#[path = "../gateway/build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

fn main() -> ExitCode {
    programs::Programs { package: "bench-ebpf", binary: "programs", objects: &[("programs", &[])] }.build()
}
