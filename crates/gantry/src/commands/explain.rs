//! `explain`: the plan, printed.

use std::path::Path;

use libcontainer::compile;
use libcontainer::config::Bundle;
use libcontainer::host::HostFacts;

use super::Context;
use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};
use crate::report::print;

/// The id that the plan is made for: it only names the cgroup, if the config does not.
const ID: &str = "ID";

/// `gantry explain`.
pub fn explain(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let bundle = load(parsed)?;
    let config = bundle.config()?;
    // As create does: a plan that leaves out what is not there yet would mislead.
    libcontainer::config::validate(&config)?;
    let facts = HostFacts::gather()?;
    let context =
        compile::Context { bundle: bundle.path(), id: ID, facts: &facts, options: compile::Options::default() };
    let compiled = compile::create(&config, &context)?;
    ctx.warn(compiled.warnings);
    print(&if parsed.is(&table::EXPLAIN_FORMAT, "json") {
        super::list::json(&compile::explain::json(&compiled.plan))?
    } else {
        compile::explain::text(&compiled.plan)
    })?;
    Ok(0)
}

/// The bundle: an argument, as people write it, or --bundle, as for `create`.
fn load(parsed: &Parsed) -> Result<Bundle> {
    let flag = parsed.path(&table::BUNDLE);
    let path = match (parsed.path_argument(0), &flag) {
        (Some(_), Some(_)) => return Err(Error::usage("gantry explain: BUNDLE and --bundle are the same thing twice")),
        (Some(path), None) => path,
        (None, Some(path)) => path,
        (None, None) => Path::new("."),
    };
    let config = parsed.path(&table::CONFIG);
    Ok(Bundle::load(path, config.as_deref())?)
}
