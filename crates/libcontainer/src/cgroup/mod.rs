//! A container's cgroup: where it lies, how it is made, emptied and removed, and which devices it lets through.
//!
//! The pure half decides: [`CgroupPlan`] says which directories there are in which hierarchy, [`devices`] which
//! rules the kernel gets. The other half does it: [`Cgroup`]. On a cgroup v1 host a container has a directory of
//! the same name in every hierarchy, and on a hybrid one in the v2 tree as well, so that its processes can be killed
//! at a stroke (`cgroup.kill`, Linux 5.14) and `cgroup.events` tells when they are gone.
//!
//! Resource limits come later; nothing here writes one.

pub mod devices;
mod layout;

pub use layout::{CgroupDir, CgroupMounts, CgroupPlan, MountLink, MountSource, Version, plan};
