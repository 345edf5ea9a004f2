//! From init's reports to errors that name the config field.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

use super::sync::Received;
use super::{Child, reap};
use crate::compile::explain::action;
use crate::error::{Error, ErrorKind};
use crate::plan::message::Step;
use crate::plan::op::Op;
use crate::plan::{Field, Plan};

/// An op that failed, with what the plan knows of it; after create has ended, with what was recorded of the plan.
pub(crate) struct Failure<'a> {
    /// The field that the op serves.
    pub field: &'a Field,
    /// What it does, so worded that a path and an errno's text can follow.
    pub words: &'a str,
    /// What it does it to.
    pub path: Option<&'a Path>,
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Which step of it failed.
    pub step: Step,
    /// errno, or 0.
    pub errno: i32,
    /// What the step says it is.
    pub value: u32,
    /// Further words of init's.
    pub detail: &'a [u8],
}

impl Failure<'_> {
    /// The error that the operator sees.
    pub fn error(&self) -> Error {
        let error = match self.kind {
            ErrorKind::Program => self.program(),
            ErrorKind::Hook => self.hook(),
            _ => self.plain(),
        };
        let error = error.field(self.field.path.clone());
        match &self.field.label {
            Some(label) => error.label(label.clone()),
            None => error,
        }
    }

    /// In the words that engines match on, to tell 126 from 127: `exec: "sh": executable file not found in $PATH`.
    fn program(&self) -> Error {
        let name = self.path.unwrap_or(Path::new(""));
        let error = Error::new(ErrorKind::Program, format!("exec: {name:?}"));
        match self.step {
            Step::NotFound => error.detail("executable file not found in $PATH"),
            Step::Interpreter => {
                let interpreter = String::from_utf8_lossy(self.detail);
                self.with_errno(error).detail(format!("its interpreter {interpreter:?} is missing"))
            }
            _ => self.with_detail(self.with_errno(error)),
        }
    }

    fn hook(&self) -> Error {
        let error = Error::new(ErrorKind::Hook, self.step.text());
        let problem = match self.step {
            Step::HookStatus if self.value & 0x7f == 0 => format!("exit status {}", self.value >> 8 & 0xff),
            Step::HookStatus => format!("killed by signal {}", self.value & 0x7f),
            _ => return self.with_detail(self.with_errno(error)),
        };
        error.detail(with_output(problem, self.detail))
    }

    fn plain(&self) -> Error {
        let error = match (self.step, self.path) {
            (Step::Whole, Some(path)) => Error::new(self.kind, self.words.to_owned()).path(path),
            (Step::Whole, None) => Error::new(self.kind, self.words.to_owned()),
            (step, Some(path)) => Error::new(self.kind, format!("{} {path:?}: {}", self.words, step.text())),
            (step, None) => Error::new(self.kind, format!("{}: {}", self.words, step.text())),
        };
        self.with_detail(self.with_errno(error))
    }

    fn with_errno(&self, error: Error) -> Error {
        if self.errno == 0 { error } else { error.errno(Errno::from_raw(self.errno)) }
    }

    fn with_detail(&self, error: Error) -> Error {
        if self.detail.is_empty() { error } else { error.detail(String::from_utf8_lossy(self.detail)) }
    }
}

/// A problem and the output of a program that explains it, in one line.
pub(crate) fn with_output(problem: String, output: &[u8]) -> String {
    let words = String::from_utf8_lossy(output);
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { problem } else { format!("{problem}: {}", lines.join("; ")) }
}

/// What an op's failure means to a caller.
pub(crate) fn kind(op: Op<'_>) -> ErrorKind {
    match op {
        Op::FindProgram { .. } | Op::Exec { .. } => ErrorKind::Program,
        Op::RunHook { .. } => ErrorKind::Hook,
        _ => ErrorKind::System,
    }
}

/// init said that an op failed.
pub fn failed(plan: &Plan, message: &Received) -> Error {
    let (Some(op), Some(field), Some(action)) = (plan.op(message.op), plan.field(message.op), action(plan, message.op))
    else {
        return Error::new(ErrorKind::System, "run init").errno(Errno::from_raw(message.errno));
    };
    Failure {
        field,
        words: &action.words,
        path: action.path.as_deref(),
        kind: kind(op),
        step: message.step,
        errno: message.errno,
        value: message.value,
        detail: &message.detail,
    }
    .error()
}

/// init closed the socket without a word: it was killed, as by the out-of-memory killer.
pub fn vanished(child: Option<&Child>) -> Error {
    let status = child.and_then(reap);
    let words = match status {
        Some(WaitStatus::Signaled(_, signal, _)) => format!("init was killed by {signal} before it was done"),
        Some(WaitStatus::Exited(_, code)) => format!("init ended with status {code} before it was done"),
        _ => "init ended before it was done".to_owned(),
    };
    let error = Error::new(ErrorKind::System, words);
    match status {
        Some(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)) => {
            error.hint("the memory limit may be too small, or somebody killed it")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_worded_as_engines_match_them() {
        let (program, hook, mount) =
            (Field::new("process.args[0]"), Field::labelled("hooks.startContainer[1]", "/h"), Field::new("mounts[3]"));
        let failure = |field, words, path: &'static str, step, errno, value, detail: &'static str| {
            let kind = match words {
                "execute" => ErrorKind::Program,
                "run hook" => ErrorKind::Hook,
                _ => ErrorKind::System,
            };
            let (path, detail) = (Some(Path::new(path)), detail.as_bytes());
            Failure { field, words, path, kind, step, errno, value, detail }.error().to_string()
        };
        for (text, expected) in [
            (
                failure(&program, "execute", "sh", Step::NotFound, libc::ENOENT, 0, ""),
                "process.args[0]: exec: \"sh\": executable file not found in $PATH",
            ),
            (
                failure(&program, "execute", "/x", Step::NotExecutable, libc::EACCES, 0, ""),
                "process.args[0]: exec: \"/x\": permission denied",
            ),
            (
                failure(&program, "execute", "/x", Step::NotExecutable, libc::EISDIR, 0, ""),
                "process.args[0]: exec: \"/x\": is a directory",
            ),
            (
                failure(&program, "execute", "/x", Step::Whole, libc::ENOEXEC, 0, ""),
                "process.args[0]: exec: \"/x\": exec format error",
            ),
            (
                failure(&program, "execute", "/x", Step::Interpreter, libc::ENOENT, 0, "/i"),
                "process.args[0]: exec: \"/x\": no such file or directory: its interpreter \"/i\" is missing",
            ),
            (
                failure(&hook, "run hook", "/h", Step::HookStatus, 0, 5 << 8, "no\nnet\n"),
                "hooks.startContainer[1] (/h): hook failed: exit status 5: no; net",
            ),
            (
                failure(&hook, "run hook", "/h", Step::HookStatus, 0, 9, ""),
                "hooks.startContainer[1] (/h): hook failed: killed by signal 9",
            ),
            (
                failure(&mount, "attach bind of", "/x/hosts", Step::Whole, libc::EACCES, 0, ""),
                "mounts[3]: attach bind of \"/x/hosts\": permission denied",
            ),
            (
                failure(&mount, "mount tmpfs on", "/dev", Step::FsOption, libc::EINVAL, 0, "tmpfs: Bad value"),
                "mounts[3]: mount tmpfs on \"/dev\": set option: invalid argument: tmpfs: Bad value",
            ),
        ] {
            assert_eq!(text, expected);
        }
    }
}
