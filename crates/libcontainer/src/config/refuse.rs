//! What a config may say and gantry cannot do yet. Every entry names the field; nothing is ignored in silence.
//!
//! A feature that arrives takes its lines out of here.

use super::types::{Config, Mount, NamespaceType, Process, Resources};
use crate::error::{Error, Result};

/// The first field that asks for something that is not there yet.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`], with the field's JSON path.
pub fn unsupported(config: &Config<'_>) -> Result<()> {
    let found = process(&config.process)
        .or_else(|| linux(config))
        .or_else(|| config.linux.resources.as_ref().and_then(resources))
        .or_else(|| config.mounts.iter().enumerate().find_map(|(index, entry)| mount(index, entry)));
    match found {
        Some(field) => Err(Error::unsupported(field, "is not supported yet")),
        None => Ok(()),
    }
}

/// The path of the first row that is asked for.
fn first<const N: usize>(rows: [(&str, bool); N]) -> Option<String> {
    rows.into_iter().find(|(_, asked)| *asked).map(|(field, _)| field.to_owned())
}

fn process(process: &Process<'_>) -> Option<String> {
    let given = |text: &Option<super::types::Str<'_>>| text.as_ref().is_some_and(|text| !text.is_empty());
    first([
        ("process.terminal", process.terminal),
        ("process.apparmorProfile", given(&process.apparmor_profile)),
        ("process.selinuxLabel", given(&process.selinux_label)),
        ("process.scheduler", process.scheduler.is_some()),
        ("process.ioPriority", process.io_priority.is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity.is_some()),
    ])
}

fn linux(config: &Config<'_>) -> Option<String> {
    let linux = &config.linux;
    let refused = |kind| matches!(kind, NamespaceType::User | NamespaceType::Time);
    if let Some(index) = linux.namespaces.iter().position(|namespace| refused(namespace.kind)) {
        return Some(format!("linux.namespaces[{index}]"));
    }
    first([
        ("linux.uidMappings", !linux.uid_mappings.is_empty()),
        ("linux.gidMappings", !linux.gid_mappings.is_empty()),
        ("linux.timeOffsets", !linux.time_offsets.is_empty()),
        ("linux.netDevices", !linux.net_devices.is_empty()),
        ("linux.seccomp", linux.seccomp.is_some()),
        ("linux.mountLabel", linux.mount_label.as_ref().is_some_and(|label| !label.is_empty())),
        ("linux.intelRdt", linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", linux.memory_policy.is_some()),
        ("linux.personality", linux.personality.is_some()),
    ])
}

/// Engines write zeros for what was not asked for (Docker: `"shares": 0`); those ask for nothing.
fn resources(resources: &Resources<'_>) -> Option<String> {
    memory(resources).or_else(|| cpu(resources)).or_else(|| block_io(resources)).or_else(|| {
        first([
            ("linux.resources.pids.limit", resources.pids.as_ref().is_some_and(|pids| pids.limit.is_some())),
            ("linux.resources.hugepageLimits", !resources.hugepage_limits.is_empty()),
            (
                "linux.resources.network",
                resources.network.as_ref().is_some_and(|network| *network != Default::default()),
            ),
            ("linux.resources.rdma", !resources.rdma.is_empty()),
            ("linux.resources.unified", !resources.unified.is_empty()),
        ])
    })
}

fn memory(resources: &Resources<'_>) -> Option<String> {
    let memory = resources.memory.as_ref()?;
    let asked = |value: Option<i64>| value.is_some_and(|value| value != 0);
    first([
        ("linux.resources.memory.limit", asked(memory.limit)),
        ("linux.resources.memory.reservation", asked(memory.reservation)),
        ("linux.resources.memory.swap", asked(memory.swap)),
        ("linux.resources.memory.kernel", asked(memory.kernel)),
        ("linux.resources.memory.kernelTCP", asked(memory.kernel_tcp)),
        ("linux.resources.memory.swappiness", memory.swappiness.is_some()),
        ("linux.resources.memory.disableOOMKiller", memory.disable_oom_killer == Some(true)),
        // Since Linux 5.11 there is nothing but hierarchical accounting.
        ("linux.resources.memory.useHierarchy", memory.use_hierarchy == Some(false)),
        ("linux.resources.memory.checkBeforeUpdate", memory.check_before_update == Some(true)),
    ])
}

fn cpu(resources: &Resources<'_>) -> Option<String> {
    let cpu = resources.cpu.as_ref()?;
    let unsigned = |value: Option<u64>| value.is_some_and(|value| value != 0);
    let signed = |value: Option<i64>| value.is_some_and(|value| value != 0);
    let list = |text: &Option<super::types::Str<'_>>| text.as_ref().is_some_and(|text| !text.is_empty());
    first([
        ("linux.resources.cpu.shares", unsigned(cpu.shares)),
        ("linux.resources.cpu.quota", signed(cpu.quota)),
        ("linux.resources.cpu.burst", unsigned(cpu.burst)),
        ("linux.resources.cpu.period", unsigned(cpu.period)),
        ("linux.resources.cpu.realtimeRuntime", signed(cpu.realtime_runtime)),
        ("linux.resources.cpu.realtimePeriod", unsigned(cpu.realtime_period)),
        ("linux.resources.cpu.cpus", list(&cpu.cpus)),
        ("linux.resources.cpu.mems", list(&cpu.mems)),
        ("linux.resources.cpu.idle", signed(cpu.idle)),
    ])
}

fn block_io(resources: &Resources<'_>) -> Option<String> {
    let io = resources.block_io.as_ref()?;
    let weight = |value: Option<u16>| value.is_some_and(|value| value != 0);
    first([
        ("linux.resources.blockIO.weight", weight(io.weight)),
        ("linux.resources.blockIO.leafWeight", weight(io.leaf_weight)),
        ("linux.resources.blockIO.weightDevice", !io.weight_device.is_empty()),
        ("linux.resources.blockIO.throttleReadBpsDevice", !io.throttle_read_bps_device.is_empty()),
        ("linux.resources.blockIO.throttleWriteBpsDevice", !io.throttle_write_bps_device.is_empty()),
        ("linux.resources.blockIO.throttleReadIOPSDevice", !io.throttle_read_iops_device.is_empty()),
        ("linux.resources.blockIO.throttleWriteIOPSDevice", !io.throttle_write_iops_device.is_empty()),
    ])
}

fn mount(index: usize, mount: &Mount<'_>) -> Option<String> {
    [("uidMappings", &mount.uid_mappings), ("gidMappings", &mount.gid_mappings)]
        .into_iter()
        .find(|(_, mappings)| !mappings.is_empty())
        .map(|(name, _)| format!("mounts[{index}].{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn first_refused(process: &str, linux: &str) -> Option<String> {
        let json = format!(
            r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/"{process}}},"root":{{"path":"r"}},"linux":{{{linux}}}}}"#
        );
        let config = parse(json.as_bytes()).expect("a config");
        unsupported(&config).err().map(|error| error.json_path().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_asked_for_is_refused_by_name() {
        for (process, linux, field) in [
            (r#","terminal":true"#, "", "process.terminal"),
            (r#","scheduler":{"policy":"SCHED_BATCH"}"#, "", "process.scheduler"),
            ("", r#""namespaces":[{"type":"pid"},{"type":"user"}]"#, "linux.namespaces[1]"),
            ("", r#""seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}"#, "linux.seccomp"),
            ("", r#""resources":{"pids":{"limit":0}}"#, "linux.resources.pids.limit"),
            ("", r#""resources":{"pids":{"limit":-1}}"#, "linux.resources.pids.limit"),
            ("", r#""resources":{"memory":{"limit":1048576}}"#, "linux.resources.memory.limit"),
            ("", r#""resources":{"memory":{"useHierarchy":false}}"#, "linux.resources.memory.useHierarchy"),
            ("", r#""resources":{"memory":{"checkBeforeUpdate":true}}"#, "linux.resources.memory.checkBeforeUpdate"),
            ("", r#""resources":{"unified":{"memory.high":"1"}}"#, "linux.resources.unified"),
            ("", r#""intelRdt":{"enableCMT":true}"#, "linux.intelRdt"),
        ] {
            assert_eq!(first_refused(process, linux).as_deref(), Some(field));
        }
    }

    #[test]
    fn what_engines_write_for_nothing_is_nothing() {
        let docker =
            r#""resources":{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0},"pids":{}}"#;
        assert_eq!(first_refused(r#","apparmorProfile":"","terminal":false"#, docker), None);
    }
}
