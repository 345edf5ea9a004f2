//! What the tests share: the views of the host's cgroups, and a cgroup that is gone when its test ends.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use libcontainer::cgroup::{Cgroup, CgroupPlan, Version, plan};
use libcontainer::host::HostFacts;
use nix::sys::signal::Signal;

/// Set in the test process that runs in the private v2 view.
const IN_V2: &str = "GANTRY_TEST_CGROUP_V2";

/// Makes a mount namespace whose /sys/fs/cgroup is the v2 tree, and runs the rest of the arguments there.
const V2_VIEW: &str = r#"
for m in /sys/fs/cgroup/unified /sys/fs/cgroup; do ! mountpoint -q $m || umount -l $m || exit 1; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"
"#;

/// Runs the body of test `name` natively, and in a v2 view if that is something else.
pub fn in_every_view(name: &str, body: fn()) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped {name}: needs root");
        return;
    }
    body();
    if env::var_os(IN_V2).is_some() || facts_plan("/probe").version == Version::V2 {
        return;
    }
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", V2_VIEW, "sh"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(IN_V2, "1")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // A name that matches no test would succeed, too.
    assert!(output.status.success() && text.contains("1 passed"), "{name} failed in a v2 view: {text}");
}

pub fn facts_plan(path: &str) -> CgroupPlan {
    plan(Some(path), "id", &HostFacts::gather().unwrap()).unwrap()
}

/// A place of the test's own in all hierarchies, with all that is in it taken away at the end.
pub struct Place {
    top: String,
}

impl Place {
    pub fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Place { top: format!("/gantry-test-{}-{number}", std::process::id()) }
    }

    /// Plans a container's cgroup below it.
    pub fn plan(&self, below: &str) -> CgroupPlan {
        facts_plan(&format!("{}/{below}", self.top))
    }

    /// The place itself, as a container's cgroup.
    pub fn itself(&self) -> CgroupPlan {
        facts_plan(&self.top)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let top = Cgroup::open(&self.itself());
        // Whatever a test failed to thaw would not die, ever.
        for dir in &top.plan().dirs {
            thaw(Path::new(&dir.host()));
        }
        let gone = top.kill_all(Signal::SIGKILL).and_then(|()| top.remove());
        if !std::thread::panicking() {
            gone.unwrap();
            assert_eq!(present(top.plan()), [""; 0]);
        }
    }
}

fn thaw(dir: &Path) {
    for (file, text) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = dir.join(file);
        if file.exists() {
            let _ = fs::write(file, text);
        }
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            thaw(&entry.path());
        }
    }
}

/// The directories of the plan that are there.
pub fn present(plan: &CgroupPlan) -> Vec<String> {
    plan.dirs.iter().map(|dir| dir.host()).filter(|dir| Path::new(dir).exists()).collect()
}

/// A shell in the container's cgroup that says "ready" before it does what `script` says.
pub struct Inside(pub Child);

impl Inside {
    pub fn start(plan: &CgroupPlan, script: &str) -> Inside {
        let mut child = command(plan, &format!("echo ready; {script}")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Inside(child)
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// The signal that ends it, which must come soon.
    pub fn killed_by(&mut self) -> Option<i32> {
        for _ in 0..2000 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.signal();
            }
            sleep(Duration::from_millis(5));
        }
        panic!("process {} does not die", self.pid());
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        // Where it is frozen, waiting is for whoever thaws it.
        if !std::thread::panicking() {
            let _ = self.0.wait();
        }
    }
}

/// Whether `script` succeeds in the container's cgroup.
pub fn succeeds(plan: &CgroupPlan, script: &str) -> bool {
    command(plan, script).stderr(Stdio::null()).status().unwrap().success()
}

/// A shell that joins the cgroup as init does: by its own write of 0.
fn command(plan: &CgroupPlan, script: &str) -> Command {
    let unified = plan.unified().map(|dir| dir.file("cgroup.procs"));
    let mut command = Command::new("sh");
    let script =
        format!("n=$1; shift; while [ $n -gt 0 ]; do echo 0 >$1 || exit 99; shift; n=$((n-1)); done; {script}");
    let files: Vec<String> = plan.join_files().chain(unified).collect();
    command.args(["-c", &script, "sh", &files.len().to_string()]).args(files);
    command
}

pub fn write(path: &str, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
}
