//! `halting ROOT ID BUNDLE INDEX DEATH_SIGNAL`: creates and starts a container as `gantry` does, but with an op in its
//! plan that never returns. For the tests that kill a runtime while init is at that op.

use std::path::Path;
use std::process::ExitCode;

use integration::faults;
use libcontainer::config::Bundle;
use libcontainer::container::{CreateOptions, Runtime};
use libcontainer::plan::Plan;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, id, bundle, index, signal] = &arguments[..] else {
        eprintln!("usage: halting ROOT ID BUNDLE INDEX DEATH_SIGNAL");
        return ExitCode::from(2);
    };
    let (index, signal): (usize, u32) = (index.parse().expect("an index"), signal.parse().expect("a signal"));
    let rootfs = Path::new(bundle).join("rootfs");
    let halt = |plan: &mut Plan| *plan = faults::halting(plan, index, &rootfs);
    let options = CreateOptions {
        amend_plan: Some(&halt),
        parent_death_signal: (signal != 0).then_some(signal),
        ..CreateOptions::default()
    };
    let started = Bundle::load(Path::new(bundle), None)
        .and_then(|bundle| Runtime::new(root).create(id, &bundle, &options))
        .and_then(|(container, _)| container.start());
    eprintln!("the plan did not halt: {started:?}");
    ExitCode::FAILURE
}
