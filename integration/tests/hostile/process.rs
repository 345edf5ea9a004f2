//! What the container's processes can reach: the runtime's program, descriptors, capabilities, other namespaces.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use integration::{Bundle, Sandbox, on_both_layouts, on_host_layout};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::{Value, json};

use crate::{add_mount, decoy, give, relink, run_harmless, with_usual_rights};

on_host_layout! {
    the_runtime_is_not_the_program,
    descriptors_of_the_caller_do_not_get_in,
    cwd_and_program_are_no_descriptors,
    an_init_that_waits_cannot_be_looked_into,
    inits_program_cannot_be_written,
    capabilities_of_the_caller_do_not_get_in,
    a_sysctl_names_one_parameter_of_a_namespace,
    nothing_listens_on_an_abstract_socket,
}

on_both_layouts! {
    a_cgroup_path_does_not_leave_its_place,
}

const SOON: Duration = Duration::from_secs(20);

fn program(bundle: &Bundle, name: &str, content: &[u8]) {
    let path = bundle.rootfs().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// An ELF file that asks for `interpreter`, and has nothing else in it.
fn elf_with_interpreter(interpreter: &str) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [3u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    // e_entry, e_phoff, e_shoff; e_flags; e_ehsize, e_phentsize, e_phnum, three of sections.
    for long in [0u64, 64, 0] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let text = format!("{interpreter}\0");
    let at = 64 + 2 * 56;
    // p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align: PT_INTERP, then one PT_LOAD of it all.
    let whole = at + text.len() as u64;
    for (kind, offset, size, align) in [(3u32, at, text.len() as u64, 1), (1, 0, whole, 4096)] {
        file.extend(kind.to_le_bytes());
        file.extend(5u32.to_le_bytes());
        for long in [offset, offset, offset, size, size, align] {
            file.extend(long.to_le_bytes());
        }
    }
    file.extend(text.as_bytes());
    file
}

/// What tells one state of a file from another, its content included.
fn identity(path: &Path) -> (u64, i64, i64, u32, Vec<u8>) {
    let meta = fs::metadata(path).unwrap();
    (meta.ino(), meta.mtime_nsec(), meta.ctime_nsec(), meta.mode(), fs::read(path).unwrap())
}

/// CVE-2019-5736. What /proc/self/exe is at the time of execve is init, and init is a sealed copy in memory.
fn the_runtime_is_not_the_program(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let before = identity(&integration::gantry());
    let bundle = sandbox.bundle().edit(with_usual_rights);
    relink(&bundle, "bin/link", "/proc/self/exe");
    program(&bundle, "bin/script", b"#!/proc/self/exe\n");
    program(&bundle, "bin/elf", &elf_with_interpreter("/proc/self/exe"));
    // Refused by name, and nothing of it has been run.
    for name in ["/proc/self/exe", "/proc/1/exe", "/proc/thread-self/exe", "/bin/link", "link"] {
        let bundle = sandbox.bundle().args(&[name, "3"]).edit(with_usual_rights);
        relink(&bundle, "bin/link", "/proc/self/exe");
        run_harmless(sandbox, &bundle, &decoy).fails(1, "process.args[0]");
    }
    // init runs again, as the container's own program and with its rights only: it finds no plan, and ends.
    for name in ["script", "elf"] {
        for argument in ["0", "1", "3", "x"] {
            let bundle = bundle.clone().args(&[name, argument]);
            let out = run_harmless(sandbox, &bundle, &decoy);
            assert!(out.code() != Some(0) && out.stdout.is_empty(), "{name}: {out:?}");
        }
    }
    assert!(before == identity(&integration::gantry()), "the runtime's own file has changed");
}

/// `count` descriptors of `dir` that every child inherits.
fn leak(dir: &Path, count: usize) -> Vec<fs::File> {
    let open = |_| {
        let file = fs::File::open(dir).unwrap();
        fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        file
    };
    (0..count).map(open).collect()
}

fn descriptors_of_the_caller_do_not_get_in(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let log = sandbox.dir().join("log");
    fs::create_dir(&log).unwrap();
    let list = |file: &str| format!("ls -l /proc/self/fd > {file}");
    let hook = |file: PathBuf| json!([{ "path": "/bin/sh", "args": ["sh", "-c", list(file.to_str().unwrap())], "env": ["PATH=/usr/bin:/bin"] }]);
    let bundle = sandbox.bundle().script("ls -l /proc/self/fd; ls -l /proc/1/fd").edit(|config| {
        add_mount(config, "/log", Some(&log));
        for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
            config["hooks"][kind] = hook(log.join(kind));
        }
        config["hooks"]["startContainer"] = hook("/log/startContainer".into());
    });
    let leaked = leak(&decoy, 40);
    let out = run_harmless(sandbox, &bundle, &decoy).ok();
    drop(leaked);
    let mut lists = vec![("the container".to_owned(), out.stdout)];
    for entry in fs::read_dir(&log).unwrap().flatten() {
        lists.push((entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()));
    }
    assert_eq!(lists.len(), 7);
    for (what, list) in lists {
        assert!(list.contains("->") && !list.contains("decoy") && !list.contains("state"), "{what}: {list}");
    }
}

/// CVE-2024-21626.
fn cwd_and_program_are_no_descriptors(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    fs::copy("/bin/busybox", decoy.join("sh")).unwrap();
    let leaked = leak(&decoy, 30);
    let base = sandbox.bundle();
    relink(&base, "cwd", "/proc/self/fd/7");
    let fds = (3..=32).map(|n| format!("/proc/self/fd/{n}")).chain(["/cwd".into(), "/proc/self/cwd".into()]);
    for fd in fds {
        // A shell as the program shows what it would have reached.
        let by_cwd = base.clone().args(&["/bin/sh", "-c", "cat file ../file"]);
        let by_cwd = by_cwd.edit(|config| config["process"]["cwd"] = json!(fd));
        run_harmless(sandbox, &by_cwd, &decoy).fails(1, "process.cwd: ");
        for program in [format!("{fd}/sh"), format!("{fd}/../decoy/sh"), fd.clone()] {
            let by_name = base.clone().args(&[&program, "-c", "echo reached"]);
            let by_name = by_name.edit(|config| config["process"]["cwd"] = json!("/"));
            run_harmless(sandbox, &by_name, &decoy).fails(1, "process.args[0]");
        }
        let by_path = base.clone().args(&["sh", "-c", "echo reached"]).edit(|config| {
            config["process"]["cwd"] = json!("/");
            config["process"]["env"] = json!([format!("PATH={fd}")]);
        });
        run_harmless(sandbox, &by_path, &decoy).fails(1, "process.args[0]");
    }
    drop(leaked);
}

/// Two containers in one pid namespace: the first one's root, and the second one, which is being created.
struct Peers<'a> {
    sandbox: &'a Sandbox,
    shared: PathBuf,
    second: Bundle,
}

impl<'a> Peers<'a> {
    /// Starts a first container with `script`, which finds the shared directory at /shared.
    fn start(sandbox: &'a Sandbox, script: &str, rights: impl Fn(&mut Value)) -> Peers<'a> {
        let shared = sandbox.dir().join("shared");
        fs::create_dir(&shared).unwrap();
        let first = sandbox.bundle().script(script).edit(|config| {
            add_mount(config, "/shared", Some(&shared));
            rights(config);
        });
        let id = sandbox.id("first");
        sandbox.gantry(["run", "--detach", "--bundle"]).arg(first.dir()).arg(&id).run().ok();
        let pid = sandbox.gantry(["state", &id]).run().json()["pid"].clone();
        let second = sandbox.bundle().script("sleep 100").edit(|config| {
            rights(config);
            config["linux"]["cgroupsPath"] = json!(sandbox.cgroups_path("second"));
            for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
                if namespace["type"] == "pid" {
                    namespace["path"] = json!(format!("/proc/{pid}/ns/pid"));
                }
            }
        });
        Peers { sandbox, shared, second }
    }

    /// Asks the first container to do what comes next in its script.
    #[track_caller]
    fn turn(&self, name: &str) -> String {
        fs::write(self.shared.join(format!("{name}.go")), "").unwrap();
        let (done, deadline) = (self.shared.join(format!("{name}.done")), Instant::now() + SOON);
        while !done.exists() {
            assert!(Instant::now() < deadline, "{name}: no answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::read_to_string(self.shared.join(name)).unwrap()
    }

    fn create(&self) {
        self.sandbox.gantry(["create", "--bundle"]).arg(self.second.dir()).arg(self.sandbox.id("second")).run().ok();
    }

    fn end(self) {
        for name in ["second", "first"] {
            self.sandbox.gantry(["delete", "--force", &self.sandbox.id(name)]).run().ok();
            // The first one's init waits for the end of all others in its namespace; this process is their reaper.
            integration::processes::reap_orphans();
        }
    }
}

/// The shell's side of [`Peers::turn`]; `$init` is the process that waits for its start.
const TURNS: &str = "turn() { while [ ! -e /shared/$1.go ]; do usleep 2000; done; $1 > /shared/$1 2>/shared/$1.err; \
    touch /shared/$1.done; }; \
    find() { for p in /proc/[0-9]*; do case $(cat $p/comm) in gantry-init) init=$p;; esac; done; };";

/// CVE-2016-9962. The peer has the very capabilities that init has come down to by then.
fn an_init_that_waits_cannot_be_looked_into(sandbox: &Sandbox) {
    let script = format!(
        "{TURNS} look() {{ find; echo found $init; \
         for f in $init/exe $init/cwd $init/root $init/fd/*; do readlink $f; (exec 3<$f) && echo opened $f; done; \
         cat $init/environ $init/maps $init/auxv; (exec 3<>$init/mem) && echo mem; }}; turn look; sleep 100"
    );
    let peers = Peers::start(sandbox, &script, with_usual_rights);
    peers.create();
    let seen = peers.turn("look");
    assert!(seen.starts_with("found /proc/"), "{seen}");
    assert_eq!(seen.lines().count(), 1, "{seen}");
    peers.end();
}

/// CVE-2019-5736, with every right there is: the descriptor outlives init, and is opened for writing then.
fn inits_program_cannot_be_written(sandbox: &Sandbox) {
    let before = identity(&integration::gantry());
    let script = format!(
        "{TURNS} take() {{ find; echo found; exec 9<$init/exe; }}; \
         write() {{ echo evil | dd of=/proc/self/fd/9 conv=notrunc && echo written; \
         echo evil > /proc/self/fd/9 && echo truncated; readlink /proc/self/fd/9; }}; turn take; turn write; sleep 100"
    );
    let rights = |config: &mut Value| {
        let all = nix_capabilities();
        give(config, &all);
        config["root"]["readonly"] = json!(false);
    };
    let peers = Peers::start(sandbox, &script, rights);
    peers.create();
    assert_eq!(peers.turn("take"), "found\n");
    sandbox.gantry(["start", &sandbox.id("second")]).run().ok();
    let seen = peers.turn("write");
    assert!(seen.contains("memfd:gantry-init") && seen.lines().count() == 1, "{seen}");
    peers.end();
    assert!(before == identity(&integration::gantry()), "the runtime's own file has changed");
}

/// All capabilities by name, but what this machine's bounding set may lack.
fn nix_capabilities() -> Vec<String> {
    ["SYS_PTRACE", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "CHOWN", "SYS_ADMIN", "KILL", "SETUID", "SETGID"]
        .map(|name| format!("CAP_{name}"))
        .to_vec()
}

/// CVE-2016-8867, CVE-2022-24769: a caller with inheritable and ambient capabilities hands none of them on.
fn capabilities_of_the_caller_do_not_get_in(sandbox: &Sandbox) {
    // KILL (5), NET_BIND_SERVICE (10), AUDIT_WRITE (29) are what the config asks for.
    let asked = "0000000020000420";
    for (uid, permitted) in [(0, asked), (1000, "0000000000000000")] {
        let bundle = sandbox.bundle().args(&["grep", "Cap", "/proc/self/status"]);
        let bundle = bundle.edit(|config| config["process"]["user"] = json!({ "uid": uid, "gid": uid }));
        let raised = "+chown,+kill,+sys_admin,+dac_override";
        let caller = sandbox.program("setpriv").args(["--inh-caps", raised, "--ambient-caps", raised]);
        let caller = caller.arg(integration::gantry()).arg("--root").arg(sandbox.root());
        let out = caller.args(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run().ok();
        let line = |name: &str| {
            let line = out.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().last().unwrap_or_default().to_owned()
        };
        let none = "0000000000000000";
        assert_eq!((line("CapInh"), line("CapAmb")), (none.into(), none.into()), "uid {uid}");
        assert_eq!(
            (line("CapBnd"), line("CapPrm"), line("CapEff")),
            (asked.into(), permitted.into(), permitted.into())
        );
    }
}

/// CVE-2022-0811. The value is what the host has there, so that this test does no harm where it fails.
fn a_sysctl_names_one_parameter_of_a_namespace(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let value = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for key in [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.shm_rmid_forced+kernel.core_pattern",
        "kernel.shm_rmid_forced=1 kernel.core_pattern",
        "net.ipv4/../../kernel/core_pattern",
        "net/../kernel/core_pattern",
        "net/./../kernel/core_pattern",
        "net.//.kernel.core_pattern",
        "net/ipv4//../kernel/core_pattern",
        "fs.mqueue./../../kernel/core_pattern",
        "net....kernel.core_pattern",
        "net.ipv4.ip_forward\nkernel.core_pattern",
        "/proc/sys/kernel/core_pattern",
        "../sys/kernel/core_pattern",
        "net",
        "",
    ] {
        let bundle = sandbox.bundle().edit(|config| config["linux"]["sysctl"] = json!({ key: value.trim_end() }));
        run_harmless(sandbox, &bundle, &decoy).fails(1, "linux.sysctl");
    }
    // The image's own /proc/sys is not where it is written; a second line in a value is no second parameter.
    let bundle = sandbox.bundle().script("cat /proc/sys/kernel/shmmni /proc/sys/kernel/domainname");
    let bundle = bundle.edit(|config| config["linux"]["sysctl"] = json!({ "kernel.shmmni": "77\nkernel.x=y" }));
    let out = run_harmless(sandbox, &bundle, &decoy);
    assert!(out.code() == Some(1) || out.stdout.starts_with("77\n"), "{out:?}");
}

/// R11. Container root in the host's network namespace could connect to it: CVE-2020-15257.
fn nothing_listens_on_an_abstract_socket(sandbox: &Sandbox) {
    let unix = "grep -h @ /proc/net/unix";
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("{unix} >&2; true")], "env": ["PATH=/usr/bin:/bin"] }]);
    let script = format!("{unix}; echo looked");
    let bundle = sandbox.bundle().script(&script).edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
        for kind in ["createRuntime", "createContainer"] {
            let mut hook = hook.clone();
            let log = sandbox.dir().join("unix");
            hook[0]["args"][2] = json!(format!("{unix} >> {}; true", log.display()));
            config["hooks"][kind] = hook;
        }
    });
    // A network namespace that nobody else is in, and that the container shares.
    let run = sandbox.program("unshare").arg("--net").arg(integration::gantry()).arg("--root").arg(sandbox.root());
    let out = run.args(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run().ok();
    assert_eq!(out.stdout, "looked\n");
    assert_eq!(fs::read_to_string(sandbox.dir().join("unix")).unwrap(), "");
}

fn a_cgroup_path_does_not_leave_its_place(sandbox: &Sandbox) {
    let (bundle, before) = (sandbox.bundle(), sandbox.snapshot());
    let inside = sandbox.cgroups_path("a");
    let mut bundle = bundle;
    for path in [
        format!("{inside}/../../../escaped-{}", sandbox.token()),
        format!("/../escaped-{}", sandbox.token()),
        format!("../escaped-{}", sandbox.token()),
        format!("{inside}/.."),
        "..".to_owned(),
        "/".to_owned(),
        format!("{inside}\n0::/"),
        format!("{inside}\u{0}x"),
    ] {
        bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(path));
        let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run();
        out.fails(1, "linux.cgroupsPath");
        before.assert_same();
    }
}
