//! The launcher with plans written by hand: namespaces, user namespaces of every kind, failures, and what root of a
//! container can do to an init that enters its user namespace.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libcontainer::launch::{Child, Event, Request, launch};
use libcontainer::plan::op::{MountFlags, Op};
use libcontainer::plan::wire::{Numbers, Slot, Text, TextList};
use libcontainer::plan::{Field, IdMap, IdMaps, Input, Plan, TextListBuf};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Uid, geteuid, pipe};

const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;
const NEW_ALL: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET) as u64;

fn is_root(test: &str) -> bool {
    if !geteuid().is_root() {
        println!("skip: {test}: needs root");
    }
    geteuid().is_root()
}

/// A rootfs with a static busybox, gone when dropped.
struct Rootfs(PathBuf);

impl Rootfs {
    fn new(name: &str) -> Rootfs {
        let path = std::env::temp_dir().join(format!("gantry-launch-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("bin")).expect("a rootfs");
        fs::create_dir_all(path.join("proc")).expect("a rootfs");
        fs::copy("/bin/busybox", path.join("bin/busybox")).expect("busybox-static is installed");
        Rootfs(path)
    }

    fn text(&self) -> Text<'_> {
        Text::new(self.0.as_os_str().as_encoded_bytes())
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the container gets its user namespace.
enum Users<'a> {
    Host,
    Mapped(IdMaps),
    Joined(&'a Path),
}

fn field(name: &str) -> Field {
    Field::new(name)
}

fn begin(plan: &mut Plan, users: &Users<'_>, namespaces: u64) {
    let joined = match users {
        Users::Joined(path) => Some(plan.input(Input::Namespace { kind: NEW_USER, path: path.to_path_buf() })),
        _ => None,
    };
    plan.input(Input::Go);
    plan.input(Input::Err);
    let user = field("linux.namespaces[0]");
    plan.push(&field("process"), Op::CloseInherited { keep: 0 });
    plan.push(&field("process"), Op::ResetSignals {});
    match users {
        Users::Host => {
            plan.clone_flags = namespaces;
            plan.push(&field("process"), Op::NotDumpable {});
        }
        Users::Mapped(maps) => {
            plan.id_maps = Some(maps.clone());
            plan.push(&user, Op::Unshare { flags: NEW_USER });
            plan.push(&user, Op::AwaitIdMaps {});
            plan.push(&user, Op::BecomeRoot {});
            plan.push(&field("process"), Op::NotDumpable {});
            plan.push(&user, Op::Clone { flags: namespaces });
        }
        Users::Joined(_) => {
            plan.push(&field("process"), Op::NotDumpable {});
            plan.push(&user, Op::JoinNamespace { namespace: joined.expect("reserved"), kind: NEW_USER });
            plan.push(&user, Op::BecomeRoot {});
            plan.push(&user, Op::Clone { flags: namespaces });
        }
    }
}

fn container(users: &Users<'_>, rootfs: &Rootfs, args: &[&str]) -> Plan {
    let mut plan = Plan::new();
    begin(&mut plan, users, NEW_ALL);
    let root = plan.slot();
    plan.push(&field("linux.rootfsPropagation"), Op::Propagation { flags: libc::MS_SLAVE | libc::MS_REC });
    plan.push(&field("root.path"), Op::OpenRoot { root, host: rootfs.text() });
    let proc = Op::MountFs {
        dest: Text::new(b"/proc"),
        fstype: Text::new(b"proc"),
        source: Text::new(b"proc"),
        options: TextList::new(0, &[]),
        flags: MountFlags::NONE,
        keep: Slot::NONE,
        inherit_mode: 0,
    };
    plan.push(&Field::labelled("mounts[0]", "/proc"), proc);
    plan.push(&field("root.path"), Op::PivotRoot { root });
    plan.push(&field("hostname"), Op::Hostname { name: Text::new(b"launched") });
    finish(&mut plan, args);
    plan
}

fn finish(plan: &mut Plan, args: &[&str]) {
    let name = Text::new(args[0].as_bytes());
    plan.push(&field("process.args[0]"), Op::FindProgram { name, search: Text::new(b"/bin") });
    plan.push(&field("process"), Op::Created {});
    let go = plan.input_slot(&Input::Go).expect("reserved");
    let err = plan.input_slot(&Input::Err).expect("reserved");
    plan.push(&field("process"), Op::AwaitStart { go, err });
    let args: TextListBuf = args.iter().collect();
    plan.push(&field("process.args"), Op::Exec { args: args.list(), env: TextList::new(0, &[]) });
}

/// A container that waits for its start.
struct Waiting {
    child: Child,
    go: OwnedFd,
    err: OwnedFd,
    out: OwnedFd,
}

fn create(plan: &Plan) -> libcontainer::Result<Waiting> {
    create_noting(plan, &mut 0)
}

/// As [`create`]; `pid` is init's, even when it fails later.
fn create_noting(plan: &Plan, pid: &mut i32) -> libcontainer::Result<Waiting> {
    let (go_read, go) = pipe().expect("a pipe");
    let (err, err_write) = pipe().expect("a pipe");
    let (out, out_write) = pipe().expect("a pipe");
    let mut files = Vec::new();
    for input in plan.inputs() {
        if let Input::Namespace { path, .. } = input {
            files.push(fs::File::open(path).expect("a namespace"));
        }
    }
    let mut inputs: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    inputs.extend([go_read.as_fd(), err_write.as_fd()]);
    let stdio = [None, Some(out_write.as_fd()), Some(out_write.as_fd())];
    let request = Request { plan, inputs: &inputs, cgroup: None, trace: false, stdio, keep_fds: 0, interrupt: None };
    let mut started = 0;
    let created = launch(&request, &mut |event| {
        let Event::Started(child) = event else { panic!("another event") };
        *pid = child.pid;
        started += 1;
        Ok(())
    })?;
    assert_eq!(started, 1);
    Ok(Waiting { child: created.acknowledge()?, go, err, out })
}

impl Waiting {
    /// Lets it run; its output and exit status.
    fn run(self) -> (String, WaitStatus) {
        fs::File::from(self.go.try_clone().expect("a descriptor")).write_all(b"s").expect("init waits");
        let mut output = String::new();
        fs::File::from(self.out.try_clone().expect("a descriptor")).read_to_string(&mut output).expect("output");
        (output, self.reap())
    }

    fn reap(&self) -> WaitStatus {
        let id = Id::PIDFd(self.child.pidfd.as_fd());
        waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::__WALL).expect("a child")
    }

    fn kill(self) {
        libcontainer::launch::signal(self.child.pidfd.as_fd(), libc::SIGKILL).expect("alive");
        self.reap();
    }
}

fn maps(host: u32, size: u32, setgroups: bool) -> IdMaps {
    let range = vec![IdMap { container: 0, host, size }];
    IdMaps { uids: range.clone(), gids: range, setgroups }
}

#[test]
fn a_container_has_namespaces_of_its_own() {
    if !is_root("a_container_has_namespaces_of_its_own") {
        return;
    }
    let rootfs = Rootfs::new("own");
    let script = "/bin/busybox hostname; echo $$; /bin/busybox ls /";
    let plan = container(&Users::Host, &rootfs, &["busybox", "sh", "-c", script]);
    let (output, status) = create(&plan).expect("created").run();
    assert_eq!(output, "launched\n1\nbin\nproc\n");
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

#[test]
fn a_mapped_user_namespace_has_its_own_root() {
    if !is_root("a_mapped_user_namespace_has_its_own_root") {
        return;
    }
    let rootfs = Rootfs::new("mapped");
    let users = Users::Mapped(maps(100_000, 65_536, true));
    let script = "/bin/busybox id -u; /bin/busybox cat /proc/self/uid_map; echo $$";
    let plan = container(&users, &rootfs, &["busybox", "sh", "-c", script]);
    let waiting = create(&plan).expect("created");
    let status = fs::read_to_string(format!("/proc/{}/status", waiting.child.pid)).expect("alive");
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");
    let (output, _) = waiting.run();
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "1"]);
}

#[test]
fn an_ordinary_user_maps_its_own_id() {
    if !is_root("an_ordinary_user_maps_its_own_id") {
        return;
    }
    let status = as_user(1234, "rootless_body", &[]);
    assert!(status.success(), "{status}");
}

/// Runs one of the ignored tests of this program as another user.
fn as_user(uid: u32, test: &str, env: &[(&str, &OsStr)]) -> std::process::ExitStatus {
    // Not by its path: that may lead through a directory that the user cannot enter.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--ignored", "--exact", test, "--nocapture"]).envs(env.iter().copied()).uid(uid).gid(uid);
    command.status().expect("runs")
}

#[test]
#[ignore = "run by an_ordinary_user_maps_its_own_id"]
fn rootless_body() {
    assert!(!geteuid().is_root());
    let rootfs = Rootfs::new("rootless");
    let users = Users::Mapped(maps(geteuid().as_raw(), 1, false));
    let plan = container(&users, &rootfs, &["busybox", "id", "-u"]);
    let (output, _) = create(&plan).expect("created").run();
    assert_eq!(output, "0\n");
}

/// An exec into a user namespace, held before execve: nothing that root of that namespace tries gets at it.
#[test]
fn container_root_cannot_touch_an_init_that_joins() {
    if !is_root("container_root_cannot_touch_an_init_that_joins") {
        return;
    }
    let rootfs = Rootfs::new("ptrace");
    let users = Users::Mapped(maps(100_000, 65_536, true));
    let victim = create(&container(&users, &rootfs, &["busybox", "sleep", "60"])).expect("created");
    let namespace = PathBuf::from(format!("/proc/{}/ns/user", victim.child.pid));

    let mut plan = Plan::new();
    begin(&mut plan, &Users::Joined(&namespace), 0);
    finish(&mut plan, &["busybox", "true"]);
    let joined = create(&plan).expect("joined");
    let status = fs::read_to_string(format!("/proc/{}/status", joined.child.pid)).expect("alive");
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");
    assert_eq!(attack(&namespace, joined.child.pid), "ptrace refused, mem refused, fds refused, exe refused");

    // The same attack on the container's own program goes through: the attacker is one.
    let pid = victim.child.pid;
    fs::File::from(victim.go.try_clone().expect("a descriptor")).write_all(b"s").expect("init waits");
    let mut word = Vec::new();
    fs::File::from(victim.err.try_clone().expect("a descriptor")).read_to_end(&mut word).expect("execve closes it");
    assert_eq!(attack(&namespace, pid), "ptrace done, mem done, fds done, exe done");
    joined.kill();
    victim.kill();
}

/// Becomes root of a user namespace and tries what the words say on a process.
fn attack(namespace: &Path, pid: i32) -> String {
    let namespace = fs::File::open(namespace).expect("a namespace");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "attacker", "--nocapture"]).env("VICTIM", pid.to_string());
    // SAFETY: only system calls happen between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWUSER)?;
            nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
            nix::unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))?;
            Ok(())
        })
    };
    let output = command.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|l| l.split_once("attack: ")).map(|(_, words)| words.to_owned());
    line.unwrap_or_else(|| panic!("the attacker said nothing: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "run by container_root_cannot_touch_an_init_that_joins"]
fn attacker() {
    let pid: i32 = std::env::var("VICTIM").expect("a pid").parse().expect("a pid");
    let word = |ok: bool| if ok { "done" } else { "refused" };
    let mem = fs::OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).is_ok();
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).is_ok();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    // PTRACE_SEIZE stops nobody.
    // SAFETY: plain numbers.
    let ptrace = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0;
    println!("attack: ptrace {}, mem {}, fds {}, exe {}", word(ptrace), word(mem), word(fds), word(exe));
}

#[test]
fn a_failed_op_names_its_field_and_leaves_no_process() {
    if !is_root("a_failed_op_names_its_field_and_leaves_no_process") {
        return;
    }
    let rootfs = Rootfs::new("failed");
    for users in [Users::Host, Users::Mapped(maps(100_000, 65_536, true))] {
        let plan = container(&users, &rootfs, &["busybox", "true"]);
        let mount = plan.ops().position(|(op, _)| matches!(op, Op::MountFs { .. })).expect("a mount");
        let flags = MountFlags { propagation: Numbers::new(&[1, 0, 0, 0]), ..MountFlags::NONE };
        let broken = plan.with_op(mount, Op::SetMountAttr { dest: Text::new(b"/nowhere"), flags });
        let mut pid = 0;
        let error = create_noting(&broken, &mut pid).err().expect("a failure");
        assert_eq!(error.json_path(), Some("mounts[0]"), "{error}");
        assert!(error.to_string().ends_with("no such file or directory"), "{error}");
        assert!(pid > 1, "init was started");
        // Not even a zombie is left.
        let gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
        assert_eq!(gone, Err(nix::errno::Errno::ESRCH));
    }
}

#[test]
fn a_program_that_is_missing_fails_before_created() {
    if !is_root("a_program_that_is_missing_fails_before_created") {
        return;
    }
    let rootfs = Rootfs::new("missing");
    let error = create(&container(&Users::Host, &rootfs, &["nothing"])).err().expect("a failure");
    assert_eq!(error.kind(), libcontainer::ErrorKind::Program, "{error}");
    assert_eq!(error.to_string(), "process.args[0]: exec: \"nothing\": executable file not found in $PATH");
}

#[test]
fn a_big_plan_is_sent_whole() {
    if !is_root("a_big_plan_is_sent_whole") {
        return;
    }
    let rootfs = Rootfs::new("big");
    let long = "x".repeat(100_000);
    let mut args = vec!["busybox", "sh", "-c", "echo $#", "sh"];
    args.extend(std::iter::repeat_n(long.as_str(), 10));
    let (output, _) = create(&container(&Users::Host, &rootfs, &args)).expect("created").run();
    assert_eq!(output, "10\n");
}

#[test]
fn inits_descriptors_end_at_execve() {
    if !is_root("inits_descriptors_end_at_execve") {
        return;
    }
    // An inherited descriptor without close-on-exec, as a careless caller leaves it.
    let leak = fs::File::open("/").expect("a directory");
    // SAFETY: our own descriptor.
    unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) };
    let rootfs = Rootfs::new("fds");
    let plan = container(&Users::Host, &rootfs, &["busybox", "ls", "/proc/self/fd"]);
    let (output, _) = create(&plan).expect("created").run();
    // 3 is ls's own view of the directory.
    assert_eq!(output, "0\n1\n2\n3\n");
}

#[test]
fn where_executable_memfds_are_forbidden_init_comes_from_a_detached_tmpfs() {
    let test = "where_executable_memfds_are_forbidden_init_comes_from_a_detached_tmpfs";
    if !is_root(test) {
        return;
    }
    if !Path::new("/proc/sys/vm/memfd_noexec").exists() {
        println!("skip: {test}: vm.memfd_noexec came with Linux 6.3");
        return;
    }
    // The sysctl belongs to the pid namespace: one of our own is set, and no other.
    let script = "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$0\" --ignored --exact memfd_noexec_body --nocapture";
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this program"));
    let status = command.status().expect("unshare is part of util-linux");
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "run by where_executable_memfds_are_forbidden_init_comes_from_a_detached_tmpfs"]
fn memfd_noexec_body() {
    assert_eq!(fs::read_to_string("/proc/sys/vm/memfd_noexec").expect("a value"), "2\n");
    let rootfs = Rootfs::new("noexec");
    let script = "/bin/busybox readlink /proc/self/exe";
    let plan = container(&Users::Host, &rootfs, &["busybox", "sh", "-c", script]);
    let waiting = create(&plan).expect("created");
    let program = fs::read_link(format!("/proc/{}/exe", waiting.child.pid)).expect("alive");
    assert!(!program.to_string_lossy().contains("memfd"), "{}", program.display());
    assert_eq!(waiting.run().0, "/bin/busybox\n");
}
