//! Runnable variants of the configs that real engines wrote: what gantry refuses is taken out, field by field, as the
//! refusals themselves name it. So this does less with every feature that arrives.
//!
//! What belongs to the machine that a config was recorded on is made neutral: the rootfs is the bundle's, bind mounts
//! come from `sources/file`, `sources/dir` or `sources/init` below the bundle, cgroups are the default ones, joined
//! namespaces become new ones, and hooks of an engine's own are dropped.

use std::path::Path;

use libcontainer::compile::{self, Context, Options};
use libcontainer::host::{CgroupLayout, Hierarchy, HostFacts};
use libcontainer::{Error, ErrorKind, config};
use serde_json::{Value, json};

/// The runnable variant of a config, and the fields that were taken out.
///
/// # Panics
/// If the config is refused for another reason than a missing feature: such a fixture is of no use.
pub fn runnable(text: &str) -> (Value, Vec<String>) {
    let mut value: Value = serde_json::from_str(text).expect("JSON");
    make_neutral(&mut value);
    let mut taken = Vec::new();
    while let Err(error) = check(&value.to_string()) {
        // Once something is out, what needed it may be wrong: id maps without their user namespace.
        let consequence = !taken.is_empty() && error.kind() == ErrorKind::InvalidConfig;
        assert!(consequence || error.kind() == ErrorKind::Unsupported, "{error}");
        let field = error.json_path().expect("a refusal names its field").to_owned();
        assert!(take_out(&mut value, &field), "{error}");
        taken.push(field);
    }
    (value, taken)
}

/// What create checks before it touches the host, on a host like most.
fn check(text: &str) -> Result<(), Error> {
    let config = config::parse(text.as_bytes())?;
    config::validate(&config)?;
    let root = || "/".to_owned();
    let unified =
        Hierarchy { controllers: String::new(), mountpoint: "/sys/fs/cgroup".to_owned(), root: root(), own: root() };
    let facts = HostFacts {
        euid: 0,
        bounding: u64::MAX,
        known_capabilities: u64::MAX,
        cgroups: CgroupLayout::Unified(unified),
        cgroup_namespaces: true,
    };
    let context = Context { bundle: Path::new("/bundle"), id: "id", facts: &facts, options: Options::default() };
    compile::create(&config, &context).map(drop)
}

fn make_neutral(config: &mut Value) {
    config["root"]["path"] = json!("rootfs");
    if let Some(config) = config.as_object_mut() {
        config.remove("hooks");
    }
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
    }
    for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        namespace.as_object_mut().map(|namespace| namespace.remove("path"));
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|mount| mount["type"] == "bind") {
        mount["source"] = json!(match mount["destination"].as_str().unwrap_or_default() {
            "/sys" => "/sys",
            "/dev/shm" | "/mnt" => "sources/dir",
            "/run/podman-init" | "/sbin/docker-init" => "sources/init",
            _ => "sources/file",
        });
    }
}

/// Removes `linux.namespaces[1]` and the like; false if there is nothing there.
fn take_out(config: &mut Value, field: &str) -> bool {
    let pointer = format!("/{}", field.replace(['.', '['], "/").replace(']', ""));
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    match config.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(name).is_some(),
        Some(Value::Array(list)) => match name.parse::<usize>() {
            Ok(index) if index < list.len() => {
                list.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
