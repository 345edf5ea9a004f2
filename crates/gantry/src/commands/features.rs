//! `features`: what this runtime supports, as features.md and features-linux.md of the runtime spec have it.
//!
//! What is listed here works. Nothing is on standard error: CRI-O reads both streams as one document.

use libcontainer::compile::{capability_names, mount_options};
use serde::Serialize;

use super::text::SPEC_VERSION;
use super::{Context, list};
use crate::cli::parse::Parsed;
use crate::error::Result;
use crate::report::print;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: &'static [&'static str],
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: Annotations,
    potentially_unsafe_config_annotations: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: &'static [&'static str],
    capabilities: Vec<String>,
    cgroup: Cgroup,
    seccomp: Enabled,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: Enabled,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct Annotations {
    #[serde(rename = "io.github.gantry-runtime.gantry.version")]
    version: &'static str,
}

const HOOKS: &[&str] = &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "uts"];
const NO: Enabled = Enabled { enabled: false };

/// `gantry features`.
pub fn features(_: &mut Context<'_>, _: &Parsed) -> Result<u8> {
    print(&list::json(&document())?)?;
    Ok(0)
}

fn document() -> Features {
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: SPEC_VERSION,
        hooks: HOOKS,
        mount_options: mount_options::names().collect(),
        linux: Linux {
            namespaces: NAMESPACES,
            capabilities: capability_names(),
            cgroup: Cgroup { v1: true, v2: true, systemd: false, systemd_user: false, rdma: false },
            seccomp: NO,
            apparmor: NO,
            selinux: NO,
            intel_rdt: NO,
            mount_extensions: MountExtensions { idmap: NO },
            net_devices: NO,
        },
        annotations: Annotations { version: env!("CARGO_PKG_VERSION") },
        potentially_unsafe_config_annotations: &[],
    }
}
