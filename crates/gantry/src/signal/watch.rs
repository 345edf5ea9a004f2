//! Signals as descriptors to wait for (signalfd(2)): `create` gives up when asked to, `run` passes signals on.
//!
//! They stay blocked to the process's end. That does not reach the container: init empties its mask.

use std::os::fd::{AsFd as _, BorrowedFd};

use libcontainer::Error;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::Result;

/// What ends a program that does not expect it, and is mostly meant so.
const STOP: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// What is not passed on: what tells of something in gantry itself. As in runc.
const OWN: [Signal; 10] = [
    Signal::SIGCHLD,
    Signal::SIGPIPE,
    Signal::SIGURG,
    Signal::SIGWINCH,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
];

/// The signals that gantry waits for.
#[derive(Debug)]
pub struct Signals {
    stop: SignalFd,
    others: Option<SignalFd>,
}

/// What happened first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process ended.
    Ended,
    /// This signal came.
    Signal(i32),
}

impl Signals {
    /// Those that stop a creation.
    pub fn to_stop() -> Result<Signals> {
        Ok(Signals { stop: watch(&STOP.into_iter().collect())?, others: None })
    }

    /// Those, and all that are passed on to a container in the foreground.
    pub fn to_pass_on() -> Result<Signals> {
        let mut others = SigSet::all();
        STOP.into_iter().chain(OWN).for_each(|signal| others.remove(signal));
        Ok(Signals { others: Some(watch(&others)?), ..Signals::to_stop()? })
    }

    /// Readable once a signal has come that stops a creation.
    pub fn stop(&self) -> &SignalFd {
        &self.stop
    }

    /// Waits for a signal or for the end of a process.
    pub fn next(&self, pidfd: BorrowedFd<'_>) -> Result<Event> {
        let others = self.others.as_ref().unwrap_or(&self.stop);
        loop {
            let mut fds = [pidfd, self.stop.as_fd(), others.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result.map_err(failed)?,
            };
            if fds[0].any() == Some(true) {
                return Ok(Event::Ended);
            }
            for fd in [&self.stop, others] {
                if let Some(info) = fd.read_signal().map_err(failed)? {
                    return Ok(Event::Signal(info.ssi_signo as i32));
                }
            }
        }
    }
}

/// Blocks signals, and makes a descriptor of them.
fn watch(signals: &SigSet) -> Result<SignalFd> {
    signals.thread_block().map_err(failed)?;
    SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(|e| failed(e).into())
}

fn failed(errno: Errno) -> Error {
    Error::system("wait for signals", errno)
}
