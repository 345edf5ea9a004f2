//! `list`.

use libcontainer::ErrorKind;
use libcontainer::container::State;
use serde::Serialize;

use super::Context;
use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};
use crate::report::print;

/// `gantry list`.
pub fn list(ctx: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let containers = ctx.runtime()?.list()?;
    if parsed.is_on(&table::QUIET) {
        print(&containers.iter().map(|(id, _)| format!("{id}\n")).collect::<String>())?;
        return Ok(0);
    }
    let mut states = Vec::with_capacity(containers.len());
    for (id, container) in containers {
        match container.and_then(|container| container.state()) {
            Ok(state) => states.push(state),
            // Deleted since the directory was read, or not yet recorded.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => ctx.report.warn(format!("container {id}: {e}")),
        }
    }
    print(&if parsed.is(&table::LIST_FORMAT, "json") { json(&states)? } else { table(&states) })?;
    Ok(0)
}

/// JSON for people and programs.
pub fn json(value: &impl Serialize) -> Result<String> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(text + "\n"),
        // A path that is not UTF-8.
        Err(e) => Err(Error::usage(format!("cannot be written as JSON: {e}"))),
    }
}

/// Columns as runc prints them: twelve characters wide or wider, three apart.
fn table(states: &[State]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = states.iter().map(|state| {
        let bundle = state.bundle.display().to_string();
        let pid = state.pid.to_string();
        [state.id.clone(), pid, state.status.to_string(), bundle, state.created.clone(), state.owner.clone()]
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    let mut widths = [12; N];
    for (column, width) in widths.iter_mut().enumerate() {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        *width = (longest + 3).max(*width);
    }
    for row in rows {
        for (cell, width) in row[..N - 1].iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[N - 1]);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_runc() {
        let rows = [["ID", "PID", "OWNER"], ["a", "12", "root"], ["a-longer-name", "0", "me"]];
        let text = columns(&rows.map(|row| row.map(str::to_owned)));
        let expected =
            ["ID              PID         OWNER", "a               12          root", "a-longer-name   0           me"];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
