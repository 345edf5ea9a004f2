//! `linux.seccomp` (config-linux.md).

use serde::{Deserialize, Serialize};

use super::object::objects;
use super::text::{given, or_default};
use super::{Str, is_default};

/// `linux.seccomp`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp<'a> {
    /// `SCMP_ACT_*` when no rule matches.
    #[serde(borrow)]
    pub default_action: Str<'a>,
    /// errno of the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_*`.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub architectures: Vec<Str<'a>>,
    /// `SECCOMP_FILTER_FLAG_*`.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flags: Vec<Str<'a>>,
    /// Socket of the agent that gets the listener.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<Str<'a>>,
    /// Passed to the agent as it is.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<Str<'a>>,
    /// Rules in order.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub syscalls: Vec<SyscallRule<'a>>,
}

/// An entry of `linux.seccomp.syscalls`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallRule<'a> {
    /// System call names.
    #[serde(borrow)]
    pub names: Vec<Str<'a>>,
    /// `SCMP_ACT_*`.
    #[serde(borrow)]
    pub action: Str<'a>,
    /// errno of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub args: Vec<SyscallArg<'a>>,
}

/// A condition on a system call's argument.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallArg<'a> {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// What it is compared with.
    pub value: u64,
    /// Second value, for masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_two: Option<u64>,
    /// `SCMP_CMP_*`.
    #[serde(borrow)]
    pub op: Str<'a>,
}
