//! Faults at every step: an op that fails, a runtime that is killed. Whatever happens, the error names the config
//! field, and the host is as it was, at once or after `delete --force`.
//!
//! A plain run takes one case for each kind of op and kind of op before it, and for the system calls that change
//! something; `make test-deep` takes every op of every fixture config, and every system call. docs/testing.md lists
//! the mutations of the code that each test has caught.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::faults::{self, Halt, Step};
use integration::{Bundle, Sandbox, cgroups, is_deep, on_both_layouts, processes, skip};
use libcontainer::ErrorKind;
use libcontainer::config;
use libcontainer::container::{CreateOptions, Runtime, Status};
use libcontainer::plan::Plan;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

on_both_layouts! {
    a_failing_op_is_named_and_leaves_nothing,
    the_sample_has_every_kind_of_op,
    delete_by_force_cleans_up_after_a_runtime_killed_at_any_op,
    delete_by_force_cleans_up_after_an_orphaned_init_at_any_op,
    delete_by_force_cleans_up_after_a_runtime_killed_at_any_system_call,
}

const SOON: Duration = Duration::from_secs(20);
const SIGKILL: u32 = libc::SIGKILL as u32;

/// A bundle, and the name of the case.
struct Scene {
    name: String,
    bundle: Bundle,
    id: String,
}

impl Scene {
    fn new(sandbox: &Sandbox, name: &str, bundle: Bundle) -> Scene {
        let id = sandbox.id(name);
        let bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(sandbox.cgroups_path(&id)));
        Scene { name: name.to_owned(), bundle, id }
    }

    /// Whatever a plan can hold that does not need a namespace to join.
    fn rich(sandbox: &Sandbox) -> Scene {
        let source = sandbox.dir().join("source");
        fs::create_dir_all(&source).unwrap();
        let bundle = sandbox.bundle().args(&["sleep", "100"]).edit(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.push(json!({ "destination": "/data", "source": source, "options": ["rbind", "rro", "rslave"] }));
            mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "options": ["ro"] }));
            mounts.push(json!({ "destination": "/data", "options": ["remount", "nodev"] }));
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [7, 8] });
            config["process"]["oomScoreAdj"] = json!(500);
            config["process"]["cwd"] = json!("/tmp");
            config["domainname"] = json!("domain");
            config["linux"]["rootfsPropagation"] = json!("slave");
            config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
            config["linux"]["devices"] = json!([{ "path": "/dev/pipe", "type": "p" }]);
            for kind in ["createRuntime", "createContainer", "startContainer"] {
                config["hooks"][kind] = json!([{ "path": "/bin/true" }]);
            }
        });
        Scene::new(sandbox, "rich", bundle)
    }

    /// Joins the namespaces of a container that runs.
    fn joined(sandbox: &Sandbox) -> Scene {
        let holder = Scene::new(sandbox, "holder", sandbox.bundle().args(&["sleep", "1000"]));
        sandbox.gantry(["run", "--detach", "--bundle"]).arg(holder.bundle.dir()).arg(&holder.id).run().ok();
        let pid = sandbox.gantry(["state", &holder.id]).run().json()["pid"].clone();
        let bundle = sandbox.bundle().args(&["sleep", "100"]).edit(|config| {
            let join = |kind: &str, file: &str| json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") });
            config["hostname"] = Value::Null;
            config["linux"]["namespaces"] = json!([
                join("pid", "pid"),
                join("network", "net"),
                join("ipc", "ipc"),
                join("uts", "uts"),
                { "type": "mount" },
            ]);
        });
        Scene::new(sandbox, "joined", bundle)
    }

    /// The configs of real engines, as far as their features go.
    fn fixtures(sandbox: &Sandbox) -> Vec<Scene> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/runnable");
        let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let scene = |file: &std::path::PathBuf| {
            let mut config: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            // Which program it is makes no difference; that it is there does.
            config["process"]["args"] = json!(["sleep", "100"]);
            let bundle = sandbox.bundle();
            let sources = bundle.dir().join("sources");
            fs::create_dir_all(sources.join("dir")).unwrap();
            fs::write(sources.join("file"), "").unwrap();
            fs::write(sources.join("init"), "").unwrap();
            bundle.write(&config);
            Scene::new(sandbox, &file.file_stem().unwrap().to_string_lossy(), bundle)
        };
        files.iter().map(scene).collect()
    }

    /// The scenes of this run; the second one wants [`end_holder`] at the end.
    fn all(sandbox: &Sandbox) -> Vec<Scene> {
        let mut all = vec![Scene::rich(sandbox), Scene::joined(sandbox)];
        if is_deep() {
            all.extend(Scene::fixtures(sandbox));
        }
        all
    }

    fn load(&self) -> config::Bundle {
        config::Bundle::load(self.bundle.dir(), None).expect("can be read")
    }

    /// The ops of its plan; creates the container for that, and starts and deletes it, so that it is known to work.
    fn steps(&self, sandbox: &Sandbox, parent_death_signal: Option<u32>) -> Vec<Step> {
        let steps = RefCell::new(Vec::new());
        let look = |plan: &mut Plan| *steps.borrow_mut() = faults::steps(plan);
        let options = CreateOptions { amend_plan: Some(&look), parent_death_signal, ..CreateOptions::default() };
        let created = Runtime::new(sandbox.root()).create(&self.id, &self.load(), &options);
        let (container, _) = created.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        container.start().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        container.delete(true).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        steps.into_inner()
    }
}

/// The cases of this run.
fn cases(steps: &[Step]) -> Vec<Step> {
    if is_deep() { steps.to_vec() } else { faults::sample(steps) }
}

fn index_of(steps: &[Step], kind: &str) -> usize {
    steps.iter().position(|step| step.kind == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[track_caller]
fn await_that(case: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{case}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end_holder(sandbox: &Sandbox) {
    sandbox.gantry(["delete", "--force", &sandbox.id("holder")]).run().ok();
}

fn a_failing_op_is_named_and_leaves_nothing(sandbox: &Sandbox) {
    for scene in Scene::all(sandbox) {
        let steps = scene.steps(sandbox, Some(SIGKILL));
        let before = sandbox.snapshot();
        for step in cases(&steps) {
            let case = format!("{}: {} {} ({})", scene.name, step.index, step.kind, step.field);
            fail_at(sandbox, &scene, &steps, &step, &case);
            // Before the snapshot, which reaps.
            let zombies = processes::zombies();
            assert!(zombies.is_empty(), "{case}: {zombies:?}");
            let differences = before.differences();
            assert!(differences.is_empty(), "{case}: the host is not as it was:\n{}", differences.join("\n"));
        }
    }
    end_holder(sandbox);
}

fn fail_at(sandbox: &Sandbox, scene: &Scene, steps: &[Step], step: &Step, case: &str) {
    let fail = |plan: &mut Plan| *plan = faults::failing(plan, step.index);
    let options =
        CreateOptions { amend_plan: Some(&fail), parent_death_signal: Some(SIGKILL), ..CreateOptions::default() };
    let created = Runtime::new(sandbox.root()).create(&scene.id, &scene.load(), &options);
    let error = if step.index <= index_of(steps, "Created") {
        created.map(|_| ()).expect_err(case)
    } else {
        let (container, _) = created.unwrap_or_else(|error| panic!("{case}: {error}"));
        let error = container.start().expect_err(case);
        let unheard = step.index <= index_of(steps, "AwaitStart");
        // Nobody waits for an init that ends before it waits itself: it has closed its FIFOs, and is about to be gone.
        await_that(case, || !unheard || container.state().expect(case).status == Status::Stopped);
        assert_eq!(container.state().expect(case).status, Status::Stopped, "{case}");
        container.delete(false).unwrap_or_else(|error| panic!("{case}: {error}"));
        if unheard {
            assert_eq!(error.json_path(), None, "{case}: {error}");
            assert!([ErrorKind::WrongStatus, ErrorKind::System].contains(&error.kind()), "{case}: {error}");
            return;
        }
        error
    };
    assert_eq!((error.json_path(), error.raw_errno()), (Some(&*step.field), Some(libc::ENOENT)), "{case}: {error}");
}

/// What the fixtures compile to on this host has no kind of op that the two scenes of a plain run lack.
fn the_sample_has_every_kind_of_op(sandbox: &Sandbox) {
    let kinds = |scene: &Scene| -> BTreeSet<&'static str> {
        let found = RefCell::new(BTreeSet::new());
        let options = |look| CreateOptions {
            amend_plan: Some(look),
            parent_death_signal: Some(SIGKILL),
            ..CreateOptions::default()
        };
        // Looked at, and failed at its first op: not every fixture need run here.
        let look = |plan: &mut Plan| {
            found.borrow_mut().extend(plan.ops().map(|(op, _)| op.name()));
            *plan = faults::failing(plan, 0);
        };
        Runtime::new(sandbox.root()).create(&scene.id, &scene.load(), &options(&look)).map(|_| ()).expect_err("fails");
        found.into_inner()
    };
    let sample: BTreeSet<_> = kinds(&Scene::rich(sandbox)).into_iter().chain(kinds(&Scene::joined(sandbox))).collect();
    for scene in Scene::fixtures(sandbox) {
        let missing: Vec<_> = kinds(&scene).difference(&sample).copied().collect();
        assert!(missing.is_empty(), "{} has ops that no scene has: {missing:?}", scene.name);
    }
    end_holder(sandbox);
}

/// As the command line does it: init dies with the runtime, wherever it is.
fn delete_by_force_cleans_up_after_a_runtime_killed_at_any_op(sandbox: &Sandbox) {
    kill_at_ops(sandbox, Some(SIGKILL));
}

/// As a program with the library in it does it, whose threads come and go: init lives on, and is stuck.
fn delete_by_force_cleans_up_after_an_orphaned_init_at_any_op(sandbox: &Sandbox) {
    kill_at_ops(sandbox, None);
}

fn kill_at_ops(sandbox: &Sandbox, parent_death_signal: Option<u32>) {
    for scene in Scene::all(sandbox) {
        let steps = scene.steps(sandbox, parent_death_signal);
        let mut halt = Halt::new(&scene.bundle.rootfs());
        let before = sandbox.snapshot();
        for step in cases(&steps) {
            let case = format!("{}: {} {} ({})", scene.name, step.index, step.kind, step.field);
            let runtime = sandbox
                .program(env!("CARGO_BIN_EXE_halting"))
                .arg(sandbox.root())
                .arg(&scene.id)
                .arg(scene.bundle.dir())
                .args([step.index.to_string(), parent_death_signal.unwrap_or(0).to_string()])
                .spawn();
            assert!(halt.is_reached(SOON), "{case}: not reached: {}", runtime.stderr());
            runtime.signal(Signal::SIGKILL);
            assert_eq!(runtime.wait(SOON).signal(), Some(libc::SIGKILL), "{case}");
            if parent_death_signal.is_some() && dies_with_its_parent(&steps, &step) {
                await_that(&case, || {
                    processes::reap_orphans();
                    processes::marked(&scene.id).is_empty()
                });
            }
            if !is_found(&steps, &step) {
                halt.drain();
            }
            let deleted = sandbox.gantry(["delete", "--force", &scene.id]).run();
            assert_eq!(deleted.code(), Some(0), "{case}: {}", deleted.stderr);
            let differences = before.differences();
            assert!(differences.is_empty(), "{case}: the host is not as it was:\n{}", differences.join("\n"));
            halt.drain();
        }
    }
    end_holder(sandbox);
}

/// Whether init at this step has asked for a signal when the runtime dies. A clone of it does not inherit that, and
/// with its ids the kernel takes it away (prctl(2), PR_SET_PDEATHSIG); no op waits between there and CREATED, where
/// init finds the socket dead.
fn dies_with_its_parent(steps: &[Step], step: &Step) -> bool {
    let mut before = steps[..step.index].iter();
    let last = before.clone().rfind(|step| ["ParentDeath", "Clone"].contains(&step.kind));
    last.is_some_and(|last| last.kind == "ParentDeath") && before.all(|step| step.kind != "SetIds")
}

/// Whether init at this step is in a cgroup by which `delete` can find it. With v1 alone it enters its cgroups itself;
/// before that it is let go on, into the dead runtime's socket.
fn is_found(steps: &[Step], step: &Step) -> bool {
    let born_there = cgroups::mounts().iter().any(|mount| mount.fs_type == "cgroup2");
    let entered = steps.iter().rposition(|step| step.field == "linux.cgroupsPath");
    born_there || entered.is_some_and(|entered| entered < step.index)
}

fn delete_by_force_cleans_up_after_a_runtime_killed_at_any_system_call(sandbox: &Sandbox) {
    if sandbox.program("sh").args(["-c", "command -v strace"]).run().code() != Some(0) {
        skip!("strace is not installed");
    }
    let bundle = sandbox.bundle().args(&["sleep", "100"]).edit(|config| {
        for kind in ["createRuntime", "poststart", "poststop"] {
            config["hooks"][kind] = json!([{ "path": "/bin/true" }]);
        }
    });
    let scene = Scene::new(sandbox, "a", bundle);
    let dir = scene.bundle.dir().to_string_lossy().into_owned();
    let (create, start) = (vec!["create", "--bundle", &dir, &scene.id], vec!["start", &scene.id]);
    let delete = vec!["delete", &scene.id];
    kill_at_calls(sandbox, &scene, &[], &create);
    kill_at_calls(sandbox, &scene, &[&create], &start);
    kill_at_calls(sandbox, &scene, &[&create], &delete);
    kill_at_calls(sandbox, &scene, &[&create, &start], &["delete", "--force", &scene.id]);
}

/// Kills `command` on its way into each system call, after the commands that bring about what it needs.
fn kill_at_calls(sandbox: &Sandbox, scene: &Scene, setting: &[&Vec<&str>], command: &[&str]) {
    let before = sandbox.snapshot();
    let traced = |options: &[String]| {
        for command in setting {
            sandbox.gantry(command.iter()).run().ok();
        }
        let strace = sandbox.program("strace").args(options).arg(integration::gantry());
        let out = strace.arg("--root").arg(sandbox.root()).args(command).run();
        let deleted = sandbox.gantry(["delete", "--force", &scene.id]).run();
        assert_eq!(deleted.code(), Some(0), "{command:?} {options:?}: {}", deleted.stderr);
        let differences = before.differences().join("\n");
        assert!(differences.is_empty(), "{command:?} {options:?}: the host is not as it was:\n{differences}");
        out
    };
    let log = sandbox.dir().join("strace");
    traced(&["-o".to_owned(), log.to_string_lossy().into_owned()]).ok();
    let calls: Vec<_> = faults::syscalls(&log).into_iter().filter(|call| call.matters || is_deep()).collect();
    let mut reached = 0;
    for call in &calls {
        let (name, nth) = (&call.name, call.nth);
        let options =
            ["-o/dev/null".to_owned(), format!("-etrace={name}"), format!("-einject={name}:signal=KILL:when={nth}")];
        match traced(&options).signal() {
            Some(libc::SIGKILL) => reached += 1,
            // How often something is waited for varies from run to run.
            other => assert_eq!(other, None, "{command:?} {options:?}"),
        }
    }
    assert!(reached > 5 && reached * 10 > calls.len() * 9, "{command:?}: only {reached} of {} reached", calls.len());
}
