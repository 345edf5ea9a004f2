//! What gantry says about itself: errors, warnings and debug messages, on standard error and in the log.
//!
//! Engines read both. With `--log` the file gets the messages in the chosen format, and standard error gets the
//! error's bare text: containerd's shim, conmon and CRI-O match on it. Without `--log`, standard error is the log.
//! podman parses the whole file as one JSON object, so a failure is exactly one line: warnings are kept until it is
//! known whether the command succeeds, and become part of the error's object if it does not.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use libcontainer::state::timestamp_now;
use serde::Serialize;

use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks for a fault in gantry.
    Debug,
    /// Worth knowing.
    Info,
    /// Something was not done as asked for.
    Warning,
    /// The command failed.
    Error,
}

/// One line of a JSON log. The first three keys are what engines read.
#[derive(Serialize)]
struct Line<'a> {
    level: Level,
    msg: &'a str,
    time: &'a str,
    #[serde(flatten)]
    cause: Cause<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// What the library knows about an error.
#[derive(Default, Serialize)]
struct Cause<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
}

/// Where messages go.
#[derive(Debug)]
pub struct Report {
    file: Option<(File, PathBuf)>,
    json: bool,
    least: Level,
    warnings: Vec<String>,
}

impl Report {
    /// Standard error and nothing else: for what goes wrong before the log is known.
    pub fn bare() -> Report {
        Report { file: None, json: false, least: Level::Info, warnings: Vec::new() }
    }

    /// What the global flags ask for.
    pub fn new(global: &Parsed) -> Result<Report> {
        let least = match global.value(&table::LOG_LEVEL).and_then(|level| level.to_str()) {
            _ if global.is_on(&table::DEBUG) => Level::Debug,
            Some("debug") => Level::Debug,
            Some("warn" | "warning") => Level::Warning,
            Some("error") => Level::Error,
            _ => Level::Info,
        };
        let file = match global.path(&table::LOG) {
            None => None,
            Some(path) => match File::options().append(true).create(true).open(&path) {
                Ok(file) => Some((file, path)),
                Err(e) => return Err(Error::io("open the log", path, &e)),
            },
        };
        Ok(Report { file, json: global.is(&table::LOG_FORMAT, "json"), least, warnings: Vec::new() })
    }

    /// Logs what only `--debug` shows.
    pub fn debug(&mut self, text: impl FnOnce() -> String) {
        if self.least <= Level::Debug {
            let line = self.line(Level::Debug, &text(), Cause::default(), &[]);
            self.write(&line);
        }
    }

    /// Keeps a warning until the command's end.
    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Writes the warnings that were kept: the command has succeeded, or lives on and may take long.
    pub fn succeed(&mut self) {
        for warning in std::mem::take(&mut self.warnings) {
            self.message(Level::Warning, &warning);
        }
    }

    /// Writes the error: one line in the log, and its text on standard error.
    pub fn fail(&mut self, mut error: Error) {
        let text = error.to_string();
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Error::Library(e) = &mut error {
            warnings.append(&mut e.take_warnings());
        }
        let cause = match &error {
            // Without an errno the operation is the whole message.
            Error::Library(e) => {
                Cause { field: e.json_path(), op: e.raw_errno().map(|_| e.operation()), errno: e.raw_errno() }
            }
            Error::Usage(_) | Error::OutputClosed => Cause::default(),
        };
        if self.json {
            let line = self.line(Level::Error, &text, cause, &warnings);
            self.write(&line);
        } else {
            for warning in &warnings {
                self.message(Level::Warning, warning);
            }
            let line = self.line(Level::Error, &text, cause, &[]);
            self.write(&line);
        }
        if self.file.is_some() {
            to_stderr(format!("{text}\n").as_bytes());
        }
    }

    fn message(&mut self, level: Level, text: &str) {
        if self.least <= level {
            let line = self.line(level, text, Cause::default(), &[]);
            self.write(&line);
        }
    }

    fn line(&self, level: Level, text: &str, cause: Cause<'_>, warnings: &[String]) -> String {
        if self.json {
            let line = Line { level, msg: text, time: &timestamp_now(), cause, warnings };
            // A struct of texts and numbers is always JSON.
            return serde_json::to_string(&line).unwrap_or_default() + "\n";
        }
        let name = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        match (&self.file, level) {
            (Some(_), _) => format!("time={:?} level={name} msg={text:?}\n", timestamp_now()),
            (None, Level::Error) => format!("{text}\n"),
            (None, _) => format!("{name}: {text}\n"),
        }
    }

    /// One write(2) a line, so that lines of several commands do not mix.
    fn write(&self, line: &str) {
        match &self.file {
            None => to_stderr(line.as_bytes()),
            Some((file, path)) => {
                if let Err(e) = { file }.write_all(line.as_bytes()) {
                    let error = Error::io("write the log", path, &e);
                    to_stderr(format!("{error}\n").as_bytes());
                }
            }
        }
    }
}

/// Nothing can be said about a standard error that takes nothing.
fn to_stderr(bytes: &[u8]) {
    let _ = std::io::stderr().write_all(bytes);
}

/// Writes a command's output.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(Error::OutputClosed),
        Err(e) => Err(libcontainer::Error::io("write standard output", &e).into()),
    }
}
