//! Hostile images and hostile company: whatever the root file system and the container's processes do, nothing
//! outside the rootfs changes. docs/security.md has the table of what went wrong in the field, and which test here
//! goes red when the rule against it is taken out.
//!
//! Host files that must stay as they are lie in a *decoy* directory, which the image's links point at.

mod devices;
mod home;
mod mounts;
mod process;
mod race;
mod trace;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use integration::{Bundle, Output, Sandbox};
use serde_json::{Value, json};

/// Files of the decoy: the names that runtimes make or look up in a container.
const FILES: [&str; 14] = [
    "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "core", "stdin", "hosts", "passwd", "file",
    "kcore",
];
/// Its directories.
const DIRS: [&str; 6] = ["pts", "shm", "mqueue", "sys", "fs", "self"];

/// A host directory that nothing may change.
fn decoy(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.dir().join("decoy");
    fs::create_dir(&dir).unwrap();
    for name in FILES {
        fs::write(dir.join(name), format!("the host's {name}\n")).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    fs::write(dir.join("passwd"), "root:x:0:0::/of/the/host:/bin/sh\n").unwrap();
    DIRS.iter().for_each(|name| fs::create_dir(dir.join(name)).unwrap());
    dir
}

/// `path` as a relative link from a directory `depth` levels below the rootfs would say it, with more steps up than
/// there are.
fn climbing(path: &Path) -> PathBuf {
    Path::new(&"../".repeat(40)).join(path.strip_prefix("/").unwrap())
}

/// Runs the bundle; fails if the host or the decoy is not as before.
#[track_caller]
fn run_harmless(sandbox: &Sandbox, bundle: &Bundle, decoy: &Path) -> Output {
    let before = sandbox.snapshot().watching(decoy);
    let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run();
    before.assert_same();
    out
}

/// Puts a link in the place of whatever the rootfs has there.
fn relink(bundle: &Bundle, name: &str, target: impl AsRef<Path>) {
    let path = bundle.rootfs().join(name);
    clear(&path);
    symlink(target, path).unwrap();
}

/// Takes away what stands at `path`, if anything does.
fn clear(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
    }
}

/// Leaves out the mounts on `dir` and below.
fn without_mounts(config: &mut Value, dir: &str) {
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !Path::new(mount["destination"].as_str().unwrap()).starts_with(dir));
}

/// Adds a mount; `source` is bound, or a tmpfs if there is none.
fn add_mount(config: &mut Value, destination: &str, source: Option<&Path>) {
    let mount = match source {
        Some(source) => {
            json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"] })
        }
        None => json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" }),
    };
    config["mounts"].as_array_mut().unwrap().push(mount);
}

/// Lets the container's root do what container roots usually may, and lets it write to its rootfs.
fn with_usual_rights(config: &mut Value) {
    let usual = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "SETGID", "SETUID", "SYS_CHROOT"];
    give(config, &usual.map(|name| format!("CAP_{name}")));
    config["root"]["readonly"] = json!(false);
}

fn give(config: &mut Value, capabilities: &[String]) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(capabilities);
    }
}
