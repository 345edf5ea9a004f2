//! Builds init (see `init/main.rs`) for the library's target, to be embedded by `launch`.
//!
//! init is compiled by calling the compiler directly: as a package of its own it would need flags that break the
//! workspace's other builds, and a nested cargo would inherit flags (coverage, sanitizers) that a program without
//! libc cannot bear.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("gantry-init");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    for watched in ["build.rs", "init", "src/plan/message.rs", "src/plan/op.rs", "src/plan/wire.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    if !target.starts_with("x86_64-") || !target.contains("-linux-") {
        println!("cargo::error=init has no sys layer for {target} yet: see init/sys/");
        return;
    }
    build(&manifest.join("init/main.rs"), &output, &target);
}

fn build(source: &Path, output: &Path, target: &str) {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name=gantry_init", "--target", target]);
    for option in ["panic=abort", "opt-level=s", "lto=fat", "codegen-units=1", "strip=symbols"] {
        rustc.args(["-C", option]);
    }
    // A static program at a fixed address: nothing to relocate, no libc, one entry point of its own.
    rustc.args(["-C", "relocation-model=static"]);
    for option in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-z,noexecstack"] {
        rustc.arg("-C").arg(format!("link-arg={option}"));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.to_string_lossy()));
    }
    rustc.arg("-o").arg(output).arg(source);
    // Flags meant for the workspace do not reach init through the compiler's own environment.
    rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("LLVM_PROFILE_FILE");
    match rustc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo::error=init does not build: {status}"),
        Err(error) => println!("cargo::error=cannot run the compiler for init: {error}"),
    }
}
