//! Whole containers, made, watched and taken away by the library.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libcontainer::ErrorKind;
use libcontainer::config::Bundle;
use libcontainer::container::{Container, CreateOptions, ExitStatus, Runtime, Status};
use libcontainer::plan::Plan;
use libcontainer::plan::op::Op;
use libcontainer::plan::wire::Text;
use nix::unistd::geteuid;
use serde_json::{Value, json};

/// A bundle and a root directory, gone when dropped.
struct World {
    dir: PathBuf,
    runtime: Runtime,
    id: String,
}

impl World {
    /// `None`, with a line that says why, without the needed privilege.
    fn new(test: &str, args: &[&str]) -> Option<World> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() {
            println!("skip: {test}: needs root");
            return None;
        }
        let id = format!("gantry-{test}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&id);
        let bin = dir.join("bundle/rootfs/bin");
        fs::create_dir_all(&bin).expect("a bundle");
        fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
        for applet in ["sh", "sleep", "true", "cat"] {
            symlink("busybox", bin.join(applet)).expect("an applet");
        }
        let world = World { runtime: Runtime::new(dir.join("root")), dir, id };
        world.write(&json!({
            "ociVersion": "1.3.0",
            "process": { "cwd": "/", "args": args, "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } },
            "root": { "path": "rootfs" },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "annotations": { "a": "b" },
            "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }] },
        }));
        Some(world)
    }

    fn write(&self, config: &Value) {
        fs::write(self.dir.join("bundle/config.json"), config.to_string()).expect("can be written");
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let text = fs::read(self.dir.join("bundle/config.json")).expect("is there");
        let mut config = serde_json::from_slice(&text).expect("is JSON");
        change(&mut config);
        self.write(&config);
    }

    fn bundle(&self) -> Bundle {
        Bundle::load(&self.dir.join("bundle"), None).expect("can be read")
    }

    fn create(&self) -> libcontainer::Result<Container> {
        self.create_with(&CreateOptions::default())
    }

    fn create_with(&self, options: &CreateOptions<'_>) -> libcontainer::Result<Container> {
        self.runtime.create(&self.id, &self.bundle(), options).map(|(container, warnings)| {
            assert_eq!(warnings, Vec::<String>::new());
            container
        })
    }

    /// Nothing of the container is left: no state, no cgroup, no process.
    #[track_caller]
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.dir.join("root")).map(|e| e.flatten().collect()).unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
        let groups = fs::read_to_string("/proc/self/mountinfo").expect("is there");
        for mount in groups.lines().filter(|line| line.contains(" - cgroup")) {
            let point = mount.split(' ').nth(4).expect("a mountpoint");
            assert!(!contains(Path::new(point), &self.id), "{point} has a cgroup of {}", self.id);
        }
    }

    fn hook(&self, kind: &str, script: &str) {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] });
        self.edit(|config| config["hooks"][kind] = json!([hook]));
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.runtime.delete(&self.id, true);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn contains(dir: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .any(|entry| entry.file_name() == *name || contains(&entry.path(), name))
}

fn status(container: &Container) -> Status {
    container.state().expect("has a state").status
}

#[track_caller]
fn error_of<T>(result: libcontainer::Result<T>) -> (ErrorKind, String) {
    let error = result.err().expect("an error");
    (error.kind(), error.to_string())
}

#[test]
fn a_container_lives_and_dies() {
    let Some(world) = World::new("life", &["sh", "-c", "exit 7"]) else { return };
    let pid_file = world.dir.join("pid");
    let options = CreateOptions { pid_file: Some(&pid_file), ..CreateOptions::default() };
    let mut container = world.create_with(&options).expect("creates");
    let state = container.state().expect("has a state");
    assert_eq!((state.status, state.id.as_str(), state.owner.as_str()), (Status::Created, world.id.as_str(), "root"));
    assert_eq!(state.rootfs, world.bundle().path().join("rootfs"));
    assert_eq!(fs::read_to_string(&pid_file).expect("is there"), state.pid.to_string());
    assert_eq!(state.annotations["a"], "b");
    let (kind, text) = error_of(world.create());
    assert_eq!((kind, text.as_str()), (ErrorKind::AlreadyExists, "container with given ID already exists"));

    // Another handle sees the same.
    let other = world.runtime.container(&world.id).expect("is there");
    assert_eq!(other.state().expect("has a state"), state);
    other.start().expect("starts");
    assert_eq!(container.wait().expect("is our child"), ExitStatus::Exited(7));
    assert_eq!((status(&other), other.state().expect("has a state").pid), (Status::Stopped, 0));
    assert_eq!(container.wait().expect_err("once only").kind(), ErrorKind::WrongStatus);
    assert_eq!(error_of(other.start()).1, "cannot start a container that has stopped");
    assert_eq!(error_of(other.kill(15, false)).1, "container not running");
    other.kill(15, true).expect("nothing to do");
    container.delete(false).expect("deletes");
    assert_eq!(error_of(world.runtime.container(&world.id)), (ErrorKind::NotFound, "container does not exist".into()));
    assert_eq!(error_of(world.runtime.delete(&world.id, false)).1, "container does not exist");
    world.runtime.delete(&world.id, true).expect("is no error with force");
    world.assert_clean();
}

#[test]
fn a_running_container_is_only_deleted_by_force_but_a_created_one_at_once() {
    let Some(world) = World::new("force", &["sleep", "600"]) else { return };
    world.create().expect("creates").delete(false).expect("deletes a created one");
    world.create().expect("creates").delete(true).expect("deletes a created one");
    world.assert_clean();
    let container = world.create().expect("creates");
    container.start().expect("starts");
    assert_eq!(status(&container), Status::Running);
    assert_eq!(error_of(container.start()).1, "cannot start an already running container");
    let expected = format!("cannot delete container {} that is not stopped: running", world.id);
    assert_eq!(error_of(world.runtime.delete(&world.id, false)), (ErrorKind::WrongStatus, expected));
    let listed = world.runtime.list().expect("can be read");
    assert_eq!(listed.iter().map(|(id, c)| (id.as_str(), c.is_ok())).collect::<Vec<_>>(), [(world.id.as_str(), true)]);
    // Right after a kill it need not be gone yet.
    container.kill(libc::SIGKILL, false).expect("is there");
    container.delete(false).expect("deletes");
    world.assert_clean();
}

#[test]
fn kill_reaches_init_and_with_all_every_process() {
    let Some(world) = World::new("kill", &["sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.05; done"]) else {
        return;
    };
    // Without a pid namespace of its own.
    world.edit(|config| config["linux"]["namespaces"] = json!([{ "type": "mount" }]));
    let mut container = world.create().expect("creates");
    container.start().expect("starts");
    // The shell may not have set its trap yet: kill until it has.
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        match container.kill(libc::SIGUSR1, false) {
            Ok(()) => std::thread::sleep(Duration::from_millis(1)),
            Err(e) => {
                assert_eq!(e.to_string(), "container not running");
                break container.wait().expect("is our child");
            }
        }
        assert!(Instant::now() < deadline, "does not end");
    };
    assert!([ExitStatus::Exited(3), ExitStatus::Signaled(libc::SIGUSR1)].contains(&status), "{status}");
    container.delete(false).expect("deletes");

    world.edit(|config| config["process"]["args"] = json!(["sh", "-c", "sleep 600 & sleep 601 & exec sleep 602"]));
    let mut container = world.create().expect("creates");
    container.start().expect("starts");
    container.kill(libc::SIGKILL, false).expect("is there");
    assert_eq!(container.wait().expect("is our child"), ExitStatus::Signaled(libc::SIGKILL));
    container.delete(false).expect("no process is left in the cgroup");
    world.assert_clean();
}

#[test]
fn a_program_that_cannot_be_executed_fails_create_or_start() {
    let Some(world) = World::new("exec", &["nowhere"]) else { return };
    let failures = [
        ("nowhere", "process.args[0]: exec: \"nowhere\": executable file not found in $PATH"),
        ("/nowhere", "process.args[0]: exec: \"/nowhere\": no such file or directory"),
        ("/bin", "process.args[0]: exec: \"/bin\": is a directory"),
        ("/plain", "process.args[0]: exec: \"/plain\": permission denied"),
    ];
    fs::write(world.dir.join("bundle/rootfs/plain"), "").expect("can be written");
    for (program, expected) in failures {
        world.edit(|config| config["process"]["args"] = json!([program]));
        assert_eq!(error_of(world.create()), (ErrorKind::Program, expected.to_owned()));
        world.assert_clean();
    }
    for (content, expected) in [
        ("neither script nor program", "process.args: exec: \"/plain\": exec format error"),
        (
            "#!/no/interpreter\n",
            "process.args: exec: \"/plain\": no such file or directory: its interpreter \"/no/interpreter\" is missing",
        ),
    ] {
        let file = world.dir.join("bundle/rootfs/plain");
        fs::write(&file, content).expect("can be written");
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        let container = world.create().expect("creates");
        assert_eq!(error_of(container.start()), (ErrorKind::Program, expected.to_owned()));
        assert_eq!(status(&container), Status::Stopped);
        container.delete(false).expect("deletes");
        world.assert_clean();
    }
}

#[test]
fn a_create_that_fails_at_any_op_leaves_nothing() {
    let Some(world) = World::new("fault", &["true"]) else { return };
    world.hook("poststop", &format!("echo poststop >> {}", world.log().display()));
    let count = std::cell::Cell::new(0);
    let look = |plan: &mut Plan| count.set(plan.len());
    let options = CreateOptions { amend_plan: Some(&look), ..CreateOptions::default() };
    world.create_with(&options).expect("creates").delete(false).expect("deletes");
    fs::remove_file(world.log()).expect("poststop has run");
    for index in 1..count.get() {
        let (late, waits) = (std::cell::Cell::new(false), std::cell::Cell::new(false));
        let field = std::cell::RefCell::new(String::new());
        let fail = |plan: &mut Plan| {
            late.set(plan.ops().take(index).any(|(op, _)| matches!(op, Op::Created {})));
            waits.set(matches!(plan.op(index), Some(Op::AwaitStart { .. })));
            *field.borrow_mut() = plan.field(index).expect("an op").path.clone();
            *plan = plan.with_op(index, Op::Sysctl { proc: no_slot(), path: Text::new(b"x"), value: Text::new(b"") });
        };
        let options = CreateOptions { amend_plan: Some(&fail), ..CreateOptions::default() };
        let created = world.create_with(&options);
        if late.get() {
            let container = created.expect("creates");
            let error = container.start().expect_err("fails");
            // An init that fails before it waits for its start has nobody to tell.
            if !waits.get() {
                assert_eq!(error.json_path(), Some(field.borrow().as_str()), "{index}: {error}");
            }
            container.delete(false).expect("deletes");
            fs::remove_file(world.log()).expect("poststop has run");
        } else {
            let error = created.expect_err("fails");
            assert_eq!(error.json_path(), Some(field.borrow().as_str()), "{index}: {error}");
            assert!(!world.log().exists(), "no hook has run before, so poststop has not: {index}");
        }
        world.assert_clean();
    }
    assert!(count.get() > 10, "ops were there to fail");
}

fn no_slot() -> libcontainer::plan::wire::Slot {
    libcontainer::plan::wire::Slot::NONE
}

#[test]
fn hooks_run_in_order_with_the_state_of_their_time() {
    let Some(world) = World::new("hooks", &["sleep", "600"]) else { return };
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    fs::create_dir(world.dir.join("bundle/rootfs/log")).expect("a mount's target");
    let log = world.dir.join("logs");
    fs::create_dir(&log).expect("a directory");
    world.edit(|config| {
        let bind = json!({ "destination": "/log", "type": "bind", "source": log, "options": ["bind"] });
        config["mounts"].as_array_mut().expect("a list").push(bind);
    });
    for kind in kinds {
        let log = if kind == "startContainer" { Path::new("/log") } else { &log };
        world.hook(kind, &format!("cat > {}", log.join(kind).display()));
    }
    let read = |kind: &str| -> Value {
        serde_json::from_slice(&fs::read(log.join(kind)).unwrap_or_else(|e| panic!("{kind}: {e}"))).expect("is JSON")
    };
    let container = world.create().expect("creates");
    assert_eq!(fs::read_dir(&log).expect("is there").count(), 3);
    let pid = container.state().expect("has a state").pid;
    container.start().expect("starts");
    container.delete(true).expect("deletes");
    for (kind, status, pid) in [
        ("prestart", "creating", json!(pid)),
        ("createRuntime", "creating", json!(pid)),
        ("createContainer", "creating", json!(1)),
        ("startContainer", "created", json!(1)),
        ("poststart", "running", json!(pid)),
        ("poststop", "stopped", Value::Null),
    ] {
        let state = read(kind);
        assert_eq!((&state["status"], &state["pid"]), (&json!(status), &pid), "{kind}: {state}");
        assert_eq!((&state["id"], &state["annotations"]["a"]), (&json!(world.id), &json!("b")), "{kind}");
    }
    world.assert_clean();
}

#[test]
fn a_failed_hook_is_named_with_its_words_and_poststop_runs_once() {
    for (kind, starts) in [
        ("prestart", false),
        ("createRuntime", false),
        ("createContainer", false),
        ("startContainer", true),
        ("poststart", true),
    ] {
        let Some(world) = World::new("badhook", &["sleep", "600"]) else { return };
        world.hook(kind, "echo one; echo two >&2; exit 5");
        world.hook("poststop", &format!("echo once >> {}", world.log().display()));
        let expected = format!("hooks.{kind}[0] (/bin/sh): hook failed: exit status 5: one; two");
        if starts {
            let container = world.create().expect("creates");
            assert_eq!(error_of(container.start()), (ErrorKind::Hook, expected));
            assert_eq!(status(&container), Status::Stopped, "{kind}");
            container.delete(false).expect("deletes");
        } else {
            assert_eq!(error_of(world.create()), (ErrorKind::Hook, expected));
        }
        assert_eq!(fs::read_to_string(world.log()).expect("poststop has run"), "once\n", "{kind}");
        world.assert_clean();
    }
}

#[test]
fn a_create_can_be_interrupted_while_a_hook_runs() {
    for kind in ["createRuntime", "createContainer"] {
        let Some(world) = World::new("interrupt", &["true"]) else { return };
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let reached = world.dir.join("reached");
        // Without a pid namespace nothing but the cgroup holds the hook's processes.
        world.edit(|config| config["linux"]["namespaces"] = json!([{ "type": "mount" }]));
        world.hook(kind, &format!("touch {}; sleep 600", reached.display()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let deadline = Instant::now() + Duration::from_secs(10);
                while !reached.exists() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(2));
                }
                drop(writer);
            });
            let options = CreateOptions { interrupt: Some(reader.as_fd()), ..CreateOptions::default() };
            assert_eq!(error_of(world.create_with(&options)).0, ErrorKind::Interrupted, "{kind}");
        });
        assert!(reached.exists());
        world.assert_clean();
    }
}

#[test]
fn a_start_can_be_interrupted_while_a_hook_runs() {
    for kind in ["startContainer", "poststart"] {
        let Some(world) = World::new("stuck", &["sleep", "600"]) else { return };
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let reached = world.dir.join("bundle/rootfs/reached");
        let inside = if kind == "startContainer" { Path::new("/reached") } else { &reached };
        world.hook(kind, &format!("echo > {}; sleep 600", inside.display()));
        let container = world.create().expect("creates");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let deadline = Instant::now() + Duration::from_secs(10);
                while !reached.exists() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(2));
                }
                drop(writer);
            });
            assert_eq!(error_of(container.start_interruptible(reader.as_fd())).0, ErrorKind::Interrupted, "{kind}");
        });
        assert!(reached.exists());
        assert_eq!(status(&container), Status::Stopped);
        container.delete(false).expect("deletes");
        world.assert_clean();
    }
}

#[test]
fn delete_by_force_thwarts_a_create_and_cleans_up_what_a_dead_one_left() {
    let Some(world) = World::new("thwart", &["true"]) else { return };
    let reached = world.dir.join("reached");
    world.hook("createContainer", &format!("touch {}; sleep 600", reached.display()));
    std::thread::scope(|scope| {
        let create = scope.spawn(|| error_of(world.create()));
        while !reached.exists() {
            assert!(!create.is_finished(), "the hook is not reached");
            std::thread::sleep(Duration::from_millis(2));
        }
        let container = world.runtime.container(&world.id).expect("is there");
        assert_eq!(status(&container), Status::Creating);
        let expected = format!("cannot delete container {} that is not stopped: creating", world.id);
        assert_eq!(error_of(world.runtime.delete(&world.id, false)).1, expected);
        world.runtime.delete(&world.id, true).expect("deletes");
        let (kind, text) = create.join().expect("does not panic");
        assert!([ErrorKind::System, ErrorKind::Hook].contains(&kind), "{text}");
    });
    world.assert_clean();

    // A directory without a record, one with a broken record, and one with nothing but the record.
    let dir = world.dir.join("root").join(&world.id);
    fs::create_dir_all(&dir).expect("a directory");
    assert_eq!(error_of(world.runtime.container(&world.id)).1, "container does not exist");
    world.runtime.delete(&world.id, false).expect("deletes");
    world.assert_clean();
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("state.json"), "{").expect("can be written");
    let listed = world.runtime.list().expect("can be read");
    assert!(listed.len() == 1 && listed[0].1.is_err());
    assert!(error_of(world.runtime.container(&world.id)).1.contains("state.json"));
    assert!(world.runtime.delete(&world.id, false).is_err());
    assert_eq!(world.runtime.delete(&world.id, true).expect("deletes").len(), 1, "with a warning");
    world.assert_clean();
}

#[test]
fn of_many_creates_of_one_id_one_succeeds() {
    let Some(world) = World::new("race", &["true"]) else { return };
    let results: Vec<_> = std::thread::scope(|scope| {
        let creates: Vec<_> = (0..8).map(|_| scope.spawn(|| world.create())).collect();
        creates.into_iter().map(|create| create.join().expect("does not panic")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for result in lost {
        assert_eq!(error_of(result).0, ErrorKind::AlreadyExists);
    }
    for container in won.into_iter().flatten() {
        container.delete(false).expect("deletes");
    }
    world.assert_clean();
}

#[test]
fn a_trace_has_the_runtimes_phases_and_inits_ops() {
    let Some(world) = World::new("trace", &["true"]) else { return };
    let file = world.dir.join("trace.json");
    let options = CreateOptions { trace: Some(&file), ..CreateOptions::default() };
    world.create_with(&options).expect("creates").delete(false).expect("deletes");
    let events: Vec<Value> = serde_json::from_slice(&fs::read(&file).expect("is there")).expect("is JSON");
    let has = |name: &str| events.iter().any(|event| event["name"] == name);
    for name in ["compile", "launch", "PivotRoot", "Created"] {
        assert!(has(name), "{name} is missing: {events:?}");
    }
    let mount = events.iter().find(|e| e["name"] == "MountFs").expect("the mount of /proc");
    assert_eq!((&mount["args"]["field"], &mount["args"]["label"]), (&json!("mounts[0]"), &json!("/proc")));
    assert!(events.iter().all(|e| e["ph"] == "X" && e["ts"].is_number() && e["dur"].is_number()));
}
