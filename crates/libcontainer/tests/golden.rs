//! Every fixture config is compiled, on a cgroup v2 and on a hybrid host, and compared with a text that people can
//! read: the plan in words, or the error that refuses it. `GANTRY_BLESS=1` rewrites the texts.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::compile::{self, Compiled, Context, Options, explain, invariants};
use libcontainer::config;
use libcontainer::host::{CgroupLayout, Hierarchy, HostFacts};

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

fn configs(directory: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(fixtures().join(directory))
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| {
            !path.file_stem().is_some_and(|s| {
                s.to_string_lossy().contains("-exec-exec") || s == "cri-exec" || s == "podman-rootless-exec"
            })
        })
        .map(|path| (path.file_stem().expect("stem").to_string_lossy().into_owned(), fs::read(&path).expect("config")))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no configs in {directory}");
    found
}

fn check_directory(directory: &str) {
    let bless = std::env::var_os("GANTRY_BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, text) in configs(directory) {
        for (layout, facts) in [("v2", unified()), ("hybrid", hybrid())] {
            let result = compiled(&text, &facts);
            if let Ok(compiled) = &result {
                invariants::check(&compiled.plan).unwrap_or_else(|broken| panic!("{name} on {layout}: {broken}"));
            }
            let golden = fixtures().join(format!("golden/{directory}/{name}.{layout}.txt"));
            let text = describe(&result);
            if bless {
                fs::create_dir_all(golden.parent().expect("parent")).expect("directory");
                fs::write(&golden, text).expect("golden file");
            } else if fs::read_to_string(&golden).ok().as_deref() != Some(text.as_str()) {
                wrong.push(format!("--- {} should be:\n{text}", golden.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "GANTRY_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}

#[test]
fn real_configs_compile_to_their_golden_plans() {
    check_directory("configs");
}
