//! The harness of the integration tests: they run the built `gantry` on real bundles and look at the host afterwards.
//!
//! A test is a function of a [`Sandbox`]: a directory, a state root, cgroups and ids of its own. [`on_both_layouts!`]
//! runs it twice, each time in a process and a mount namespace of its own: once with the host's cgroup tree and once
//! with cgroup v2 alone. When the body returns, the host must be as it was: mounts, cgroups, state, processes and
//! descriptors are compared, and whatever is left is named in the failure and taken away.
//!
//! A test that cannot run where it is says so by [`skip!`]; `integration/run-tests` counts those.

pub mod bundle;
pub mod cgroups;
pub mod command;
pub mod faults;
pub mod isolate;
pub mod processes;
pub mod sandbox;
pub mod snapshot;
pub mod strip;

pub use bundle::Bundle;
pub use command::{Cmd, Output, Running};
pub use isolate::{Layout, isolated};
pub use sandbox::{Sandbox, gantry};
pub use snapshot::HostSnapshot;

use std::io::Write as _;

/// Ends the test with the line `skip: NAME: REASON`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::report_skip(&format!($($reason)+));
        return;
    }};
}

/// Ends the test, as skipped, unless it runs as root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::is_root() {
            $crate::skip!("needs root");
        }
    };
}

/// True if the effective user is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// True in `make test-deep`, where tests go through whole products instead of samples.
pub fn is_deep() -> bool {
    std::env::var_os("GANTRY_TEST_DEEP").is_some()
}

/// Prints the line that `integration/run-tests` counts. Tests use [`skip!`].
pub fn report_skip(reason: &str) {
    let thread = std::thread::current();
    let test = std::env::var(isolate::INNER).unwrap_or_else(|_| thread.name().unwrap_or("?").to_owned());
    print_uncaptured(&format!("skip: {test}: {reason}\n"));
}

/// Writes past the test framework, which keeps what a passing test prints with `println!` to itself.
pub(crate) fn print_uncaptured(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("stderr can be written");
}
