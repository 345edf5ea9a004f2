//! `create` and `run`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use libcontainer::ErrorKind;
use libcontainer::container::{Container, CreateOptions, Runtime};
use nix::libc;

use super::{Context, bundle};
use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::Result;
use crate::signal::watch::{Event, Signals};

/// `gantry create`.
pub fn create(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    // From here on an interrupted creation takes away what it has made.
    let signals = Signals::to_stop()?;
    make(ctx, parsed, &signals)?;
    Ok(0)
}

/// `gantry run`.
pub fn run(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let detach = parsed.is_on(&table::DETACH);
    let keep = parsed.is_on(&table::KEEP);
    let signals = if detach { Signals::to_stop()? } else { Signals::to_pass_on()? };
    let (runtime, container) = make(ctx, parsed, &signals)?;
    if let Err(error) = container.start_interruptible(signals.stop().as_fd()) {
        if !keep || error.kind() == ErrorKind::Interrupted {
            remove(ctx, &runtime, container);
        }
        return Err(error.into());
    }
    if detach {
        return Ok(0);
    }
    // This may take days: what is to be said is said now.
    ctx.report.succeed();
    let mut container = container;
    follow(ctx, &container, &signals)?;
    let status = container.wait()?;
    if !keep {
        let warnings = container.delete(true)?;
        ctx.warn(warnings);
    }
    // 128 and the signal's number, at most 192.
    Ok(u8::try_from(status.code()).unwrap_or(u8::MAX))
}

/// Creates the container.
fn make(ctx: &mut Context<'_>, parsed: &Parsed, signals: &Signals) -> Result<(Runtime, Container)> {
    let id = parsed.id()?;
    let runtime = ctx.runtime()?;
    let bundle = bundle(parsed)?;
    let pid_file = parsed.path(&table::PID_FILE);
    let trace = parsed.path(&table::TRACE).or_else(trace_from_env);
    let options = CreateOptions {
        pid_file: pid_file.as_deref(),
        preserve_fds: parsed.number(&table::PRESERVE_FDS),
        // This thread is the process, so the signal comes when gantry dies and not before.
        parent_death_signal: Some(libc::SIGKILL as u32),
        trace: trace.as_deref(),
        interrupt: Some(signals.stop().as_fd()),
        ..CreateOptions::default()
    };
    let (container, warnings) = runtime.create(id, &bundle, &options)?;
    ctx.warn(warnings);
    Ok((runtime, container))
}

fn trace_from_env() -> Option<PathBuf> {
    std::env::var_os("GANTRY_TRACE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Removes what could not be started. That this fails, too, is a warning.
fn remove(ctx: &mut Context<'_>, runtime: &Runtime, container: Container) {
    let id = container.id().to_owned();
    match container.delete(true) {
        Ok(warnings) => ctx.warn(warnings),
        Err(e) => ctx.report.warn(format!("container {id} is left in {:?}: {e}", runtime.root())),
    }
}

/// Passes signals on to the container until it ends.
fn follow(ctx: &mut Context<'_>, container: &Container, signals: &Signals) -> Result<()> {
    while let Some(pidfd) = container.pidfd() {
        match signals.next(pidfd)? {
            Event::Ended => break,
            Event::Signal(signal) => match container.kill(signal, false) {
                Ok(()) => {}
                // It has just ended.
                Err(e) if e.kind() == ErrorKind::WrongStatus => {}
                // The container is waited for all the same.
                Err(e) => ctx.report.warn(format!("signal {signal}: {e}")),
            },
        }
    }
    Ok(())
}
