//! `start`, `state`, `kill`, `delete`: one container, or with --regex all that match.

use libcontainer::ErrorKind;
use libcontainer::container::Runtime;
use regex_lite::Regex;

use super::Context;
use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};
use crate::report::print;
use crate::signal;

/// `gantry start`.
pub fn start(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    ctx.runtime()?.container(parsed.id()?)?.start()?;
    Ok(0)
}

/// `gantry state`.
pub fn state(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let state = ctx.runtime()?.container(parsed.id()?)?.state()?;
    print(&super::list::json(&state)?)?;
    Ok(0)
}

/// `gantry kill`.
pub fn kill(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let signal = signal::number(parsed.argument(1)?.unwrap_or("TERM"))?;
    let all = parsed.is_on(&table::ALL);
    each(ctx, parsed, |runtime, id| {
        runtime.container(id)?.kill(signal, all)?;
        Ok(Vec::new())
    })
}

/// `gantry delete`.
pub fn delete(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let force = parsed.is_on(&table::FORCE);
    each(ctx, parsed, |runtime, id| Ok(runtime.delete(id, force)?))
}

/// Does it, whose answer are warnings, to the container that is named, or to each that matches.
///
/// A failure with one container does not keep the others from their turn. The first failure is the command's; the
/// rest are warnings.
fn each(ctx: &mut Context<'_>, parsed: &Parsed, act: impl Fn(&Runtime, &str) -> Result<Vec<String>>) -> Result<u8> {
    let runtime = ctx.runtime()?;
    let name = parsed.id()?;
    if !parsed.is_on(&table::REGEX) {
        let warnings = act(&runtime, name)?;
        ctx.warn(warnings);
        return Ok(0);
    }
    let pattern = Regex::new(name).map_err(|e| Error::usage(format!("--regex: {name:?}: {e}")))?;
    let mut failure = None;
    for (id, _) in runtime.list()?.into_iter().filter(|(id, _)| pattern.is_match(id)) {
        match act(&runtime, &id) {
            Ok(warnings) => ctx.warn(warnings),
            // Deleted by somebody else meanwhile, or about to be.
            Err(Error::Library(e)) if e.kind() == ErrorKind::NotFound => {}
            Err(e) if failure.is_none() => failure = Some(e),
            Err(e) => ctx.report.warn(format!("container {id}: {e}")),
        }
    }
    failure.map_or(Ok(0), Err)
}
