//! What holds for every plan, whatever the config says: the rules that keep a hostile image out, as far as the order
//! and the content of the ops decide them.
//!
//! Tests run [`check`] over every golden plan and over random configs. It costs a pass over the ops and is not needed
//! at run time: `compile` either keeps the rules or has a bug.

use crate::plan::Plan;
use crate::plan::op::Op;
use crate::plan::wire::{Slot, Text};

/// Checks every invariant.
///
/// # Errors
/// The first one that is broken, with the op's index.
pub fn check(plan: &Plan) -> Result<(), String> {
    let mut walk = Walk { written: vec![true; plan.inputs().len()], ..Walk::default() };
    for index in 0..plan.len() {
        let op = plan.op(index).ok_or_else(|| format!("op {index} cannot be read back"))?;
        walk.step(index, op).map_err(|broken| format!("op {index} ({}): {broken}", op.name()))?;
    }
    walk.end(plan)
}

/// What has happened up to the op being looked at.
#[derive(Default)]
struct Walk {
    /// Which slots hold a descriptor.
    written: Vec<bool>,
    /// Trees that have not been attached yet.
    loose_trees: Vec<Slot>,
    undumpable: bool,
    joined_mount: bool,
    /// Nothing that happens to init's mounts reaches the host.
    apart: bool,
    joined_pid: bool,
    cgroup_namespace: bool,
    root: Option<Slot>,
    pivoted: bool,
    hidden: bool,
    /// The working directory is one on top of everything that was mounted.
    in_cwd: bool,
    bounding: Option<u64>,
    ids: bool,
    capabilities: bool,
    /// init dies with the thread that launched it.
    bound_to_parent: bool,
    created: bool,
    started: bool,
    executed: bool,
}

/// Fails with `rule` unless it holds.
fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

impl Walk {
    fn step(&mut self, index: usize, op: Op<'_>) -> Result<(), String> {
        rule(!self.executed, "nothing comes after Exec")?;
        rule((index == 0) == matches!(op, Op::CloseInherited { .. }), "close_range comes first, and once")?;
        self.isolation(op)?;
        self.paths(op)?;
        self.slots(op)?;
        self.privileges(op)?;
        self.milestones(op)
    }

    /// Nobody can look into init before it touches anything that the container could own.
    fn isolation(&mut self, op: Op<'_>) -> Result<(), String> {
        match op {
            Op::NotDumpable {} => self.undumpable = true,
            Op::JoinNamespace { kind, .. } => {
                rule(self.undumpable, "a namespace is joined only once init is undumpable")?;
                rule(!self.joined_mount, "the mount namespace is joined last, because it takes the host's paths away")?;
                if kind == libc::CLONE_NEWNS as u64 {
                    self.joined_mount = true;
                    self.apart = false;
                }
                self.joined_pid |= kind == libc::CLONE_NEWPID as u64;
                self.cgroup_namespace |= kind == libc::CLONE_NEWCGROUP as u64;
            }
            Op::Propagation { flags } => {
                let kind = flags & !libc::MS_REC;
                let apart = flags & libc::MS_REC != 0 && (kind == libc::MS_SLAVE || kind == libc::MS_PRIVATE);
                rule(apart, "init's mounts become private or slave, all of them")?;
                self.apart = true;
            }
            Op::Unshare { flags } => self.cgroup_namespace |= flags & libc::CLONE_NEWCGROUP as u64 != 0,
            Op::Clone { .. } => self.joined_pid = false,
            Op::OpenRoot { .. } => {
                rule(self.undumpable, "the rootfs is opened only once init is undumpable")?;
                rule(self.apart, "the mounts are the host's no more once the rootfs is opened")?;
                rule(!self.joined_pid, "a joined pid namespace takes effect by a clone")?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Host paths come before the root slot, paths of the container after it, and those are absolute and clean.
    fn paths(&mut self, op: Op<'_>) -> Result<(), String> {
        match op {
            Op::WriteHost { host, .. } => {
                rule(!self.cgroup_namespace || !is_cgroup(host), "cgroups are entered before their namespace is made")?;
                self.host_path(host)
            }
            Op::TakeTree { host, .. } => self.host_path(host),
            Op::OpenRoot { host, .. } => {
                rule(self.root.is_none(), "the root is opened once")?;
                rule(host.as_bytes().starts_with(b"/"), "a host path is absolute")
            }
            Op::MountFs { flags, .. } if flags.clear | flags.rec_set | flags.rec_clear != 0 => {
                Err("a new mount has nothing to clear, and nothing below it".to_owned())
            }
            Op::MountFs { dest: path, .. } | Op::AttachTree { dest: path, .. } => {
                rule(!self.pivoted, "mounts are made before the root is changed, while hooks can still see the host")?;
                rule(!self.hidden, "masks come after the last mount")?;
                self.root_path(path)
            }
            Op::SetMountAttr { dest: path, flags } => {
                // The propagation of the root is the exception: an unbindable mount cannot be copied for a mask.
                let attributes = flags.set | flags.clear | flags.rec_set | flags.rec_clear;
                rule(!self.hidden || attributes == 0, "masks come after the last change of a mount")?;
                self.in_cwd = false;
                self.root_path(path)
            }
            Op::Device { path, .. } | Op::Symlink { path, .. } => self.root_path(path),
            Op::WorkingDirectory { path } => {
                rule(self.pivoted, "the working directory is one of the new root")?;
                self.in_cwd = true;
                self.root_path(path)
            }
            Op::Mask { path, .. } | Op::ReadonlyPath { path } => {
                rule(self.pivoted, "paths are hidden in the new root")?;
                self.hidden = true;
                self.in_cwd = false;
                self.root_path(path)
            }
            Op::Sysctl { path, .. } => {
                rule(!self.hidden, "kernel parameters are written before /proc/sys is made read-only")?;
                let path = path.as_bytes();
                rule(path.starts_with(b"sys/") && is_clean(path), "a kernel parameter lies below sys")
            }
            // createContainer hooks are paths of the host by the specification, and trusted like the config.
            Op::RunHook { path, .. } => {
                rule(self.root.is_some() && path.as_bytes().starts_with(b"/"), "a hook is an absolute path")?;
                rule(self.started == self.pivoted, "a hook runs before the root is changed, or after start")
            }
            _ => Ok(()),
        }
    }

    fn host_path(&self, path: Text<'_>) -> Result<(), String> {
        rule(self.root.is_none(), "no op takes a host path once the root is open")?;
        rule(!self.joined_mount, "no op takes a host path in a joined mount namespace")?;
        rule(path.as_bytes().starts_with(b"/"), "a host path is absolute")
    }

    fn root_path(&self, path: Text<'_>) -> Result<(), String> {
        rule(self.root.is_some(), "a path of the container needs the root")?;
        let path = path.as_bytes();
        rule(path.first() == Some(&b'/') && is_clean(&path[1..]), "a path of the container is absolute and clean")
    }

    /// Every slot is written before it is read.
    fn slots(&mut self, op: Op<'_>) -> Result<(), String> {
        match op {
            Op::JoinNamespace { namespace: slot, .. } => self.read(slot),
            Op::TakeTree { tree, .. } => {
                self.loose_trees.push(tree);
                self.write(tree)
            }
            Op::AttachTree { tree, .. } => {
                self.read(tree)?;
                rule(self.loose_trees.contains(&tree), "a tree is attached once")?;
                self.loose_trees.retain(|t| *t != tree);
                Ok(())
            }
            Op::OpenRoot { root, .. } => {
                self.root = Some(root);
                self.write(root)
            }
            Op::PivotRoot { root } => {
                rule(self.root == Some(root), "the root becomes the root")?;
                self.read(root)
            }
            Op::MountFs { keep: slot, .. } | Op::OpenProc { proc: slot } if slot != Slot::NONE => self.write(slot),
            Op::Sysctl { proc, .. } => self.read(proc),
            Op::Mask { null, empty, .. } => {
                // The tree of the null device stays: every mask copies it. The directory is made by the first mask.
                self.loose_trees.retain(|t| *t != null);
                self.read(null)?;
                self.write(empty)
            }
            Op::RunHook { state, output, .. } => {
                self.read(state)?;
                self.read(output)
            }
            Op::AwaitStart { go, err } => {
                self.read(go)?;
                self.read(err)
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, slot: Slot) -> Result<(), String> {
        let index = slot.0 as usize;
        rule(slot != Slot::NONE, "a descriptor needs a slot")?;
        if self.written.len() <= index {
            self.written.resize(index + 1, false);
        }
        self.written[index] = true;
        Ok(())
    }

    fn read(&self, slot: Slot) -> Result<(), String> {
        rule(self.written.get(slot.0 as usize) == Some(&true), "a slot is written before it is read")
    }

    /// Privileges go down in the order in which the kernel lets them.
    fn privileges(&mut self, op: Op<'_>) -> Result<(), String> {
        match op {
            Op::BoundingSet { keep } => {
                rule(!self.ids, "the bounding set is limited while CAP_SETPCAP is effective, before the ids change")?;
                self.bounding = Some(keep);
            }
            Op::SetIds { .. } => {
                rule(self.pivoted, "the root is changed while init may")?;
                rule(self.bounding.is_some(), "the bounding set drops before the ids")?;
                rule(self.in_cwd, "the working directory is entered after the last cover, or it would be below it")?;
                self.ids = true;
            }
            Op::Rlimit { .. } | Op::Home { .. } | Op::WorkingDirectory { .. } | Op::StdioOwner { .. } => {
                rule(!self.ids, "what needs a privilege comes before the ids change")?;
            }
            Op::Capabilities { effective, permitted, inheritable, ambient } => {
                rule(self.ids, "capabilities are set once the ids are")?;
                rule(effective & !permitted == 0, "effective capabilities are permitted")?;
                rule(ambient & !(permitted & inheritable) == 0, "ambient capabilities are permitted and inheritable")?;
                rule(
                    inheritable & !self.bounding.unwrap_or(0) == 0,
                    "inheritable capabilities are in the bounding set",
                )?;
                self.capabilities = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn milestones(&mut self, op: Op<'_>) -> Result<(), String> {
        match op {
            Op::RuntimeHooks {} => rule(!self.pivoted, "the runtime's hooks see the mounts before the root changes")?,
            Op::PivotRoot { .. } => {
                rule(!self.pivoted, "the root is changed once")?;
                self.pivoted = true;
            }
            Op::ParentDeath { signal } => self.bound_to_parent = signal != 0,
            Op::Created {} => {
                rule(!self.bound_to_parent, "a created container outlives the runtime")?;
                rule(!self.created, "there is one CREATED")?;
                rule(self.capabilities, "the container is created once its capabilities are set")?;
                self.created = true;
            }
            Op::AwaitStart { .. } => {
                rule(self.created && !self.started, "start comes once, after CREATED")?;
                self.started = true;
            }
            Op::Exec { .. } => {
                rule(self.started, "the program is executed after start")?;
                self.executed = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(self, plan: &Plan) -> Result<(), String> {
        rule(self.executed, "a plan ends in Exec")?;
        rule(self.loose_trees.is_empty(), "every tree is attached")?;
        rule(self.written.len() <= plan.slots() as usize, "every slot is reserved")?;
        rule(plan.clone_flags & libc::CLONE_NEWCGROUP as u64 == 0, "the cgroup namespace is made inside the cgroup")
    }
}

/// No empty, `.` or `..` component.
fn is_clean(path: &[u8]) -> bool {
    path.is_empty() || path.split(|b| *b == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

fn is_cgroup(path: Text<'_>) -> bool {
    path.as_bytes().ends_with(b"/tasks") || path.as_bytes().ends_with(b"/cgroup.procs")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::compile::{Context, Options, create};
    use crate::config::Config;
    use crate::host::{CgroupLayout, HostFacts};
    use crate::plan::Field;
    use crate::plan::op::MountFlags;
    use crate::plan::wire::TextList;

    /// A config with something of everything that an invariant is about.
    const CONFIG: &str = r#"{
        "ociVersion": "1.3.0",
        "process": { "cwd": "/", "args": ["true"], "user": { "uid": 7 }, "noNewPrivileges": true,
            "capabilities": { "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"] } },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc" },
            { "destination": "/etc/hosts", "source": "hosts", "options": ["bind"] }
        ],
        "hooks": { "createContainer": [{ "path": "/bin/hook" }] },
        "linux": {
            "namespaces": [{ "type": "mount" }, { "type": "network", "path": "/run/netns/x" }],
            "sysctl": { "net.ipv4.ip_forward": "1" },
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"]
        }
    }"#;

    fn good() -> Plan {
        let facts = HostFacts {
            euid: 0,
            bounding: u64::MAX,
            known_capabilities: u64::MAX,
            cgroups: CgroupLayout::None,
            cgroup_namespaces: true,
        };
        let config: Config<'_> = serde_json::from_str(CONFIG).expect("a config");
        let context = Context { bundle: Path::new("/b"), id: "x", facts: &facts, options: Options::default() };
        create(&config, &context).expect("a plan").plan
    }

    /// `plan` with its ops changed.
    fn edited(plan: &Plan, edit: impl FnOnce(&mut Vec<Op<'_>>)) -> Plan {
        let mut ops: Vec<Op<'_>> = plan.ops().map(|(op, _)| op).collect();
        edit(&mut ops);
        let mut new = Plan::new();
        plan.inputs().iter().for_each(|input| {
            new.input(input.clone());
        });
        while new.slots() < plan.slots() {
            new.slot();
        }
        ops.into_iter().for_each(|op| new.push(&Field::new("x"), op));
        new
    }

    fn at(ops: &[Op<'_>], name: &str) -> usize {
        ops.iter().position(|op| op.name() == name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Takes an op out and puts it in front of another one.
    fn move_before(ops: &mut Vec<Op<'_>>, name: &str, before: &str) {
        let op = ops.remove(at(ops, name));
        ops.insert(at(ops, before), op);
    }

    fn broken(edit: impl FnOnce(&mut Vec<Op<'_>>)) -> String {
        check(&edited(&good(), edit)).expect_err("the change breaks an invariant")
    }

    #[test]
    fn the_plan_that_the_others_are_changed_from_is_good() {
        check(&good()).expect("good");
        check(&edited(&good(), |_| {})).expect("good");
    }

    #[test]
    fn an_op_in_the_wrong_place_is_found() {
        for (op, before, rule) in [
            ("CloseInherited", "NotDumpable", "close_range comes first"),
            ("JoinNamespace", "NotDumpable", "joined only once init is undumpable"),
            ("OpenRoot", "NotDumpable", "opened only once init is undumpable"),
            ("OpenRoot", "Propagation", "the host's no more"),
            ("OpenRoot", "TakeTree", "no op takes a host path"),
            ("MountFs", "OpenRoot", "needs the root"),
            ("PivotRoot", "MountFs", "mounts are made before the root is changed"),
            ("ReadonlyPath", "Sysctl", "before /proc/sys is made read-only"),
            ("Mask", "PivotRoot", "hidden in the new root"),
            ("WorkingDirectory", "Mask", "entered after the last cover"),
            ("WorkingDirectory", "PivotRoot", "the working directory is one of the new root"),
            ("SetIds", "BoundingSet", "the bounding set drops before the ids"),
            ("Capabilities", "SetIds", "once the ids are"),
            ("StdioOwner", "FindProgram", "what needs a privilege"),
            ("Created", "Capabilities", "once its capabilities are set"),
            ("AwaitStart", "Created", "after CREATED"),
            ("Exec", "AwaitStart", "after start"),
            ("PivotRoot", "RunHook", "before the root is changed, or after start"),
        ] {
            let error = broken(|ops| move_before(ops, op, before));
            assert!(error.contains(rule), "{op} before {before}: {error}");
        }
    }

    #[test]
    fn an_op_that_is_missing_or_there_twice_is_found() {
        for (name, rule) in [
            ("CloseInherited", "close_range comes first"),
            ("NotDumpable", "undumpable"),
            ("Propagation", "the host's no more"),
            ("AttachTree", "every tree is attached"),
            ("TakeTree", "written before it is read"),
            ("BoundingSet", "the bounding set drops"),
            ("PivotRoot", "in the new root"),
            ("Exec", "ends in Exec"),
        ] {
            let error = broken(|ops| {
                ops.remove(at(ops, name));
            });
            assert!(error.contains(rule), "without {name}: {error}");
        }
        for (name, rule) in [
            ("CloseInherited", "and once"),
            ("OpenRoot", "opened once"),
            ("AttachTree", "attached once"),
            ("PivotRoot", "changed once"),
            ("Created", "one CREATED"),
            ("AwaitStart", "start comes once"),
            ("Exec", "nothing comes after Exec"),
        ] {
            let error = broken(|ops| ops.insert(at(ops, name), ops[at(ops, name)]));
            assert!(error.contains(rule), "{name} twice: {error}");
        }
    }

    #[test]
    fn an_op_with_the_wrong_content_is_found() {
        let text = |text: &'static str| Text::new(text.as_bytes());
        let all = 1 << 5;
        let capabilities =
            |effective, inheritable, ambient| Op::Capabilities { effective, permitted: all, inheritable, ambient };
        let mount_with = |flags| Op::MountFs {
            dest: text("/proc"),
            fstype: text("proc"),
            source: text("proc"),
            options: TextList::new(0, &[]),
            flags,
            keep: Slot::NONE,
            inherit_mode: 0,
        };
        let changes: &[(&str, Op<'_>, &str)] = &[
            ("Device", Op::Symlink { path: text("/a/../b"), target: text("x"), replace: 0 }, "absolute and clean"),
            ("ResetSignals", Op::ParentDeath { signal: 9 }, "outlives the runtime"),
            ("MountFs", mount_with(MountFlags { clear: 1, ..MountFlags::NONE }), "nothing to clear"),
            ("Device", Op::Symlink { path: text("a"), target: text("x"), replace: 0 }, "absolute and clean"),
            ("TakeTree", Op::TakeTree { tree: Slot(3), host: text("x"), recursive: 0 }, "a host path is absolute"),
            ("Propagation", Op::Propagation { flags: libc::MS_SHARED | libc::MS_REC }, "private or slave"),
            ("Propagation", Op::Propagation { flags: libc::MS_SLAVE }, "private or slave"),
            ("Sysctl", Op::Sysctl { proc: Slot(0), path: text("sys/../x"), value: text("1") }, "lies below sys"),
            ("Sysctl", Op::Sysctl { proc: Slot(0), path: text("sysrq-trigger"), value: text("1") }, "lies below sys"),
            ("Sysctl", Op::Sysctl { proc: Slot(99), path: text("sys/x"), value: text("1") }, "written before"),
            ("PivotRoot", Op::PivotRoot { root: Slot(0) }, "the root becomes the root"),
            ("Capabilities", capabilities(all | 1, 0, 0), "effective"),
            ("Capabilities", capabilities(all, all, all | 1), "ambient"),
            ("Capabilities", capabilities(all, 0, all), "ambient"),
            ("Capabilities", capabilities(all, 1, 0), "inheritable"),
        ];
        for (name, op, rule) in changes {
            let error = broken(|ops| {
                let index = at(ops, name);
                ops[index] = *op;
            });
            assert!(error.contains(rule), "another {name}: {error}");
        }
        let mut plan = good();
        plan.clone_flags |= libc::CLONE_NEWCGROUP as u64;
        assert!(check(&plan).expect_err("a cgroup namespace").contains("inside the cgroup"));
    }
}
