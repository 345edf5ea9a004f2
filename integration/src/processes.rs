//! Processes that belong to a test, found without asking the runtime: by descent, cgroup, command line and directories.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Clock ticks between boot and its start.
    pub started: u64,
    /// Its name and arguments.
    pub what: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.pid)
    }
}

/// Children that a [`crate::Running`] waits for; all others are orphans that this process has inherited.
static AWAITED: Mutex<Vec<i32>> = Mutex::new(Vec::new());

pub(crate) fn set_awaited(pid: i32, awaited: bool) {
    let mut list = AWAITED.lock().expect("the lock is not poisoned");
    list.retain(|p| *p != pid);
    if awaited {
        list.push(pid);
    }
}

/// Collects the dead orphans that this process has inherited as a subreaper. Returns their wait statuses by pid.
pub fn reap_orphans() -> BTreeMap<i32, nix::sys::wait::WaitStatus> {
    let own = std::process::id() as i32;
    let awaited = AWAITED.lock().expect("the lock is not poisoned").clone();
    let mut reaped = BTreeMap::new();
    for stat in stats().into_values().filter(|s| s.ppid == own && s.state == 'Z' && !awaited.contains(&s.pid)) {
        if let Ok(status) = waitpid(Pid::from_raw(stat.pid), Some(WaitPidFlag::WNOHANG)) {
            reaped.insert(stat.pid, status);
        }
    }
    reaped
}

/// Dead children of this process that nobody has waited for: what a library call in this process has left behind.
/// Only before [`reap_orphans`], which every snapshot calls.
pub fn zombies() -> Vec<Process> {
    let own = std::process::id() as i32;
    stats().values().filter(|s| s.ppid == own && s.state == 'Z').map(describe).collect()
}

/// All descendants of this process.
pub fn descendants() -> Vec<Process> {
    let stats = stats();
    let own = std::process::id() as i32;
    let descends = |mut pid: i32| {
        while let Some(stat) = stats.get(&pid) {
            if stat.ppid == own {
                return true;
            }
            pid = stat.ppid;
        }
        false
    };
    stats.values().filter(|s| descends(s.pid)).map(describe).collect()
}

/// All processes with the token in their cgroup, command line, root or working directory.
pub fn marked(token: &str) -> Vec<Process> {
    let own = std::process::id() as i32;
    let mut found = Vec::new();
    for process in all_processes().expect("/proc can be listed").flatten().filter(|p| p.pid != own) {
        let id = Pid::from_raw(process.pid);
        let in_cgroup = std::fs::read_to_string(format!("/proc/{id}/cgroup")).is_ok_and(|text| text.contains(token));
        let dir = |link: &str| {
            std::fs::read_link(format!("/proc/{id}/{link}")).is_ok_and(|dir| dir.to_string_lossy().contains(token))
        };
        let named = || process.cmdline().is_ok_and(|line| line.iter().any(|word| word.contains(token)));
        if in_cgroup || named() || dir("root") || dir("cwd") {
            found.extend(process.stat().ok().as_ref().map(describe));
        }
    }
    found
}

/// SIGKILL; a process that is gone already will do.
pub fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// The parent of `pid`, or none if it is gone.
pub fn parent(pid: i32) -> Option<i32> {
    procfs::process::Process::new(pid).ok()?.stat().ok().map(|stat| stat.ppid)
}

fn stats() -> BTreeMap<i32, Stat> {
    let processes = all_processes().expect("/proc can be listed");
    processes.flatten().filter_map(|p| p.stat().ok()).map(|stat| (stat.pid, stat)).collect()
}

fn describe(stat: &Stat) -> Process {
    let arguments = procfs::process::Process::new(stat.pid).and_then(|p| p.cmdline()).unwrap_or_default();
    let zombie = if stat.state == 'Z' { " <defunct>" } else { "" };
    Process { pid: stat.pid, started: stat.starttime, what: format!("{}: {}{zombie}", stat.comm, arguments.join(" ")) }
}
