//! A test body in a process and a mount namespace of its own, with the cgroup tree of its choice.
//!
//! The test runs its own executable again for that one test. The inner process is a subreaper, so that orphans come
//! to it and cannot hide; the outer one keeps the sandbox and cleans up even if the inner one was killed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::{Cmd, HostSnapshot, Sandbox, cgroups, print_uncaptured};

/// The environment variable that tells the inner process which test it is.
pub const INNER: &str = "GANTRY_TEST_INNER";
const TOKEN: &str = "GANTRY_TEST_TOKEN";
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// For one test body; far more than any needs.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// The same for whole products.
const DEEP_TIME_LIMIT: Duration = Duration::from_secs(3600);

/// The cgroup tree that a test sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The host's, whatever it is.
    Host,
    /// v1 hierarchies, with a v2 tree beside them if the host has one. Skipped where there are none.
    Legacy,
    /// cgroup v2 alone. On a hybrid host few or no controllers are left to it.
    Unified,
}

/// Runs each function of a [`Sandbox`] named as a test of its own under v1 (`legacy`) and under v2 (`unified`).
#[macro_export]
macro_rules! on_both_layouts {
    ($($body:ident),* $(,)?) => {
        mod legacy {
            $( #[test] fn $body() { $crate::isolated(module_path!(), stringify!($body), $crate::Layout::Legacy, super::$body); } )*
        }
        mod unified {
            $( #[test] fn $body() { $crate::isolated(module_path!(), stringify!($body), $crate::Layout::Unified, super::$body); } )*
        }
    };
}

/// Runs each function of a [`Sandbox`] named as a test of its own, with the host's cgroup tree.
#[macro_export]
macro_rules! on_host_layout {
    ($($body:ident),* $(,)?) => {
        mod host {
            $( #[test] fn $body() { $crate::isolated(module_path!(), stringify!($body), $crate::Layout::Host, super::$body); } )*
        }
    };
}

/// Runs `body` as the module's documentation says, then checks that the host is as it was. For the macros above.
///
/// # Panics
/// If the body does, if it takes too long, or if it leaves something behind.
pub fn isolated(module: &str, name: &str, layout: Layout, body: fn(&Sandbox)) {
    // The test framework leaves the crate's name out.
    let module = module.split_once("::").map_or(module, |(_, rest)| rest);
    let test = format!("{module}::{name}");
    if std::env::var(INNER).is_ok_and(|inner| inner == test) {
        return run_inside(layout, body);
    }
    if !crate::is_root() {
        return crate::report_skip("needs root, for mount namespaces and cgroups");
    }
    if layout == Layout::Legacy && !cgroups::mounts().iter().any(|m| m.fs_type == "cgroup") {
        return crate::report_skip("the host has no v1 cgroup hierarchies");
    }
    run_outside(&test, layout);
}

fn run_outside(test: &str, layout: Layout) {
    let sandbox = Sandbox::new(test, layout);
    cgroups::make(sandbox.token());
    let own = std::env::current_exe().expect("/proc/self/exe can be read");
    let inner = Cmd::new(own, sandbox.dir())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INNER, test)
        .env(TOKEN, sandbox.token())
        .with(|command: &mut Command| {
            command.env("RUST_BACKTRACE", "0");
        })
        .run_within(if crate::is_deep() { DEEP_TIME_LIMIT } else { TIME_LIMIT });
    let left = sandbox.clean_up();
    drop(sandbox);
    let (ended_well, output) = inner;
    for line in output.lines().filter(|line| line.starts_with("skip: ")) {
        print_uncaptured(&format!("{line}\n"));
    }
    assert!(ended_well, "{output}\nprocesses that had to be killed: {left:?}");
    assert!(left.is_empty(), "processes that had to be killed: {left:?}");
}

fn run_inside(layout: Layout, body: fn(&Sandbox)) {
    let token = std::env::var(TOKEN).expect("the outer process has set it");
    nix::sys::prctl::set_child_subreaper(true).expect("a process can be a subreaper");
    enter(layout);
    let sandbox = Sandbox::borrowed(token, layout);
    let before = HostSnapshot::take(&sandbox);
    body(&sandbox);
    before.assert_same();
}

/// Moves the calling thread, and what it will start, into a mount namespace with this cgroup tree.
///
/// # Panics
/// If the kernel refuses: the caller is root.
pub fn enter(layout: Layout) {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace can be made");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("propagation can be set");
    if layout == Layout::Unified && !is_unified() {
        umount2(CGROUP_ROOT, MntFlags::MNT_DETACH).expect("the cgroup tree can be taken away");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("cgroup2"), CGROUP_ROOT, Some("cgroup2"), flags, none).expect("cgroup v2 can be mounted");
    }
}

/// Takes the v2 tree of a hybrid host out of the thread's own mount namespace: Debian 12's crun refuses such a host.
///
/// # Panics
/// If the kernel refuses.
pub fn hide_hybrid() {
    let unified = Path::new(CGROUP_ROOT).join("unified");
    if cgroups::mounts().iter().any(|m| m.mount_point == unified) {
        umount2(&unified, MntFlags::MNT_DETACH).expect("the v2 tree can be taken away");
    }
}

fn is_unified() -> bool {
    cgroups::mounts().iter().any(|m| m.fs_type == "cgroup2" && m.mount_point == Path::new(CGROUP_ROOT))
}
