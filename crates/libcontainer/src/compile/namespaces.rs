//! Which namespaces are made, which are joined, and everything that must happen before, between and after.

use std::path::PathBuf;

use super::mounts::Mount;
use super::{Compiler, paths};
use crate::config::types::NamespaceType;
use crate::error::{Error, Result};
use crate::plan::op::Op;
use crate::plan::wire::{Bytes, Slot, Text};
use crate::plan::{Field, Input};

/// Above so many trees at once, the customary limit of 1024 open files could be too low for init.
const MANY_TREES: usize = 500;

/// A namespace to join.
pub(super) struct Join {
    /// `CLONE_NEW*`.
    kind: u64,
    field: Field,
    slot: Slot,
}

impl Compiler<'_> {
    /// Sorts the namespaces into those made by the first clone and those joined, and reserves the slots of inputs.
    ///
    /// Without a user namespace every new namespace can be made by the parent's clone, which costs no system call of
    /// its own; only the cgroup namespace must wait until init is in its cgroup, whose place becomes its root.
    pub(super) fn inputs(&mut self) -> Result<Vec<Join>> {
        let mut joins = Vec::new();
        for (index, namespace) in self.config.linux.namespaces.iter().enumerate() {
            let kind = namespace.kind.flag();
            let field = Field::labelled(format!("linux.namespaces[{index}]"), namespace.kind.name());
            if matches!(namespace.kind, NamespaceType::User | NamespaceType::Time) {
                return Err(Error::unsupported(
                    field.path,
                    format!("{} namespaces are not supported yet", namespace.kind.name()),
                ));
            }
            match namespace.path() {
                Some(path) => {
                    let slot = self.plan.input(Input::Namespace { kind, path: PathBuf::from(path) });
                    joins.push(Join { kind, field, slot });
                }
                None if namespace.kind == NamespaceType::Cgroup => {}
                None => self.plan.clone_flags |= kind,
            }
        }
        if !self.config.has_namespace(NamespaceType::Mount) {
            let problem =
                "a container without a mount namespace of its own is not supported: its mounts would be the host's";
            return Err(Error::unsupported("linux.namespaces", problem));
        }
        // The mount namespace comes last: it takes away the paths by which bind sources are found.
        joins.sort_by_key(|join| join.kind == libc::CLONE_NEWNS as u64);
        self.hook_inputs();
        self.slots.go = self.plan.input(Input::Go);
        self.slots.err = self.plan.input(Input::Err);
        Ok(joins)
    }

    /// Leaves behind what comes from whoever called the runtime.
    pub(super) fn shed_the_caller(&mut self) {
        // First of all: an inherited descriptor of a host directory is a way out (CVE-2024-21626).
        self.push("process", Op::CloseInherited { keep: self.ctx.options.preserve_fds });
        self.push("process", Op::ResetSignals {});
        self.parent_death();
    }

    fn parent_death(&mut self) {
        if let Some(signal) = self.ctx.options.parent_death {
            self.push("process", Op::ParentDeath { signal });
        }
    }

    /// Writes to the host's /proc and cgroup files: as long as init is dumpable, /proc/self belongs to its own user,
    /// and as long as it is in the host's cgroup namespace, cgroup paths are the host's.
    pub(super) fn enter_cgroups(&mut self, mounts: &[Mount<'_>]) {
        if mounts.iter().filter(|mount| mount.is_bind()).count() > MANY_TREES {
            self.push("mounts", Op::RaiseFileLimit {});
        }
        if let Some(score) = self.config.process.oom_score_adj {
            let text = score.to_string();
            let op = Op::WriteHost { host: Text::new(b"/proc/self/oom_score_adj"), data: Bytes(text.as_bytes()) };
            self.push("process.oomScoreAdj", op);
        }
        for file in self.cgroup.join_files() {
            // 0 is the writer itself. A write of another's pid into cgroup.procs waits 7 to 20 ms for a grace period.
            self.push("linux.cgroupsPath", Op::WriteHost { host: Text::new(file.as_bytes()), data: Bytes(b"0") });
        }
    }

    /// Joins and makes namespaces, all but a mount namespace that is joined.
    pub(super) fn isolate(&mut self, joins: &[Join]) -> Result<()> {
        for join in joins.iter().filter(|join| !join.is_mount()) {
            self.join(join);
        }
        if let Some(index) = self.own_namespace(NamespaceType::Cgroup) {
            if !self.ctx.facts.cgroup_namespaces {
                return Err(Error::unsupported(
                    format!("linux.namespaces[{index}]"),
                    "this kernel has no cgroup namespaces",
                ));
            }
            let field = Field::labelled(format!("linux.namespaces[{index}]"), "cgroup");
            self.plan.push(&field, Op::Unshare { flags: libc::CLONE_NEWCGROUP as u64 });
        }
        if let Some(join) = joins.iter().find(|join| join.kind == libc::CLONE_NEWPID as u64) {
            // A pid namespace that is joined takes effect for children only.
            self.plan.push(&join.field, Op::Clone { flags: 0 });
            // fork(2) forgets it.
            self.parent_death();
        }
        self.push("process", Op::NewSession {});
        if let Some(index) = self.own_namespace(NamespaceType::Network) {
            let field = Field::labelled(format!("linux.namespaces[{index}]"), "network");
            self.plan.push(&field, Op::LoopbackUp {});
        }
        Ok(())
    }

    /// Joins the mount namespace, if one is joined: after the last use of a path in the host's.
    pub(super) fn join_mount(&mut self, joins: &[Join]) {
        for join in joins.iter().filter(|join| join.is_mount()) {
            self.join(join);
        }
    }

    fn join(&mut self, join: &Join) {
        self.plan.push(&join.field, Op::JoinNamespace { namespace: join.slot, kind: join.kind });
    }

    /// The index of a namespace that the container gets new.
    pub(super) fn own_namespace(&self, kind: NamespaceType) -> Option<usize> {
        self.config.linux.namespaces.iter().position(|n| n.kind == kind && n.path().is_none())
    }

    /// Opens the rootfs, which need not be below the bundle.
    pub(super) fn open_root(&mut self) {
        let root = self.plan.slot();
        self.slots.root = root;
        let host = paths::host(self.ctx.bundle, &self.config.root.path);
        self.push("root.path", Op::OpenRoot { root, host: Text::new(paths::bytes(&host)) });
    }
}

impl Join {
    pub(super) fn is_mount(&self) -> bool {
        self.kind == libc::CLONE_NEWNS as u64
    }
}
