//! Signals all processes of a container.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::layout::CgroupDir;
use super::manage::Cgroup;
use super::tree;
use crate::{Error, Result};

/// How often the list of processes is read because new ones have come.
const ROUNDS: usize = 8;

impl Cgroup {
    /// The pids of all processes in the cgroup and those nested in it, unordered. A cgroup that is gone has none.
    pub fn procs(&self) -> Result<Vec<i32>> {
        self.listing().map_or(Ok(Vec::new()), |dir| tree::pids(&dir.host()))
    }

    /// The directory that tells which processes there are. Of the v1 hierarchies any would do; what engines place by
    /// themselves, they place in these.
    fn listing(&self) -> Option<&CgroupDir> {
        let plan = self.plan();
        plan.controller("freezer").or_else(|| plan.controller("devices")).or_else(|| plan.dirs.first())
    }

    /// Signals every process in the cgroup and those nested in it, new ones that come meanwhile included.
    ///
    /// SIGKILL goes through `cgroup.kill` (Linux 5.14) where there is a v2 tree, and thaws what is frozen on v1, where
    /// a frozen process would not die. It does not wait for the processes to be gone; [`Cgroup::remove`] does.
    ///
    /// # Errors
    /// EPERM and the like of one process do not keep the signal from the others; the first failure is reported.
    pub fn kill_all(&self, signal: Signal) -> Result<()> {
        if signal == Signal::SIGKILL {
            if let Some(unified) = self.plan().unified() {
                if kill_at_a_stroke(unified)? && self.plan().legacy().is_empty() {
                    return Ok(());
                }
            }
        }
        let Some(listing) = self.listing().map(CgroupDir::host) else { return Ok(()) };
        let Some(freezer) = self.plan().controller("freezer").filter(|_| signal == Signal::SIGKILL) else {
            return match signal_rounds(&listing, signal)? {
                // Who outruns a signal that it may ignore is left to it.
                false if signal == Signal::SIGKILL => Err(Error::system("kill all processes of", Errno::EBUSY)
                    .path(listing)
                    .detail("new ones keep appearing")),
                _ => Ok(()),
            };
        };
        let killed = kill_frozen_if_need_be(&listing, freezer);
        let thawed = thaw(&freezer.host());
        killed.and(thawed)
    }
}

/// Signals all, and those that have come meanwhile. False if there were still new ones in the last round.
fn signal_rounds(listing: &str, signal: Signal) -> Result<bool> {
    let mut seen = HashSet::new();
    let mut result = Ok(());
    for _ in 0..ROUNDS {
        let fresh: Vec<i32> = tree::pids(listing)?.into_iter().filter(|pid| seen.insert(*pid)).collect();
        if fresh.is_empty() {
            return result.map(|()| true);
        }
        for pid in fresh {
            result = result.and(send(pid, signal));
        }
    }
    result.map(|()| false)
}

/// Kills all; those that fork faster than they are found are frozen for it. The caller thaws, whatever happens: a
/// frozen process does not die, and if the runtime is killed in here it stays so until `delete --force`.
fn kill_frozen_if_need_be(listing: &str, freezer: &CgroupDir) -> Result<()> {
    if signal_rounds(listing, Signal::SIGKILL)? {
        return Ok(());
    }
    tree::write(&freezer.file("freezer.state"), b"FROZEN")?;
    // From here on there are only forks that were under way already.
    signal_rounds(listing, Signal::SIGKILL).map(drop)
}

/// Kills by `cgroup.kill`. False if the kernel wants it done one by one: in a threaded cgroup.
fn kill_at_a_stroke(unified: &CgroupDir) -> Result<bool> {
    match tree::write(&unified.file("cgroup.kill"), b"1") {
        Ok(()) => Ok(true),
        // The cgroup is gone, and with it its processes.
        Err(error) if matches!(error.raw_errno(), Some(libc::ENOENT | libc::ENODEV)) => Ok(true),
        Err(error) if error.raw_errno() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(error),
    }
}

fn send(pid: i32, signal: Signal) -> Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::system(format!("signal process {pid}"), errno)),
    }
}

/// Thaws a v1 cgroup and all that the container may have frozen below.
fn thaw(freezer: &str) -> Result<()> {
    let thaw = |dir: BorrowedFd<'_>| tree::write_at(dir, c"freezer.state", b"THAWED");
    let failed = |errno| Error::system("thaw", errno).path(freezer);
    let Some(top) = tree::open_dir(freezer)? else { return Ok(()) };
    thaw(top.as_fd()).map_err(failed)?;
    tree::walk(top, |nested, _, _| thaw(nested)).map_err(failed)
}
