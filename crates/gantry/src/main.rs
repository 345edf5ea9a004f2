//! gantry, an OCI container runtime with runc's command line.
//!
//! The binary reads arguments and writes text and exit codes; what a container is, `libcontainer` knows.

#![cfg_attr(not(test), no_main)]

mod cli;
mod commands;
#[cfg(not(test))]
mod entry;
mod error;
mod report;
mod signal;

use std::ffi::{OsStr, OsString};

use cli::parse::{self, Parsed};
use cli::{Action, Command, help, table};
use commands::Context;
use error::{Error, Result};
use report::Report;

/// The exit status of a command that failed, unless its entry in the table says otherwise.
const FAILURE: u8 = 1;

/// Does what the arguments say; answers the exit status.
// The entry point is left out of tests, which have their own.
#[cfg_attr(test, allow(dead_code))]
fn gantry(arguments: Vec<OsString>) -> u8 {
    // The parser takes the arguments away.
    let line = arguments.join(OsStr::new(" "));
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut global = Parsed::default();
    let name = parse::globals(&mut parser, &mut global);
    let mut report = match Report::new(&global) {
        Ok(report) => report,
        Err(error) => {
            Report::bare().fail(error);
            return FAILURE;
        }
    };
    report.debug(|| format!("gantry {}: {}", env!("CARGO_PKG_VERSION"), line.to_string_lossy()));
    let mut failure = FAILURE;
    let result = name.and_then(|name| match name {
        _ if global.is_on(&table::VERSION) => commands::text::version(),
        _ if global.is_on(&table::HELP) => commands::text::overview(),
        None => commands::text::overview(),
        Some(name) => {
            let command = command(&name)?;
            failure = command.failure;
            run(command, &mut parser, &global, &mut report)
        }
    });
    match result {
        Ok(code) => {
            report.succeed();
            code
        }
        Err(Error::OutputClosed) => 0,
        Err(error) => {
            report.fail(error);
            failure
        }
    }
}

fn command(name: &OsString) -> Result<&'static Command> {
    let known = name.to_str().and_then(cli::find);
    known.ok_or_else(|| Error::usage(format!("unknown command {name:?}; see gantry --help")))
}

fn run(command: &'static Command, parser: &mut lexopt::Parser, global: &Parsed, report: &mut Report) -> Result<u8> {
    let Action::Run(run) = command.action else {
        return Err(Error::usage(format!("gantry {}: not implemented yet", command.name)));
    };
    let parsed = parse::command(parser, command)?;
    if parsed.is_on(&table::HELP) {
        report::print(&help::command(command))?;
        return Ok(0);
    }
    run(&mut Context { global, report }, &parsed)
}
