//! What compile needs to know about the host, gathered once so that compiling stays a pure function.

/// Which cgroup trees the host has mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupLayout {
    /// cgroup v2 alone at /sys/fs/cgroup.
    Unified {
        /// This process's own cgroup, `/`-rooted, from /proc/self/cgroup.
        own: String,
    },
    /// v1 hierarchies, perhaps with a v2 tree of few controllers beside them (hybrid).
    Legacy {
        /// The v1 hierarchies in mount order.
        hierarchies: Vec<Hierarchy>,
        /// Where the v2 tree of a hybrid host is mounted.
        unified: Option<String>,
    },
    /// No cgroup file system is mounted.
    None,
}

/// One mounted v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers as /proc/self/cgroup writes them, comma-separated: `cpu,cpuacct`, `name=systemd`.
    pub controllers: String,
    /// Where it is mounted, as in `/sys/fs/cgroup/cpu,cpuacct`.
    pub mountpoint: String,
    /// This process's own cgroup in it, `/`-rooted.
    pub own: String,
}

/// The host as compile sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Effective user id of the runtime.
    pub euid: u32,
    /// The runtime's own bounding set: bit n is capability n. Nothing outside it can be granted.
    pub bounding: u64,
    /// Bits of all capabilities that the kernel knows.
    pub known_capabilities: u64,
    /// The mounted cgroup trees.
    pub cgroups: CgroupLayout,
    /// Whether the kernel has cgroup namespaces.
    pub cgroup_namespaces: bool,
}
