//! From init's reports to errors that name the config field.

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

use super::sync::Received;
use super::{Child, reap};
use crate::error::{Error, ErrorKind};
use crate::plan::Plan;
use crate::plan::message::Step;
use crate::plan::op::Op;

/// init said that an op failed.
pub fn failed(plan: &Plan, message: &Received) -> Error {
    let op = plan.op(message.op);
    let kind = match op {
        Some(Op::FindProgram { .. } | Op::Exec { .. }) => ErrorKind::Program,
        Some(Op::RunHook { .. }) => ErrorKind::Hook,
        _ => ErrorKind::System,
    };
    let words = op.map_or("run init", |op| op.name());
    let mut error = Error::new(kind, format!("{words}: {}", message.step.text()));
    if message.errno != 0 {
        error = error.errno(Errno::from_raw(message.errno));
    }
    if message.step == Step::HookStatus {
        error = error.detail(format!("status {}", message.value));
    }
    if !message.detail.is_empty() {
        error = error.detail(String::from_utf8_lossy(&message.detail).into_owned());
    }
    if let Some(field) = plan.field(message.op) {
        error = error.field(field.path.clone());
        if let Some(label) = &field.label {
            error = error.label(label.clone());
        }
    }
    error
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
