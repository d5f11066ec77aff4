//! Compiles the packet programs, once for each kind of flow table, and leaves the objects as `$OUT_DIR/gateway-buckets`
//! and `$OUT_DIR/gateway-hash`, for the library to embed.

#[path = "build/btf.rs"]
mod btf;
#[path = "build/programs.rs"]
mod programs;
#[path = "build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

fn main() -> ExitCode {
    const OBJECTS: &[programs::Object] = &[("gateway-buckets", &[]), ("gateway-hash", &["--features=hash-flows"])];
    programs::Programs { package: "gateway-ebpf", binary: "gateway", objects: OBJECTS }.build()
}
