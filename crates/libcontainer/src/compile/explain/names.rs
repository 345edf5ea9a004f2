//! The words for numbers: flags, capabilities, limits.

use crate::compile::mount_options::attr;
use crate::plan::op::MountFlags;

/// The namespace kinds, by their `CLONE_NEW*` flag, in the order in which they are spoken of.
const NAMESPACES: &[(i32, &str)] = &[
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWNS, "mount"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNET, "network"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (libc::CLONE_NEWTIME, "time"),
];

/// The names of the namespaces in `CLONE_NEW*` flags, as config.json spells them.
pub fn namespaces(flags: u64) -> Vec<&'static str> {
    NAMESPACES.iter().filter(|(bit, _)| flags & *bit as u64 != 0).map(|(_, name)| *name).collect()
}

/// The mount option that means this propagation: `rslave`.
pub fn propagation(flags: u64) -> &'static str {
    let pair = match flags & !libc::MS_REC {
        libc::MS_SHARED => ["shared", "rshared"],
        libc::MS_SLAVE => ["slave", "rslave"],
        libc::MS_PRIVATE => ["private", "rprivate"],
        libc::MS_UNBINDABLE => ["unbindable", "runbindable"],
        _ => ["unknown"; 2],
    };
    pair[usize::from(flags & libc::MS_REC != 0)]
}

/// The options that lead to these attributes: `ro nosuid rslave`. Empty if there is nothing to change.
pub fn mount_flags(flags: &MountFlags<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    attributes(&mut words, "", flags.set, flags.clear);
    attributes(&mut words, "r", flags.rec_set, flags.rec_clear);
    words.extend(flags.propagation.iter().map(|p| propagation(p.into()).to_owned()));
    words.join(" ")
}

fn attributes(words: &mut Vec<String>, prefix: &str, set: u64, clear: u64) {
    const PAIRS: &[(u64, &str, &str)] = &[
        (attr::RDONLY, "ro", "rw"),
        (attr::NOSUID, "nosuid", "suid"),
        (attr::NODEV, "nodev", "dev"),
        (attr::NOEXEC, "noexec", "exec"),
        (attr::NODIRATIME, "nodiratime", "diratime"),
        (attr::NOSYMFOLLOW, "nosymfollow", "symfollow"),
    ];
    for (bit, on, off) in PAIRS {
        if set & bit != 0 {
            words.push(format!("{prefix}{on}"));
        } else if clear & bit != 0 {
            words.push(format!("{prefix}{off}"));
        }
    }
    match set & attr::ATIME {
        attr::NOATIME => words.push(format!("{prefix}noatime")),
        attr::STRICTATIME => words.push(format!("{prefix}strictatime")),
        _ if clear & attr::ATIME != 0 => words.push(format!("{prefix}relatime")),
        _ => {}
    }
}

/// How many capabilities, and which if they are few.
pub fn capabilities(set: u64) -> String {
    const FEW: u32 = 3;
    match set.count_ones() {
        0 => "none".to_owned(),
        n if n > FEW => format!("{n} capabilities"),
        _ => {
            // caps::all is a hash set, in no order.
            let mut members: Vec<_> = caps::all().into_iter().filter(|c| set & c.bitmask() != 0).collect();
            members.sort_by_key(caps::Capability::index);
            members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The resource limits in the order of their numbers, getrlimit(2).
const RLIMITS: &[&str] = &[
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// The name of a resource limit: `RLIMIT_NOFILE`.
pub fn rlimit(resource: u32) -> String {
    RLIMITS.get(resource as usize).map_or_else(|| format!("limit {resource}"), |name| (*name).to_owned())
}

/// A limit's value.
pub fn limit(value: u64) -> String {
    if value == libc::RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
}

/// A device's kind as in `ls -l`, from its mode.
pub fn device_kind(mode: u32) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFBLK => "block device",
        libc::S_IFIFO => "fifo",
        _ => "character device",
    }
}
