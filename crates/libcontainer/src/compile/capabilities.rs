//! `process.capabilities`: names become bit sets, and what cannot be granted is left out with a warning.
//!
//! The runtime spec: "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted
//! otherwise, MUST be logged as a warning by the runtime." Rule R6: ambient ⊆ permitted ∩ inheritable.

use std::str::FromStr as _;

use caps::Capability;

/// The five sets of capabilities(7); bit n is capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// What execve can ever give.
    pub bounding: u64,
    /// What counts in permission checks.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// What is kept over execve where the file allows it.
    pub inheritable: u64,
    /// What is kept over execve of any ordinary file.
    pub ambient: u64,
}

/// The names that the config has for each set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a, S> {
    /// `process.capabilities.bounding`.
    pub bounding: &'a [S],
    /// `process.capabilities.effective`.
    pub effective: &'a [S],
    /// `process.capabilities.permitted`.
    pub permitted: &'a [S],
    /// `process.capabilities.inheritable`.
    pub inheritable: &'a [S],
    /// `process.capabilities.ambient`.
    pub ambient: &'a [S],
}

const FIELD: &str = "process.capabilities";

/// The names that [`sets`] knows, by number: `linux.capabilities` of the features document.
pub fn names() -> Vec<String> {
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(|capability| capability.index());
    all.iter().map(Capability::to_string).collect()
}

/// The sets that can be granted: `grantable` holds the runtime's own bounding set.
pub fn sets<'a, S: AsRef<str>>(names: Names<'a, S>, grantable: u64, warnings: &mut Vec<String>) -> Sets {
    let mut unknown: Vec<&str> = Vec::new();
    let mut read = |names: &'a [S]| {
        let mut set = 0;
        for name in names {
            match Capability::from_str(name.as_ref()) {
                Ok(capability) => set |= capability.bitmask(),
                Err(_) => unknown_name(&mut unknown, name.as_ref()),
            }
        }
        set
    };
    let asked = Sets {
        bounding: read(names.bounding),
        effective: read(names.effective),
        permitted: read(names.permitted),
        inheritable: read(names.inheritable),
        ambient: read(names.ambient),
    };
    if !unknown.is_empty() {
        warnings.push(format!("{FIELD}: left out, because unknown: {}", unknown.join(" ")));
    }
    confine(asked, grantable, warnings)
}

fn unknown_name<'a>(unknown: &mut Vec<&'a str>, name: &'a str) {
    if !unknown.contains(&name) {
        unknown.push(name);
    }
}

/// Cuts the sets down to what the kernel accepts, set by set, because each depends on the one before.
fn confine(asked: Sets, grantable: u64, warnings: &mut Vec<String>) -> Sets {
    let all = asked.bounding | asked.effective | asked.permitted | asked.inheritable | asked.ambient;
    left_out(warnings, "", "outside the runtime's own bounding set", all & !grantable);
    let mut cut = |set: &str, asked: u64, limit: u64, why: &str| {
        left_out(warnings, set, why, asked & grantable & !limit);
        asked & grantable & limit
    };
    let bounding = asked.bounding & grantable;
    let permitted = asked.permitted & grantable;
    // capset(2) refuses an effective capability that is not permitted, and with the bounding set cut already an
    // inheritable one outside it.
    let effective = cut(".effective", asked.effective, permitted, "not permitted");
    let inheritable = cut(".inheritable", asked.inheritable, bounding, "not in the bounding set");
    let ambient = cut(".ambient", asked.ambient, permitted & inheritable, "not both permitted and inheritable");
    Sets { bounding, effective, permitted, inheritable, ambient }
}

fn left_out(warnings: &mut Vec<String>, set: &str, why: &str, capabilities: u64) {
    if capabilities != 0 {
        let mut names: Vec<Capability> = caps::all().into_iter().filter(|c| capabilities & c.bitmask() != 0).collect();
        names.sort_by_key(Capability::index);
        let names: Vec<String> = names.iter().map(Capability::to_string).collect();
        warnings.push(format!("{FIELD}{set}: left out, because {why}: {}", names.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    const SYS_RESOURCE: u64 = 1 << 24;

    #[test]
    fn known_names_become_their_bits() {
        let mut warnings = Vec::new();
        let all = ["CAP_CHOWN", "CAP_KILL"];
        let names =
            Names { bounding: &all, effective: &all, permitted: &all, inheritable: &all[1..], ambient: &all[1..] };
        let expected = Sets {
            bounding: CHOWN | KILL,
            effective: CHOWN | KILL,
            permitted: CHOWN | KILL,
            inheritable: KILL,
            ambient: KILL,
        };
        assert_eq!(sets(names, u64::MAX, &mut warnings), expected);
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn what_cannot_be_granted_is_left_out_with_one_warning_a_reason() {
        let mut warnings = Vec::new();
        let all = ["CAP_KILL", "CAP_SYS_RESOURCE", "CAP_FUTURE", "cap_kill"];
        let names = Names { bounding: &all, effective: &all, permitted: &all, inheritable: &[], ambient: &all[..1] };
        let got = sets(names, !SYS_RESOURCE, &mut warnings);
        assert_eq!(got, Sets { bounding: KILL, effective: KILL, permitted: KILL, ..Sets::default() });
        assert_eq!(
            warnings,
            [
                "process.capabilities: left out, because unknown: CAP_FUTURE cap_kill",
                "process.capabilities: left out, because outside the runtime's own bounding set: CAP_SYS_RESOURCE",
                "process.capabilities.ambient: left out, because not both permitted and inheritable: CAP_KILL",
            ]
        );
    }

    #[test]
    fn every_set_of_any_config_is_one_that_the_kernel_accepts() {
        for bits in 0..32u64 {
            let pick = |n: u64| if bits >> n & 1 == 1 { CHOWN | KILL } else { KILL << 1 };
            let asked = Sets {
                bounding: pick(0),
                effective: pick(1),
                permitted: pick(2),
                inheritable: pick(3),
                ambient: pick(4),
            };
            let got = confine(asked, !CHOWN, &mut Vec::new());
            assert_eq!(got.effective & !got.permitted, 0);
            assert_eq!(got.inheritable & !got.bounding, 0);
            assert_eq!(got.ambient & !(got.permitted & got.inheritable), 0);
            assert_eq!((got.bounding | got.permitted) & CHOWN, 0);
        }
    }
}
