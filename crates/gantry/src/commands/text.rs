//! Help, manual pages, completion scripts, the version: text made from the table.

use super::Context;
use crate::cli::parse::Parsed;
use crate::cli::{self, Command, completion as scripts, help as pages, man as manual};
use crate::error::{Error, Result};
use crate::report::print;

/// The runtime spec that this is an implementation of.
pub const SPEC_VERSION: &str = "1.3.0";

/// `gantry --version`. Docker splits the output at "version", so the word comes once.
pub fn version() -> Result<u8> {
    let commit = option_env!("GANTRY_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    print(&format!("gantry version {}\ncommit: {commit}\nspec: {SPEC_VERSION}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(0)
}

/// `gantry --help`.
pub fn overview() -> Result<u8> {
    print(&pages::overview())?;
    Ok(0)
}

/// `gantry help`.
pub fn help(_: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    match command(parsed)? {
        Some(command) => print(&pages::command(command))?,
        None => print(&pages::overview())?,
    }
    Ok(0)
}

/// `gantry man`.
pub fn man(_: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    match command(parsed)? {
        Some(command) => print(&manual::command(command))?,
        None => print(&manual::overview())?,
    }
    Ok(0)
}

/// `gantry completion`.
pub fn completion(_: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let shell = parsed.id()?;
    let script = scripts::script(shell);
    print(&script.ok_or_else(|| Error::usage(format!("no completion for {shell:?}: only for bash, zsh, fish")))?)?;
    Ok(0)
}

/// The command that the first argument names.
fn command(parsed: &Parsed) -> Result<Option<&'static Command>> {
    let Some(name) = parsed.argument(0)? else { return Ok(None) };
    match cli::find(name) {
        Some(command) if matches!(command.action, cli::Action::NotYet) => {
            Err(Error::usage(format!("gantry {name}: not implemented yet")))
        }
        Some(command) => Ok(Some(command)),
        None => Err(Error::usage(format!("unknown command {name:?}; see gantry --help"))),
    }
}
