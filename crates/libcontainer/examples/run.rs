//! Runs a bundle's container to its end: `run BUNDLE ID [ROOT]`.

use std::path::Path;
use std::process::ExitCode;

use libcontainer::Result;
use libcontainer::config::Bundle;
use libcontainer::container::{CreateOptions, Runtime};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (bundle, id, root) = match &args[..] {
        [bundle, id] => (bundle, id, "/run/libcontainer-example"),
        [bundle, id, root] => (bundle, id, root.as_str()),
        _ => {
            eprintln!("usage: run BUNDLE ID [ROOT]");
            return ExitCode::FAILURE;
        }
    };
    match run(Path::new(bundle), id, root) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bundle: &Path, id: &str, root: &str) -> Result<i32> {
    let bundle = Bundle::load(bundle, None)?;
    let runtime = Runtime::new(root);
    let (mut container, warnings) = runtime.create(id, &bundle, &CreateOptions::default())?;
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let status = container.start().and_then(|()| container.wait());
    let warnings = container.delete(true)?;
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    Ok(status?.code())
}
