//! `linux.namespaces` and what needs one: id maps, clock offsets, network devices.

use super::super::types::{Config, IdMapping, NamespaceType};
use super::{absolute, key};
use crate::error::{Error, Result};

/// The most ranges of an id map, user_namespaces(7), Linux 4.15.
const MAPPINGS_MAX: usize = 340;
/// IFNAMSIZ without the closing NUL.
const INTERFACE_NAME_MAX: usize = 15;

pub(super) fn check(config: &Config<'_>) -> Result<()> {
    let namespaces = &config.linux.namespaces;
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespaces[..index].iter().any(|other| other.kind == namespace.kind) {
            let words = format!("the {} namespace stands there twice", namespace.kind.name());
            return Err(Error::invalid(format!("linux.namespaces[{index}]"), words));
        }
        if let Some(path) = namespace.path() {
            absolute(|| format!("linux.namespaces[{index}].path"), path)?;
        }
    }
    user_namespace(config)?;
    time_offsets(config)?;
    net_devices(config)
}

fn user_namespace(config: &Config<'_>) -> Result<()> {
    let linux = &config.linux;
    let place = linux.namespaces.iter().position(|namespace| namespace.kind == NamespaceType::User);
    for (field, list) in [("linux.uidMappings", &linux.uid_mappings), ("linux.gidMappings", &linux.gid_mappings)] {
        mappings(|| field.to_owned(), list)?;
        match place {
            None if !list.is_empty() => {
                return Err(Error::invalid(field, "needs a user namespace in linux.namespaces"));
            }
            Some(index) if list.is_empty() && linux.namespaces[index].path().is_none() => {
                let words = format!("a new user namespace needs {field}");
                return Err(Error::invalid(format!("linux.namespaces[{index}]"), words));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the kernel takes as an id map, user_namespaces(7).
pub(super) fn mappings(field: impl Fn() -> String, list: &[IdMapping]) -> Result<()> {
    if list.len() > MAPPINGS_MAX {
        return Err(Error::invalid(field(), format!("has {} ranges, more than {MAPPINGS_MAX}", list.len())));
    }
    for (index, range) in list.iter().enumerate() {
        let invalid = |words: String| Err(Error::invalid(format!("{}[{index}]", field()), words));
        if range.size == 0 {
            return invalid("maps no ids".to_owned());
        }
        if range.container_id.checked_add(range.size).is_none() || range.host_id.checked_add(range.size).is_none() {
            return invalid("maps more ids than there are".to_owned());
        }
        let earlier = list[..index].iter().position(|other| {
            overlap((range.container_id, range.size), (other.container_id, other.size))
                || overlap((range.host_id, range.size), (other.host_id, other.size))
        });
        if let Some(earlier) = earlier {
            return invalid(format!("overlaps with range {earlier}"));
        }
    }
    Ok(())
}

/// Two ranges, by first id and size, have an id in common.
fn overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    let end = |(first, size): (u32, u32)| u64::from(first) + u64::from(size);
    u64::from(a.0) < end(b) && u64::from(b.0) < end(a)
}

fn time_offsets(config: &Config<'_>) -> Result<()> {
    const FIELD: &str = "linux.timeOffsets";
    let offsets = &config.linux.time_offsets;
    if !offsets.is_empty() && !config.has_namespace(NamespaceType::Time) {
        return Err(Error::invalid(FIELD, "needs a time namespace in linux.namespaces"));
    }
    for (clock, offset) in offsets {
        if !matches!(&**clock, "boottime" | "monotonic") {
            return Err(Error::invalid(key(FIELD, clock), "unknown clock, expected boottime or monotonic"));
        }
        if offset.nanosecs >= 1_000_000_000 {
            let words = format!("{} is a second or more", offset.nanosecs);
            return Err(Error::invalid(format!("{}.nanosecs", key(FIELD, clock)), words));
        }
    }
    Ok(())
}

fn net_devices(config: &Config<'_>) -> Result<()> {
    const FIELD: &str = "linux.netDevices";
    let devices = &config.linux.net_devices;
    if !devices.is_empty() && !config.has_namespace(NamespaceType::Network) {
        return Err(Error::invalid(FIELD, "needs a network namespace in linux.namespaces"));
    }
    for (name, device) in devices {
        interface(|| key(FIELD, name), name)?;
        if let Some(inside) = device.name.as_deref() {
            interface(|| format!("{}.name", key(FIELD, name)), inside)?;
        }
    }
    Ok(())
}

/// What the kernel takes as an interface's name (dev_valid_name), and no pattern.
fn interface(field: impl FnOnce() -> String, name: &str) -> Result<()> {
    let bad = |letter: u8| matches!(letter, b'/' | b':' | b'%' | 0 | 0x0b) || letter.is_ascii_whitespace();
    if name.is_empty() || name.len() > INTERFACE_NAME_MAX || matches!(name, "." | "..") || name.bytes().any(bad) {
        return Err(Error::invalid(field(), format!("{name:?} is not the name of a network interface")));
    }
    Ok(())
}
