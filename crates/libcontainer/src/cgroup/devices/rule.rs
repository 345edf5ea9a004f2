//! A device rule as the config states it.

use std::fmt;

/// Which sort of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `a`: the rule replaces all before it, whatever its numbers and access say.
    All,
    /// `b`
    Block,
    /// `c`
    Char,
}

/// What may be done to a device: a set of read, write and mknod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// `m`: BPF_DEVCG_ACC_MKNOD.
    pub const MKNOD: Access = Access(1);
    /// `r`: BPF_DEVCG_ACC_READ.
    pub const READ: Access = Access(2);
    /// `w`: BPF_DEVCG_ACC_WRITE.
    pub const WRITE: Access = Access(4);
    /// `rwm`
    pub const ALL: Access = Access(7);
    /// Nothing.
    pub const NONE: Access = Access(0);

    /// Reads the config's `access`, a composition of `r`, `w` and `m`; `None` if there is something else in it.
    pub fn parse(text: &str) -> Option<Access> {
        text.bytes().try_fold(Access::NONE, |set, letter| {
            Some(set.union(match letter {
                b'r' => Access::READ,
                b'w' => Access::WRITE,
                b'm' => Access::MKNOD,
                _ => return None,
            }))
        })
    }

    /// The bits, as the kernel's `BPF_DEVCG_ACC_*` has them.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both sets.
    #[must_use]
    pub fn union(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn minus(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    /// True if everything in `other` is in this set.
    pub fn contains(self, other: Access) -> bool {
        other.minus(self).is_empty()
    }

    /// True if the sets have something in common.
    pub fn overlaps(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }

    /// True for the empty set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            if self.contains(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// One entry of `linux.resources.devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether the devices may be used.
    pub allow: bool,
    /// Which sort.
    pub kind: Kind,
    /// Major number; `None` for all.
    pub major: Option<u32>,
    /// Minor number; `None` for all.
    pub minor: Option<u32>,
    /// For what.
    pub access: Access,
}

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule { allow: true, kind, major, minor, access }
}

/// What every container is allowed, with the path of the node if the runtime makes one: making any node (which is
/// not opening it), the default devices of the runtime spec, and pseudo-terminals.
const DEFAULTS: [(&str, Rule); 10] = [
    ("", allow(Kind::Char, None, None, Access::MKNOD)),
    ("", allow(Kind::Block, None, None, Access::MKNOD)),
    ("/dev/null", allow(Kind::Char, Some(1), Some(3), Access::ALL)),
    ("/dev/random", allow(Kind::Char, Some(1), Some(8), Access::ALL)),
    ("/dev/full", allow(Kind::Char, Some(1), Some(7), Access::ALL)),
    ("/dev/tty", allow(Kind::Char, Some(5), Some(0), Access::ALL)),
    ("/dev/zero", allow(Kind::Char, Some(1), Some(5), Access::ALL)),
    ("/dev/urandom", allow(Kind::Char, Some(1), Some(9), Access::ALL)),
    ("", allow(Kind::Char, Some(136), None, Access::ALL)),
    ("", allow(Kind::Char, Some(5), Some(2), Access::ALL)),
];

/// The rules that follow those of the config, as in runc: the default devices, but for those at whose path
/// `linux.devices` puts a device of the config's own (`listed` tells).
pub fn default_rules(listed: impl Fn(&str) -> bool) -> impl Iterator<Item = Rule> {
    DEFAULTS.iter().filter(move |(path, _)| path.is_empty() || !listed(path)).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_reads_and_writes_letters() {
        assert_eq!(Access::parse("mrw"), Some(Access::ALL));
        assert_eq!(Access::parse(""), Some(Access::NONE));
        assert_eq!(Access::parse("rx"), None);
        assert_eq!(Access::ALL.to_string(), "rwm");
        assert_eq!(Access::MKNOD.union(Access::READ).to_string(), "rm");
    }

    #[test]
    fn a_device_of_the_config_takes_the_place_of_the_default_one() {
        let null = |rule: &Rule| rule.major == Some(1) && rule.minor == Some(3);
        assert!(default_rules(|_| false).any(|r| null(&r)));
        assert!(!default_rules(|path| path == "/dev/null").any(|r| null(&r)));
        assert_eq!(default_rules(|path| path == "/dev/null").count(), DEFAULTS.len() - 1);
    }
}
