//! Compiled plans, executed: what a config says is looked for from inside the container.
//!
//! Needs root, busybox-static and a cgroup that may be made; each test says so when it skips.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use libcontainer::cgroup::Cgroup;
use libcontainer::compile::{self, Context, Options, invariants};
use libcontainer::config::Config;
use libcontainer::host::HostFacts;
use libcontainer::launch::{Request, launch};
use libcontainer::plan::Input;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{geteuid, pipe};
use serde_json::{Value, json};

/// A bundle with a static busybox, gone when dropped.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Bundle {
        let path = std::env::temp_dir().join(format!("gantry-compiled-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("rootfs/bin")).expect("a rootfs");
        fs::copy("/bin/busybox", path.join("rootfs/bin/busybox")).expect("busybox-static is installed");
        fs::create_dir_all(path.join("rootfs/tmp")).expect("a rootfs");
        Bundle(path)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A config that runs `script`, for tests to change.
fn config(script: &str) -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "cwd": "/", "args": ["/bin/busybox", "sh", "-c", script],
            "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 }
        },
        "root": { "path": "rootfs" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }
        ],
        "linux": { "namespaces": [
            { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "network" }
        ] }
    })
}

/// Runs the config to its end; what it prints, and its status.
fn run(name: &str, config: &Value) -> Result<(String, i32), String> {
    run_in(&Bundle::new(name), name, config)
}

fn run_in(bundle: &Bundle, name: &str, config: &Value) -> Result<(String, i32), String> {
    let text = config.to_string();
    let config: Config<'_> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let facts = HostFacts::gather().map_err(|e| e.to_string())?;
    let id = format!("gantry-compiled-{name}-{}", std::process::id());
    let ctx = Context { bundle: &bundle.0, id: &id, facts: &facts, options: Options::default() };
    let compiled = compile::create(&config, &ctx).map_err(|e| e.to_string())?;
    invariants::check(&compiled.plan)?;
    let cgroup = Cgroup::create(&compiled.cgroup).map_err(|e| e.to_string())?;
    let result = execute(&compiled.plan, cgroup.dirfd());
    cgroup.undo().map_err(|e| e.to_string())?;
    result
}

fn execute(plan: &libcontainer::plan::Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<(String, i32), String> {
    let (output, stdout) = pipe().expect("a pipe");
    let null = File::open("/dev/null").expect("/dev/null");
    let (go_read, go_write) = pipe().expect("a pipe");
    let (_err_read, err_write) = pipe().expect("a pipe");
    let inputs: Vec<OwnedFd> = plan
        .inputs()
        .iter()
        .map(|input| match input {
            Input::Namespace { path, .. } => File::open(path).expect("a namespace").into(),
            Input::Go => go_read.try_clone().expect("dup"),
            Input::Err => err_write.try_clone().expect("dup"),
            Input::HookState | Input::HookOutput => File::open("/dev/null").expect("/dev/null").into(),
        })
        .collect();
    let inputs: Vec<BorrowedFd<'_>> = inputs.iter().map(AsFd::as_fd).collect();
    let request = Request {
        plan,
        inputs: &inputs,
        cgroup,
        trace: false,
        stdio: [Some(null.as_fd()), Some(stdout.as_fd()), Some(stdout.as_fd())],
        keep_fds: 0,
        interrupt: None,
    };
    let created = launch(&request, &mut |_| Ok(())).map_err(|e| e.to_string())?;
    let child = created.acknowledge().map_err(|e| e.to_string())?;
    nix::unistd::write(&go_write, b"!").expect("go");
    drop(stdout);
    let mut text = String::new();
    File::from(output).read_to_string(&mut text).expect("output");
    let status = waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL).expect("status");
    match status {
        WaitStatus::Exited(_, code) => Ok((text, code)),
        other => Err(format!("{other:?}: {text}")),
    }
}

fn is_root(test: &str) -> bool {
    if !geteuid().is_root() {
        println!("skip: {test}: needs root");
    }
    geteuid().is_root()
}

/// Runs `config` and gives what its script printed; the script must succeed.
fn output(name: &str, config: &Value) -> String {
    let (text, code) = run(name, config).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(code, 0, "{name}: {text}");
    text
}

/// The line of mountinfo about `mountpoint`.
fn mount_line<'a>(mountinfo: &'a str, mountpoint: &str) -> &'a str {
    mountinfo
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some(mountpoint))
        .unwrap_or_else(|| panic!("nothing is mounted on {mountpoint}:\n{mountinfo}"))
}

#[test]
fn a_plain_container_has_its_devices_and_nothing_of_the_host() {
    if !is_root("a plain container") {
        return;
    }
    let text = output(
        "plain",
        &config(
            "cd /dev; for f in *; do echo $f $(stat -c '%A %t:%T' $f) $(readlink $f); done; cat /proc/self/mountinfo; ls /proc/self/fd; ip link; hostname; umask",
        ),
    );
    for line in [
        "null crw-rw-rw- 1:3",
        "zero crw-rw-rw- 1:5",
        "full crw-rw-rw- 1:7",
        "random crw-rw-rw- 1:8",
        "urandom crw-rw-rw- 1:9",
        "tty crw-rw-rw- 5:0",
        "fd lrwxrwxrwx 0:0 /proc/self/fd",
        "stdin lrwxrwxrwx 0:0 /proc/self/fd/0",
        "stdout lrwxrwxrwx 0:0 /proc/self/fd/1",
        "stderr lrwxrwxrwx 0:0 /proc/self/fd/2",
        "ptmx lrwxrwxrwx 0:0 pts/ptmx",
        "0022",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing:\n{text}");
    }
    assert!(text.contains("<LOOPBACK,UP"), "{text}");
    let mounts = text.lines().filter(|line| line.contains(" - ")).count();
    assert_eq!(mounts, 3, "{text}");
}

#[test]
fn the_process_is_who_the_config_says() {
    if !is_root("ids, capabilities and limits") {
        return;
    }
    let mut config = config(
        "id; umask; pwd; echo $HOME $A; ulimit -n; ulimit -Hn; grep -E '^(Cap|NoNew)' /proc/self/status; cat /proc/self/oom_score_adj; echo out > /dev/stdout",
    );
    let process = &mut config["process"];
    process["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 1002], "umask": 0o027 });
    process["cwd"] = json!("/not/there/yet");
    process["env"] = json!(["PATH=/nowhere", "A=1", "A=2", "PATH=/bin"]);
    process["args"][0] = json!("busybox");
    process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]);
    process["noNewPrivileges"] = json!(true);
    process["oomScoreAdj"] = json!(123);
    let some = json!(["CAP_KILL", "CAP_CHOWN"]);
    process["capabilities"] = json!({ "bounding": some, "effective": ["CAP_KILL"], "permitted": some,
        "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"] });
    let text = output("process", &config);
    for line in [
        "uid=1000 gid=1001 groups=5,1002",
        "0027",
        "/not/there/yet",
        "/ 2",
        "100",
        "200",
        "CapInh:\t0000000000000020",
        // Of a user that is not root, execve keeps what is ambient.
        "CapPrm:\t0000000000000020",
        "CapEff:\t0000000000000020",
        "CapBnd:\t0000000000000021",
        "CapAmb:\t0000000000000020",
        "NoNewPrivs:\t1",
        "123",
        "out",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing:\n{text}");
    }
}

#[test]
fn the_default_specification_runs_with_everything_it_asks_for() {
    if !is_root("the default specification") {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/configs/spec.json");
    let mut config: Value = serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON");
    let script = "export PATH=/bin; hostname; cat /proc/self/mountinfo; touch /x && echo writable; \
        cat /proc/self/cgroup; echo 1 > /proc/sys/kernel/ns_last_pid && echo writable; wc -c < /proc/keys; ls /sys/firmware | wc -l; true";
    config["process"]["args"] = json!(["/bin/busybox", "sh", "-c", script]);
    let bundle = Bundle::new("spec");
    for dir in ["proc", "dev", "sys"] {
        fs::create_dir_all(bundle.0.join("rootfs").join(dir)).expect("a mount point");
    }
    let (text, code) = run_in(&bundle, "spec", &config).expect("runs");
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("runc\n"), "{text}");
    assert!(!text.lines().any(|line| line == "writable"), "{text}");
    for (mountpoint, start, kind) in [
        ("/", "ro,", "- "),
        ("/dev", "rw,nosuid - ", "- tmpfs tmpfs rw,size=65536k,mode=755"),
        ("/dev/pts", "rw,nosuid,noexec,relatime - ", "- devpts devpts rw,gid=5,mode=620,ptmxmode=666"),
        ("/dev/shm", "rw,nosuid,nodev,noexec,relatime - ", "- tmpfs shm rw,size=65536k"),
        ("/sys", "ro,nosuid,nodev,noexec,relatime - ", "- sysfs sysfs "),
        ("/proc/sys", "ro,", "- proc proc "),
        ("/proc/keys", "", "- devtmpfs "),
        ("/sys/firmware", "ro,", "- tmpfs "),
    ] {
        let line = mount_line(&text, mountpoint);
        let options = line.splitn(6, ' ').nth(5).unwrap_or_default();
        assert!(options.starts_with(start) && options.contains(kind), "{mountpoint}: {line}");
    }
    // In a cgroup namespace made inside the cgroup, the cgroup is the root, and its mount shows no more.
    for line in text.lines().filter(|line| line.split(':').count() == 3 && !line.contains(' ')) {
        assert!(line.ends_with(":/"), "{line}");
    }
    let cgroup_mounts: Vec<&str> = text.lines().filter(|line| line.contains(" - cgroup")).collect();
    assert!(!cgroup_mounts.is_empty(), "{text}");
    for line in cgroup_mounts {
        assert!(line.split(' ').nth(3) == Some("/") && line.contains(" ro,"), "{line}");
    }
}

#[test]
fn a_cgroup_mount_shows_only_the_containers_own_cgroup() {
    if !is_root("a cgroup mount") {
        return;
    }
    let mut config = config(
        "cat /proc/self/mountinfo; for d in /sys/fs/cgroup/*/; do cat ${d}tasks ${d}cgroup.procs; done 2>/dev/null | sort -u",
    );
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    mounts.push(json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }));
    mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid"] }));
    let text = output("cgroup", &config);
    if !mount_line(&text, "/sys/fs/cgroup").contains(" - tmpfs") {
        println!("skip: a cgroup mount: not a v1 host");
        return;
    }
    assert!(mount_line(&text, "/sys/fs/cgroup").contains(" ro,"), "{text}");
    let hierarchies: Vec<&str> = text.lines().filter(|line| line.contains(" - cgroup ")).collect();
    assert!(!hierarchies.is_empty(), "{text}");
    for line in hierarchies {
        let root = line.split(' ').nth(3).unwrap_or_default();
        assert!(root.contains("/gantry-compiled-cgroup-") && line.contains(" ro,nosuid,nodev,noexec"), "{line}");
    }
}

#[test]
fn paths_are_hidden_and_kernel_parameters_written() {
    if !is_root("masks and sysctls") {
        return;
    }
    for proc in [json!([]), json!(["ro"]), json!(["subset=pid"])] {
        let mut config = config(
            "mkdir /p; mount -t proc p /p 2>&1; cat /p/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_forward; \
             wc -c < /tmp/file; ls /tmp/dir | wc -l; echo x > /tmp/ro/file || echo refused; true",
        );
        let all = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
        config["mounts"][0]["options"] = proc.clone();
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
        config["linux"]["maskedPaths"] = json!(["/tmp/file", "/tmp/dir", "/not/there"]);
        config["linux"]["readonlyPaths"] = json!(["/tmp/ro", "/not/there"]);
        let bundle = Bundle::new("masks");
        let tmp = bundle.0.join("rootfs/tmp");
        fs::write(tmp.join("file"), "secret").expect("a file");
        fs::create_dir_all(tmp.join("dir/below")).expect("a directory");
        fs::create_dir(tmp.join("ro")).expect("a directory");
        let (text, code) = run_in(&bundle, "masks", &config).expect("runs");
        assert_eq!(code, 0, "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1", "{proc}: {text}");
        assert!(text.contains("\n0\n0\n") && text.contains("refused"), "{proc}: {text}");
    }
}

#[test]
fn the_working_directory_is_created_in_time_and_lies_on_top_of_covers() {
    if !is_root("the working directory") {
        return;
    }
    let mut config = config("pwd; echo x > file && echo written || echo refused");
    config["root"]["readonly"] = json!(true);
    config["process"]["cwd"] = json!("/new/dir");
    let bundle = Bundle::new("cwd");
    for dir in ["proc", "dev"] {
        fs::create_dir_all(bundle.0.join("rootfs").join(dir)).expect("a mount point");
    }
    let (text, _) = run_in(&bundle, "cwd", &config).expect("runs");
    assert!(text.starts_with("/new/dir\n") && text.ends_with("refused\n"), "{text}");
    config["root"]["readonly"] = json!(false);
    config["process"]["cwd"] = json!("/tmp/cover/new");
    config["linux"]["readonlyPaths"] = json!(["/tmp/cover"]);
    let (text, _) = run_in(&bundle, "cwd", &config).expect("runs");
    assert!(text.starts_with("/tmp/cover/new\n") && text.ends_with("refused\n"), "{text}");
}

#[test]
fn every_option_of_the_table_can_be_mounted() {
    if !is_root("mount options") {
        return;
    }
    let (mut config, mut expected) = (config("cat /proc/self/mountinfo"), Vec::new());
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    for option in compile::mount_options::names().filter(|o| !matches!(*o, "bind" | "rbind" | "remount")) {
        for (kind, source) in [("tmpfs", "tmpfs"), ("bind", "/tmp")] {
            let dest = format!("/m/{kind}/{option}");
            mounts.push(json!({ "destination": dest, "type": kind, "source": source, "options": [option] }));
            expected.push(dest);
        }
    }
    let text = output("options", &config);
    for dest in expected {
        let line = mount_line(&text, &dest);
        let option = dest.rsplit('/').next().unwrap_or_default();
        let recursive = option.strip_prefix('r').filter(|o| ["ro", "nosuid", "nodev", "noexec", "noatime"].contains(o));
        let shown = recursive.unwrap_or(option);
        if ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"].contains(&shown) {
            let options: Vec<&str> = line.split(' ').nth(5).unwrap_or_default().split(',').collect();
            assert!(options.contains(&shown), "{line}");
        }
        if option.ends_with("shared") {
            assert!(line.contains(" shared:"), "{line}");
        }
        if option.ends_with("unbindable") {
            assert!(line.contains(" unbindable"), "{line}");
        }
    }
}

#[test]
fn a_root_that_is_shared_does_not_reach_the_host() {
    if !is_root("rootfsPropagation") {
        return;
    }
    let host = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    for (propagation, mark) in [
        ("shared", " shared:"),
        ("rshared", " shared:"),
        ("slave", " - "),
        ("private", " - "),
        ("unbindable", " unbindable "),
        ("runbindable", " unbindable "),
    ] {
        let mut config = config("cat /proc/self/mountinfo");
        config["linux"]["rootfsPropagation"] = json!(propagation);
        config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        let text = output("propagation", &config);
        assert!(mount_line(&text, "/").contains(mark), "{propagation}: {text}");
    }
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), host);
}

/// A process in namespaces of its own, killed when dropped.
struct Holder(std::process::Child);

impl Holder {
    fn new(flags: &[&str]) -> Holder {
        let mut command = std::process::Command::new("unshare");
        command.args(flags).args(["--propagation", "private", "sleep", "60"]);
        let holder = Holder(command.spawn().expect("unshare(1)"));
        // unshare has done its work once it has become sleep.
        let name = format!("/proc/{}/comm", holder.0.id());
        while fs::read_to_string(&name).expect("comm") != "sleep\n" {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        holder
    }

    fn namespace(&self, name: &str) -> PathBuf {
        format!("/proc/{}/ns/{name}", self.0.id()).into()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn namespaces_are_joined_by_path() {
    if !is_root("joined namespaces") {
        return;
    }
    let holder = Holder::new(&["--mount", "--net", "--uts"]);
    let own_pid = PathBuf::from(format!("/proc/{}/ns/pid", std::process::id()));
    let mut config = config(
        "cd /proc/self/ns; for n in net uts pid mnt; do readlink $n; done; hostname; cat /tmp/file; grep -c . /proc/self/mountinfo",
    );
    config["hostname"] = json!("joined");
    config["linux"]["namespaces"] = json!([
        { "type": "mount", "path": holder.namespace("mnt") },
        { "type": "pid", "path": own_pid },
        { "type": "network", "path": holder.namespace("net") },
        { "type": "uts", "path": holder.namespace("uts") },
        { "type": "ipc" }
    ]);
    let bundle = Bundle::new("joined");
    fs::write(bundle.0.join("file"), "of the bundle\n").expect("a file");
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    mounts.push(json!({ "destination": "/tmp/file", "source": "file", "options": ["bind", "ro"] }));
    let (text, code) = run_in(&bundle, "joined", &config).expect("runs");
    assert_eq!(code, 0, "{text}");
    let link = |path: &Path| fs::read_link(path).expect("a namespace").to_string_lossy().into_owned();
    let expected = [
        link(&holder.namespace("net")),
        link(&holder.namespace("uts")),
        link(&own_pid),
        link(&holder.namespace("mnt")),
        "joined".to_owned(),
        "of the bundle".to_owned(),
    ];
    assert_eq!(text.lines().take(6).collect::<Vec<_>>(), expected, "{text}");
}
