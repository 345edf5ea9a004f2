//! Every fixture config is compiled, on a cgroup v2 and on a hybrid host, and compared with a text that people can
//! read: the plan in words, or the error that refuses it.
//!
//! Configs that ask for what is not there yet have a variant without it in `fixtures/runnable`, which is compiled in
//! their stead. `GANTRY_BLESS=1` rewrites the texts.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::compile::{self, Compiled, Context, Options, explain, invariants};
use libcontainer::config;
use libcontainer::host::{CgroupLayout, Hierarchy, HostFacts};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A host like a Debian machine whose runtime lacks CAP_SYS_RESOURCE.
fn facts(cgroups: CgroupLayout) -> HostFacts {
    let known_capabilities = (1 << 41) - 1;
    HostFacts {
        euid: 0,
        bounding: known_capabilities & !(1 << 24),
        known_capabilities,
        cgroups,
        cgroup_namespaces: true,
    }
}

fn hierarchy(controllers: &str, mountpoint: &str) -> Hierarchy {
    Hierarchy {
        controllers: controllers.to_owned(),
        mountpoint: mountpoint.to_owned(),
        root: "/".to_owned(),
        own: "/".to_owned(),
    }
}

fn unified() -> HostFacts {
    facts(CgroupLayout::Unified(hierarchy("", "/sys/fs/cgroup")))
}

fn hybrid() -> HostFacts {
    let hierarchies = ["cpu,cpuacct", "memory", "devices", "freezer", "pids", "name=systemd"]
        .map(|c| hierarchy(c, &format!("/sys/fs/cgroup/{}", c.trim_start_matches("name="))));
    let unified = Some(hierarchy("", "/sys/fs/cgroup/unified"));
    facts(CgroupLayout::Legacy { hierarchies: hierarchies.to_vec(), unified })
}

fn compiled(text: &[u8], facts: &HostFacts) -> libcontainer::Result<Compiled> {
    let config = config::parse(text)?;
    config::validate(&config)?;
    compile::create(&config, &Context { bundle: Path::new("/bundle"), id: "demo", facts, options: Options::default() })
}

/// What a golden file holds: warnings, then the plan; or the error.
fn describe(result: &libcontainer::Result<Compiled>) -> String {
    match result {
        Ok(compiled) => {
            let warnings: String = compiled.warnings.iter().map(|w| format!("warning: {w}\n")).collect();
            format!("{warnings}{}", explain::text(&compiled.plan))
        }
        Err(error) => format!("{error}\n"),
    }
}

/// The container configs of a directory, by name; process files for exec are none.
fn configs(directory: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(fixtures().join(directory))
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (path.file_stem().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
        })
        .filter(|(_, text)| serde_json::from_slice::<Value>(text).is_ok_and(|config| config["ociVersion"].is_string()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no configs in {directory}");
    found
}

/// Compares a file with what it should hold, or writes it.
fn golden(path: &Path, text: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("GANTRY_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a golden file");
    } else if fs::read_to_string(path).ok().as_deref() != Some(text) {
        wrong.push(format!("--- {} should be:\n{text}", path.display()));
    }
}

/// Compiles a config on each kind of host.
fn check(directory: &str, name: &str, text: &[u8], wrong: &mut Vec<String>) -> bool {
    let mut compiles = true;
    for (layout, facts) in [("v2", unified()), ("hybrid", hybrid())] {
        let result = compiled(text, &facts);
        if let Ok(compiled) = &result {
            invariants::check(&compiled.plan).unwrap_or_else(|broken| panic!("{name} on {layout}: {broken}"));
        }
        compiles &= result.is_ok();
        let path = fixtures().join(format!("golden/{directory}/{name}.{layout}.txt"));
        golden(&path, &describe(&result), wrong);
    }
    compiles
}

#[test]
fn real_configs_compile_to_their_golden_plans() {
    let mut wrong = Vec::new();
    let refused: Vec<String> = configs("configs")
        .into_iter()
        .filter(|(name, text)| !check("configs", name, text, &mut wrong))
        .map(|(name, _)| name)
        .collect();
    for (name, text) in configs("runnable") {
        // The variant of a config from which nothing was taken out is the config itself.
        if refused.contains(&name) {
            assert!(check("runnable", &name, &text, &mut wrong), "{name} is refused even as a runnable variant");
        }
    }
    assert!(wrong.is_empty(), "GANTRY_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}

#[test]
fn the_specifications_examples_compile_or_are_refused_as_before() {
    let mut wrong = Vec::new();
    for (name, text) in configs("spec/good") {
        check("spec", &name, &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "GANTRY_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}

#[test]
fn features_that_engines_leave_out_compile_to_their_golden_plans() {
    let mut wrong = Vec::new();
    for (name, text) in configs("features") {
        assert!(check("features", &name, &text, &mut wrong), "{name} is refused");
    }
    assert!(wrong.is_empty(), "GANTRY_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}
