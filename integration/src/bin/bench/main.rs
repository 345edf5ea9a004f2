//! Measures gantry against crun, runc and the floor: `make bench`.
//!
//! All of them do the same, in turn within each round, so that what disturbs the machine disturbs all of them. Wall
//! time is what a caller waits; CPU time is that of every process involved, the container's own included: this process
//! is a subreaper and collects them all. Medians are reported. Work that the kernel does later, on its own threads
//! (taking network namespaces apart), is nobody's.
//!
//! ```text
//! bench [--sample] [--rounds N] [--json FILE] [--write PREFIX]
//! ```
//!
//! `--sample` goes through everything once and says only whether it ran; `--write docs/performance` puts the tables
//! into PREFIX.md and a chart into PREFIX.svg.

mod chart;
mod measure;
mod report;
mod scenario;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;

use integration::{Layout, cgroups, isolate};

use report::Report;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    sample: bool,
    rounds: usize,
    json: Option<PathBuf>,
    write: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { sample: false, rounds: 40, json: None, write: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--sample" => options.sample = true,
            "--rounds" => options.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?,
            "--json" => options.json = Some(value()?.into()),
            "--write" => options.write = Some(value()?.into()),
            _ => return Err(format!("{word}: not an option")),
        }
    }
    if options.sample {
        options.rounds = 1;
    }
    Ok(options)
}

/// The layouts that the host can give, each measured on a thread with a mount namespace of its own.
fn measure_all(options: &Options) -> Report {
    let mut report = Report::new();
    let v1 = cgroups::mounts().iter().any(|mount| mount.fs_type == "cgroup");
    for (layout, there) in [(Layout::Legacy, v1), (Layout::Unified, true)] {
        if !there {
            continue;
        }
        let options = options.clone();
        let thread = std::thread::spawn(move || {
            isolate::enter(layout);
            if layout == Layout::Legacy {
                isolate::hide_hybrid();
            }
            scenario::measure_layout(layout, &options)
        });
        match thread.join() {
            Ok(results) => report.add(results),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    report
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("bench: {problem}");
            return ExitCode::FAILURE;
        }
    };
    if !integration::is_root() {
        eprintln!("bench: makes containers with namespaces and cgroups: run it as root");
        return ExitCode::FAILURE;
    }
    nix::sys::prctl::set_child_subreaper(true).expect("a process can be a subreaper");
    let report = measure_all(&options);
    print!("{}", report.text());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).expect("the JSON file can be written");
    }
    if let Some(prefix) = &options.write {
        report.write(prefix).expect("the report can be written");
    }
    // A sample is there to show that all of it runs; crun refuses some hosts, and that is told above.
    match options.sample && !report.complete() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
