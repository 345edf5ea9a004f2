//! Commands that are interrupted: by a signal that they can answer, and by one that they cannot.

use std::fs;
use std::time::{Duration, Instant};

use integration::{Bundle, Running, Sandbox, on_both_layouts};
use nix::sys::signal::Signal;
use serde_json::json;

on_both_layouts! {
    a_signal_during_create_or_run_cleans_up,
    a_foreground_run_passes_signals_on,
    a_half_made_container_can_be_deleted,
    init_dies_with_a_create_that_is_killed,
}

const SOON: Duration = Duration::from_secs(10);

/// A bundle whose creation stops in a hook, and the file that tells when it has got there.
fn stuck(sandbox: &Sandbox, kind: &str) -> (Bundle, std::path::PathBuf) {
    let reached = sandbox.dir().join("reached");
    // One process, so that whoever finds it can end all of it.
    let script = format!("touch {}; exec sleep 100", reached.display());
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }]);
    (sandbox.bundle().edit(|config| config["hooks"][kind] = hook), reached)
}

#[track_caller]
fn await_file(file: &std::path::Path, run: &Running) {
    let deadline = Instant::now() + SOON;
    while !file.exists() {
        assert!(Instant::now() < deadline, "{} does not appear: {}", file.display(), run.stderr());
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::remove_file(file).unwrap();
}

fn a_signal_during_create_or_run_cleans_up(sandbox: &Sandbox) {
    for kind in ["createRuntime", "createContainer"] {
        let (bundle, reached) = stuck(sandbox, kind);
        for (command, signal) in [
            ("create", Signal::SIGINT),
            ("create", Signal::SIGTERM),
            ("create", Signal::SIGHUP),
            ("run", Signal::SIGINT),
            ("run", Signal::SIGTERM),
            ("run", Signal::SIGHUP),
        ] {
            let before = sandbox.snapshot();
            let run = sandbox.gantry([command, "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).spawn();
            await_file(&reached, &run);
            run.signal(signal);
            let out = run.wait(SOON);
            assert_ne!(out.code(), Some(0), "{command} {signal}: {out:?}");
            before.assert_same();
        }
    }
}

fn a_foreground_run_passes_signals_on(sandbox: &Sandbox) {
    for (signal, name) in [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGUSR1, "USR1")] {
        let script = format!("trap 'exit 7' {name}; touch /dev/shm/ready; echo ready; while :; do sleep 0.05; done");
        let bundle = sandbox.bundle().script(&script);
        let before = sandbox.snapshot();
        let run = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).spawn();
        let deadline = Instant::now() + SOON;
        while run.stdout() != "ready\n" {
            assert!(Instant::now() < deadline, "not ready: {}", run.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
        run.signal(signal);
        run.wait(SOON).exits(7);
        before.assert_same();
    }
}

fn a_half_made_container_can_be_deleted(sandbox: &Sandbox) {
    for kind in ["createRuntime", "createContainer"] {
        let (bundle, reached) = stuck(sandbox, kind);
        let (id, before) = (sandbox.id("a"), sandbox.snapshot());
        let run = sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).spawn();
        await_file(&reached, &run);
        run.signal(Signal::SIGKILL);
        assert_eq!(run.wait(SOON).signal(), Some(9));
        sandbox.gantry(["delete", "--force", &id]).run().ok();
        // A hook of the runtime's own namespace is the killed runtime's orphan: it is in no cgroup of the container's.
        end_orphaned_hooks(sandbox);
        before.assert_same();
    }
}

fn init_dies_with_a_create_that_is_killed(sandbox: &Sandbox) {
    let (bundle, reached) = stuck(sandbox, "createRuntime");
    let id = sandbox.id("a");
    let run = sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).spawn();
    await_file(&reached, &run);
    run.signal(Signal::SIGKILL);
    run.wait(SOON);
    let deadline = Instant::now() + SOON;
    loop {
        // More than once: a hook that is just executing its program cannot be told by its name.
        end_orphaned_hooks(sandbox);
        integration::processes::reap_orphans();
        let left = integration::processes::marked(sandbox.token());
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).run().fails(1, "already exists");
    sandbox.gantry(["delete", "--force", &id]).run().ok();
}

fn end_orphaned_hooks(_: &Sandbox) {
    for process in integration::processes::descendants() {
        if process.what.starts_with("sh: sh -c touch") || process.what == "sleep: sleep 100" {
            integration::processes::kill(process.pid);
        }
    }
}
