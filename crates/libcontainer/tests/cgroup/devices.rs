//! The kernel decides as the filter says.

use libcontainer::cgroup::Cgroup;
use libcontainer::cgroup::devices::{Access, Filter, Kind, Rule, default_rules};

use crate::view::{Place, in_every_view, succeeds};

fn rule(allow: bool, kind: Kind, numbers: (u32, u32), access: &str) -> Rule {
    let numbers = if kind == Kind::All { (None, None) } else { (Some(numbers.0), Some(numbers.1)) };
    Rule { allow, kind, major: numbers.0, minor: numbers.1, access: Access::parse(access).unwrap() }
}

const READ: &str = "head -c1 /dev/zero >/dev/null";
const READ_AND_WRITE: &str = "exec 3<>/dev/zero";

#[test]
fn a_device_is_denied_and_given_back() {
    in_every_view("devices::a_device_is_denied_and_given_back", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        let apply = |cgroup: &Cgroup, rules: &[Rule], listed| {
            cgroup.apply_devices(&Filter::new(rules, default_rules(|path| path == listed)).unwrap()).unwrap();
        };
        assert!(succeeds(&plan, READ));

        let nothing = rule(false, Kind::All, (0, 0), "rwm");
        apply(&cgroup, &[nothing], "/dev/zero");
        assert!(!succeeds(&plan, READ), "/dev/zero is open although no rule allows it");
        assert!(succeeds(&plan, "head -c1 /dev/urandom >/dev/null"), "a default device is denied");
        assert!(succeeds(&plan, "d=$(mktemp -d) && mknod $d/z c 1 5; s=$?; rm -r $d; exit $s"), "mknod is denied");

        // From here on as `update` would do it, from a process that has not made the cgroup.
        let cgroup = Cgroup::open(&plan);
        apply(&cgroup, &[nothing, rule(true, Kind::Char, (1, 5), "r")], "/dev/zero");
        assert!(succeeds(&plan, READ), "the old filter still holds");
        assert!(!succeeds(&plan, READ_AND_WRITE));

        apply(&cgroup, &[nothing], "");
        assert!(succeeds(&plan, READ_AND_WRITE), "a default device is denied");

        let everything = rule(true, Kind::All, (0, 0), "rwm");
        apply(&cgroup, &[everything, rule(false, Kind::Char, (1, 5), "w")], "/dev/zero");
        assert!(succeeds(&plan, READ));
        assert!(!succeeds(&plan, READ_AND_WRITE), "reading and writing gets past a rule against writing");

        apply(&cgroup, &[everything], "");
        assert!(succeeds(&plan, READ_AND_WRITE));
    });
}

#[test]
fn v1_has_the_rules_that_were_written() {
    in_every_view("devices::v1_has_the_rules_that_were_written", || {
        use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};

        let place = Place::new();
        let plan = place.plan("c1");
        // v2 shows nobody what a program does.
        let Some(dir) = plan.controller("devices") else { return };
        let cgroup = Cgroup::create(&plan).unwrap();
        let rules = [rule(false, Kind::All, (0, 0), ""), rule(true, Kind::Block, (8, 1), "rm")];
        cgroup.apply_devices(&Filter::new(&rules, default_rules(|_| false)).unwrap()).unwrap();

        let seen = cgroups_rs::fs::Cgroup::load(cgroups_rs::fs::hierarchies::auto(), dir.below.trim_start_matches('/'));
        let controller: &DevicesController = seen.controller_of().unwrap();
        let mut found: Vec<_> = controller
            .allowed_devices()
            .unwrap()
            .into_iter()
            .map(|d| {
                (
                    d.devtype.to_char(),
                    d.major,
                    d.minor,
                    d.access.iter().map(DevicePermissions::to_char).collect::<String>(),
                )
            })
            .collect();
        found.sort();
        let all = "rwm".to_owned();
        let mut expected = vec![
            (DeviceType::Block.to_char(), -1, -1, "m".to_owned()),
            ('b', 8, 1, "rm".to_owned()),
            ('c', -1, -1, "m".to_owned()),
        ];
        expected.extend([3, 5, 7, 8, 9].map(|minor| ('c', 1, minor, all.clone())));
        expected.extend([('c', 5, 0, all.clone()), ('c', 5, 2, all.clone()), ('c', 136, -1, all)]);
        assert_eq!(found, expected);
    });
}

#[test]
fn the_kernel_takes_programs_for_many_rules() {
    in_every_view("devices::the_kernel_takes_programs_for_many_rules", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        let mut rules = vec![rule(false, Kind::All, (0, 0), "rwm")];
        // Beyond both what an unprivileged program may have (4096) and a signed number can hold.
        rules.extend((0..600).map(|n| rule(true, Kind::Char, (u32::MAX - 1 - n, u32::MAX - 1 - n), "rw")));
        rules.push(rule(true, Kind::Char, (1, 5), "rw"));
        cgroup.apply_devices(&Filter::new(&rules, []).unwrap()).unwrap();
        assert!(succeeds(&plan, READ_AND_WRITE));
        assert!(!succeeds(&plan, "head -c1 /dev/urandom"));
    });
}
