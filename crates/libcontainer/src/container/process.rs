//! Which process a container's init is, and whether it is still there.
//!
//! A pid alone may be another process by now. The pid and the process's start time name one process; the pidfd that
//! is opened first and compared afterwards then refers to just that one.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{Error, Result, launch};

/// A process as state.json names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: i32,
    pub start_time: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
}

impl ExitStatus {
    /// The status as a shell gives it: 128 and the signal's number for a killed process.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(status) => status,
            ExitStatus::Signaled(signal) => 128 + signal,
        }
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Exited(status) => write!(f, "exit status {status}"),
            ExitStatus::Signaled(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What /proc/PID/stat tells (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    flags: u64,
    threads: u32,
    start_time: u64,
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Result<Process> {
        match stat(pid)? {
            Some(stat) => Ok(Process { pid, start_time: stat.start_time }),
            None => Err(Error::system("find init", Errno::ESRCH)),
        }
    }

    /// Whether it runs: neither gone nor a zombie.
    pub fn is_alive(self) -> Result<bool> {
        if self.pid <= 0 {
            return Ok(false);
        }
        Ok(stat(self.pid)?.is_some_and(|stat| stat.start_time == self.start_time && !stat.is_dead()))
    }

    /// Whether it has been killed and is about to be gone: SIGKILL is pending, or it is on its way out.
    pub fn is_dying(self) -> Result<bool> {
        const PF_EXITING: u64 = 0x4; // include/linux/sched.h
        let Some(stat) = stat(self.pid)?.filter(|stat| stat.start_time == self.start_time) else { return Ok(true) };
        if stat.is_dead() || stat.flags & PF_EXITING != 0 {
            return Ok(true);
        }
        let pending = status_line(self.pid, "SigPnd:")?;
        let pending = u64::from_str_radix(pending.trim(), 16).unwrap_or(0);
        Ok(pending & (1 << (libc::SIGKILL - 1)) != 0)
    }

    /// A pidfd of it; `None` if it no longer runs.
    pub fn open(self) -> Result<Option<OwnedFd>> {
        if self.pid <= 0 {
            return Ok(None);
        }
        let pidfd = match launch::open_pidfd(self.pid) {
            Ok(pidfd) => pidfd,
            // EINVAL: the number is now that of a thread, so not of the process that we mean.
            Err(e) if matches!(e.raw_errno(), Some(libc::ESRCH | libc::EINVAL)) => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(self.is_alive()?.then_some(pidfd))
    }
}

impl Stat {
    /// A thread group's leader may have exited before its other threads: only the last one ends the process.
    fn is_dead(self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.threads <= 1)
    }

    fn parse(text: &str) -> Option<Stat> {
        // The command's name, in parentheses, may hold parentheses and blanks itself: the last one closes it.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?; // field 3
        let flags = fields.nth(5)?.parse().ok()?; // field 9
        let threads = fields.nth(10)?.parse().ok()?; // field 20
        let start_time = fields.nth(1)?.parse().ok()?; // field 22
        Some(Stat { state, flags, threads, start_time })
    }
}

/// `None` if there is no such process.
fn stat(pid: i32) -> Result<Option<Stat>> {
    let path = format!("/proc/{pid}/stat");
    // The line has at most some 1,100 bytes: 52 numbers and a name of 64 at most. One read gets it whole.
    let mut buffer = [0; 2048];
    let read = File::open(&path).and_then(|mut file| file.read(&mut buffer));
    match read {
        Ok(count) => match Stat::parse(&String::from_utf8_lossy(&buffer[..count])) {
            Some(stat) => Ok(Some(stat)),
            None => Err(Error::system("understand", Errno::EINVAL).path(path)),
        },
        // ESRCH: it ended between open and read.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(e) => Err(Error::io("read", &e).path(path)),
    }
}

/// A process's pid in its own pid namespace, as its hooks see it.
pub(crate) fn pid_inside(pid: i32) -> Result<i32> {
    let pids = status_line(pid, "NSpid:")?;
    pids.split_ascii_whitespace()
        .last()
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| Error::system("find the pid inside of process", Errno::EINVAL).detail(pids))
}

/// What follows `name` in /proc/PID/status (proc_pid_status(5)).
fn status_line(pid: i32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read(&path).map_err(|e| Error::io("read", &e).path(&path))?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::to_owned).ok_or_else(|| Error::system("understand", Errno::EINVAL).path(path))
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The process has ended.
    Gone,
    /// It took too long.
    TimedOut,
    /// The caller wants to stop.
    Interrupted,
}

/// Waits until the process has ended, `interrupt` is readable or `limit` has passed; `None` takes as long as it takes.
pub(crate) fn wait(
    pidfd: BorrowedFd<'_>,
    interrupt: Option<BorrowedFd<'_>>,
    limit: Option<Duration>,
) -> Result<Waited> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => timeout(deadline.saturating_duration_since(Instant::now())),
        };
        // A descriptor is passed twice where there is nothing to interrupt.
        let mut fds = [pidfd, interrupt.unwrap_or(pidfd)].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, timeout) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(Waited::TimedOut),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if fds[0].any() == Some(true) => return Ok(Waited::Gone),
            Ok(_) => return Ok(Waited::Interrupted),
            Err(e) => return Err(Error::system("wait for a process", e)),
        }
    }
}

/// Waits until the process has ended; false if it still runs after `limit`.
pub(crate) fn wait_gone(pidfd: BorrowedFd<'_>, limit: Option<Duration>) -> Result<bool> {
    Ok(wait(pidfd, None, limit)? == Waited::Gone)
}

/// A time to wait, rounded up: one rounded down to nothing would make the caller spin.
fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_micros().div_ceil(1000);
    i32::try_from(millis).ok().and_then(|millis| PollTimeout::try_from(millis).ok()).unwrap_or(PollTimeout::MAX)
}

/// Waits for a child of this process and reaps it.
///
/// Not by nix's waitid, which has no words for a process that a real-time signal has killed.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Result<ExitStatus> {
    // SAFETY: a siginfo_t is plain data, and zeroes are valid for it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        let id = pidfd.as_raw_fd() as libc::id_t;
        // SAFETY: `info` is a siginfo_t to write to.
        let result = unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | libc::__WALL) };
        match Errno::result(result) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::system("wait for a child process", e)),
        }
    }
    // SAFETY: waitid has succeeded, so the fields of SIGCHLD are there.
    let status = unsafe { info.si_status() };
    Ok(if info.si_code == libc::CLD_EXITED { ExitStatus::Exited(status) } else { ExitStatus::Signaled(status) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;
    use std::process::{Command, Stdio};

    #[test]
    fn a_stat_line_is_read_past_a_hostile_name() {
        let rest = "S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4711 99 1";
        let expected = Some(Stat { state: b'S', flags: 4_194_560, threads: 3, start_time: 4711 });
        for name in ["sh", "a b", ") Z 1 (", "x) R 0", "(("] {
            assert_eq!(Stat::parse(&format!("42 ({name}) {rest}")), expected, "{name}");
        }
        for broken in ["", "42", "42 (sh", "42 (sh) S 1 2 3", "42 (sh) S 1 42 42 0 -1 4 1 2 3 4 5 6 7 8 20 0 x 0 y"] {
            assert_eq!(Stat::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_process_is_known_by_pid_and_start_time_and_not_taken_for_alive_as_a_zombie() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let process = Process::of(child.id() as i32).expect("is there");
        let pidfd = process.open().expect("can be asked").expect("is alive");
        let reborn = Process { start_time: process.start_time + 1, ..process };
        assert!(!reborn.is_alive().expect("can be asked"));
        assert!(reborn.open().expect("can be asked").is_none());
        assert!(!wait_gone(pidfd.as_fd(), Some(Duration::ZERO)).expect("can be polled"));
        drop(child.stdin.take());
        assert!(wait_gone(pidfd.as_fd(), None).expect("can be polled"));
        // A zombie: nobody has waited for it.
        assert!(!process.is_alive().expect("can be asked"));
        assert_eq!(reap(pidfd.as_fd()).expect("is our child"), ExitStatus::Exited(0));
        assert!(child.wait().is_err(), "it has been reaped");
        assert!(process.open().expect("can be asked").is_none());
    }

    #[test]
    fn a_killed_process_is_dying_until_it_is_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let process = Process::of(child.id() as i32).expect("is there");
        assert!(!process.is_dying().expect("can be asked"));
        child.kill().expect("is ours");
        while !process.is_dying().expect("can be asked") {}
        child.wait().expect("is ours");
        assert!(process.is_dying().expect("can be asked"));
        assert_eq!(pid_inside(std::process::id() as i32).expect("is there"), std::process::id() as i32);
    }

    #[test]
    fn every_signal_is_a_way_to_end() {
        for signal in [libc::SIGTERM, libc::SIGRTMIN() + 3] {
            let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
            let pidfd = launch::open_pidfd(child.id() as i32).expect("is our child");
            launch::signal(pidfd.as_fd(), signal).expect("runs");
            assert_eq!(reap(pidfd.as_fd()).expect("is our child"), ExitStatus::Signaled(signal));
            assert!(child.wait().is_err(), "it has been reaped");
        }
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(ExitStatus::Exited(3).code(), 3);
        assert_eq!(ExitStatus::Signaled(libc::SIGKILL).code(), 137);
    }
}
