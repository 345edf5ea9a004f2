//! The life of a container as the runtime spec 1.3 has it: what each command does, and what `state` says after it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use integration::{Sandbox, on_both_layouts, on_host_layout, processes};
use serde_json::{Value, json};

on_both_layouts! {
    state_follows_every_step,
    create_leaves_the_program_unstarted,
    run_gives_the_exit_status,
    run_detached_returns_while_the_container_runs,
    run_takes_its_container_away_unless_told_to_keep_it,
    kill_ends_a_foreground_run,
    delete_kills_a_created_container,
    delete_refuses_a_running_container_but_force_does_not,
    list_shows_what_is_there,
    two_creates_of_one_id_race_safely,
    containers_live_side_by_side,
    a_cgroup_path_is_made_with_its_parents,
}

on_host_layout! {
    the_shortest_process_is_never_missed,
    signals_start_from_their_defaults,
    stdio_is_the_callers,
    the_bundle_is_the_working_directory_by_default,
    a_state_record_has_a_version,
}

const SOON: Duration = Duration::from_secs(10);

/// Waits until `state` gives this status.
#[track_caller]
fn await_status(sandbox: &Sandbox, id: &str, status: &str) {
    let deadline = std::time::Instant::now() + SOON;
    while sandbox.status(id) != status {
        assert!(std::time::Instant::now() < deadline, "{id} is {}, not {status}", sandbox.status(id));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn create(sandbox: &Sandbox, bundle: &integration::Bundle, id: &str) {
    sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(id).run().ok();
}

fn state(sandbox: &Sandbox, id: &str) -> Value {
    sandbox.gantry(["state", id]).run().json()
}

fn state_follows_every_step(sandbox: &Sandbox) {
    let bundle =
        sandbox.bundle().args(&["sleep", "100"]).edit(|config| config["annotations"] = json!({ "k.e/y": "v" }));
    let id = sandbox.id("a");
    sandbox.gantry(["state", &id]).run().fails(1, "container does not exist");

    let pid_file = sandbox.dir().join("pid");
    let create = sandbox.gantry(["create", "--pid-file"]).arg(&pid_file).arg("--bundle").arg(bundle.dir()).arg(&id);
    let created = create.run().ok();
    assert_eq!((created.stdout.as_str(), created.stderr.as_str()), ("", ""));
    let text = state(sandbox, &id);
    let pid = text["pid"].as_i64().expect("a pid");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    assert!(fs::metadata(format!("/proc/{pid}")).is_ok());
    assert_eq!(text["status"], "created");
    assert_eq!(text["id"], json!(id));
    assert_eq!(text["bundle"], json!(bundle.dir()));
    assert_eq!(text["rootfs"], json!(bundle.rootfs()));
    assert_eq!(text["annotations"], json!({ "k.e/y": "v" }));
    assert!(text["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), "{text}");
    let made = text["created"].as_str().expect("a time");
    assert!(made.len() >= 20 && made.as_bytes()[10] == b'T', "{made}");

    sandbox.gantry(["start", &id]).run().ok();
    let text = state(sandbox, &id);
    assert_eq!((&text["status"], text["pid"].as_i64()), (&json!("running"), Some(pid)));
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, b"sleep\x00100\0");
    sandbox.gantry(["start", &id]).run().fails(1, "cannot start an already running container");

    sandbox.gantry(["kill", &id, "KILL"]).run().ok();
    await_status(sandbox, &id, "stopped");
    assert_eq!(state(sandbox, &id)["pid"], 0);
    sandbox.gantry(["start", &id]).run().fails(1, "cannot start a container that has stopped");
    sandbox.gantry(["kill", &id, "TERM"]).run().fails(1, "container not running");
    // The same once the dead init has been reaped and its pid is free.
    processes::reap_orphans();
    assert_eq!(sandbox.status(&id), "stopped");
    sandbox.gantry(["kill", &id, "TERM"]).run().fails(1, "container not running");

    sandbox.gantry(["delete", &id]).run().ok();
    sandbox.gantry(["state", &id]).run().fails(1, "container does not exist");
    sandbox.gantry(["delete", &id]).run().fails(1, "container does not exist");
    sandbox.gantry(["delete", "--force", &id]).run().ok();
}

fn create_leaves_the_program_unstarted(sandbox: &Sandbox) {
    let out = sandbox.dir().join("written");
    fs::create_dir(&out).unwrap();
    let bundle = sandbox.bundle().script("echo here > /out/file").edit(|config| {
        let mount = json!({ "destination": "/out", "type": "bind", "source": out, "options": ["bind", "rw"] });
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    let id = sandbox.id("a");
    create(sandbox, &bundle, &id);
    std::thread::sleep(Duration::from_millis(50));
    assert!(!out.join("file").exists());
    sandbox.gantry(["start", &id]).run().ok();
    await_status(sandbox, &id, "stopped");
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "here\n");
    sandbox.gantry(["delete", &id]).run().ok();
}

fn run_gives_the_exit_status(sandbox: &Sandbox) {
    for status in [0, 1, 42, 127, 255] {
        let bundle = sandbox.bundle().script(&format!("exit {status}"));
        let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run();
        assert_eq!((out.code(), out.stderr.as_str()), (Some(status), ""));
    }
}

fn run_detached_returns_while_the_container_runs(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().args(&["sleep", "100"]);
    let (id, pid_file) = (sandbox.id("a"), sandbox.dir().join("pid"));
    let run = sandbox.gantry(["run", "--detach", "--pid-file"]).arg(&pid_file).arg("--bundle").arg(bundle.dir());
    run.arg(&id).run().ok();
    assert_eq!(sandbox.status(&id), "running");
    let pid: i32 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(processes::parent(pid), Some(std::process::id() as i32), "init is the subreaper's, not a helper's");
    sandbox.gantry(["delete", "--force", &id]).run().ok();
}

fn run_takes_its_container_away_unless_told_to_keep_it(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle(), sandbox.id("a"));
    sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(&id).run().ok();
    sandbox.gantry(["state", &id]).run().fails(1, "container does not exist");
    sandbox.gantry(["run", "--keep", "--bundle"]).arg(bundle.dir()).arg(&id).run().ok();
    assert_eq!(sandbox.status(&id), "stopped");
    sandbox.gantry(["delete", &id]).run().ok();
}

fn kill_ends_a_foreground_run(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle().args(&["sleep", "100"]), sandbox.id("a"));
    for (signal, status) in [("KILL", 137), ("9", 137), ("SIGKILL", 137)] {
        let run = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(&id).spawn();
        let deadline = std::time::Instant::now() + SOON;
        while !sandbox.gantry(["state", &id]).run().stdout.contains("running") {
            assert!(std::time::Instant::now() < deadline, "not running: {}", run.stderr());
        }
        sandbox.gantry(["kill", &id, signal]).run().ok();
        run.wait(SOON).exits(status);
        sandbox.gantry(["state", &id]).run().fails(1, "container does not exist");
    }
}

/// As runc does; the spec would refuse.
fn delete_kills_a_created_container(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle(), sandbox.id("a"));
    let before = sandbox.snapshot();
    create(sandbox, &bundle, &id);
    sandbox.gantry(["delete", &id]).run().ok();
    before.assert_same();
}

fn delete_refuses_a_running_container_but_force_does_not(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle().script("sleep 100 & sleep 100 & wait"), sandbox.id("a"));
    let before = sandbox.snapshot();
    create(sandbox, &bundle, &id);
    sandbox.gantry(["start", &id]).run().ok();
    let refusal = format!("cannot delete container {id} that is not stopped: running");
    sandbox.gantry(["delete", &id]).run().fails(1, &refusal);
    assert_eq!(sandbox.status(&id), "running");
    sandbox.gantry(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

fn list_shows_what_is_there(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().args(&["sleep", "100"]);
    assert_eq!(sandbox.gantry(["list", "--quiet"]).run().ok().stdout, "");
    let ids = ["a", "b", "c"].map(|name| sandbox.id(name));
    for (i, id) in ids.iter().enumerate() {
        let bundle = sandbox.bundle().args(&["sleep", "100"]).edit(|config| {
            config["linux"]["cgroupsPath"] = json!(sandbox.cgroups_path(id));
        });
        create(sandbox, &bundle, id);
        if i > 0 {
            sandbox.gantry(["start", id]).run().ok();
        }
    }
    drop(bundle);
    let quiet = sandbox.gantry(["list", "-q"]).run().ok().stdout;
    assert_eq!(quiet.lines().collect::<BTreeSet<_>>(), ids.iter().map(String::as_str).collect());
    let listed = sandbox.gantry(["list", "--format=json"]).run().json();
    let listed = listed.as_array().expect("an array");
    assert_eq!(listed.len(), 3);
    for container in listed {
        let id = container["id"].as_str().expect("an id");
        let status = if id == ids[0] { "created" } else { "running" };
        assert_eq!(
            (container["status"].as_str(), container["pid"].as_i64()),
            (Some(status), state(sandbox, id)["pid"].as_i64())
        );
    }
    let table = sandbox.gantry(["list"]).run().ok().stdout;
    assert!(table.starts_with("ID ") && ids.iter().all(|id| table.contains(id)), "{table}");
    for id in &ids {
        sandbox.gantry(["delete", "--force", id]).run().ok();
    }
    assert_eq!(sandbox.gantry(["list", "--quiet"]).run().ok().stdout, "");
}

fn two_creates_of_one_id_race_safely(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle(), sandbox.id("a"));
    let before = sandbox.snapshot();
    for round in 0..if integration::is_deep() { 200 } else { 10 } {
        let racers = [0, 1, 2].map(|_| sandbox.gantry(["create", "--bundle"]).arg(bundle.dir()).arg(&id).spawn());
        let outs = racers.map(|racer| racer.wait(SOON));
        let won = outs.iter().filter(|out| out.code() == Some(0)).count();
        assert_eq!(won, 1, "round {round}: {outs:?}");
        for loser in outs.into_iter().filter(|out| out.code() != Some(0)) {
            loser.fails(1, "container with given ID already exists");
        }
        assert_eq!(sandbox.status(&id), "created");
        sandbox.gantry(["delete", &id]).run().ok();
        before.assert_same();
    }
}

fn containers_live_side_by_side(sandbox: &Sandbox) {
    let before = sandbox.snapshot();
    let runs: Vec<_> = (0..8)
        .map(|i| {
            let id = sandbox.id(&i.to_string());
            let bundle = sandbox.bundle().script(&format!("sleep 0.2; exit {i}"));
            let bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(sandbox.cgroups_path(&id)));
            sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(id).spawn()
        })
        .collect();
    for (i, run) in runs.into_iter().enumerate() {
        run.wait(SOON).exits(i as i32);
    }
    before.assert_same();
}

fn a_cgroup_path_is_made_with_its_parents(sandbox: &Sandbox) {
    let id = sandbox.id("a");
    let path = format!("{}/b/c", sandbox.cgroups_path(&id));
    let bundle = sandbox.bundle().args(&["sleep", "100"]).edit(|config| config["linux"]["cgroupsPath"] = json!(path));
    create(sandbox, &bundle, &id);
    let pid = state(sandbox, &id)["pid"].as_i64().unwrap();
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let inside = cgroups.lines().filter(|line| line.ends_with(&path)).count();
    // Every v1 hierarchy, or the one v2 tree.
    assert_eq!(inside, integration::cgroups::hierarchies().len(), "{cgroups}");
    sandbox.gantry(["delete", &id]).run().ok();
    let left = integration::cgroups::below_token(sandbox.token());
    assert!(left.iter().all(|dir| !dir.ends_with("b/c")));
    // What was made on the way may be another container's parent by now: runc leaves it too.
    for dir in left.iter().rev().filter(|dir| dir.to_string_lossy().contains(&id)) {
        fs::remove_dir(dir).unwrap();
    }
}

fn the_shortest_process_is_never_missed(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle().args(&["false"]), sandbox.id("a"));
    for _ in 0..1000 {
        sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(&id).run().exits(1);
    }
}

fn signals_start_from_their_defaults(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().script("yes | head -n 1; exec grep -E 'Sig(Blk|Ign)' /proc/self/status");
    // nohup(1) ignores SIGHUP; the rest is what a careless parent might ignore.
    let script = "trap '' HUP INT TERM PIPE CHLD USR1; exec \"$@\"";
    let line =
        sandbox.program("sh").args(["-c", script, "sh"]).arg(integration::gantry()).arg("--root").arg(sandbox.root());
    let out = line.args(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run().ok();
    let lines: Vec<_> = out.stdout.lines().collect();
    // Of grep itself: busybox's shell ignores SIGQUIT on its own account.
    assert_eq!(lines, ["y", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]);
}

fn stdio_is_the_callers(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().script("cat; echo error >&2; ls /proc/self/fd | wc -l");
    let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).stdin("in\n").run().ok();
    // ls has the directory open as well: 0, 1, 2, 3.
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("in\n4\n", "error\n"));
}

fn the_bundle_is_the_working_directory_by_default(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().script("exit 3");
    sandbox.gantry(["run", &sandbox.id("a")]).current_dir(bundle.dir()).run().exits(3);
}

fn a_state_record_has_a_version(sandbox: &Sandbox) {
    let (bundle, id) = (sandbox.bundle(), sandbox.id("a"));
    create(sandbox, &bundle, &id);
    let record: Value =
        serde_json::from_slice(&fs::read(sandbox.root().join(&id).join("state.json")).unwrap()).unwrap();
    assert!(record["version"].as_u64().is_some(), "{record}");
    sandbox.gantry(["delete", &id]).run().ok();
}
