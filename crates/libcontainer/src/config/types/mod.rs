//! The config's types, borrowed from its bytes: runtime-spec 1.3, config.md and config-linux.md.
//!
//! Unknown fields are ignored, and null is the same as absent, as the specification wants; so is an empty string where
//! the field is optional. What a value means is not looked at here, but for numbers that must fit and words that are
//! an enumeration.

mod linux;
mod object;
mod process;
mod resources;
mod seccomp;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use linux::*;
pub(super) use object::Object;
use object::{object, object_or_default, objects};
pub use process::*;
pub use resources::*;
pub use seccomp::*;
pub use text::Str;
use text::{given, or_default};

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// A container's config.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config<'a> {
    /// Version of the specification that it was written for.
    #[serde(borrow)]
    pub oci_version: Str<'a>,
    /// The container's process.
    #[serde(deserialize_with = "object", borrow)]
    pub process: Process<'a>,
    /// The container's root file system.
    #[serde(deserialize_with = "object", borrow)]
    pub root: Root<'a>,
    /// Hostname.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Str<'a>>,
    /// NIS domain name.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub domainname: Option<Str<'a>>,
    /// Mounts, in order.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub mounts: Vec<Mount<'a>>,
    /// Hooks.
    #[serde(borrow, default, deserialize_with = "object_or_default", skip_serializing_if = "is_default")]
    pub hooks: Hooks<'a>,
    /// Annotations.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<Str<'a>, Str<'a>>,
    /// What only Linux has.
    #[serde(borrow, default, deserialize_with = "object_or_default", skip_serializing_if = "is_default")]
    pub linux: Linux<'a>,
}

/// `root`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root<'a> {
    /// The root file system, absolute or relative to the bundle.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Whether it is read-only in the container.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub readonly: bool,
}

/// An entry of `mounts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount<'a> {
    /// Where, in the container.
    #[serde(borrow)]
    pub destination: Str<'a>,
    /// File system type.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<Str<'a>>,
    /// Device, name or, for a bind mount, path.
    #[serde(borrow, default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub source: Option<Str<'a>>,
    /// Options, in order.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub options: Vec<Str<'a>>,
    /// User ids of an idmapped mount.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of an idmapped mount.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub gid_mappings: Vec<IdMapping>,
}

/// `hooks`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks<'a> {
    /// Deprecated; before createRuntime.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub prestart: Vec<Hook<'a>>,
    /// In the runtime's namespace, before pivot_root.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub create_runtime: Vec<Hook<'a>>,
    /// In the container's namespace, before pivot_root.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub create_container: Vec<Hook<'a>>,
    /// In the container, before the program.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub start_container: Vec<Hook<'a>>,
    /// In the runtime's namespace, after the program was started.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub poststart: Vec<Hook<'a>>,
    /// In the runtime's namespace, after the container was deleted.
    #[serde(borrow, default, deserialize_with = "objects", skip_serializing_if = "is_default")]
    pub poststop: Vec<Hook<'a>>,
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook<'a> {
    /// The program, absolute.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Its arguments, args[0] first.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub args: Vec<Str<'a>>,
    /// Its whole environment.
    #[serde(borrow, default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub env: Vec<Str<'a>>,
    /// Seconds until it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl<'a> Config<'a> {
    /// The container gets a namespace of this kind, new or joined.
    pub fn has_namespace(&self, kind: NamespaceType) -> bool {
        self.linux.namespaces.iter().any(|namespace| namespace.kind == kind)
    }
}

impl<'a> Mount<'a> {
    /// The type, if it says anything.
    pub fn fstype(&self) -> Option<&str> {
        self.kind.as_deref().filter(|kind| !kind.is_empty())
    }

    /// The source, if it says anything.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref().filter(|source| !source.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn strings_are_borrowed_unless_they_hold_an_escape() {
        let json = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","args":["plain","with\nline"]},"root":{"path":"r"}}"#;
        let config: Config<'_> = serde_json::from_str(json).expect("a config");
        assert!(matches!(config.process.args[0].0, Cow::Borrowed("plain")));
        assert!(matches!(config.process.args[1].0, Cow::Owned(_)));
    }

    #[test]
    fn null_is_absent_and_zero_is_not() {
        let json = r#"{"ociVersion":"1.3.0","process":{"cwd":"/","env":null,"user":null},"root":{"path":"r"},
            "linux":{"resources":{"pids":{"limit":0}},"maskedPaths":null},"unknown":{"deep":[1]}}"#;
        let config: Config<'_> = serde_json::from_str(json).expect("a config");
        let pids = config.linux.resources.expect("resources").pids.expect("pids");
        assert_eq!(pids.limit, Some(0));
        assert!(config.process.env.is_empty());
    }

    #[test]
    fn an_empty_optional_string_is_absent() {
        let json = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","apparmorProfile":""},"root":{"path":"r"},
            "hostname":"","domainname":"","mounts":[{"destination":"/x","type":"","source":""}],
            "linux":{"cgroupsPath":"","rootfsPropagation":"","namespaces":[{"type":"pid","path":""}],
            "resources":{"devices":[{"allow":true,"access":""}]}}}"#;
        let config: Config<'_> = serde_json::from_str(json).expect("a config");
        assert_eq!((config.hostname, config.domainname, config.process.apparmor_profile), (None, None, None));
        assert_eq!((&config.mounts[0].kind, &config.mounts[0].source), (&None, &None));
        assert_eq!((config.linux.cgroups_path, config.linux.rootfs_propagation), (None, None));
        assert_eq!(config.linux.namespaces[0].path, None);
        // To allow no access is not to allow all.
        assert_eq!(config.linux.resources.expect("resources").devices[0].access.as_deref(), Some(""));
    }

    #[test]
    fn an_id_that_does_not_fit_is_refused() {
        for uid in ["4294967296", "-1", "1.5", "\"0\""] {
            let json = format!(
                r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/","user":{{"uid":{uid}}}}},"root":{{"path":"r"}}}}"#
            );
            assert!(serde_json::from_str::<Config<'_>>(&json).is_err(), "{uid}");
        }
    }
}
