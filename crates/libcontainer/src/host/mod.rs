//! What compile needs to know about the host, gathered once so that compiling stays a pure function.
//!
//! Gathering is on the way of every create, so it asks the kernel as little as it can: one statfs(2) tells a pure
//! cgroup v2 host, where only /proc/self/cgroup is read besides; v1 and hybrid hosts cost one pass over
//! /proc/self/mountinfo as well.

mod capabilities;
mod cgroups;

pub(crate) use cgroups::within;

use nix::unistd::geteuid;

use crate::Result;

/// Which cgroup trees the host has mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupLayout {
    /// cgroup v2 alone, at /sys/fs/cgroup unless the host mounts it elsewhere.
    Unified(Hierarchy),
    /// v1 hierarchies, perhaps with a v2 tree of few controllers beside them (hybrid).
    Legacy {
        /// The v1 hierarchies in mount order.
        hierarchies: Vec<Hierarchy>,
        /// The v2 tree of a hybrid host.
        unified: Option<Hierarchy>,
    },
    /// No cgroup file system is mounted.
    None,
}

/// One mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// A v1 hierarchy's controllers as /proc/self/cgroup writes them, comma-separated: `cpu,cpuacct`,
    /// `name=systemd`. Empty for the v2 tree.
    pub controllers: String,
    /// Where it is mounted, as in `/sys/fs/cgroup/cpu,cpuacct`.
    pub mountpoint: String,
    /// Which of its cgroups is mounted there: `/` but for a runtime that runs in a container without a cgroup
    /// namespace.
    pub root: String,
    /// This process's own cgroup in it, `/`-rooted, from /proc/self/cgroup.
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

impl HostFacts {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When /proc is not there or not readable. A host without cgroups is no error: [`CgroupLayout::None`].
    pub fn gather() -> Result<HostFacts> {
        let (bounding, known_capabilities) = capabilities::bounding()?;
        let (cgroups, cgroup_namespaces) = cgroups::gather()?;
        Ok(HostFacts { euid: geteuid().as_raw(), bounding, known_capabilities, cgroups, cgroup_namespaces })
    }
}
