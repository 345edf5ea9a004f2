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
    /// A device number of 2³²−1, which the v1 controller takes for all; a rule that takes a part out of an earlier
    /// wildcard rule, which that controller cannot express. The error names `linux.resources.devices[i]`, or the list if
    /// it is one of the default rules.
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
        if [rule.major, rule.minor].contains(&Some(u32::MAX)) {
            return Err(Error::invalid("linux.resources.devices", "no device has the number 4294967295"));
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

#[cfg(test)]
mod tests {
    use super::super::default_rules;
    use super::*;

    fn rule(allow: bool, text: &str) -> Rule {
        let (kind, rest) = text.split_at(1);
        let (numbers, access) = rest.trim().split_once(' ').unwrap_or(("*:*", "rwm"));
        let (major, minor) = numbers.split_once(':').unwrap();
        Rule {
            allow,
            kind: match kind {
                "a" => Kind::All,
                "b" => Kind::Block,
                _ => Kind::Char,
            },
            major: major.parse().ok(),
            minor: minor.parse().ok(),
            access: Access::parse(access).unwrap(),
        }
    }

    fn writes(rules: &[Rule]) -> Vec<String> {
        let filter = Filter::new(rules, []).unwrap();
        filter.v1_writes().iter().map(|w| format!("{} {}", w.file.name(), w.line)).collect()
    }

    #[test]
    fn the_default_rules_come_last_and_merge() {
        // What Docker sends.
        let docker = [
            rule(false, "a"),
            rule(true, "c 1:5 rwm"),
            rule(true, "c 10:200 r"),
            rule(true, "c 10:200 w"),
            rule(false, "c 10:229 rwm"),
        ];
        let filter = Filter::new(&docker, default_rules(|path| path == "/dev/zero")).unwrap();
        let writes: Vec<_> = filter.v1_writes().iter().map(|w| format!("{} {}", w.file.name(), w.line)).collect();
        assert_eq!(
            writes,
            [
                "devices.deny a",
                "devices.allow c 1:5 rwm",
                "devices.allow c 10:200 rw",
                "devices.allow c *:* m",
                "devices.allow b *:* m",
                "devices.allow c 1:3 rwm",
                "devices.allow c 1:8 rwm",
                "devices.allow c 1:7 rwm",
                "devices.allow c 5:0 rwm",
                "devices.allow c 1:9 rwm",
                "devices.allow c 136:* rwm",
                "devices.allow c 5:2 rwm",
            ]
        );
        assert!(filter.permits(Kind::Char, 136, 7, Access::ALL));
        assert!(filter.permits(Kind::Block, 8, 0, Access::MKNOD));
        assert!(!filter.permits(Kind::Block, 8, 0, Access::READ));
        assert!(!filter.permits(Kind::Char, 10, 229, Access::READ));
    }

    #[test]
    fn nothing_is_allowed_to_begin_with() {
        assert_eq!(writes(&[]), ["devices.deny a"]);
        assert!(!Filter::new(&[], []).unwrap().permits(Kind::Char, 1, 3, Access::READ));
    }

    #[test]
    fn a_rule_for_all_devices_starts_afresh_whatever_else_it_says() {
        assert_eq!(
            writes(&[rule(true, "c 1:3 rwm"), rule(true, "a 5:5 r"), rule(false, "b 8:2 rw")]),
            ["devices.allow a", "devices.deny b 8:2 rw"]
        );
        assert!(Filter::new(&[rule(true, "a")], default_rules(|_| false)).unwrap().permits_all());
    }

    #[test]
    fn later_rules_take_back_what_earlier_ones_gave() {
        assert_eq!(
            writes(&[rule(true, "c 1:3 rwm"), rule(false, "c 1:3 w"), rule(true, "b 1:3 r"), rule(false, "b 1:3 rwm")]),
            ["devices.deny a", "devices.allow c 1:3 rm"]
        );
    }

    #[test]
    fn a_hole_in_a_wildcard_is_refused_and_named() {
        let error = Filter::new(&[rule(false, "a"), rule(true, "c 1:* rw"), rule(false, "c 1:3 w")], []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "linux.resources.devices[2]: cannot take a part out of an earlier wildcard rule: \
             \"c 1:3 w\" is in \"c 1:* w\""
        );
        // Another access, another sort or a wildcard of the same width is no hole.
        for last in ["c 1:3 m", "b 1:3 w", "c 1:* w"] {
            Filter::new(&[rule(true, "c 1:* rw"), rule(false, last)], []).unwrap();
        }
        let all_but_memory = [rule(true, "a"), rule(false, "c 1:* rwm")];
        let error = Filter::new(&all_but_memory, default_rules(|_| false)).unwrap_err();
        assert!(error.to_string().contains("every container is allowed the default devices"), "{error}");
    }

    #[test]
    fn the_number_that_means_all_to_the_kernel_is_refused() {
        let error = Filter::new(&[rule(true, "c 4294967295:3 rwm")], []).unwrap_err();
        assert_eq!(error.to_string(), "linux.resources.devices[0]: no device has the number 4294967295");
        assert_eq!(writes(&[rule(true, "c 4294967294:3 r")])[1], "devices.allow c 4294967294:3 r");
    }

    #[test]
    fn reading_and_writing_does_not_get_past_a_rule_against_writing() {
        let filter = Filter::new(&[rule(true, "a"), rule(false, "c 1:5 w")], []).unwrap();
        assert!(filter.permits(Kind::Char, 1, 5, Access::READ));
        assert!(!filter.permits(Kind::Char, 1, 5, Access::READ.union(Access::WRITE)));
    }
}
