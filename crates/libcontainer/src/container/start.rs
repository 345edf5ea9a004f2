//! `start`: gives init its word, and stays until it is clear what became of execve.
//!
//! init reports on the `err` FIFO: [`Kind::Exec`] right before execve, which closes the FIFO if it succeeds, and
//! [`Kind::Failed`] if an op fails. So
//!
//! | what comes             | what it means                                        |
//! |------------------------|------------------------------------------------------|
//! | Exec, hang-up          | the program runs                                     |
//! | Exec, Failed, hang-up  | execve failed, with this errno                       |
//! | Failed, hang-up        | an op before it failed: a startContainer hook        |
//! | hang-up                | init was killed before it got that far               |
//!
//! The lock on `err` is `start`'s own: `kill`, `state` and `delete --force` never wait for it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::hooks::{self, Hooks};
use super::process::wait_gone;
use super::status::{Status, process, status};
use super::{Container, kill};
use crate::launch::interrupted;
use crate::launch::report::Failure;
use crate::plan::Field;
use crate::plan::message::{GO, Kind, Message, Step};
use crate::state::{FIFO_ERR, FIFO_GO, LateOp, Record, lock};
use crate::{Error, ErrorKind, Result};

/// How long an init that has failed, or has been killed, may take to be gone.
const END_TIMEOUT: Duration = Duration::from_secs(10);

impl Container {
    /// Lets the container's program run: [`Status::Created`] becomes [`Status::Running`], and poststart hooks run.
    ///
    /// # Errors
    /// - [`ErrorKind::WrongStatus`] if the container is not in [`Status::Created`];
    /// - [`ErrorKind::Program`] if execve(2) failed, [`ErrorKind::Hook`] if a startContainer hook did: the container
    ///   has stopped then, and is there to be deleted;
    /// - [`ErrorKind::Hook`] if a poststart hook failed: the container has been killed then (runtime.md, "Lifecycle").
    pub fn start(&self) -> Result<()> {
        self.start_until(None)
    }

    /// [`Container::start`], given up once `interrupt` is readable (poll(2)): the container is killed then.
    ///
    /// # Errors
    /// As of [`Container::start`], and [`ErrorKind::Interrupted`].
    pub fn start_interruptible(&self, interrupt: BorrowedFd<'_>) -> Result<()> {
        self.start_until(Some(interrupt))
    }

    fn start_until(&self, interrupt: Option<BorrowedFd<'_>>) -> Result<()> {
        let failed = |what: &'static str, name: &'static str| {
            move |errno: Errno| Error::system(what, errno).path(self.dir.path().join(name))
        };
        let err = match self.dir.open_fifo(FIFO_ERR, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(err) => err,
            // Not yet there, or gone with the container.
            Err(Errno::ENOENT) => return Err(self.not_waiting()?),
            Err(e) => return Err(failed("open FIFO", FIFO_ERR)(e)),
        };
        lock(err.as_fd(), libc::LOCK_EX).map_err(failed("lock FIFO", FIFO_ERR))?;
        let go = match self.dir.open_fifo(FIFO_GO, OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Ok(go) => go,
            Err(Errno::ENXIO) => return Err(self.not_waiting()?),
            Err(e) => return Err(failed("open FIFO", FIFO_GO)(e)),
        };
        let opened;
        let init = match &self.child {
            Some(child) => child.pidfd.as_fd(),
            None => {
                let Some(init) = process(&self.record).open()? else { return Err(self.not_waiting()?) };
                opened = init;
                opened.as_fd()
            }
        };
        // With a reader of our own the write cannot raise SIGPIPE, should init die just now.
        let reader =
            self.dir.open_fifo(FIFO_GO, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(failed("open FIFO", FIFO_GO))?;
        nix::unistd::write(&go, &[GO]).map_err(failed("write to FIFO", FIFO_GO))?;
        drop(reader);
        match Reports::default().follow(&err, init, interrupt, &self.record).and_then(|()| released(&go)) {
            Ok(()) => self.poststart(init, interrupt),
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(self.kill_for(init, error)),
            Err(error) => {
                // init ends by itself after such a report; "stopped" holds once it has.
                wait_gone(init, Some(END_TIMEOUT))?;
                Err(error)
            }
        }
    }

    fn not_waiting(&self) -> Result<Error> {
        let problem = match status(&self.dir, &self.record)? {
            Status::Running => "cannot start an already running container".to_owned(),
            Status::Stopped => "cannot start a container that has stopped".to_owned(),
            other => format!("cannot start a container in the {other} state"),
        };
        Ok(Error::new(ErrorKind::WrongStatus, problem))
    }

    fn poststart(&self, init: BorrowedFd<'_>, interrupt: Option<BorrowedFd<'_>>) -> Result<()> {
        let list = &self.record.hooks.poststart;
        if list.is_empty() {
            return Ok(());
        }
        let state = hooks::state(&self.record, Status::Running, Some(self.record.pid))?;
        let hooks = Hooks { kind: "poststart", list, bundle: &self.record.bundle, interrupt };
        hooks.run(&state).map_err(|error| self.kill_for(init, error))
    }

    /// Kills the container because of `error`, and answers that.
    fn kill_for(&self, init: BorrowedFd<'_>, error: Error) -> Error {
        match kill::end(&self.record, init, END_TIMEOUT) {
            Ok(()) => error,
            Err(second) => error.and_then(second),
        }
    }
}

/// Waits until init has let go of `go`, which is when the status becomes "running". execve closes both FIFOs, in no
/// order that the kernel promises; with the last reader of `go`, its writers are told.
fn released(go: &OwnedFd) -> Result<()> {
    loop {
        match poll(&mut [PollFd::new(go.as_fd(), PollFlags::empty())], PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).map_err(|e| Error::system("wait for init", e)),
        }
    }
}

/// What init has reported so far.
#[derive(Default)]
struct Reports {
    bytes: Vec<u8>,
}

impl Reports {
    /// Reads until init has nothing more to say, and judges.
    fn follow(
        mut self,
        err: &OwnedFd,
        init: BorrowedFd<'_>,
        interrupt: Option<BorrowedFd<'_>>,
        record: &Record,
    ) -> Result<()> {
        loop {
            // A descriptor is passed twice where there is nothing to interrupt.
            let mut fds = [err.as_fd(), init, interrupt.unwrap_or(init)].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::system("wait for init", e)),
            }
            let ended = fds[1].any() == Some(true);
            // What init wrote before its end is there by now; after that there is nothing more to wait for.
            if self.read(err)? || ended {
                return judge(&self.bytes, record);
            }
            if interrupt.is_some() && fds[2].any() == Some(true) {
                return Err(interrupted());
            }
        }
    }

    /// Reads what is there; true at the end of it all.
    fn read(&mut self, err: &OwnedFd) -> Result<bool> {
        let mut buffer = [0; 1024];
        loop {
            match nix::unistd::read(err, &mut buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::system("hear from init", e)),
            }
        }
    }
}

fn judge(mut bytes: &[u8], record: &Record) -> Result<()> {
    let mut executed = false;
    while let Some(message) = bytes.get(..Message::SIZE).and_then(Message::decode) {
        let end = Message::SIZE.saturating_add(message.detail as usize);
        let detail = bytes.get(Message::SIZE..end).unwrap_or_default();
        match Kind::from_code(message.kind) {
            Some(Kind::Exec) => executed = true,
            Some(Kind::Failed) => return Err(failure(&message, detail, record)),
            _ => return Err(Error::system("understand init", Errno::EPROTO)),
        }
        bytes = bytes.get(end..).unwrap_or_default();
    }
    if executed {
        return Ok(());
    }
    Err(Error::new(ErrorKind::System, "init ended before it executed the program")
        .hint("the memory limit may be too small, or somebody killed it"))
}

fn failure(message: &Message, detail: &[u8], record: &Record) -> Error {
    let unknown = LateOp {
        index: message.op,
        op: String::new(),
        words: "start the container".to_owned(),
        path: None,
        field: "process".to_owned(),
        label: None,
    };
    let op = record.late_ops.iter().find(|op| op.index == message.op).unwrap_or(&unknown);
    Failure {
        field: &Field { path: op.field.clone(), label: op.label.clone() },
        words: &op.words,
        path: op.path.as_deref().map(Path::new),
        kind: match op.op.as_str() {
            "Exec" => ErrorKind::Program,
            "RunHook" => ErrorKind::Hook,
            _ => ErrorKind::System,
        },
        step: Step::from_code(message.step).unwrap_or(Step::Whole),
        errno: message.errno as i32,
        value: message.value,
        detail,
    }
    .error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::example_record;

    fn message(kind: Kind, op: u32, step: Step, errno: i32, detail: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        Message {
            kind: kind as u32,
            op,
            step: step as u32,
            errno: errno as u32,
            value: 0,
            detail: detail.len() as u32,
        }
        .encode(&mut bytes);
        bytes.extend_from_slice(detail.as_bytes());
        bytes
    }

    #[test]
    fn only_exec_and_then_silence_means_that_the_program_runs() {
        let record = example_record("c1"); // its op 40 is Exec
        let exec = message(Kind::Exec, 40, Step::Whole, 0, "");
        assert!(judge(&exec, &record).is_ok());

        let error = judge(b"", &record).expect_err("killed before");
        assert!(error.to_string().starts_with("init ended before it executed the program"), "{error}");

        for (step, errno, detail, text) in [
            (Step::Whole, libc::ENOEXEC, "", "process.args[0]: exec: \"sh\": exec format error"),
            (
                Step::Interpreter,
                libc::ENOENT,
                "/i",
                "process.args[0]: exec: \"sh\": no such file or directory: its interpreter \"/i\" is missing",
            ),
        ] {
            let failed = [exec.clone(), message(Kind::Failed, 40, step, errno, detail)].concat();
            let error = judge(&failed, &record).expect_err("failed");
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Program, text));
        }

        let unknown = message(Kind::Failed, 7, Step::Whole, libc::EPERM, "");
        let error = judge(&unknown, &record).expect_err("failed");
        assert_eq!(error.to_string(), "process: start the container: operation not permitted");
        assert!(judge(&message(Kind::Hooks, 1, Step::Whole, 0, ""), &record).is_err());
    }
}
