//! What must hold of a config before anything is done: what the specification demands, and what the kernel would
//! choke on later, when it is harder to say which field it was.
//!
//! No string with a NUL gets past here. Unknown capabilities are no error, since the specification wants a warning:
//! compile gives it. Words of fields that [`refuse`] turns away are left to the features that bring them.

mod namespaces;
mod resources;

use super::types::{Config, Device, DeviceType, Hook, NamespaceType, Rlimit, Str, User};
use super::{refuse, sysctl};
use crate::error::{Error, ErrorKind, Result};

/// The longest hostname, in bytes (Linux's `__NEW_UTS_LEN`).
const HOSTNAME_MAX: usize = 64;

/// Checks the whole config, and that it asks for nothing that is not there yet.
///
/// # Errors
/// The first field that is wrong, with its JSON path.
pub fn validate(config: &Config<'_>) -> Result<()> {
    version(&config.oci_version)?;
    process(config)?;
    root(config)?;
    names(config)?;
    mounts(config)?;
    hooks(config)?;
    namespaces::check(config)?;
    config.linux.devices.iter().enumerate().try_for_each(|(index, entry)| device(index, entry))?;
    config.linux.resources.as_ref().map_or(Ok(()), resources::check)?;
    paths(config)?;
    sysctl::validate(config)?;
    refuse::unsupported(config)
}

/// Any version of the specification's first edition: whoever can read 1.3 can read them all.
fn version(version: &str) -> Result<()> {
    let Some(major) = semver_major(version) else {
        return Err(Error::invalid("ociVersion", format!("{version:?} is not a version such as 1.3.0")));
    };
    if major != "1" {
        return Err(Error::unsupported("ociVersion", format!("{version:?} is not supported, only 1.x is")));
    }
    Ok(())
}

/// The major number of a version in the form of semver.org: `1` of `1.0.2-dev+x.7`.
fn semver_major(version: &str) -> Option<&str> {
    let (version, build) = version.split_once('+').map_or((version, None), |(v, build)| (v, Some(build)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
    let is_label = |label: &str| {
        label.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0'))
    };
    let mut numbers = core.split('.');
    let major = numbers.next().filter(|part| is_number(part))?;
    let rest = numbers.next().is_some_and(is_number) && numbers.next().is_some_and(is_number);
    let whole = numbers.next().is_none() && pre.is_none_or(is_label) && build.is_none_or(is_label);
    (rest && whole).then_some(major)
}

/// No NUL: the kernel would read less than the config says.
fn text(field: impl FnOnce() -> String, text: &str) -> Result<()> {
    if text.contains('\0') { Err(Error::invalid(field(), "must not contain a NUL character")) } else { Ok(()) }
}

fn texts(field: impl Fn() -> String, list: &[Str<'_>]) -> Result<()> {
    list.iter().enumerate().try_for_each(|(index, entry)| text(|| format!("{}[{index}]", field()), entry))
}

/// The JSON path of a map's value. Keys have dots of their own.
fn key(map: &str, key: &str) -> String {
    format!("{map}[{key:?}]")
}

/// To setresuid(2), chown(2) and their like, 2³²-1 means "leave as it is": the container would stay root.
fn id(field: impl FnOnce() -> String, id: u32) -> Result<()> {
    if id == u32::MAX { Err(Error::invalid(field(), format!("{id} is no id"))) } else { Ok(()) }
}

fn absolute(field: impl FnOnce() -> String, path: &str) -> Result<()> {
    if !path.starts_with('/') {
        return Err(Error::invalid(field(), format!("{path:?} must be an absolute path")));
    }
    text(field, path)
}

fn process(config: &Config<'_>) -> Result<()> {
    let process = &config.process;
    if process.args.is_empty() {
        return Err(Error::invalid("process.args", "must name a program"));
    }
    if process.args[0].is_empty() {
        // As for any other program that is not found: engines look for these words.
        let words = "exec: \"\": executable file not found in $PATH";
        return Err(Error::new(ErrorKind::Program, words).field("process.args[0]"));
    }
    texts(|| "process.args".to_owned(), &process.args)?;
    texts(|| "process.env".to_owned(), &process.env)?;
    for (index, variable) in process.env.iter().enumerate() {
        if variable.starts_with('=') || !variable.contains('=') {
            let words = format!("{:?} is not of the form NAME=value", &**variable);
            return Err(Error::invalid(format!("process.env[{index}]"), words));
        }
    }
    absolute(|| "process.cwd".to_owned(), &process.cwd)?;
    user(&process.user)?;
    if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(Error::invalid("process.oomScoreAdj", format!("{score} is not between -1000 and 1000")));
    }
    rlimits(&process.rlimits)
}

fn user(user: &User<'_>) -> Result<()> {
    id(|| "process.user.uid".to_owned(), user.uid)?;
    id(|| "process.user.gid".to_owned(), user.gid)?;
    for (index, gid) in user.additional_gids.iter().enumerate() {
        id(|| format!("process.user.additionalGids[{index}]"), *gid)?;
    }
    match user.umask {
        Some(umask) if umask > 0o777 => {
            Err(Error::invalid("process.user.umask", format!("{umask} is more than 511 (octal 777)")))
        }
        _ => Ok(()),
    }
}

fn rlimits(limits: &[Rlimit<'_>]) -> Result<()> {
    for (index, limit) in limits.iter().enumerate() {
        let field = |name: &str| format!("process.rlimits[{index}]{name}");
        if limit.resource().is_none() {
            return Err(Error::invalid(field(".type"), format!("unknown resource limit {:?}", &*limit.kind)));
        }
        if limits[..index].iter().any(|other| other.kind == limit.kind) {
            return Err(Error::invalid(field(".type"), format!("{} stands there twice", limit.kind)));
        }
        if limit.soft > limit.hard {
            let words = format!("soft limit {} is above the hard limit {}", limit.soft, limit.hard);
            return Err(Error::invalid(field(".soft"), words));
        }
    }
    Ok(())
}

fn root(config: &Config<'_>) -> Result<()> {
    if config.root.path.is_empty() {
        return Err(Error::invalid("root.path", "must name a directory"));
    }
    text(|| "root.path".to_owned(), &config.root.path)
}

fn names(config: &Config<'_>) -> Result<()> {
    for (field, name) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        let Some(name) = name.as_deref() else { continue };
        text(|| field.to_owned(), name)?;
        if name.len() > HOSTNAME_MAX {
            return Err(Error::invalid(field, format!("is {} bytes long, more than {HOSTNAME_MAX}", name.len())));
        }
        if !config.has_namespace(NamespaceType::Uts) {
            return Err(Error::invalid(field, "needs a uts namespace in linux.namespaces: it would be the host's"));
        }
    }
    Ok(())
}

fn mounts(config: &Config<'_>) -> Result<()> {
    for (index, mount) in config.mounts.iter().enumerate() {
        let field = |name: &str| format!("mounts[{index}].{name}");
        if mount.destination.is_empty() {
            return Err(Error::invalid(field("destination"), "must name a path"));
        }
        text(|| field("destination"), &mount.destination)?;
        text(|| field("type"), mount.fstype().unwrap_or_default())?;
        text(|| field("source"), mount.source().unwrap_or_default())?;
        texts(|| field("options"), &mount.options)?;
        let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
        namespaces::mappings(|| field("uidMappings"), uids)?;
        namespaces::mappings(|| field("gidMappings"), gids)?;
        // An idmapped mount is made from a user namespace, which has maps of both kinds.
        match (uids.is_empty(), gids.is_empty()) {
            (false, true) => return Err(Error::invalid(field("uidMappings"), "needs gidMappings as well")),
            (true, false) => return Err(Error::invalid(field("gidMappings"), "needs uidMappings as well")),
            _ => {}
        }
    }
    Ok(())
}

fn hooks(config: &Config<'_>) -> Result<()> {
    let hooks = &config.hooks;
    let kinds: [(&str, &[Hook<'_>]); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, hooks) in kinds {
        for (index, hook) in hooks.iter().enumerate() {
            let field = |name: &str| format!("hooks.{kind}[{index}].{name}");
            absolute(|| field("path"), &hook.path)?;
            texts(|| field("args"), &hook.args)?;
            texts(|| field("env"), &hook.env)?;
            if let Some(timeout) = hook.timeout.filter(|seconds| u32::try_from(*seconds).map_or(true, |s| s == 0)) {
                return Err(Error::invalid(field("timeout"), format!("{timeout} is not a number of seconds above 0")));
            }
        }
    }
    Ok(())
}

fn device(index: usize, device: &Device<'_>) -> Result<()> {
    let field = |name: &str| format!("linux.devices[{index}].{name}");
    absolute(|| field("path"), &device.path)?;
    id(|| field("uid"), device.uid.unwrap_or(0))?;
    id(|| field("gid"), device.gid.unwrap_or(0))?;
    if device.kind == DeviceType::Fifo {
        return Ok(());
    }
    // mknod(2) would drop further bits.
    for (name, number, bits) in [("major", device.major, 12), ("minor", device.minor, 20)] {
        match number {
            Some(number) if (0..1 << bits).contains(&number) => {}
            Some(number) => return Err(Error::invalid(field(name), format!("{number} is no device number of Linux"))),
            None => return Err(Error::invalid(field(name), "is required, but for a FIFO")),
        }
    }
    Ok(())
}

fn paths(config: &Config<'_>) -> Result<()> {
    let linux = &config.linux;
    for (name, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)] {
        for (index, path) in paths.iter().enumerate() {
            absolute(|| format!("linux.{name}[{index}]"), path)?;
        }
    }
    text(|| "linux.cgroupsPath".to_owned(), linux.cgroups_path.as_deref().unwrap_or_default())
}

impl Rlimit<'_> {
    /// The limit's number, getrlimit(2).
    pub fn resource(&self) -> Option<u32> {
        let resource = match &*self.kind {
            "RLIMIT_CPU" => libc::RLIMIT_CPU,
            "RLIMIT_FSIZE" => libc::RLIMIT_FSIZE,
            "RLIMIT_DATA" => libc::RLIMIT_DATA,
            "RLIMIT_STACK" => libc::RLIMIT_STACK,
            "RLIMIT_CORE" => libc::RLIMIT_CORE,
            "RLIMIT_RSS" => libc::RLIMIT_RSS,
            "RLIMIT_NPROC" => libc::RLIMIT_NPROC,
            "RLIMIT_NOFILE" => libc::RLIMIT_NOFILE,
            "RLIMIT_MEMLOCK" => libc::RLIMIT_MEMLOCK,
            "RLIMIT_AS" => libc::RLIMIT_AS,
            "RLIMIT_LOCKS" => libc::RLIMIT_LOCKS,
            "RLIMIT_SIGPENDING" => libc::RLIMIT_SIGPENDING,
            "RLIMIT_MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
            "RLIMIT_NICE" => libc::RLIMIT_NICE,
            "RLIMIT_RTPRIO" => libc::RLIMIT_RTPRIO,
            "RLIMIT_RTTIME" => libc::RLIMIT_RTTIME,
            _ => return None,
        };
        Some(resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// The error of a good config with `change` merged into it.
    fn error(change: &str) -> String {
        let mut config: serde_json::Value = serde_json::from_str(
            r#"{"ociVersion":"1.3.0","process":{"cwd":"/","args":["true"]},"root":{"path":"rootfs"},"linux":{}}"#,
        )
        .expect("JSON");
        merge(&mut config, serde_json::from_str(change).expect("JSON"));
        let text = config.to_string();
        let config = parse(text.as_bytes()).expect("a config");
        validate(&config).err().map_or_else(String::new, |error| error.to_string())
    }

    fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
        match (into, from) {
            (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(serde_json::Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        for (change, text) in [
            ("{}", ""),
            (r#"{"ociVersion":"1.0.0-rc5"}"#, ""),
            (r#"{"ociVersion":"1.0.2-dev"}"#, ""),
            (r#"{"ociVersion":"2.0.0"}"#, r#"ociVersion: "2.0.0" is not supported, only 1.x is"#),
            (r#"{"ociVersion":"1"}"#, r#"ociVersion: "1" is not a version such as 1.3.0"#),
            (r#"{"process":{"args":[]}}"#, "process.args: must name a program"),
            (r#"{"process":{"args":["a","b\u0000"]}}"#, "process.args[1]: must not contain a NUL character"),
            (r#"{"process":{"cwd":"tmp"}}"#, r#"process.cwd: "tmp" must be an absolute path"#),
            (r#"{"process":{"env":["A=b","C"]}}"#, r#"process.env[1]: "C" is not of the form NAME=value"#),
            (r#"{"process":{"user":{"uid":4294967295}}}"#, "process.user.uid: 4294967295 is no id"),
            (r#"{"process":{"oomScoreAdj":1001}}"#, "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
            (
                r#"{"process":{"rlimits":[{"type":"RLIMIT_FOO","soft":1,"hard":1}]}}"#,
                r#"process.rlimits[0].type: unknown resource limit "RLIMIT_FOO""#,
            ),
            (
                r#"{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":1}]}}"#,
                "process.rlimits[0].soft: soft limit 2 is above the hard limit 1",
            ),
            (r#"{"hostname":"h"}"#, "hostname: needs a uts namespace in linux.namespaces: it would be the host's"),
            (r#"{"hostname":"h","linux":{"namespaces":[{"type":"uts"}]}}"#, ""),
            (
                r#"{"linux":{"namespaces":[{"type":"uts"},{"type":"uts"}]}}"#,
                "linux.namespaces[1]: the uts namespace stands there twice",
            ),
            (
                r#"{"linux":{"devices":[{"type":"c","path":"/dev/x","major":1}]}}"#,
                "linux.devices[0].minor: is required, but for a FIFO",
            ),
            (r#"{"linux":{"maskedPaths":["/a","b"]}}"#, r#"linux.maskedPaths[1]: "b" must be an absolute path"#),
            (r#"{"hooks":{"poststop":[{"path":"x"}]}}"#, r#"hooks.poststop[0].path: "x" must be an absolute path"#),
            (
                r#"{"hooks":{"prestart":[{"path":"/x","timeout":0}]}}"#,
                "hooks.prestart[0].timeout: 0 is not a number of seconds above 0",
            ),
            (r#"{"mounts":[{"destination":""}]}"#, "mounts[0].destination: must name a path"),
            (r#"{"root":{"path":""}}"#, "root.path: must name a directory"),
            (r#"{"ociVersion":"1.3.0+build.5"}"#, ""),
            (r#"{"ociVersion":"1.3.0-"}"#, r#"ociVersion: "1.3.0-" is not a version such as 1.3.0"#),
            (r#"{"ociVersion":"1.03.0"}"#, r#"ociVersion: "1.03.0" is not a version such as 1.3.0"#),
            (r#"{"ociVersion":"1.3.0.1"}"#, r#"ociVersion: "1.3.0.1" is not a version such as 1.3.0"#),
            (r#"{"ociVersion":"0.5.0-dev"}"#, r#"ociVersion: "0.5.0-dev" is not supported, only 1.x is"#),
            (r#"{"process":{"args":[""]}}"#, r#"process.args[0]: exec: "": executable file not found in $PATH"#),
            (r#"{"process":{"cwd":"/a\u0000b"}}"#, "process.cwd: must not contain a NUL character"),
            (r#"{"process":{"env":["=C"]}}"#, r#"process.env[0]: "=C" is not of the form NAME=value"#),
            (r#"{"process":{"env":["A=b\u0000"]}}"#, "process.env[0]: must not contain a NUL character"),
            (r#"{"process":{"user":{"gid":4294967295}}}"#, "process.user.gid: 4294967295 is no id"),
            (
                r#"{"process":{"user":{"additionalGids":[1,4294967295]}}}"#,
                "process.user.additionalGids[1]: 4294967295 is no id",
            ),
            (r#"{"process":{"user":{"umask":512}}}"#, "process.user.umask: 512 is more than 511 (octal 777)"),
            (
                r#"{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":1},{"type":"RLIMIT_CPU","soft":1,"hard":1}]}}"#,
                "process.rlimits[1].type: RLIMIT_CPU stands there twice",
            ),
            (r#"{"domainname":"d"}"#, "domainname: needs a uts namespace in linux.namespaces: it would be the host's"),
            (
                r#"{"hostname":"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"}"#,
                "hostname: is 65 bytes long, more than 64",
            ),
            (r#"{"mounts":[{"destination":"rel"}],"linux":{"namespaces":[{"type":"mount"}]}}"#, ""),
            (
                r#"{"mounts":[{"destination":"/a","source":"\u0000"}]}"#,
                "mounts[0].source: must not contain a NUL character",
            ),
            (
                r#"{"mounts":[{"destination":"/a","options":["ro","\u0000"]}]}"#,
                "mounts[0].options[1]: must not contain a NUL character",
            ),
            (
                r#"{"mounts":[{"destination":"/a","uidMappings":[{"containerID":0,"hostID":0,"size":1}]}]}"#,
                "mounts[0].uidMappings: needs gidMappings as well",
            ),
            (
                r#"{"hooks":{"startContainer":[{"path":"/x","env":["A=\u0000"]}]}}"#,
                "hooks.startContainer[0].env[0]: must not contain a NUL character",
            ),
            (
                r#"{"hooks":{"createRuntime":[{"path":"/x","timeout":-1}]}}"#,
                "hooks.createRuntime[0].timeout: -1 is not a number of seconds above 0",
            ),
            (
                r#"{"linux":{"devices":[{"type":"b","path":"/dev/x","major":4096,"minor":0}]}}"#,
                "linux.devices[0].major: 4096 is no device number of Linux",
            ),
            (
                r#"{"linux":{"devices":[{"type":"p","path":"dev/x"}]}}"#,
                r#"linux.devices[0].path: "dev/x" must be an absolute path"#,
            ),
            (
                r#"{"linux":{"devices":[{"type":"p","path":"/dev/x","uid":4294967295}]}}"#,
                "linux.devices[0].uid: 4294967295 is no id",
            ),
            (r#"{"linux":{"cgroupsPath":"/a\u0000"}}"#, "linux.cgroupsPath: must not contain a NUL character"),
        ] {
            assert_eq!(error(change), text, "{change}");
        }
    }

    #[test]
    fn wrong_namespaces_and_what_needs_them_are_named() {
        for (linux, text) in [
            (
                r#""namespaces":[{"type":"pid","path":"ns"}]"#,
                r#"linux.namespaces[0].path: "ns" must be an absolute path"#,
            ),
            (
                r#""uidMappings":[{"containerID":0,"hostID":0,"size":1}]"#,
                "linux.uidMappings: needs a user namespace in linux.namespaces",
            ),
            (r#""uidMappings":[{"containerID":0,"hostID":0,"size":0}]"#, "linux.uidMappings[0]: maps no ids"),
            (
                r#""gidMappings":[{"containerID":0,"hostID":4294967295,"size":1}]"#,
                "linux.gidMappings[0]: maps more ids than there are",
            ),
            (
                r#""uidMappings":[{"containerID":0,"hostID":5,"size":9},{"containerID":9,"hostID":13,"size":1}]"#,
                "linux.uidMappings[1]: overlaps with range 0",
            ),
            (r#""namespaces":[{"type":"user"}]"#, "linux.namespaces[0]: a new user namespace needs linux.uidMappings"),
            (r#""namespaces":[{"type":"user","path":"/u"}]"#, "linux.namespaces[0]: is not supported yet"),
            (r#""timeOffsets":{"boottime":{}}"#, "linux.timeOffsets: needs a time namespace in linux.namespaces"),
            (
                r#""namespaces":[{"type":"time"}],"timeOffsets":{"realtime":{}}"#,
                r#"linux.timeOffsets["realtime"]: unknown clock, expected boottime or monotonic"#,
            ),
            (
                r#""namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"nanosecs":1000000000}}"#,
                r#"linux.timeOffsets["boottime"].nanosecs: 1000000000 is a second or more"#,
            ),
            (r#""netDevices":{"eth0":{}}"#, "linux.netDevices: needs a network namespace in linux.namespaces"),
            (
                r#""namespaces":[{"type":"network"}],"netDevices":{"eth0":{"name":"a/b"}}"#,
                r#"linux.netDevices["eth0"].name: "a/b" is not the name of a network interface"#,
            ),
            (
                r#""namespaces":[{"type":"network"}],"netDevices":{"sixteen-letters-":{}}"#,
                r#"linux.netDevices["sixteen-letters-"]: "sixteen-letters-" is not the name of a network interface"#,
            ),
        ] {
            assert_eq!(error(&format!(r#"{{"linux":{{{linux}}}}}"#)), text, "{linux}");
        }
        let many: Vec<_> = (0..341).map(|n| format!(r#"{{"containerID":{n},"hostID":{n},"size":1}}"#)).collect();
        let many = format!(r#"{{"linux":{{"uidMappings":[{}]}}}}"#, many.join(","));
        assert_eq!(error(&many), "linux.uidMappings: has 341 ranges, more than 340");
    }

    #[test]
    fn wrong_resources_are_named() {
        for (resources, text) in [
            (r#""devices":[{"allow":true,"type":"x"}]"#, r#"devices[0].type: unknown device type "x""#),
            (r#""devices":[{"allow":true,"access":"rx"}]"#, r#"devices[0].access: "rx" is not made of r, w and m"#),
            (r#""devices":[{"allow":true,"minor":-2}]"#, "devices[0].minor: -2 is no device number"),
            (r#""cpu":{"quota":5,"burst":6}"#, "cpu.burst: 6 is above the quota of 5"),
            (r#""cpu":{"cpus":"1\u0000"}"#, "cpu.cpus: must not contain a NUL character"),
            (
                r#""blockIO":{"weightDevice":[{"major":1,"minor":1}]}"#,
                "blockIO.weightDevice[0]: needs weight or leafWeight",
            ),
            (
                r#""hugepageLimits":[{"pageSize":"64kB","limit":1}]"#,
                r#"hugepageLimits[0].pageSize: "64kB" is not a page size such as 2MB"#,
            ),
            (r#""rdma":{"mlx5_1":{}}"#, r#"rdma["mlx5_1"]: needs hcaHandles or hcaObjects"#),
            (r#""unified":{"../memory.max":"1"}"#, r#"unified["../memory.max"]: is not the name of a cgroup file"#),
            (r#""unified":{"memory.max":"\u0000"}"#, r#"unified["memory.max"]: must not contain a NUL character"#),
        ] {
            let change = format!(r#"{{"linux":{{"resources":{{{resources}}}}}}}"#);
            assert_eq!(error(&change), format!("linux.resources.{text}"), "{resources}");
        }
    }
}
