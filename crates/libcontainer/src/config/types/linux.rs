//! `linux` (config-linux.md), but for resources and seccomp.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::object::{given_object, object_map, objects};
use super::resources::Resources;
use super::seccomp::Seccomp;
use super::text::{given, or_default, word};
use super::{Str, is_default, is_false};

/// `linux`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux<'a> {
    /// Device nodes beyond the default ones.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub devices: Vec<Device<'a>>,
    /// Network devices to move in, by their name on the host.
    #[serde(borrow, default, deserialize_with = "object_map", skip_serializing_if = "is_default")]
    pub net_devices: BTreeMap<Str<'a>, NetDevice<'a>>,
    /// User ids of the user namespace.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of the user namespace.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub sysctl: BTreeMap<Str<'a>, Str<'a>>,
    /// Control groups.
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources<'a>>,
    /// Where the container's cgroup lies.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<Str<'a>>,
    /// Namespaces.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub namespaces: Vec<Namespace<'a>>,
    /// Clock offsets of the time namespace.
    #[serde(borrow, default, deserialize_with = "object_map", skip_serializing_if = "is_default")]
    pub time_offsets: BTreeMap<Str<'a>, TimeOffset>,
    /// System call filter.
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp<'a>>,
    /// Propagation of the rootfs.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<Str<'a>>,
    /// Paths to hide.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub masked_paths: Vec<Str<'a>>,
    /// Paths to make read-only.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub readonly_paths: Vec<Str<'a>>,
    /// SELinux label of the mounts.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<Str<'a>>,
    /// Intel RDT.
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt<'a>>,
    /// set_mempolicy(2).
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy<'a>>,
    /// personality(2).
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality<'a>>,
}

/// An entry of `linux.devices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device<'a> {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Where it is.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Major number; needed unless it is a FIFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Minor number; needed unless it is a FIFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// An entry of `linux.netDevices`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetDevice<'a> {
    /// Its name in the container.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
}

/// An entry of an id mapping, user_namespaces(7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdMapping {
    /// First id in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id on the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// An entry of `linux.namespaces`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespace<'a> {
    /// Which.
    #[serde(rename = "type")]
    pub kind: NamespaceType,
    /// An existing one to join.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub path: Option<Str<'a>>,
}

/// An entry of `linux.timeOffsets`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeOffset {
    /// Seconds.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub secs: i64,
    /// Nanoseconds.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub nanosecs: u32,
}

/// `linux.intelRdt`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntelRdt<'a> {
    /// Class of service.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none", rename = "closID")]
    pub clos_id: Option<Str<'a>>,
    /// Lines of the schemata file.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub schemata: Vec<Str<'a>>,
    /// L3 cache lines of the schemata file.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema: Option<Str<'a>>,
    /// Memory bandwidth lines of the schemata file.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema: Option<Str<'a>>,
    /// Make a monitoring group.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub enable_monitoring: bool,
    /// Cache monitoring (before 1.3).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false", rename = "enableCMT")]
    pub enable_cmt: bool,
    /// Bandwidth monitoring (before 1.3).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false", rename = "enableMBM")]
    pub enable_mbm: bool,
}

/// `linux.memoryPolicy`, set_mempolicy(2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryPolicy<'a> {
    /// `MPOL_BIND` and the like.
    #[serde(borrow)]
    pub mode: Str<'a>,
    /// Node list.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Str<'a>>,
    /// `MPOL_F_STATIC_NODES` and the like.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<Str<'a>>,
}

/// `linux.personality`, personality(2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Personality<'a> {
    /// `LINUX` or `LINUX32`.
    #[serde(borrow)]
    pub domain: Str<'a>,
    /// Further flags; none are defined.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<Str<'a>>,
}

/// `linux.devices[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceType {
    /// Block device.
    Block,
    /// Character device.
    Char,
    /// Unbuffered character device, the same to Linux.
    Unbuffered,
    /// FIFO.
    Fifo,
}

word!(DeviceType { "b" => Block, "c" => Char, "u" => Unbuffered, "p" => Fifo });

/// `linux.namespaces[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are their own names")]
pub enum NamespaceType {
    Pid,
    Network,
    Mount,
    Ipc,
    Uts,
    User,
    Cgroup,
    Time,
}

word!(NamespaceType {
    "pid" => Pid,
    "network" => Network,
    "mount" => Mount,
    "ipc" => Ipc,
    "uts" => Uts,
    "user" => User,
    "cgroup" => Cgroup,
    "time" => Time,
});

impl NamespaceType {
    /// Its `CLONE_NEW*` flag.
    pub fn flag(self) -> u64 {
        let flag = match self {
            NamespaceType::Pid => libc::CLONE_NEWPID,
            NamespaceType::Network => libc::CLONE_NEWNET,
            NamespaceType::Mount => libc::CLONE_NEWNS,
            NamespaceType::Ipc => libc::CLONE_NEWIPC,
            NamespaceType::Uts => libc::CLONE_NEWUTS,
            NamespaceType::User => libc::CLONE_NEWUSER,
            NamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
            // CLONE_NEWTIME, Linux 5.6; libc does not have it on every target.
            NamespaceType::Time => 0x80,
        };
        flag as u64
    }
}

impl<'a> Namespace<'a> {
    /// The path of an existing namespace; an empty one means a new namespace, as engines write it.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| !path.is_empty())
    }
}
