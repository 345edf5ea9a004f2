//! What must hold of a config before anything is done: what the specification demands, and what the kernel would
//! choke on later, when it is harder to say which field it was.

use std::collections::HashSet;

use super::types::{Config, Hook, NamespaceType, Rlimit, Str};
use super::{refuse, sysctl};
use crate::error::{Error, Result};

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
    namespaces(config)?;
    devices(config)?;
    paths(config)?;
    sysctl::validate(config)?;
    refuse::unsupported(config)
}

/// Semantic versions of the specification's first edition, release candidates included.
fn version(version: &str) -> Result<()> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if numbers.len() != 3 || !numbers.iter().all(number) {
        return Err(Error::invalid("ociVersion", format!("{version:?} is not a version such as 1.3.0")));
    }
    if numbers[0] != "1" {
        return Err(Error::unsupported("ociVersion", format!("{version:?} is not supported, only 1.x is")));
    }
    Ok(())
}

/// No NUL: the kernel would read less than the config says.
fn text(field: impl FnOnce() -> String, text: &str) -> Result<()> {
    if text.contains('\0') { Err(Error::invalid(field(), "must not contain a NUL character")) } else { Ok(()) }
}

fn texts(field: &str, list: &[Str<'_>]) -> Result<()> {
    list.iter().enumerate().try_for_each(|(index, entry)| text(|| format!("{field}[{index}]"), entry))
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
        return Err(Error::invalid("process.args[0]", "must name a program"));
    }
    texts("process.args", &process.args)?;
    texts("process.env", &process.env)?;
    for (index, variable) in process.env.iter().enumerate() {
        if variable.starts_with('=') || !variable.contains('=') {
            let words = format!("{:?} is not of the form NAME=value", &**variable);
            return Err(Error::invalid(format!("process.env[{index}]"), words));
        }
    }
    absolute(|| "process.cwd".to_owned(), &process.cwd)?;
    if let Some(umask) = process.user.umask.filter(|umask| *umask > 0o777) {
        return Err(Error::invalid("process.user.umask", format!("{umask} is more than 511 (octal 777)")));
    }
    for (field, id) in [("process.user.uid", process.user.uid), ("process.user.gid", process.user.gid)] {
        // setresuid(2) takes it for "leave as it is": the container would stay root.
        if id == u32::MAX {
            return Err(Error::invalid(field, "4294967295 is no id"));
        }
    }
    if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(Error::invalid("process.oomScoreAdj", format!("{score} is not between -1000 and 1000")));
    }
    rlimits(&process.rlimits)
}

fn rlimits(limits: &[Rlimit<'_>]) -> Result<()> {
    let mut seen = HashSet::new();
    for (index, limit) in limits.iter().enumerate() {
        let field = |name: &str| format!("process.rlimits[{index}]{name}");
        if limit.resource().is_none() {
            return Err(Error::invalid(field(".type"), format!("unknown resource limit {:?}", &*limit.kind)));
        }
        if !seen.insert(&*limit.kind) {
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
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
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
        texts(&field("options"), &mount.options)?;
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
            texts(&field("args"), &hook.args)?;
            texts(&field("env"), &hook.env)?;
            if let Some(timeout) = hook.timeout.filter(|seconds| u32::try_from(*seconds).map_or(true, |s| s == 0)) {
                return Err(Error::invalid(field("timeout"), format!("{timeout} is not a number of seconds above 0")));
            }
        }
    }
    Ok(())
}

fn namespaces(config: &Config<'_>) -> Result<()> {
    let namespaces = &config.linux.namespaces;
    for (index, namespace) in namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        if namespaces[..index].iter().any(|other| other.kind == namespace.kind) {
            return Err(Error::invalid(field, format!("the {} namespace stands there twice", namespace.kind.name())));
        }
        if let Some(path) = namespace.path() {
            absolute(|| format!("{field}.path"), path)?;
        }
    }
    Ok(())
}

fn devices(config: &Config<'_>) -> Result<()> {
    for (index, device) in config.linux.devices.iter().enumerate() {
        let field = |name: &str| format!("linux.devices[{index}].{name}");
        absolute(|| field("path"), &device.path)?;
        let number = |name: &str, number: Option<i64>, bits: u32| match number {
            Some(number) if (0..1 << bits).contains(&number) => Ok(()),
            None if device.kind == super::types::DeviceType::Fifo => Ok(()),
            None => Err(Error::invalid(field(name), "is required, but for a FIFO")),
            Some(number) => Err(Error::invalid(field(name), format!("{number} is no device number of Linux"))),
        };
        number("major", device.major, 12)?;
        number("minor", device.minor, 20)?;
    }
    let rules = config.linux.resources.as_ref().map_or(&[][..], |resources| &resources.devices);
    for (index, rule) in rules.iter().enumerate() {
        let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
        if let Some(kind) = rule.kind.as_deref().filter(|kind| !matches!(*kind, "a" | "b" | "c" | "")) {
            return Err(Error::invalid(field("type"), format!("unknown device type {kind:?}")));
        }
        let access = rule.access.as_deref().unwrap_or_default();
        if access.bytes().any(|letter| !b"rwm".contains(&letter)) {
            return Err(Error::invalid(field("access"), format!("{access:?} is not made of r, w and m")));
        }
        for (name, number) in [("major", rule.major), ("minor", rule.minor)] {
            if number.is_some_and(|number| number < -1 || number > i64::from(u32::MAX)) {
                return Err(Error::invalid(field(name), "is no device number"));
            }
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
        ] {
            assert_eq!(error(change), text, "{change}");
        }
    }
}
