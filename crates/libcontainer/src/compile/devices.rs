//! Device nodes and links in /dev: those that the runtime spec wants in every container, and `linux.devices`.

use super::mounts::Mount;
use super::{Compiler, paths};
use crate::cgroup::devices::{Access, Filter, Kind, Rule, default_rules};
use crate::config::types::{Config, Device, DeviceRule, DeviceType};
use crate::error::{Error, Result};
use crate::plan::Field;
use crate::plan::op::Op;
use crate::plan::wire::Text;

/// The default devices (config-linux.md, "Default Devices"), all `c`, mode 0666, owned by root.
const DEFAULTS: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links (runtime-linux.md, "Dev symbolic links"). The last is not the spec's, but runc and crun make it.
const LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
];

const DEFAULT_MODE: u32 = 0o666;
const FIELD: &str = "linux.devices";

/// `linux.resources.devices`, and after it what every container may use.
pub(super) fn filter(config: &Config<'_>) -> Result<Filter> {
    let rules = config.linux.resources.as_ref().map(|resources| &resources.devices[..]).unwrap_or_default();
    let rules = rules.iter().enumerate().map(|(index, rule)| read_rule(index, rule)).collect::<Result<Vec<_>>>()?;
    let listed = |path: &str| config.linux.devices.iter().any(|device| device.path == path);
    Filter::new(&rules, default_rules(listed))
}

fn read_rule(index: usize, rule: &DeviceRule<'_>) -> Result<Rule> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let kind = match rule.kind.as_deref() {
        None | Some("" | "a") => Kind::All,
        Some("b") => Kind::Block,
        Some("c") => Kind::Char,
        Some(other) => return Err(Error::invalid(field("type"), format!("unknown device type {other:?}"))),
    };
    let access = rule.access.as_deref().unwrap_or("rwm");
    let access = Access::parse(access)
        .filter(|access| !access.is_empty())
        .ok_or_else(|| Error::invalid(field("access"), format!("{access:?} is not a composition of r, w and m")))?;
    // Engines write -1 for "all", as the kernel's files have `*`.
    let number = |name, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => device_number(field(name), number).map(Some),
    };
    let (major, minor) = (number("major", rule.major)?, number("minor", rule.minor)?);
    Ok(Rule { allow: rule.allow, kind, major, minor, access })
}

fn device_number(field: String, number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::invalid(field, format!("{number} is not a device number")))
}

/// The `S_IF*` of a device, and its numbers; a FIFO has none.
fn numbers(index: usize, device: &Device<'_>) -> Result<(u32, u32, u32)> {
    let kind = match device.kind {
        DeviceType::Fifo => return Ok((libc::S_IFIFO, 0, 0)),
        DeviceType::Block => libc::S_IFBLK,
        DeviceType::Char | DeviceType::Unbuffered => libc::S_IFCHR,
    };
    let number = |name: &str, number: Option<i64>| {
        let field = format!("{FIELD}[{index}].{name}");
        let number = number.ok_or_else(|| Error::invalid(field.clone(), "is needed unless the device is a FIFO"))?;
        device_number(field, number)
    };
    Ok((kind, number("major", device.major)?, number("minor", device.minor)?))
}

impl Compiler<'_> {
    /// Fills /dev, after all mounts so that it lands on what is mounted there.
    ///
    /// A /dev that is bound from the host is the host's: nothing is made in it, as with runc.
    pub(super) fn devices(&mut self, mounts: &[Mount<'_>]) -> Result<()> {
        if mounts.iter().any(|mount| mount.is_bind() && mount.dest == "/dev") {
            return Ok(());
        }
        self.default_devices();
        self.own_devices()?;
        self.links();
        Ok(())
    }

    fn default_devices(&mut self) {
        for &(path, major, minor) in DEFAULTS {
            if self.config.linux.devices.iter().any(|device| paths::clean(&device.path) == path) {
                continue;
            }
            let mode = libc::S_IFCHR | DEFAULT_MODE;
            let op = Op::Device { path: Text::new(path.as_bytes()), mode, major, minor, uid: 0, gid: 0 };
            self.plan.push(&Field::labelled(FIELD, path), op);
        }
    }

    fn own_devices(&mut self) -> Result<()> {
        for (index, device) in self.config.linux.devices.iter().enumerate() {
            let path = paths::clean(&device.path);
            // That one is the container's own, see below.
            if path == "/dev/ptmx" {
                continue;
            }
            let (kind, major, minor) = numbers(index, device)?;
            // Podman puts the type's bits into the mode as well.
            let mode = kind | device.file_mode.unwrap_or(DEFAULT_MODE) & 0o7777;
            let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
            let op = Op::Device { path: Text::new(path.as_bytes()), mode, major, minor, uid, gid };
            self.plan.push(&Field::labelled(format!("{FIELD}[{index}]"), device.path.to_string()), op);
        }
        Ok(())
    }

    fn links(&mut self) {
        for &(path, target) in LINKS {
            self.link(path, target, 0);
        }
        // Whatever the image has there could be another container's multiplexer.
        self.link("/dev/ptmx", "pts/ptmx", 1);
    }

    fn link(&mut self, path: &str, target: &str, replace: u32) {
        let op = Op::Symlink { path: Text::new(path.as_bytes()), target: Text::new(target.as_bytes()), replace };
        self.plan.push(&Field::labelled(FIELD, path), op);
    }
}
