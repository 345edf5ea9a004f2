//! The root of the container: its propagation, the change of root, and what is closed off afterwards.

use super::mount_options::{self, attr};
use super::mounts::{Mount, Trees};
use super::{Compiler, paths};
use crate::config::sysctl;
use crate::error::{Error, Result};
use crate::plan::op::{MountFlags, Op};
use crate::plan::wire::{Slot, Text};
use crate::plan::{Field, NumbersBuf};

const PROPAGATION: &str = "linux.rootfsPropagation";

impl Compiler<'_> {
    /// `linux.rootfsPropagation` as `MS_*` flags; rslave, as runc's default, if it is not given.
    pub(super) fn root_propagation(&self) -> Result<u64> {
        match self.config.linux.rootfs_propagation.as_deref() {
            None | Some("") => Ok(libc::MS_SLAVE | libc::MS_REC),
            Some(name) => mount_options::propagation(name)
                .ok_or_else(|| Error::invalid(PROPAGATION, format!("unknown propagation {name:?}"))),
        }
    }

    /// Takes init's mounts out of the host's peer groups, so that nothing made or unmounted here reaches the host.
    ///
    /// Whatever the config wants the root to be, this is recursive and either private or slave: letting go of the
    /// host's mounts at the change of root would otherwise unmount them on the host too. What the config wants is
    /// done at the end.
    pub(super) fn let_go(&mut self, propagation: u64) {
        let kind = if propagation & libc::MS_PRIVATE != 0 { libc::MS_PRIVATE } else { libc::MS_SLAVE };
        self.push(PROPAGATION, Op::Propagation { flags: kind | libc::MS_REC });
    }

    /// Makes the rootfs the root.
    pub(super) fn pivot(&mut self) {
        self.push("root", Op::PivotRoot { root: self.slots.root });
    }

    /// Everything that makes the container's view smaller, now that nothing more is added to it.
    pub(super) fn seal(&mut self, mounts: &[Mount<'_>], trees: &Trees) -> Result<()> {
        for mount in mounts {
            if let Some(op) = mount.late_op() {
                self.plan.push(&mount.field, op);
            }
        }
        if self.config.root.readonly {
            let flags = MountFlags { set: attr::RDONLY, ..MountFlags::NONE };
            self.push("root.readonly", Op::SetMountAttr { dest: Text::new(b"/"), flags });
        }
        // Before /proc/sys becomes read-only, as engines ask for.
        self.sysctls()?;
        self.masks(trees.null);
        self.propagate_root()
    }

    /// Kernel parameters, through a procfs that init has mounted itself: a path could lead anywhere (CVE-2025-52881).
    fn sysctls(&mut self) -> Result<()> {
        if self.config.linux.sysctl.is_empty() {
            return Ok(());
        }
        if self.slots.proc == Slot::NONE {
            self.slots.proc = self.plan.slot();
            self.push("linux.sysctl", Op::OpenProc { proc: self.slots.proc });
        }
        for (key, value) in &self.config.linux.sysctl {
            let path = format!("sys/{}", sysctl::path(key));
            let field = Field::labelled("linux.sysctl", key.to_string());
            let op = Op::Sysctl {
                proc: self.slots.proc,
                path: Text::new(path.as_bytes()),
                value: Text::new(value.as_bytes()),
            };
            self.plan.push(&field, op);
        }
        Ok(())
    }

    fn masks(&mut self, null: Slot) {
        let masked = &self.config.linux.masked_paths;
        if !masked.is_empty() {
            let empty = self.plan.slot();
            for (index, path) in masked.iter().enumerate() {
                let clean = paths::clean(path);
                let field = Field::labelled(format!("linux.maskedPaths[{index}]"), path.to_string());
                self.plan.push(&field, Op::Mask { path: Text::new(clean.as_bytes()), null, empty });
            }
        }
        for (index, path) in self.config.linux.readonly_paths.iter().enumerate() {
            let clean = paths::clean(path);
            let field = Field::labelled(format!("linux.readonlyPaths[{index}]"), path.to_string());
            self.plan.push(&field, Op::ReadonlyPath { path: Text::new(clean.as_bytes()) });
        }
    }

    /// Shared and unbindable are for the container's own root, and come last: an unbindable mount could not be copied
    /// for a mask. Private and slave it is already.
    fn propagate_root(&mut self) -> Result<()> {
        let flags = self.root_propagation()?;
        if flags & (libc::MS_SHARED | libc::MS_UNBINDABLE) != 0 {
            let numbers: NumbersBuf = [flags as u32].into_iter().collect();
            let flags = MountFlags { propagation: numbers.list(), ..MountFlags::NONE };
            self.push(PROPAGATION, Op::SetMountAttr { dest: Text::new(b"/"), flags });
        }
        Ok(())
    }
}
