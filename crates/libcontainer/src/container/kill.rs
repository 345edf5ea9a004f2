//! `kill`: signals to a container's init, or to all its processes.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::Container;
use super::process::wait_gone;
use super::status::process;
use crate::cgroup::Cgroup;
use crate::state::{Phase, Record};
use crate::{Error, ErrorKind, Result, launch};

impl Container {
    /// Sends a signal (its number as in signal(7)) to the container's init, or with `all` to every process of the
    /// container.
    ///
    /// SIGKILL goes to all processes of a container that has no pid namespace of its own: nothing else would end
    /// them with their init. A stopped one that still has such processes can be killed for that reason.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] `container not running`. With `all` a container that has stopped is no error.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        let record = &self.record;
        let not_running = || Error::new(ErrorKind::WrongStatus, "container not running");
        let cgroup = Cgroup::open(&record.cgroup);
        let wide = all || (signal == libc::SIGKILL && !record.own_pid_namespace);
        let init = process(record).open()?;
        if record.phase == Phase::Creating || (init.is_none() && !wide) {
            return Err(not_running());
        }
        if !wide {
            let Some(init) = init else { return Err(not_running()) };
            send(init.as_fd(), signal)?;
            return if signal == libc::SIGKILL { thaw(record, &cgroup) } else { Ok(()) };
        }
        let targets = cgroup.procs()?;
        if init.is_none() && targets.is_empty() && !all {
            return Err(not_running());
        }
        if signal == libc::SIGKILL {
            cgroup.kill_all(Signal::SIGKILL)?;
        } else {
            signal_each(&targets, signal)?;
        }
        // Where the host has no cgroups, or somebody has moved init out of its own.
        match init {
            Some(init) if !targets.contains(&record.pid) => send(init.as_fd(), signal),
            _ => Ok(()),
        }
    }
}

/// Sends a signal to a process that has just been seen.
fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    launch::signal(pidfd, signal).map_err(|errno| match errno {
        Errno::ESRCH => Error::new(ErrorKind::WrongStatus, "container not running"),
        Errno::EINVAL => Error::new(ErrorKind::Unsupported, format!("no such signal: {signal}")),
        errno => Error::system("signal init", errno),
    })
}

/// The first failure does not keep the signal from the others; it is reported.
fn signal_each(pids: &[i32], signal: i32) -> Result<()> {
    let mut result = Ok(());
    for pid in pids {
        let sent = match launch::open_pidfd(*pid) {
            Ok(pidfd) => match send(pidfd.as_fd(), signal) {
                // It ended meanwhile.
                Err(e) if e.kind() == ErrorKind::WrongStatus => Ok(()),
                sent => sent,
            },
            Err(e) if e.raw_errno() == Some(libc::ESRCH) => Ok(()),
            Err(e) => Err(e),
        };
        result = result.and(sent);
    }
    result
}

/// A process in a frozen v1 cgroup does not even die by SIGKILL until it is thawed, which `kill_all` sees to. On v2 it
/// does.
fn thaw(record: &Record, cgroup: &Cgroup) -> Result<()> {
    let Some(freezer) = record.cgroup.controller("freezer") else { return Ok(()) };
    let path = freezer.file("freezer.state");
    match std::fs::read(&path) {
        Ok(state) if state.trim_ascii() != b"THAWED" => cgroup.kill_all(Signal::SIGKILL),
        Ok(_) => Ok(()),
        // The cgroup is gone, and so are its processes.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(()),
        Err(e) => Err(Error::io("read", &e).path(path)),
    }
}

/// Kills init, all that is in the container's cgroup as well if it has no pid namespace of its own, and waits until
/// init is gone.
pub(super) fn end(record: &Record, init: BorrowedFd<'_>, limit: Duration) -> Result<()> {
    let cgroup = Cgroup::open(&record.cgroup);
    match launch::signal(init, libc::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => return Err(Error::system("kill init", errno)),
    }
    if record.own_pid_namespace {
        thaw(record, &cgroup)?;
    } else {
        cgroup.kill_all(Signal::SIGKILL)?;
    }
    if wait_gone(init, Some(limit))? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::System, format!("init (pid {}) does not die", record.pid))
        .detail(format!("it was killed {} s ago", limit.as_secs())))
}
