//! The system calls of init, as strace(1) sees them: once the rootfs is open, no path of the host is resolved, and no
//! call is made that could not be confined (R1).

use std::collections::BTreeSet;
use std::fs;

use integration::{Sandbox, on_host_layout};
use serde_json::json;

use crate::add_mount;

on_host_layout! {
    once_the_root_is_open_no_call_takes_a_path_of_the_host,
}

/// Calls that take a path and cannot be told to stay below a descriptor, or that follow links in its last component.
const UNCONFINED: [&str; 17] = [
    "open", "creat", "mkdir", "mknod", "chmod", "chown", "lchown", "symlink", "link", "unlink", "rename", "readlink",
    "mount", "umount2", "chroot", "stat", "access",
];

/// One line of strace: the call, its arguments, its result.
struct Call<'a> {
    name: &'a str,
    arguments: &'a str,
}

fn parse(line: &str) -> Option<Call<'_>> {
    // With -ff there is no pid in front.
    let (name, rest) = line.split_once('(')?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain.then_some(Call { name, arguments: rest })
}

/// The texts in the arguments.
fn texts<'a>(call: &Call<'a>) -> Vec<&'a str> {
    call.arguments.split('"').skip(1).step_by(2).collect()
}

fn once_the_root_is_open_no_call_takes_a_path_of_the_host(sandbox: &Sandbox) {
    if sandbox.program("strace").args(["-f", "true"]).run().code() != Some(0) {
        integration::skip!("strace cannot trace here");
    }
    let source = sandbox.dir().join("source");
    fs::create_dir(&source).unwrap();
    let bundle = sandbox.bundle().edit(|config| {
        add_mount(config, "/made/by/init", Some(&source));
        add_mount(config, "/made/tmpfs", None);
        config["linux"]["sysctl"] = json!({ "kernel.shmmni": "77" });
        config["linux"]["devices"] = json!([{ "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200 }]);
        config["process"]["cwd"] = json!("/work/here");
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    });
    let prefix = sandbox.dir().join("trace");
    let strace = sandbox.program("strace").args(["-ff", "-s", "4096", "-o"]).arg(&prefix).arg(integration::gantry());
    let run = strace.arg("--root").arg(sandbox.root()).args(["run", "--bundle"]).arg(bundle.dir());
    run.arg(sandbox.id("a")).run().ok();

    let traces = fs::read_dir(sandbox.dir()).unwrap().flatten();
    let traces = traces.filter(|entry| entry.file_name().to_string_lossy().starts_with("trace."));
    let traces: Vec<_> = traces.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect();
    let inits: Vec<_> = traces.iter().filter(|trace| trace.contains("pivot_root(")).collect();
    assert_eq!(inits.len(), 1, "{} traces", traces.len());
    let calls: Vec<Call<'_>> = inits[0].lines().filter_map(parse).collect();
    let rootfs = format!("\"{}\"", bundle.rootfs().display());
    let opened = calls.iter().position(|call| call.name == "openat" && call.arguments.contains(&rootfs)).unwrap();
    let pivoted = calls.iter().position(|call| call.name == "pivot_root").unwrap();
    let last = calls.iter().rposition(|call| call.name == "execve").unwrap();
    assert!(opened < pivoted && pivoted < last);

    let mut seen = BTreeSet::new();
    for (index, call) in calls.iter().enumerate().take(last).skip(opened + 1) {
        seen.insert(call.name);
        let said = format!("{}({}", call.name, call.arguments);
        assert!(!UNCONFINED.contains(&call.name) || call.arguments.starts_with("\".\""), "{said}");
        if call.name == "openat2" {
            let in_root = ["RESOLVE_IN_ROOT", "RESOLVE_BENEATH"].iter().any(|flag| call.arguments.contains(flag));
            // The look-up of the program is in the new root, which is the process's own by then.
            let own_root = index > pivoted && call.arguments.starts_with("AT_FDCWD");
            assert!(call.arguments.contains("RESOLVE_NO_MAGICLINKS") && (in_root || own_root), "{said}");
            assert!(own_root || !call.arguments.starts_with("AT_FDCWD"), "{said}");
            continue;
        }
        // What a link says, and what a file system or a process is called, are no paths.
        let paths = match call.name {
            "symlinkat" => texts(call).split_off(1),
            "fsconfig" | "fsopen" | "sethostname" | "prctl" | "write" | "sendto" | "read" => Vec::new(),
            _ => texts(call),
        };
        for path in paths {
            let named = index > pivoted && call.name == "chdir" && path == "/";
            assert!(!path.starts_with('/') || named, "{said}");
            // By name only in a directory that is open, and only one name.
            assert!(!path.contains('/') || named, "{said}");
            assert!(path.is_empty() || path == "." || named || !call.arguments.starts_with("AT_FDCWD"), "{said}");
        }
    }
    // The trace is of the right process, and strace knows the calls by name.
    for name in ["openat2", "move_mount", "mknodat", "mkdirat", "symlinkat", "fsopen", "capset"] {
        assert!(seen.contains(name), "{name} is not among {seen:?}");
    }
}
