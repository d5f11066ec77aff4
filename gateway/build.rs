//! Compiles the packet programs and leaves the object as `$OUT_DIR/gateway`, for the library to embed.

#[path = "build/programs.rs"]
mod programs;
#[path = "build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

fn main() -> ExitCode {
    programs::Programs { package: "gateway-ebpf", binary: "gateway" }.build()
}
