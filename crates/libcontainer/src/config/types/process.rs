//! `process`: what runs in the container, and as whom (config.md).

use serde::{Deserialize, Serialize};

use super::object::{given_object, object_or_default, objects};
use super::text::{given, or_default};
use super::{Str, is_default, is_false};

/// `process`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process<'a> {
    /// Attach a terminal.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// Size of the terminal.
    #[serde(default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// As whom it runs.
    #[serde(borrow, default, deserialize_with = "object_or_default", skip_serializing_if = "is_default")]
    pub user: User<'a>,
    /// The program and its arguments.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub args: Vec<Str<'a>>,
    /// The command line of a Windows container; ignored.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub command_line: Option<Str<'a>>,
    /// Environment, `NAME=value` each.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub env: Vec<Str<'a>>,
    /// Working directory, absolute.
    #[serde(borrow)]
    pub cwd: Str<'a>,
    /// Capability sets.
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities<'a>>,
    /// Resource limits.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub rlimits: Vec<Rlimit<'a>>,
    /// PR_SET_NO_NEW_PRIVS.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// AppArmor profile.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub apparmor_profile: Option<Str<'a>>,
    /// /proc/self/oom_score_adj.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// sched_setattr(2).
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler<'a>>,
    /// SELinux label.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub selinux_label: Option<Str<'a>>,
    /// ioprio_set(2).
    #[serde(borrow, default, deserialize_with = "given_object", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority<'a>>,
    /// CPUs before and while the program runs.
    #[serde(
        borrow,
        default,
        deserialize_with = "given_object",
        skip_serializing_if = "Option::is_none",
        rename = "execCPUAffinity"
    )]
    pub exec_cpu_affinity: Option<ExecCpuAffinity<'a>>,
}

/// `process.consoleSize`, in characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// `process.user`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User<'a> {
    /// User id in the container.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub uid: u32,
    /// Group id in the container.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub gid: u32,
    /// File mode creation mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub additional_gids: Vec<u32>,
    /// The user's name on Windows; ignored.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub username: Option<Str<'a>>,
}

/// `process.capabilities`: names, `CAP_KILL`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities<'a> {
    /// Bounding set.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub bounding: Vec<Str<'a>>,
    /// Effective set.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub effective: Vec<Str<'a>>,
    /// Inheritable set.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub inheritable: Vec<Str<'a>>,
    /// Permitted set.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub permitted: Vec<Str<'a>>,
    /// Ambient set.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub ambient: Vec<Str<'a>>,
}

/// An entry of `process.rlimits`, getrlimit(2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rlimit<'a> {
    /// `RLIMIT_NOFILE` and the like.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// `process.scheduler`, sched_setattr(2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scheduler<'a> {
    /// `SCHED_OTHER` and the like.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Nice value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Static priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// `SCHED_FLAG_RESET_ON_FORK` and the like.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<Str<'a>>,
    /// Nanoseconds of computation per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// Nanoseconds until it must be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Nanoseconds between activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
}

/// `process.ioPriority`, ioprio_set(2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IoPriority<'a> {
    /// `IOPRIO_CLASS_BE` and the like.
    #[serde(borrow)]
    pub class: Str<'a>,
    /// 0 to 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// `process.execCPUAffinity`: CPU lists, `0-3,7`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecCpuAffinity<'a> {
    /// While the runtime enters the container.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub initial: Option<Str<'a>>,
    /// When the program runs.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none", rename = "final")]
    pub final_cpus: Option<Str<'a>>,
}
