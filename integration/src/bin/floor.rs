//! The floor: what the kernel alone costs for one container, to hold runtimes against.
//!
//! It makes the container of `integration/src/config.json` with the system calls that this needs and nothing around
//! them: the same cgroups and device rules, namespaces, mounts, devices, masked and read-only paths, capabilities,
//! limits, and the same program. Everything that a runtime is for is left out: no JSON, no look at the host, no state
//! but a pid, no locks, no check of what lies in the root file system (paths are followed as they come: it is as safe
//! as a shell script), no hooks, no error but "it failed", no report of a failed execve. On cgroup v2 its device filter
//! has two instructions and lets everything through.
//!
//! ```text
//! floor run     v1|v2 DIR ROOTFS CGROUP...    create, start, wait, delete
//! floor create  v1|v2 DIR ROOTFS CGROUP...    writes DIR/pid; the program waits for DIR/go
//! floor start|state|kill DIR
//! floor delete  DIR CGROUP...
//! floor peak    FILE PROGRAM...               runs PROGRAM, writes its peak memory in KiB to FILE
//! ```
//!
//! DIR and all but the last part of each CGROUP are there already. The program is /bin/true in `run`; in `create` it
//! is what the environment variable `FLOOR_SLEEP` makes it: `sleep` for a minute, or /bin/true.
//!
//! It has no Rust runtime (`no_main`), so that its start costs what a C program's does.

#![no_main]

use std::ffi::{CStr, CString, c_char, c_int, c_long};

use libc::{
    MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SLAVE,
    MS_STRICTATIME,
};

const MASKED: [(&CStr, bool); 10] = [
    (c"/proc/acpi", true),
    (c"/proc/asound", true),
    (c"/proc/kcore", false),
    (c"/proc/keys", false),
    (c"/proc/latency_stats", false),
    (c"/proc/timer_list", false),
    (c"/proc/timer_stats", false),
    (c"/proc/sched_debug", false),
    (c"/sys/firmware", true),
    (c"/proc/scsi", true),
];
const READONLY: [&CStr; 5] = [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"];
const DEVICES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"/proc/kcore", c"dev/core"),
    (c"pts/ptmx", c"dev/ptmx"),
];
/// The v1 rules that every runtime adds to "nothing is allowed": making nodes, and the default devices.
const DEVICE_RULES: [&[u8]; 10] = [
    b"c *:* m",
    b"b *:* m",
    b"c 1:3 rwm",
    b"c 1:5 rwm",
    b"c 1:7 rwm",
    b"c 1:8 rwm",
    b"c 1:9 rwm",
    b"c 5:0 rwm",
    b"c 5:2 rwm",
    b"c 136:* rwm",
];
/// CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE.
const CAPABILITIES: u64 = 1 << 29 | 1 << 5 | 1 << 10;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// One system call; ends the program with `what` if it fails and `what` is not empty.
fn sys(what: &str, number: c_long, a: [usize; 5]) -> isize {
    // SAFETY: every pointer among the arguments is to a live, NUL-terminated or sized buffer of the caller's.
    let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], 0) } as isize;
    if result < 0 && !what.is_empty() {
        let error = std::io::Error::last_os_error();
        let line = format!("floor: {what}: {error}\n");
        write(2, line.as_bytes());
        exit(1);
    }
    result
}

fn p(text: &CStr) -> usize {
    text.as_ptr() as usize
}

fn exit(status: usize) -> ! {
    loop {
        sys("", libc::SYS_exit_group, [status, 0, 0, 0, 0]);
    }
}

fn open(path: &CStr, flags: c_int) -> usize {
    let what = path.to_str().unwrap_or("open");
    sys(what, libc::SYS_openat, [libc::AT_FDCWD as usize, p(path), (flags | libc::O_CLOEXEC) as usize, 0o600, 0])
        as usize
}

fn close(fd: usize) {
    sys("close", libc::SYS_close, [fd, 0, 0, 0, 0]);
}

fn write(fd: usize, bytes: &[u8]) -> isize {
    sys("", libc::SYS_write, [fd, bytes.as_ptr() as usize, bytes.len(), 0, 0])
}

fn read(fd: usize, bytes: &mut [u8]) -> usize {
    sys("read", libc::SYS_read, [fd, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0]) as usize
}

fn write_file(path: &CStr, bytes: &[u8]) {
    let fd = open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
    if write(fd, bytes) < 0 {
        sys("write", libc::SYS_write, [fd, bytes.as_ptr() as usize, bytes.len(), 0, 0]);
    }
    close(fd);
}

fn read_file<'a>(path: &CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    let fd = open(path, libc::O_RDONLY);
    let length = read(fd, buffer);
    close(fd);
    &buffer[..length]
}

fn mkdir(path: &CStr) {
    sys("mkdir", libc::SYS_mkdir, [p(path), 0o755, 0, 0, 0]);
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: u64, data: &CStr) {
    let what = target.to_str().unwrap_or("mount");
    sys(what, libc::SYS_mount, [p(source), p(target), p(kind), flags as usize, p(data)]);
}

fn below(dir: &CStr, name: &str) -> CString {
    CString::new([dir.to_bytes(), b"/", name.as_bytes()].concat()).unwrap_or_default()
}

/// A cgroup in each hierarchy; what its kind needs before a process may enter, and the device rules.
fn make_cgroups(unified: bool, cgroups: &[&CStr]) {
    for cgroup in cgroups {
        mkdir(cgroup);
        let text = cgroup.to_str().unwrap_or_default();
        if text.contains("/cpuset/") {
            let (parent, _) = text.rsplit_once('/').unwrap_or_default();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let mut buffer = [0; 256];
                let above = CString::new(format!("{parent}/{file}")).unwrap_or_default();
                write_file(&below(cgroup, file), read_file(&above, &mut buffer));
            }
        } else if text.contains("/devices/") {
            write_file(&below(cgroup, "devices.deny"), b"a");
            let fd = open(&below(cgroup, "devices.allow"), libc::O_WRONLY);
            DEVICE_RULES.iter().for_each(|rule| {
                write(fd, rule);
            });
            close(fd);
        } else if unified {
            attach_filter(cgroup);
        }
    }
}

/// The smallest device filter, as bpf(2) has it: r0 = 1, exit.
fn attach_filter(cgroup: &CStr) {
    let program: [u64; 2] = [0x1_0000_00b7, 0x95];
    let license = c"GPL";
    // union bpf_attr: type CGROUP_DEVICE, instruction count, instructions, licence, then zeros.
    let load: [u64; 16] =
        [15 | 2 << 32, program.as_ptr() as u64, p(license) as u64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let filter = sys("BPF_PROG_LOAD", libc::SYS_bpf, [5, load.as_ptr() as usize, 128, 0, 0]) as usize;
    let dir = open(cgroup, libc::O_DIRECTORY);
    // target, program; type CGROUP_DEVICE, flag ALLOW_MULTI.
    let attach: [u64; 2] = [dir as u64 | (filter as u64) << 32, 6 | 2 << 32];
    sys("BPF_PROG_ATTACH", libc::SYS_bpf, [8, attach.as_ptr() as usize, 16, 0, 0]);
    close(dir);
    close(filter);
}

fn remove_cgroups(cgroups: &[&CStr]) {
    for cgroup in cgroups {
        sys("rmdir", libc::SYS_rmdir, [p(cgroup), 0, 0, 0, 0]);
    }
}

/// A fork in new namespaces, on v2 into the cgroup. Returns 0 in the child.
fn clone(unified: bool, cgroups: &[&CStr]) -> isize {
    let namespaces =
        libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNS;
    let (mut flags, mut dir) = (namespaces as u64, 0);
    if unified {
        flags |= CLONE_INTO_CGROUP;
        dir = open(cgroups[0], libc::O_DIRECTORY);
    }
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, size, cgroup.
    let args: [u64; 11] = [flags, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, 0, 0, dir as u64];
    let pid = sys("clone3", libc::SYS_clone3, [args.as_ptr() as usize, 88, 0, 0, 0]);
    if unified && pid != 0 {
        close(dir);
    }
    pid
}

/// The child from the clone to its execve.
fn become_container(unified: bool, rootfs: &CStr, cgroups: &[&CStr], wait: impl FnOnce(), program: &[&CStr]) -> ! {
    if !unified {
        for cgroup in cgroups {
            let fd = open(&below(cgroup, "tasks"), libc::O_WRONLY);
            sys("write tasks", libc::SYS_write, [fd, p(c"0"), 1, 0, 0]);
            close(fd);
        }
    }
    sys("unshare", libc::SYS_unshare, [libc::CLONE_NEWCGROUP as usize, 0, 0, 0, 0]);
    sys("setsid", libc::SYS_setsid, [0; 5]);
    mount(c"", c"/", c"", MS_REC | MS_SLAVE, c"");
    mount(rootfs, rootfs, c"", MS_BIND | MS_REC, c"");
    mount(c"", rootfs, c"", MS_PRIVATE, c"");
    sys("chdir", libc::SYS_chdir, [p(rootfs), 0, 0, 0, 0]);
    make_mounts(unified, cgroups);
    sys("pivot_root", libc::SYS_pivot_root, [p(c"."), p(c"."), 0, 0, 0]);
    sys("umount2", libc::SYS_umount2, [p(c"."), libc::MNT_DETACH as usize, 0, 0, 0]);
    mount(c"", c"/", c"", MS_REMOUNT | MS_BIND | MS_RDONLY, c"");
    sys("sethostname", libc::SYS_sethostname, [p(c"box"), 3, 0, 0, 0]);
    hide_paths();
    drop_privileges();
    wait();
    execute(program);
}

fn make_mounts(unified: bool, cgroups: &[&CStr]) {
    let quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount(c"proc", c"proc", c"proc", 0, c"");
    mount(c"tmpfs", c"dev", c"tmpfs", MS_NOSUID | MS_STRICTATIME, c"mode=755,size=65536k");
    mkdir(c"dev/pts");
    let options = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount(c"devpts", c"dev/pts", c"devpts", MS_NOSUID | MS_NOEXEC, options);
    mkdir(c"dev/shm");
    mount(c"shm", c"dev/shm", c"tmpfs", quiet, c"mode=1777,size=65536k");
    mkdir(c"dev/mqueue");
    mount(c"mqueue", c"dev/mqueue", c"mqueue", quiet, c"");
    mount(c"sysfs", c"sys", c"sysfs", quiet | MS_RDONLY, c"");
    let quiet = quiet | MS_RELATIME;
    if unified {
        mount(c"cgroup2", c"sys/fs/cgroup", c"cgroup2", quiet | MS_RDONLY, c"");
    } else {
        mount(c"tmpfs", c"sys/fs/cgroup", c"tmpfs", quiet, c"mode=755");
        for cgroup in cgroups {
            // /sys/fs/cgroup/CONTROLLERS/…
            let name = cgroup.to_str().ok().and_then(|path| path.split('/').nth(4)).unwrap_or_default();
            let target = CString::new(format!("sys/fs/cgroup/{name}")).unwrap_or_default();
            let data = if name == "systemd" { "name=systemd" } else { name };
            mkdir(&target);
            mount(c"cgroup", &target, c"cgroup", quiet | MS_RDONLY, &CString::new(data).unwrap_or_default());
        }
        mount(c"", c"sys/fs/cgroup", c"", quiet | MS_REMOUNT | MS_BIND | MS_RDONLY, c"");
    }
    sys("umask", libc::SYS_umask, [0; 5]);
    for (path, major, minor) in DEVICES {
        let mode = (libc::S_IFCHR | 0o666) as usize;
        sys("mknod", libc::SYS_mknod, [p(path), mode, libc::makedev(major, minor) as usize, 0, 0]);
    }
    for (target, path) in LINKS {
        sys("symlink", libc::SYS_symlink, [p(target), p(path), 0, 0, 0]);
    }
    sys("umask", libc::SYS_umask, [0o22, 0, 0, 0, 0]);
}

fn hide_paths() {
    for path in READONLY {
        if sys("", libc::SYS_mount, [p(path), p(path), p(c""), (MS_BIND | MS_REC) as usize, 0]) == 0 {
            mount(c"", path, c"", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_REMOUNT | MS_BIND | MS_RDONLY, c"");
        }
    }
    for (path, directory) in MASKED {
        if directory {
            sys("", libc::SYS_mount, [p(c"tmpfs"), p(path), p(c"tmpfs"), MS_RDONLY as usize, 0]);
        } else {
            sys("", libc::SYS_mount, [p(c"/dev/null"), p(path), p(c""), MS_BIND as usize, 0]);
        }
    }
}

fn drop_privileges() {
    let limit: [u64; 2] = [1024, 1024];
    sys("prlimit", libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, limit.as_ptr() as usize, 0, 0]);
    for capability in (0..=40).filter(|n| CAPABILITIES & (1 << n) == 0) {
        sys("PR_CAPBSET_DROP", libc::SYS_prctl, [libc::PR_CAPBSET_DROP as usize, capability, 0, 0, 0]);
    }
    sys("setgroups", libc::SYS_setgroups, [0, 0, 0, 0, 0]);
    sys("setresgid", libc::SYS_setresgid, [0; 5]);
    sys("setresuid", libc::SYS_setresuid, [0; 5]);
    let header: [u32; 2] = [0x2008_0522, 0];
    let caps = CAPABILITIES as u32;
    let data: [u32; 6] = [caps, caps, 0, 0, 0, 0];
    sys("capset", libc::SYS_capset, [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0]);
    sys("PR_SET_NO_NEW_PRIVS", libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]);
}

fn execute(program: &[&CStr]) -> ! {
    let mut argv: Vec<*const c_char> = program.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let env = [
        c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".as_ptr(),
        c"TERM=xterm".as_ptr(),
        std::ptr::null(),
    ];
    sys("execve", libc::SYS_execve, [p(program[0]), argv.as_ptr() as usize, env.as_ptr() as usize, 0, 0]);
    exit(1)
}

/// Waits for a child; with a `usage` the kernel writes the child's struct rusage there.
fn wait(pid: isize, usage: Option<&mut [u64; 18]>) -> usize {
    let mut status: c_int = 0;
    let usage = usage.map_or(0, |usage| usage.as_mut_ptr() as usize);
    sys("wait4", libc::SYS_wait4, [pid as usize, &raw mut status as usize, 0, usage, 0]);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) as usize } else { 128 + libc::WTERMSIG(status) as usize }
}

fn run(unified: bool, rootfs: &CStr, cgroups: &[&CStr]) -> usize {
    make_cgroups(unified, cgroups);
    let pid = clone(unified, cgroups);
    if pid == 0 {
        become_container(unified, rootfs, cgroups, || {}, &[c"/bin/true"]);
    }
    let status = wait(pid, None);
    remove_cgroups(cgroups);
    status
}

fn create(unified: bool, dir: &CStr, rootfs: &CStr, cgroups: &[&CStr]) {
    let sleep = std::env::var_os("FLOOR_SLEEP").is_some();
    let program: &[&CStr] = if sleep { &[c"/bin/sleep", c"60"] } else { &[c"/bin/true"] };
    make_cgroups(unified, cgroups);
    let fifo = below(dir, "go");
    sys("mknod", libc::SYS_mknod, [p(&fifo), (libc::S_IFIFO | 0o600) as usize, 0, 0, 0]);
    let go = open(&fifo, libc::O_RDWR);
    let mut created: [c_int; 2] = [0; 2];
    sys("pipe2", libc::SYS_pipe2, [created.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, 0, 0, 0]);
    let pid = clone(unified, cgroups);
    if pid == 0 {
        let wait = || {
            write(created[1] as usize, b"c");
            read(go, &mut [0]);
        };
        become_container(unified, rootfs, cgroups, wait, program);
    }
    close(created[1] as usize);
    if read(created[0] as usize, &mut [0]) != 1 {
        exit(1);
    }
    write_file(&below(dir, "pid"), pid.to_string().as_bytes());
}

fn pid(dir: &CStr) -> usize {
    let mut buffer = [0; 16];
    let text = read_file(&below(dir, "pid"), &mut buffer);
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn state(dir: &CStr) {
    let pid = pid(dir);
    let mut buffer = [0; 512];
    let path = CString::new(format!("/proc/{pid}/stat")).unwrap_or_default();
    let alive = !read_file(&path, &mut buffer).is_empty();
    write(1, format!("{{\"pid\": {pid}, \"status\": \"{}\"}}\n", if alive { "running" } else { "stopped" }).as_bytes());
}

fn delete(dir: &CStr, cgroups: &[&CStr]) {
    remove_cgroups(cgroups);
    for name in ["go", "pid"] {
        sys("unlink", libc::SYS_unlink, [p(&below(dir, name)), 0, 0, 0, 0]);
    }
}

/// ru_maxrss counts what a process was before its execve, too, so a big parent would show in each child. This one is small.
fn peak(file: &CStr, program: &[&CStr]) -> usize {
    // SAFETY: the child only executes.
    let child = unsafe { libc::fork() };
    if child == 0 {
        execute(program);
    }
    let mut usage = [0; 18];
    let status = wait(child as isize, Some(&mut usage));
    // After two struct timeval.
    write_file(file, usage[4].to_string().as_bytes());
    status
}

/// The entry point that C has.
///
/// # Safety
/// For the C runtime, which hands over what execve(2) has laid down.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: argv holds argc texts.
    let args: Vec<&CStr> = (1..argc as usize).map(|i| unsafe { CStr::from_ptr(*argv.add(i)) }).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["run", layout, _, _, ..] => return run(*layout == "v2", args[3], &args[4..]) as c_int,
        ["create", layout, _, _, ..] => create(*layout == "v2", args[2], args[3], &args[4..]),
        ["start", _] => {
            let fd = open(&below(args[1], "go"), libc::O_WRONLY | libc::O_NONBLOCK);
            write(fd, b"g");
        }
        ["state", _] => state(args[1]),
        ["kill", _] => {
            sys("kill", libc::SYS_kill, [pid(args[1]), libc::SIGCONT as usize, 0, 0, 0]);
        }
        ["delete", _, ..] => delete(args[1], &args[2..]),
        ["peak", _, _, ..] => return peak(args[1], &args[2..]) as c_int,
        _ => {
            write(2, b"floor: see its source for what it takes\n");
            return 1;
        }
    }
    0
}
