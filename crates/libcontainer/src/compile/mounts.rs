//! `mounts`: each entry becomes a new file system, a bind, a change of what is there, or a cgroup mount.
//!
//! Bind sources are taken as detached trees while init still sees the host, everything else is made below the root's
//! descriptor, in the config's order.

use std::path::PathBuf;

use super::mount_options::{self, MountOptions, attr};
use super::namespaces::Join;
use super::paths::{self, Content};
use super::{Compiler, cgroups};
use crate::config::types;
use crate::error::{Error, Result};
use crate::host::CgroupLayout;
use crate::plan::op::{MountFlags, Op};
use crate::plan::wire::{Slot, Text};
use crate::plan::{Field, NumbersBuf, TextListBuf};

/// File systems of which the kernel has one instance for many mounts, or whose content is made after mounting:
/// read-only is a matter of the mount there, never of the superblock.
const READ_ONLY_BY_MOUNT: &[&str] = &["proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2", "tmpfs"];

/// One entry of `mounts`, understood.
pub(super) struct Mount<'a> {
    pub(super) field: Field,
    /// Where, absolute and clean.
    pub(super) dest: String,
    pub(super) kind: Kind<'a>,
    pub(super) options: MountOptions<'a>,
    /// Read-only once everything else is made: 0, or [`attr::RDONLY`] for the mount or for all below it.
    pub(super) late: u64,
    pub(super) late_recursive: u64,
}

/// What an entry of `mounts` is.
pub(super) enum Kind<'a> {
    /// A part of the host's tree.
    Bind { source: PathBuf, recursive: bool },
    /// A new file system.
    FileSystem { fstype: &'a str, source: &'a str },
    /// A `cgroup` mount on a v1 host: a tmpfs with a directory for each hierarchy.
    CgroupV1,
    /// A change of what is mounted there already.
    Remount,
}

/// The detached trees, by what they are for.
pub(super) struct Trees {
    /// One for each bind of `mounts`; [`Slot::NONE`] for the rest.
    binds: Vec<Slot>,
    /// Those of each v1 cgroup mount, in hierarchy order. Two such mounts have two sets: a tree is attached once.
    pub(super) cgroups: Vec<Vec<Slot>>,
    /// The host's null device, if paths are masked.
    pub(super) null: Slot,
}

impl Mount<'_> {
    pub(super) fn is_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind { .. })
    }

    pub(super) fn propagation(&self) -> NumbersBuf {
        self.options.propagation.iter().copied().collect()
    }
}

impl<'a> Compiler<'a> {
    /// Understands every entry before anything is planned.
    pub(super) fn read_mounts(&mut self) -> Result<Vec<Mount<'a>>> {
        let config = self.config;
        config.mounts.iter().enumerate().map(|(index, mount)| self.read_mount(index, mount)).collect()
    }

    fn read_mount(&mut self, index: usize, mount: &'a types::Mount<'_>) -> Result<Mount<'a>> {
        let field = Field::labelled(format!("mounts[{index}]"), mount.destination.to_string());
        if !mount.destination.starts_with('/') {
            self.warn(format!(
                "{}.destination: {:?} is taken from the root, because it is relative",
                field.path, &*mount.destination
            ));
        }
        let dest = paths::clean(&mount.destination);
        let mut options = mount_options::parse(&field, mount.options.iter().map(AsRef::as_ref))?;
        self.warnings.append(&mut options.warnings);
        let kind = self.kind(&field, mount, &options)?;
        let mut read = Mount { field, dest, kind, options, late: 0, late_recursive: 0 };
        self.check_mount(&read)?;
        read.settle_read_only();
        Ok(read)
    }

    fn kind(&self, field: &Field, mount: &'a types::Mount<'_>, options: &MountOptions<'_>) -> Result<Kind<'a>> {
        let fstype = mount.fstype().unwrap_or_default();
        if options.remount {
            return Ok(Kind::Remount);
        }
        // With `bind` among the options the type is a dummy; without it, "bind" still says what is meant.
        if options.bind.is_some() || fstype == "bind" {
            let source = mount
                .source()
                .ok_or_else(|| Error::invalid(format!("{}.source", field.path), "a bind mount needs a source"))?;
            return Ok(Kind::Bind {
                source: paths::host(self.ctx.bundle, source),
                recursive: options.bind == Some(true),
            });
        }
        if fstype.is_empty() || fstype == "none" {
            return Err(Error::invalid(format!("{}.type", field.path), "is needed unless the mount is a bind"));
        }
        let source = mount.source().unwrap_or_default();
        Ok(match (fstype, &self.ctx.facts.cgroups) {
            ("cgroup", CgroupLayout::Unified(_)) => Kind::FileSystem { fstype: "cgroup2", source },
            ("cgroup", CgroupLayout::Legacy { .. }) => Kind::CgroupV1,
            ("cgroup", CgroupLayout::None) => {
                return Err(Error::unsupported(format!("{}.type", field.path), "this host has no cgroups mounted"));
            }
            _ => Kind::FileSystem { fstype, source },
        })
    }

    /// Refuses what is dangerous or contradictory, and warns of what has no effect.
    fn check_mount(&mut self, mount: &Mount<'_>) -> Result<()> {
        let destination =
            |problem| Error::invalid(format!("{}.destination", mount.field.path), problem).path(&mount.dest);
        let content = match &mount.kind {
            Kind::Remount => {
                return match mount.options.superblock.first() {
                    Some((index, option)) => {
                        let field = mount_options::path(&mount.field, *index);
                        Err(Error::unsupported(
                            field,
                            format!("{option:?}: a remount changes attributes of the mount only"),
                        ))
                    }
                    None => Ok(()),
                };
            }
            Kind::Bind { source, .. } => Content::Bind(source),
            Kind::FileSystem { fstype, .. } => Content::FileSystem(fstype),
            Kind::CgroupV1 => Content::FileSystem("cgroup"),
        };
        if mount.dest == "/" {
            return Err(destination("the rootfs itself would be hidden by a mount on"));
        }
        paths::check_proc(&mount.dest, content).map_err(destination)?;
        if mount.is_bind() || matches!(mount.kind, Kind::CgroupV1) {
            for (index, option) in &mount.options.superblock {
                let field = mount_options::path(&mount.field, *index);
                self.warn(format!(
                    "{field}: {option:?} has no effect: it is an option of a file system, and this mounts none anew"
                ));
            }
        }
        Ok(())
    }

    /// Takes the trees, joins the mount namespace if one is joined, and keeps what follows from reaching the host.
    pub(super) fn take_trees(&mut self, mounts: &[Mount<'_>], joins: &[Join]) -> Result<Trees> {
        let propagation = self.root_propagation()?;
        // Trees that shall stay shared with the host are taken while init's mounts still are. Otherwise init lets go
        // of the host's peer groups first, so that the trees start out as slaves, as with runc.
        let trees_first = propagation & libc::MS_SHARED != 0 || joins.iter().any(Join::is_mount);
        if trees_first {
            let trees = self.take(mounts);
            self.join_mount(joins);
            self.let_go(propagation);
            return Ok(trees);
        }
        self.let_go(propagation);
        Ok(self.take(mounts))
    }

    fn take(&mut self, mounts: &[Mount<'_>]) -> Trees {
        let mut trees = Trees { binds: Vec::with_capacity(mounts.len()), cgroups: Vec::new(), null: Slot::NONE };
        for mount in mounts {
            trees.binds.push(match &mount.kind {
                Kind::Bind { source, recursive } => self.take_tree(&mount.field, paths::bytes(source), *recursive),
                _ => Slot::NONE,
            });
            if matches!(mount.kind, Kind::CgroupV1) {
                let taken = self.take_cgroups(&mount.field);
                trees.cgroups.push(taken);
            }
        }
        if !self.config.linux.masked_paths.is_empty() {
            // The host's device, never one of the image: CVE-2025-31133.
            trees.null = self.take_tree(&Field::new("linux.maskedPaths"), b"/dev/null", false);
        }
        trees
    }

    pub(super) fn take_tree(&mut self, field: &Field, host: &[u8], recursive: bool) -> Slot {
        let tree = self.plan.slot();
        self.plan.push(field, Op::TakeTree { tree, host: Text::new(host), recursive: recursive.into() });
        tree
    }

    /// Makes the mounts, in the config's order.
    pub(super) fn mount(&mut self, mounts: &[Mount<'_>], trees: &Trees) {
        let mut cgroup_trees = trees.cgroups.iter();
        let proc = self.proc_for_sysctls(mounts);
        for (index, mount) in mounts.iter().enumerate() {
            let propagation = mount.propagation();
            let flags = mount.options.flags(&propagation);
            let dest = Text::new(mount.dest.as_bytes());
            match &mount.kind {
                // What is left of `remount,ro` on /dev comes later.
                Kind::Remount if mount.options.is_plain() => {}
                Kind::Remount => self.plan.push(&mount.field, Op::SetMountAttr { dest, flags }),
                Kind::Bind { .. } => {
                    self.plan.push(&mount.field, Op::AttachTree { tree: trees.binds[index], dest, flags });
                }
                Kind::FileSystem { fstype, source } => {
                    self.mount_fs(mount, fstype, source, proc == Some(index));
                }
                Kind::CgroupV1 => {
                    let taken = cgroup_trees.next().map(Vec::as_slice).unwrap_or_default();
                    cgroups::mount(self, mount, taken);
                }
            }
        }
    }

    fn mount_fs(&mut self, mount: &Mount<'_>, fstype: &str, source: &str, keep: bool) {
        let propagation = mount.propagation();
        let mut options: TextListBuf = mount.options.superblock.iter().map(|(_, option)| option).collect();
        if mount.options.read_only() && !READ_ONLY_BY_MOUNT.contains(&fstype) {
            options.push("ro");
        }
        if keep {
            self.slots.proc = self.plan.slot();
        }
        // runc and crun do so too: a tmpfs over /tmp stays 1777.
        let inherit = fstype == "tmpfs" && !mount.options.superblock.iter().any(|(_, o)| o.starts_with("mode="));
        let op = Op::MountFs {
            dest: Text::new(mount.dest.as_bytes()),
            fstype: Text::new(fstype.as_bytes()),
            source: Text::new(source.as_bytes()),
            options: options.list(),
            flags: mount.options.flags_of_new(&propagation),
            keep: if keep { self.slots.proc } else { Slot::NONE },
            inherit_mode: inherit.into(),
        };
        self.plan.push(&mount.field, op);
    }

    /// The mount of the config through which kernel parameters can be written; saves init a procfs of its own.
    ///
    /// Its descriptor is used, so nothing that is mounted over it afterwards matters.
    fn proc_for_sysctls(&self, mounts: &[Mount<'_>]) -> Option<usize> {
        if self.config.linux.sysctl.is_empty() {
            return None;
        }
        mounts.iter().position(|mount| {
            let complete = !mount.options.superblock.iter().any(|(_, option)| option.starts_with("subset="));
            let writable = (mount.options.set | mount.options.rec_set) & attr::RDONLY == 0;
            matches!(mount.kind, Kind::FileSystem { fstype: "proc", .. }) && complete && writable
        })
    }
}

impl Mount<'_> {
    /// A tmpfs, and whatever is at /dev, is written to after it is mounted (mount points, devices, links): its
    /// read-only flag waits until all of that is done.
    fn settle_read_only(&mut self) {
        let late = match self.kind {
            Kind::FileSystem { fstype, .. } => fstype == "tmpfs" || self.dest == "/dev",
            Kind::CgroupV1 => true,
            Kind::Remount => self.dest == "/dev",
            Kind::Bind { .. } => false,
        };
        if late {
            self.late = self.options.set & attr::RDONLY;
            self.late_recursive = self.options.rec_set & attr::RDONLY;
            self.options.set &= !attr::RDONLY;
            self.options.rec_set &= !attr::RDONLY;
        }
    }

    /// The op that makes the mount read-only at last.
    pub(super) fn late_op(&self) -> Option<Op<'_>> {
        let flags = MountFlags { set: self.late, rec_set: self.late_recursive, ..MountFlags::NONE };
        (self.late | self.late_recursive != 0)
            .then(|| Op::SetMountAttr { dest: Text::new(self.dest.as_bytes()), flags })
    }
}
