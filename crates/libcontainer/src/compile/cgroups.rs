//! A mount of type `cgroup` on a host with v1 hierarchies: a tmpfs with a directory for each hierarchy, and links for
//! controllers that share one, as on the host.

use super::Compiler;
use super::mount_options::attr;
use super::mounts::Mount;
use crate::cgroup::MountSource;
use crate::config::types::NamespaceType;
use crate::plan::op::{MountFlags, Op};
use crate::plan::wire::{Slot, Text};
use crate::plan::{Field, TextListBuf};

/// What every mount below the tmpfs is, whatever the config asks for.
const BASE: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

impl Compiler<'_> {
    /// Takes the container's own directories from the host's hierarchies, one for each.
    ///
    /// With a cgroup namespace none are needed: there a new mount of the hierarchy shows no more than that.
    pub(super) fn take_cgroups(&mut self, field: &Field) -> Vec<Slot> {
        if self.config.has_namespace(NamespaceType::Cgroup) {
            return Vec::new();
        }
        self.cgroup_sources().iter().map(|source| self.take_tree(field, source.host.as_bytes(), false)).collect()
    }

    fn cgroup_sources(&self) -> Vec<MountSource> {
        self.cgroup.mount_sources().map(|mounts| mounts.sources).unwrap_or_default()
    }
}

/// Mounts the tmpfs and its content. `trees` are those of [`Compiler::take_cgroups`]. It is made read-only with the
/// other tmpfs mounts; the hierarchies are so from the start.
pub(super) fn mount(compiler: &mut Compiler<'_>, mount: &Mount<'_>, trees: &[Slot]) {
    let Some(content) = compiler.cgroup.mount_sources() else { return };
    let propagation = mount.propagation();
    let options: TextListBuf = ["mode=755"].into_iter().collect();
    let tmpfs = Op::MountFs {
        dest: Text::new(mount.dest.as_bytes()),
        fstype: Text::new(b"tmpfs"),
        source: Text::new(b"tmpfs"),
        options: options.list(),
        flags: MountFlags { set: BASE, propagation: propagation.list(), ..MountFlags::NONE },
        keep: Slot::NONE,
        inherit_mode: 0,
    };
    compiler.plan.push(&mount.field, tmpfs);
    let set = BASE | mount.options.set | mount.late | mount.late_recursive;
    let new = MountFlags { set, propagation: propagation.list(), ..MountFlags::NONE };
    // A bind starts with the attributes of its source: the access time field is cleared before it is set.
    let bind = MountFlags { clear: mount.options.clear & attr::ATIME, ..new };
    for (index, source) in content.sources.iter().enumerate() {
        let dest = format!("{}/{}", mount.dest, source.name);
        let dest = Text::new(dest.as_bytes());
        match trees.get(index) {
            Some(tree) => compiler.plan.push(&mount.field, Op::AttachTree { tree: *tree, dest, flags: bind }),
            None => {
                let options: TextListBuf = source.controllers.split(',').collect();
                let op = Op::MountFs {
                    dest,
                    fstype: Text::new(b"cgroup"),
                    source: Text::new(b"cgroup"),
                    options: options.list(),
                    flags: new,
                    keep: Slot::NONE,
                    inherit_mode: 0,
                };
                compiler.plan.push(&mount.field, op);
            }
        }
    }
    for link in &content.links {
        let path = format!("{}/{}", mount.dest, link.name);
        let (path, target) = (Text::new(path.as_bytes()), Text::new(link.target.as_bytes()));
        compiler.plan.push(&mount.field, Op::Symlink { path, target, replace: 0 });
    }
}
