//! Configs put together at random: whatever compiles keeps every invariant and survives its encoding, and whatever
//! does not compile is refused with an error that names a field. Nothing panics.
//!
//! The generator is seeded with a fixed number, so a failure repeats; it prints the config.

use std::path::Path;

use libcontainer::compile::{self, Context, Options, explain, invariants};
use libcontainer::config;
use libcontainer::host::{CgroupLayout, Hierarchy, HostFacts};
use libcontainer::plan::op::Op;
use libcontainer::plan::wire::{Header, Reader};
use serde_json::{Value, json};

const CONFIGS: u32 = 4000;

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn some<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.one(of).clone()).collect()
    }
}

const PATHS: &[&str] = &[
    "/proc",
    "/dev",
    "/sys",
    "/sys/fs/cgroup",
    "/dev/shm",
    "/etc/hosts",
    "/a/../b",
    "rel/ative",
    "/",
    "",
    "/proc/sys",
    "/proc/cpuinfo",
    "/proc/../proc/self",
    "//x//y/.",
    "/dev/pts",
    "/tmp",
];
const TYPES: &[&str] =
    &["proc", "tmpfs", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "bind", "none", "", "ext4", "overlay"];
const OPTIONS: &[&str] = &[
    "bind",
    "rbind",
    "ro",
    "rw",
    "rro",
    "remount",
    "nosuid",
    "noatime",
    "rstrictatime",
    "shared",
    "rprivate",
    "sync",
    "mode=755",
    "size=1m",
    "subset=pid",
    "iversion",
    "a,b=c",
    "defaults",
    "async",
    "",
    "tmpcopyup",
];
const CAPABILITIES: &[&str] = &["CAP_KILL", "CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN", "CAP_NO", "x"];
const NAMESPACES: &[&str] = &["pid", "network", "mount", "ipc", "uts", "cgroup", "user", "time"];

fn mount(random: &mut Random) -> Value {
    let mut mount = json!({ "destination": random.one(PATHS), "options": random.some(OPTIONS, 4) });
    if random.chance(90) {
        mount["type"] = json!(random.one(TYPES));
    }
    if random.chance(80) {
        mount["source"] = json!(random.one(&["proc", "/src", "rel/src", "", "/proc", "/dev"]));
    }
    mount
}

fn hooks(random: &mut Random) -> Value {
    let mut hooks = json!({});
    for name in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        if random.chance(20) {
            let timeout = *random.one(&[1, 10, 30]);
            hooks[name] =
                json!([{ "path": "/bin/hook", "timeout": timeout }, { "path": "/bin/h", "args": ["h", "x"] }]);
        }
    }
    hooks
}

fn namespaces(random: &mut Random) -> Vec<Value> {
    let mut list = Vec::new();
    for kind in NAMESPACES {
        let percent = if matches!(*kind, "user" | "time") { 3 } else { 80 };
        if random.chance(percent) {
            list.push(match random.below(4) {
                0 => json!({ "type": kind, "path": format!("/proc/1/ns/{kind}") }),
                1 => json!({ "type": kind, "path": "" }),
                _ => json!({ "type": kind }),
            });
        }
    }
    list
}

fn config(random: &mut Random) -> Value {
    let sets: Vec<Vec<&str>> = (0..5).map(|_| random.some(CAPABILITIES, 4)).collect();
    let mut config = json!({
        "ociVersion": "1.3.0",
        "process": {
            "args": ["sh"], "cwd": random.one(&["/", "/x/../y", "/z/"]),
            "env": random.some(&["A=1", "HOME=", "HOME=/r", "PATH=/bin", "A=2"], 5),
            "user": { "uid": random.below(3), "gid": random.below(3), "additionalGids": random.some(&[1, 2], 3) },
            "noNewPrivileges": random.chance(50),
            "capabilities": { "bounding": sets[0], "effective": sets[1], "permitted": sets[2],
                "inheritable": sets[3], "ambient": sets[4] }
        },
        "root": { "path": random.one(&["rootfs", "/abs"]), "readonly": random.chance(50) },
        "mounts": (0..random.below(8)).map(|_| mount(random)).collect::<Vec<_>>(),
        "hooks": hooks(random),
        "linux": {
            "namespaces": namespaces(random),
            "maskedPaths": random.some(&["/proc/kcore", "/sys/firmware", "/a/../c"], 3),
            "readonlyPaths": random.some(&["/proc/sys", "/proc/bus"], 2),
            "devices": random.some(&[
                json!({ "path": "/dev/null", "type": "c", "major": 1, "minor": 3 }),
                json!({ "path": "/dev/../x", "type": "p" }),
                json!({ "path": "/dev/ptmx", "type": "u", "major": 5, "minor": 2 }),
                json!({ "path": "/dev/d", "type": "b", "major": 8, "minor": 0, "fileMode": 8576, "uid": 7 }),
            ], 3),
        }
    });
    if random.chance(40) {
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "8192" });
    }
    if random.chance(40) {
        config["hostname"] = json!("box");
    }
    if random.chance(50) {
        let names = ["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable", "odd"];
        config["linux"]["rootfsPropagation"] = json!(random.one(&names));
    }
    if random.chance(30) {
        config["linux"]["cgroupsPath"] = json!(random.one(&["/a/b", "rel", "../up", "a:b:c", "/"]));
    }
    config
}

fn hosts() -> [HostFacts; 3] {
    let hierarchy = |controllers: &str| Hierarchy {
        controllers: controllers.to_owned(),
        mountpoint: format!("/sys/fs/cgroup/{controllers}"),
        root: "/".to_owned(),
        own: "/user".to_owned(),
    };
    let legacy = CgroupLayout::Legacy {
        hierarchies: vec![hierarchy("cpu,cpuacct"), hierarchy("devices")],
        unified: Some(hierarchy("")),
    };
    [CgroupLayout::Unified(hierarchy("")), legacy, CgroupLayout::None].map(|cgroups| HostFacts {
        euid: 0,
        bounding: !(1 << 24),
        known_capabilities: u64::MAX,
        cgroups,
        cgroup_namespaces: true,
    })
}

#[test]
fn every_config_compiles_to_a_sound_plan_or_is_refused_by_name() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let hosts = hosts();
    let (mut compiled_count, mut refused) = (0, 0);
    for _ in 0..CONFIGS {
        let text = config(&mut random).to_string();
        let config = config::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let options = Options { preserve_fds: 2, parent_death: random.chance(50).then_some(9), no_pivot: false };
        let facts = random.one(&hosts);
        match compile::create(&config, &Context { bundle: Path::new("/bundle"), id: "x", facts, options }) {
            Ok(compiled) => {
                compiled_count += 1;
                invariants::check(&compiled.plan).unwrap_or_else(|broken| panic!("{broken}: {text}"));
                assert!(explain::text(&compiled.plan).lines().count() >= compiled.plan.len());
                read_back(&compiled.plan.encode(0), compiled.plan.len());
            }
            Err(error) => {
                refused += 1;
                assert!(error.json_path().is_some_and(|path| !path.is_empty()), "{error}: {text}");
            }
        }
    }
    // The generator must not drown in configs of one sort.
    assert!(compiled_count > CONFIGS / 10 && refused > CONFIGS / 10, "{compiled_count} compiled, {refused} refused");
}

/// Reads the blob as init does: op after op, to its very end.
fn read_back(blob: &[u8], count: usize) {
    let header = Header::decode(blob).expect("a header");
    assert_eq!(header.ops as usize, count);
    let mut reader = Reader::new(&blob[Header::SIZE..]);
    for index in 0..count {
        assert!(Op::decode(&mut reader).is_some(), "op {index}");
    }
    assert!(reader.is_empty());
}
