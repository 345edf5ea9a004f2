//! Commands with captured output and a time limit.
//!
//! Output goes to files, not pipes: a container that `create` leaves running holds its creator's stdout open, and a
//! reader of a pipe would wait for it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processes;

/// Enough for any one command, even on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A command to be run.
#[must_use = "a command does nothing until it is run"]
pub struct Cmd {
    command: Command,
    line: String,
    captures: PathBuf,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Cmd {
    /// A command of `program`, its output kept below `dir`.
    pub fn new(program: impl AsRef<OsStr>, dir: &Path) -> Cmd {
        let program = program.as_ref();
        let line = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        Cmd { command: Command::new(program), line, captures: dir.join("output"), stdin: None, limit: TIME_LIMIT }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Cmd {
        self.line += &format!(" {}", argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Cmd {
        arguments.into_iter().fold(self, Cmd::arg)
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Cmd {
        self.command.env(name, value.into());
        self
    }

    /// Sets the working directory.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    /// Sets what it reads; nothing, if not called.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Cmd {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets the time limit.
    pub fn limit(mut self, limit: Duration) -> Cmd {
        self.limit = limit;
        self
    }

    /// Changes the underlying command: for what this type has no word for.
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Cmd {
        change(&mut self.command);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes too long.
    #[track_caller]
    pub fn run(self) -> Output {
        let limit = self.limit;
        self.spawn().wait(limit)
    }

    /// Runs it to its end, and tells whether that was a success, and all that it wrote; a time-out is a failure.
    pub(crate) fn run_within(self, limit: Duration) -> (bool, String) {
        let mut running = self.spawn();
        let status = running.ended_within(limit);
        let verdict = match status {
            Some(status) if status.success() => String::new(),
            Some(status) => format!("{}: {status}\n", running.line),
            None => format!("{}: not done after {limit:?}\n", running.line),
        };
        (verdict.is_empty(), format!("{verdict}{}{}", running.stdout(), running.stderr()))
    }

    /// Starts it.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(&self.captures).expect("the directory of outputs can be made");
        let stem = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = |end: &str| self.captures.join(format!("{stem}.{end}"));
        let (out, err) = (path("out"), path("err"));
        let create =
            |path: &Path| File::options().create_new(true).append(true).open(path).expect("a file can be made");
        self.command.stdout(create(&out)).stderr(create(&err));
        match &self.stdin {
            Some(bytes) => {
                fs::write(path("in"), bytes).expect("a file can be written");
                self.command.stdin(File::open(path("in")).expect("it can be opened"));
            }
            None => {
                self.command.stdin(Stdio::null());
            }
        }
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.line));
        processes::set_awaited(child.id() as i32, true);
        Running { child, line: self.line, out, err }
    }
}

/// A command that runs. Killed when dropped before its end.
pub struct Running {
    child: Child,
    line: String,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.line));
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If that takes too long; the command is killed then.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Output {
        let Some(status) = self.ended_within(limit) else {
            let (line, stdout, stderr) = (self.line.clone(), self.stdout(), self.stderr());
            drop(self);
            panic!("{line}: not done after {limit:?}\nstdout: {stdout}\nstderr: {stderr}");
        };
        Output { line: self.line.clone(), status, stdout: self.stdout(), stderr: self.stderr(), out: self.out.clone() }
    }
}

impl Running {
    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_micros(100);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            processes::kill(self.pid());
            let _ = self.child.wait();
        }
        processes::set_awaited(self.pid(), false);
    }
}

/// What a command has left: its status and all that it wrote.
#[derive(Debug)]
pub struct Output {
    line: String,
    status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    out: PathBuf,
}

impl Output {
    /// Its exit code; none if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Fails unless the command has succeeded.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.exits(0)
    }

    /// Fails unless it ended with this code.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        let Output { line, status, stdout, stderr, .. } = &self;
        assert_eq!(status.code(), Some(code), "{line}: {status}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Fails unless it ended with this code and said this on stderr.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) -> Output {
        let this = self.exits(code);
        assert!(this.stderr.contains(text), "{}: stderr lacks {text:?}: {}", this.line, this.stderr);
        this
    }

    /// Its stdout as JSON, after a success.
    ///
    /// # Panics
    /// If it failed or wrote something else.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let this = self.ok();
        serde_json::from_str(&this.stdout).unwrap_or_else(|error| panic!("{}: {error}: {}", this.line, this.stdout))
    }

    /// What has been written to stdout by now: a container that the command has left behind may go on writing.
    pub fn stdout_now(&self) -> String {
        text(&self.out)
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
