//! `delete`: takes away what `create` has made, however far it got.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::hooks::{self, Hooks};
use super::process::{reap, wait_gone};
use super::status::{Status, process, waits_for_start};
use super::{Container, Runtime, kill};
use crate::cgroup::Cgroup;
use crate::launch::Child;
use crate::state::{Phase, Record, StateDir, not_found};
use crate::{Error, ErrorKind, Result};

/// How long a killed init may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a `create` that is being thwarted may take to clean up after itself.
const FORCED_LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a lock is waited for otherwise: longer than `state` ever holds one.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a process may take from taking SIGKILL to beginning to exit.
const EXIT_BEGINS: Duration = Duration::from_millis(10);

impl Container {
    /// Deletes the container: its cgroup, its state, and then its poststop hooks are run. Answers warnings: what went
    /// wrong with those hooks.
    ///
    /// One that waits for `start` is killed first, as runc does. `force` kills a running one, too.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] if it runs; whatever else keeps it from being removed. It is there to be deleted
    /// again then.
    pub fn delete(self, force: bool) -> Result<Vec<String>> {
        delete(&self.dir, &self.record.id, self.child.as_ref(), force)
    }
}

impl Runtime {
    /// [`Container::delete`] by id, for a container in any condition: `create` may have died over it, and with
    /// `force` its record may be unreadable, or there may be no such container.
    ///
    /// # Errors
    /// As of [`Container::delete`], and [`ErrorKind::NotFound`].
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<String>> {
        match StateDir::open(self.root(), id) {
            Ok(dir) => delete(&dir, id, None, force),
            Err(e) if force && e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

fn delete(dir: &StateDir, id: &str, child: Option<&Child>, force: bool) -> Result<Vec<String>> {
    if !dir.try_lock()? {
        contend(dir, id, force)?;
    }
    if dir.is_removed()? {
        return if force { Ok(Vec::new()) } else { Err(not_found()) };
    }
    let record = match dir.read() {
        Ok(record) => record,
        Err(e) if force => {
            dir.remove()?;
            return Ok(vec![format!("{e}: its processes and its cgroup, if it had any, are left alone")]);
        }
        Err(e) => return Err(e),
    };
    let Some(record) = record else {
        // The record is written before anything else is made.
        dir.remove()?;
        return Ok(Vec::new());
    };
    end(dir, &record, child, force)?;
    remove_cgroup(&record, force)?;
    dir.remove()?;
    poststop(&record)
}

/// Somebody makes or removes the container just now.
fn contend(dir: &StateDir, id: &str, force: bool) -> Result<()> {
    if !force {
        return match dir.lock_within(LOCK_TIMEOUT)? {
            true => Ok(()),
            false => Err(not_stopped(id, Status::Creating)),
        };
    }
    // Killing what `create` has made so far makes it fail and give back the lock.
    if let Ok(Some(record)) = dir.read() {
        Cgroup::open(&record.cgroup).kill_all(Signal::SIGKILL)?;
    }
    match dir.lock_within(FORCED_LOCK_TIMEOUT)? {
        true => Ok(()),
        false => Err(not_stopped(id, Status::Creating).detail("another process holds its lock")),
    }
}

fn not_stopped(id: &str, status: Status) -> Error {
    Error::new(ErrorKind::WrongStatus, format!("cannot delete container {id} that is not stopped: {status}"))
}

/// Sees to it that init is gone.
fn end(dir: &StateDir, record: &Record, child: Option<&Child>, force: bool) -> Result<()> {
    let init = process(record).open()?;
    if let Some(init) = &init {
        if !force && !waits_for_start(dir)? && !is_ending(record, init.as_fd())? {
            return Err(not_stopped(&record.id, Status::Running));
        }
        kill::end(record, init.as_fd(), KILL_TIMEOUT)?;
    }
    match child {
        Some(child) => reap(child.pidfd.as_fd()).map(drop),
        None => Ok(()),
    }
}

/// Whether init has been killed already: `kill` does not wait, and a `delete` right after it is not to be told that the
/// container still runs.
fn is_ending(record: &Record, init: BorrowedFd<'_>) -> Result<bool> {
    let init_process = process(record);
    // Between taking the signal and beginning to exit a process shows neither, but not for long.
    Ok(init_process.is_dying()? || wait_gone(init, Some(EXIT_BEGINS))? || init_process.is_dying()?)
}

/// With init goes all of its pid namespace. What else there may be in the cgroup is killed: processes that never had a
/// namespace of their own, those of a `create` that died, and with force whatever has been put there.
fn remove_cgroup(record: &Record, force: bool) -> Result<()> {
    let cgroup = Cgroup::open(&record.cgroup);
    if cgroup.remove_empty()? {
        return Ok(());
    }
    if force || record.phase == Phase::Creating || !record.own_pid_namespace {
        cgroup.kill_all(Signal::SIGKILL)?;
    }
    cgroup.remove()
}

/// Runs the poststop hooks; their failures are only told (runtime.md, "Lifecycle", step 13).
pub(super) fn poststop(record: &Record) -> Result<Vec<String>> {
    let list = &record.hooks.poststop;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let state = hooks::state(record, Status::Stopped, None)?;
    Ok(Hooks { kind: "poststop", list, bundle: Path::new(&record.bundle), interrupt: None }.run_all(&state))
}
