//! Hooks: their order, the status that each is told, what a failure of each does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use integration::{Bundle, Sandbox, on_both_layouts, on_host_layout};
use serde_json::{Value, json};

on_both_layouts! {
    hooks_run_in_order_and_are_told_the_status,
    a_failed_hook_before_start_fails_create_and_leaves_nothing,
    a_failed_start_leaves_a_stopped_container,
}

on_host_layout! {
    a_failed_poststart_hook_fails_start,
    a_failed_poststop_hook_does_not_fail_delete,
    a_hook_that_takes_too_long_is_killed,
    a_hook_has_its_own_environment_and_descriptors,
}

/// In the order of the runtime spec.
const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A host directory that the container sees as /log.
fn log_dir(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.dir().join("log");
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A hook of each kind that appends its kind and the state it is given to the log.
fn logging(sandbox: &Sandbox, bundle: Bundle) -> Bundle {
    let dir = log_dir(sandbox);
    bundle.edit(|config| {
        let mount = json!({ "destination": "/log", "type": "bind", "source": dir, "options": ["bind", "rw"] });
        config["mounts"].as_array_mut().unwrap().push(mount);
        for kind in KINDS {
            // startContainer runs inside, after the root has changed; all others see the host's files.
            let file = if kind == "startContainer" { "/log/log".into() } else { dir.join("log") };
            let script = format!("{{ echo {kind} $(tr -d '\\n'); }} >> {}", file.display());
            config["hooks"][kind] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH] }]);
        }
    })
}

const PATH: &str = "PATH=/usr/bin:/bin";

/// Adds one more hook of a kind.
fn with_hook(bundle: Bundle, kind: &str, hook: Value) -> Bundle {
    bundle.edit(|config| {
        let hooks = &mut config["hooks"][kind];
        if hooks.is_null() {
            *hooks = json!([]);
        }
        hooks.as_array_mut().unwrap().push(hook);
    })
}

fn failing() -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo it went wrong >&2; exit 5"] })
}

/// The kinds logged so far, each with the state that it was given.
fn logged(sandbox: &Sandbox) -> Vec<(String, Value)> {
    let text = fs::read_to_string(log_dir(sandbox).join("log")).unwrap_or_default();
    let split = |line: &str| {
        let (kind, state) = line.split_once(' ').unwrap_or_else(|| panic!("no state: {line}"));
        (kind.to_owned(), serde_json::from_str(state).unwrap_or_else(|error| panic!("{error}: {line}")))
    };
    text.lines().map(split).collect()
}

fn kinds(sandbox: &Sandbox) -> Vec<String> {
    logged(sandbox).into_iter().map(|(kind, _)| kind).collect()
}

fn hooks_run_in_order_and_are_told_the_status(sandbox: &Sandbox) {
    let bundle = logging(sandbox, sandbox.bundle().args(&["sleep", "100"]));
    let id = sandbox.id("a");
    sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).run().ok();
    assert_eq!(kinds(sandbox), KINDS[..3]);
    let pid = sandbox.gantry(["state", &id]).run().json()["pid"].clone();
    sandbox.gantry(["start", &id]).run().ok();
    assert_eq!(kinds(sandbox), KINDS[..5]);
    sandbox.gantry(["kill", &id, "KILL"]).run().ok();
    sandbox.gantry(["delete", "--force", &id]).run().ok();
    assert_eq!(kinds(sandbox), KINDS);
    let told = logged(sandbox);
    let statuses: Vec<_> = told.iter().map(|(_, state)| state["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["creating", "creating", "creating", "created", "running", "stopped"]);
    for (kind, state) in &told {
        assert_eq!((&state["id"], &state["bundle"]), (&json!(id), &json!(bundle.dir())), "{kind}");
        // runtime.md, "State": the pid as seen from where the hook runs. It may be left out once the container has stopped.
        let expected = match kind.as_str() {
            "createContainer" | "startContainer" => &json!(1),
            "poststop" => &Value::Null,
            _ => &pid,
        };
        assert_eq!(&state["pid"], expected, "{kind}: {state}, init is {pid}");
    }
}

fn a_failed_hook_before_start_fails_create_and_leaves_nothing(sandbox: &Sandbox) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let bundle = with_hook(logging(sandbox, sandbox.bundle()), kind, failing());
        let before = sandbox.snapshot();
        let out = sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run();
        let out = out.fails(1, &format!("hooks.{kind}[1]"));
        assert!(out.stderr.contains("it went wrong"), "what the hook said is told: {}", out.stderr);
        before.assert_same();
        let ran = kinds(sandbox);
        assert_eq!(ran.iter().filter(|k| *k == "poststop").count(), 1, "{ran:?}");
        assert!(!ran.iter().any(|k| k == "poststart"), "{ran:?}");
        fs::remove_file(log_dir(sandbox).join("log")).unwrap();
    }
}

/// A startContainer hook that fails, and a program that the kernel refuses.
fn a_failed_start_leaves_a_stopped_container(sandbox: &Sandbox) {
    let hooked = with_hook(logging(sandbox, sandbox.bundle()), "startContainer", failing());
    let broken = logging(sandbox, sandbox.bundle().args(&["/bin/broken"]));
    let file = broken.rootfs().join("bin/broken");
    fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    for (bundle, text) in [(hooked, "hooks.startContainer[1]"), (broken, "no such file or directory")] {
        let (id, before) = (sandbox.id("a"), sandbox.snapshot());
        sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).run().ok();
        sandbox.gantry(["start", &id]).run().fails(1, text);
        assert_eq!(sandbox.status(&id), "stopped");
        sandbox.gantry(["delete", &id]).run().ok();
        let ran = kinds(sandbox);
        assert_eq!(ran.iter().filter(|k| *k == "poststop").count(), 1, "{ran:?}");
        assert!(!ran.iter().any(|k| k == "poststart"), "{ran:?}");
        fs::remove_file(log_dir(sandbox).join("log")).unwrap();
        before.assert_same();
    }
}

fn a_failed_poststart_hook_fails_start(sandbox: &Sandbox) {
    let bundle = with_hook(sandbox.bundle().args(&["sleep", "100"]), "poststart", failing());
    let id = sandbox.id("a");
    sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).run().ok();
    sandbox.gantry(["start", &id]).run().fails(1, "hooks.poststart[0]");
    sandbox.gantry(["delete", "--force", &id]).run().ok();
}

fn a_failed_poststop_hook_does_not_fail_delete(sandbox: &Sandbox) {
    let bundle = with_hook(sandbox.bundle(), "poststop", failing());
    let bundle = logging_poststop(sandbox, bundle);
    let before = sandbox.snapshot();
    let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run().ok();
    assert!(out.stderr.contains("hooks.poststop[0]"), "a warning: {:?}", out.stderr);
    assert_eq!(kinds(sandbox), ["poststop"], "the hooks after a failed one run all the same");
    before.assert_same();
}

fn logging_poststop(sandbox: &Sandbox, bundle: Bundle) -> Bundle {
    let script = format!("{{ echo poststop $(tr -d '\\n'); }} >> {}", log_dir(sandbox).join("log").display());
    with_hook(bundle, "poststop", json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH] }))
}

fn a_hook_that_takes_too_long_is_killed(sandbox: &Sandbox) {
    for kind in ["createRuntime", "createContainer"] {
        let slow = json!({ "path": "/bin/sh", "args": ["sh", "-c", "sleep 100"], "env": [PATH], "timeout": 1 });
        let bundle = with_hook(sandbox.bundle(), kind, slow);
        let before = sandbox.snapshot();
        let create = sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a"));
        create.limit(Duration::from_secs(20)).run().fails(1, &format!("hooks.{kind}[0]"));
        before.assert_same();
    }
}

fn a_hook_has_its_own_environment_and_descriptors(sandbox: &Sandbox) {
    let script = |file: PathBuf| format!("{{ env; ls /proc/self/fd; }} > {}", file.display());
    let log = log_dir(sandbox);
    let mut bundle = sandbox.bundle().edit(|config| {
        config["process"]["env"].as_array_mut().unwrap().push(json!("LD_PRELOAD=/evil.so"));
        let mount = json!({ "destination": "/log", "type": "bind", "source": log, "options": ["bind", "rw"] });
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    for kind in KINDS {
        let file = if kind == "startContainer" { "/log".into() } else { log.clone() }.join(kind);
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script(file)], "env": [PATH, "A=b"] });
        bundle = with_hook(bundle, kind, hook);
    }
    let run = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).env("OF_THE_CALLER", "1");
    run.run().ok();
    for kind in KINDS {
        let text = fs::read_to_string(log.join(kind)).unwrap();
        // PWD, SHLVL and _ are the shell's; 3 is the directory that ls reads.
        let own = |line: &&str| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|name| line.starts_with(name));
        let mut lines: Vec<_> = text.lines().filter(own).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["0", "1", "2", "3", "A=b", PATH], "{kind}");
    }
}
