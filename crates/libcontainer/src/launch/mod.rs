//! Starts init with a plan and follows it up to CREATED.
//!
//! init comes from a sealed memfd and is started by one `clone3(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | …)` and
//! `execveat`: the caller's address space is neither copied nor locked, however large it is, and the caller's binary
//! is never inside a container (CVE-2019-5736). The plan goes over a socket; so do init's reports.
//!
//! In what the caller sees there are no side effects: no signal disposition, working directory, umask, environment
//! or descriptor flag of the process changes, and every descriptor made here is gone when the launch is.
//!
//! Linux 5.14: clone3 (5.3), CLONE_INTO_CGROUP (5.7), pidfd_open (5.3), waitid(P_PIDFD) (5.4).

mod child;
mod idmap;
mod memfd;
pub(crate) mod report;
mod sync;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::message::Kind;
use crate::plan::op::Op;
use crate::plan::{Plan, wire::Header};
use sync::Socket;

/// What to launch, and with which descriptors.
pub struct Request<'a> {
    /// What init is to do.
    pub plan: &'a Plan,
    /// One descriptor for each of [`Plan::inputs`], in their order.
    pub inputs: &'a [BorrowedFd<'a>],
    /// The cgroup v2 directory that init is to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Whether init stamps every op.
    pub trace: bool,
    /// stdin, stdout and stderr of init, and so of the container; `None` leaves the caller's.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// How many of the caller's descriptors, from 3 on, the container's process inherits. They must be open and
    /// without close-on-exec.
    pub keep_fds: u32,
    /// Once this is readable (poll(2)), the launch is given up. It is not read from.
    pub interrupt: Option<BorrowedFd<'a>>,
}

/// The caller asked to stop.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

/// The process that executes the plan.
#[derive(Debug)]
pub struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// Refers to it, whatever becomes of the pid.
    pub pidfd: OwnedFd,
}

/// What happens on the way to CREATED.
#[derive(Debug)]
pub enum Event<'a> {
    /// init has been started; the plan goes on.
    Started(&'a Child),
    /// The plan waits at its `RuntimeHooks` op until the handler returns.
    Hooks(&'a Child),
}

/// A created container's init, which waits for [`Created::acknowledge`]. Dropping this kills and reaps it.
#[derive(Debug)]
pub struct Created {
    child: Option<Child>,
    socket: Socket,
    trace: Option<Vec<u64>>,
}

/// Runs init up to CREATED.
///
/// # Errors
/// Whatever op fails, with its config field; init has then been reaped and nothing of it is left. What earlier ops
/// did outside of init's own namespaces (none do, save hooks) is the caller's to undo.
pub fn launch(request: &Request<'_>, on_event: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Created> {
    let plan = request.plan;
    if request.inputs.len() != plan.inputs().len() {
        return Err(Error::system("hand descriptors to init", Errno::EBADF));
    }
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|e| Error::system("make the sync socket", e))?;
    let mut socket = Socket::new(ours);
    // What fits into the socket's buffer is there before init is: it need not wait for it.
    socket.offer(plan.encode(if request.trace { Header::TRACE } else { 0 }))?;
    let program = memfd::init()?;
    let started = child::start(request, &program, theirs.as_fd())?;
    drop((program, theirs));
    let mut launch = Launch { plan, interrupt: request.interrupt, child: Some(started), trace: None };
    match launch.follow(&mut socket, on_event) {
        Ok(()) => Ok(Created { child: launch.child.take(), socket, trace: launch.trace.take() }),
        Err(error) => Err(error),
    }
}

impl Created {
    /// The process that is now the container's.
    ///
    /// # Panics
    /// Never: the child is there until [`Created::acknowledge`] consumes this value.
    pub fn child(&self) -> &Child {
        self.child.as_ref().expect("acknowledge consumes self")
    }

    /// The stamps of a traced launch, one per op and one for the end, in nanoseconds of CLOCK_MONOTONIC.
    pub fn trace(&self) -> Option<&[u64]> {
        self.trace.as_deref()
    }

    /// Tells init that its creation has been recorded: from now on it lives without the caller.
    ///
    /// # Errors
    /// If init has ended meanwhile.
    pub fn acknowledge(mut self) -> Result<Child> {
        self.socket.go().map_err(|_| Error::system("tell init that it is recorded", Errno::ESRCH))?;
        self.child.take().ok_or_else(|| Error::system("find init", Errno::ESRCH))
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(&child);
        }
    }
}

/// A launch under way: kills and reaps what it has started unless it gets to CREATED.
struct Launch<'a> {
    plan: &'a Plan,
    interrupt: Option<BorrowedFd<'a>>,
    child: Option<Child>,
    trace: Option<Vec<u64>>,
}

impl Launch<'_> {
    fn follow(&mut self, socket: &mut Socket, on_event: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        socket.flush()?;
        // What the sibling says may overtake the message that brings its pid.
        let mut clone_at = self.plan.ops().position(|(op, _)| matches!(op, Op::Clone { .. }));
        let mut early = VecDeque::new();
        if clone_at.is_none() {
            on_event(Event::Started(self.current()?))?;
        }
        loop {
            let ready = if clone_at.is_none() { early.pop_front() } else { None };
            let received = ready.map_or_else(|| socket.receive(self.interrupt), |message| Ok(Some(message)))?;
            let Some(message) = received else { return Err(report::vanished(self.child.as_ref())) };
            match message.kind {
                Kind::Forked => {
                    self.adopt(message.value)?;
                    clone_at = None;
                    on_event(Event::Started(self.current()?))?;
                }
                _ if clone_at.is_some_and(|at| message.op > at) => early.push_back(message),
                Kind::Failed => return Err(report::failed(self.plan, &message)),
                Kind::Trace => self.trace = Some(message.stamps()),
                Kind::IdMaps => {
                    if let Some(maps) = &self.plan.id_maps {
                        idmap::write(self.current()?.pid, maps)?;
                    }
                    socket.go()?;
                }
                Kind::Hooks => {
                    on_event(Event::Hooks(self.current()?))?;
                    socket.go()?;
                }
                Kind::Created => return Ok(()),
                Kind::Exec => return Err(Error::system("follow init", Errno::EPROTO)),
            }
        }
    }

    fn current(&self) -> Result<&Child> {
        self.child.as_ref().ok_or_else(|| Error::system("find init", Errno::ESRCH))
    }

    /// The plan goes on in the process `pid`, a child of ours that nobody but us reaps; the one before it is done.
    fn adopt(&mut self, pid: u32) -> Result<()> {
        let pid = i32::try_from(pid).map_err(|_| Error::system("find init", Errno::ESRCH))?;
        let next = Child { pid, pidfd: open_pidfd(pid)? };
        if let Some(done) = self.child.replace(next) {
            reap(&done);
        }
        Ok(())
    }
}

impl Drop for Launch<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(&child);
        }
    }
}

/// Kills a child and waits for it; one that has ended already is only waited for.
fn end(child: &Child) {
    // The only errors are "ended" and "reaped by somebody else", and both are what is wanted.
    let _ = signal(child.pidfd.as_fd(), libc::SIGKILL);
    reap(child);
}

fn reap(child: &Child) -> Option<WaitStatus> {
    loop {
        match waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL) {
            Err(Errno::EINTR) => continue,
            result => return result.ok(),
        }
    }
}

/// pidfd_open(2), Linux 5.3.
///
/// # Errors
/// `ESRCH` if there is no such process.
pub fn open_pidfd(pid: i32) -> Result<OwnedFd> {
    // SAFETY: a system call with plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd).map_err(|e| Error::system("open a pidfd", e))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// pidfd_send_signal(2), Linux 5.1.
///
/// # Errors
/// `ESRCH` if the process has ended.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd as _;
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is what the call documents for "as kill(2) does".
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    Errno::result(result).map(drop)
}
