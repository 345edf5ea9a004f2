//! `--trace`: where the time of a creation went, as Chrome trace events, which Perfetto and chrome://tracing open.
//!
//! One row for the runtime's own phases and one for init's ops, which overlap from the launch on. Times are those of
//! CLOCK_MONOTONIC, which runtime and init share.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::plan::Plan;
use crate::{Error, Result};

/// Rows of the timeline.
const RUNTIME: u32 = 1;
const INIT: u32 = 2;

/// One event: a span of time with a name.
#[derive(Debug, Serialize)]
struct Event<'a> {
    name: &'a str,
    cat: &'static str,
    /// `X`: begin and duration in one.
    ph: &'static str,
    /// Microseconds since the creation began.
    ts: f64,
    /// Microseconds.
    dur: f64,
    pid: u32,
    tid: u32,
    args: Args<'a>,
}

#[derive(Debug, Serialize)]
struct Args<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
}

/// What has been timed so far; nothing is, without a file to write it to.
#[derive(Debug)]
pub(super) struct Timeline {
    file: Option<(File, PathBuf)>,
    begun: u64,
    /// Name, begin, end.
    phases: Vec<(&'static str, u64, u64)>,
    last: u64,
}

impl Timeline {
    /// Begins; opens the file at once, so that one that cannot be written is no late surprise.
    pub fn new(path: Option<&Path>) -> Result<Timeline> {
        let Some(path) = path else { return Ok(Timeline { file: None, begun: 0, phases: Vec::new(), last: 0 }) };
        let file = File::create(path).map_err(|e| Error::io("create trace file", &e).path(path))?;
        let begun = now();
        Ok(Timeline { file: Some((file, path.to_owned())), begun, phases: Vec::new(), last: begun })
    }

    /// Whether anybody wants to know.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// What was done since the last phase ended was this one.
    pub fn phase(&mut self, name: &'static str) {
        if self.is_on() {
            let end = now();
            self.phases.push((name, self.last, end));
            self.last = end;
        }
    }

    /// Writes it all. `stamps` are init's: when each op began, and when the last one ended.
    pub fn write(mut self, plan: &Plan, stamps: &[u64]) -> Result<()> {
        let Some((file, path)) = self.file.take() else { return Ok(()) };
        let mut events: Vec<Event<'_>> =
            self.phases.iter().map(|(name, begin, end)| self.event(name, RUNTIME, *begin, *end)).collect();
        for (index, ((op, field), times)) in plan.ops().zip(stamps.windows(2)).enumerate() {
            let mut event = self.event(op.name(), INIT, times[0], times[1]);
            event.args = Args { index: Some(index), field: Some(&field.path), label: field.label.as_deref() };
            events.push(event);
        }
        serde_json::to_writer(std::io::BufWriter::new(file), &events)
            .map_err(|e| Error::io("write trace file", &e.into()).path(path))
    }

    fn event<'a>(&self, name: &'a str, row: u32, begin: u64, end: u64) -> Event<'a> {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        Event {
            name,
            cat: if row == INIT { "init" } else { "runtime" },
            ph: "X",
            ts: micros(begin.saturating_sub(self.begun)),
            dur: micros(end.saturating_sub(begin)),
            pid: std::process::id(),
            tid: row,
            args: Args { index: None, field: None, label: None },
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    // The clock is always there; without it all times would be 0.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Field;
    use crate::plan::op::Op;

    #[test]
    fn phases_and_ops_become_events() {
        let path = std::env::temp_dir().join(format!("gantry-trace-test-{}", std::process::id()));
        let mut timeline = Timeline::new(Some(&path)).expect("creates the file");
        timeline.phase("compile");
        let mut plan = Plan::new();
        plan.push(&Field::labelled("mounts[1]", "/dev"), Op::NewSession {});
        plan.push(&Field::new("process"), Op::Created {});
        let begun = timeline.begun;
        timeline.write(&plan, &[begun + 1000, begun + 3500, begun + 4000]).expect("writes");
        let text = std::fs::read_to_string(&path).expect("is there");
        std::fs::remove_file(&path).expect("ours");
        let events: Vec<serde_json::Value> = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(events.len(), 3);
        assert_eq!(events[0]["name"], "compile");
        let op = &events[1];
        assert_eq!((&op["name"], &op["ph"]), (&"NewSession".into(), &"X".into()));
        assert_eq!((op["ts"].as_f64(), op["dur"].as_f64()), (Some(1.0), Some(2.5)));
        assert_eq!((&op["args"]["field"], &op["args"]["label"]), (&"mounts[1]".into(), &"/dev".into()));
    }

    #[test]
    fn without_a_file_nothing_is_timed() {
        let mut timeline = Timeline::new(None).expect("nothing to fail");
        timeline.phase("compile");
        assert!(!timeline.is_on() && timeline.phases.is_empty());
        assert!(Timeline::new(Some(Path::new("/nowhere/trace"))).is_err());
    }
}
