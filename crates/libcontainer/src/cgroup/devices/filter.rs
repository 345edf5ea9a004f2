//! The state that a list of rules ends in: a default, and the exceptions to it.
//!
//! It follows the v1 controller (security/device_cgroup.c), with runc's one addition: where the kernel would quietly
//! ignore an entry that takes something away from a wildcard exception, that is an error.
//!
//! | mode | a request is allowed if |
//! |---|---|
//! | deny by default | one exception of its device has all of the request's access |
//! | allow by default | no exception of its device has any of the request's access |
//!
//! runc's and crun's eBPF programs ask in both modes for *all* of the access, so that there an open for reading and
//! writing gets past a rule that denies writing. Ours does not.

use std::fmt::Write as _;

use super::program;
use super::rule::{Access, Kind, Rule};
use crate::{Error, Result};

/// The devices that an exception is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Devices {
    /// Never [`Kind::All`].
    pub kind: Kind,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

/// What a container may do to devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    allow_by_default: bool,
    exceptions: Vec<(Devices, Access)>,
}

/// The v1 file that a line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1File {
    /// `devices.allow`
    Allow,
    /// `devices.deny`
    Deny,
}

impl V1File {
    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            V1File::Allow => "devices.allow",
            V1File::Deny => "devices.deny",
        }
    }
}

/// One write to the v1 controller, which takes one line at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Write {
    /// Where to.
    pub file: V1File,
    /// What, as in `c 1:3 rwm`.
    pub line: String,
}

impl Filter {
    /// The filter of a container: from the state in which nothing is allowed, these rules in order. Callers append
    /// [`super::default_rules`] to those of the config.
    ///
    /// # Errors
    /// A rule that takes a part out of an earlier wildcard rule, which the v1 controller cannot express; the error
    /// names `linux.resources.devices[i]`, or the list if it is one of the default rules.
    pub fn new(config: &[Rule], defaults: impl IntoIterator<Item = Rule>) -> Result<Filter> {
        let mut filter = Filter { allow_by_default: false, exceptions: Vec::with_capacity(16) };
        for (index, rule) in config.iter().enumerate() {
            filter.apply(rule).map_err(|e| e.field(format!("linux.resources.devices[{index}]")))?;
        }
        for rule in defaults {
            filter.apply(&rule).map_err(|e| {
                e.field("linux.resources.devices").hint("every container is allowed the default devices")
            })?;
        }
        Ok(filter)
    }

    fn apply(&mut self, rule: &Rule) -> Result<()> {
        if rule.kind == Kind::All {
            // Whatever else it says: the controller takes `a` for a fresh start in this mode.
            self.allow_by_default = rule.allow;
            self.exceptions.clear();
            return Ok(());
        }
        let devices = Devices { kind: rule.kind, major: rule.major, minor: rule.minor };
        if rule.allow == self.allow_by_default {
            return self.take_away(devices, rule.access);
        }
        if !rule.access.is_empty() {
            match self.exceptions.iter_mut().find(|(d, _)| *d == devices) {
                Some((_, access)) => *access = access.union(rule.access),
                None => self.exceptions.push((devices, rule.access)),
            }
        }
        Ok(())
    }

    fn take_away(&mut self, devices: Devices, access: Access) -> Result<()> {
        let Devices { kind, major, minor } = devices;
        for wider in [(None, minor), (major, None), (None, None)] {
            let wider = Devices { kind, major: wider.0, minor: wider.1 };
            if wider != devices && self.exceptions.iter().any(|(d, a)| *d == wider && a.overlaps(access)) {
                let problem = "cannot take a part out of an earlier wildcard rule";
                return Err(Error::unsupported("linux.resources.devices", problem).detail(format!(
                    "{:?} is in {:?}",
                    line(devices, access),
                    line(wider, access)
                )));
            }
        }
        self.exceptions.retain_mut(|(d, a)| {
            if *d == devices {
                *a = a.minus(access);
            }
            !a.is_empty()
        });
        Ok(())
    }

    /// Whether a process may do this to the device: the reference for what the kernel is told.
    pub fn permits(&self, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let mut matching = self.exceptions.iter().filter(|(d, _)| {
            d.kind == kind && d.major.is_none_or(|m| m == major) && d.minor.is_none_or(|m| m == minor)
        });
        if self.allow_by_default {
            !matching.any(|(_, exception)| exception.overlaps(access))
        } else {
            matching.any(|(_, exception)| exception.contains(access))
        }
    }

    /// True if everything is allowed, so that there is nothing to enforce.
    pub fn permits_all(&self) -> bool {
        self.allow_by_default && self.exceptions.is_empty()
    }

    /// The writes that bring a v1 cgroup into this state, whatever its state is.
    pub fn v1_writes(&self) -> Vec<V1Write> {
        let (fresh, exception) = match self.allow_by_default {
            true => (V1File::Allow, V1File::Deny),
            false => (V1File::Deny, V1File::Allow),
        };
        let mut writes = Vec::with_capacity(1 + self.exceptions.len());
        writes.push(V1Write { file: fresh, line: "a".to_owned() });
        for (devices, access) in &self.exceptions {
            writes.push(V1Write { file: exception, line: line(*devices, *access) });
        }
        writes
    }

    /// The program of type BPF_PROG_TYPE_CGROUP_DEVICE that decides likewise, one eBPF instruction a word.
    pub fn program(&self) -> Vec<u64> {
        program::assemble(self.allow_by_default, &self.exceptions)
    }
}

/// `c 1:* rw`
fn line(devices: Devices, access: Access) -> String {
    let mut line = String::with_capacity(16);
    line.push_str(if devices.kind == Kind::Block { "b " } else { "c " });
    for (number, end) in [(devices.major, ':'), (devices.minor, ' ')] {
        match number {
            Some(number) => _ = write!(line, "{number}{end}"),
            None => line.extend(['*', end]),
        }
    }
    let _ = write!(line, "{access}");
    line
}
