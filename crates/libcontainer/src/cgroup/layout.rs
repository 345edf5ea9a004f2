//! Where a container's cgroup lies: pure data, decided by the config and the host's layout, kept in state.json.

use serde::{Deserialize, Serialize};

use crate::host::{CgroupLayout, Hierarchy, HostFacts, within};
use crate::{Error, ErrorKind, Result};

/// The field that decides.
const FIELD: &str = "linux.cgroupsPath";

/// Which kernel interface controls the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// cgroup v1 hierarchies, perhaps with a v2 tree beside them.
    V1,
    /// cgroup v2 alone.
    V2,
}

/// A container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupDir {
    /// The v1 hierarchy's controllers, comma-separated, as in `cpu,cpuacct` or `name=systemd`; empty for the v2 tree.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub controllers: String,
    /// Where the hierarchy is mounted on the host.
    pub mountpoint: String,
    /// Which of its cgroups is mounted there, usually `/`.
    #[serde(default = "slash", skip_serializing_if = "is_slash")]
    pub root: String,
    /// The directory below the mountpoint: begins with `/`, does not end with one, holds no `..`.
    pub below: String,
}

fn slash() -> String {
    "/".to_owned()
}

fn is_slash(root: &str) -> bool {
    root == "/"
}

impl CgroupDir {
    /// The absolute path on the host.
    pub fn host(&self) -> String {
        format!("{}{}", self.mountpoint, self.below)
    }

    /// The path of a file in it, on the host.
    pub fn file(&self, name: &str) -> String {
        format!("{}{}/{name}", self.mountpoint, self.below)
    }

    /// The path within the hierarchy, as /proc/PID/cgroup has it.
    pub fn in_hierarchy(&self) -> String {
        format!("{}{}", self.root.trim_end_matches('/'), self.below)
    }

    /// Whether it lies in the v2 tree.
    pub fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether its hierarchy has this v1 controller.
    pub fn controls(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|c| c == controller)
    }
}

/// Decides where the cgroup of container `id` lies.
///
/// - An absolute `cgroups_path` starts at the mount's root, as the runtime spec demands.
/// - A relative one, and by default the id, goes where runc puts it: on v1 below the runtime's own cgroup; on v2
///   below the parent of that, because a v2 cgroup that has processes cannot hand controllers to its children.
///
/// On a host without cgroups, and if no path is asked for, the plan has no directories.
///
/// # Errors
/// A path that leaves its place (`..`), names a hierarchy's root, or holds what no cgroup's name can
/// ([`ErrorKind::InvalidConfig`]); the systemd form `slice:prefix:name`, a path on a host without cgroups, or a
/// relative one whose start is not mounted ([`ErrorKind::Unsupported`]).
pub fn plan(cgroups_path: Option<&str>, id: &str, facts: &HostFacts) -> Result<CgroupPlan> {
    let path = cgroups_path.filter(|path| !path.is_empty());
    let place = match path {
        Some(path) => Place::new(path)?,
        None => Place::of_id(id)?,
    };
    let (version, dirs) = match &facts.cgroups {
        CgroupLayout::Unified(unified) => (Version::V2, vec![place.beside(unified)?]),
        CgroupLayout::Legacy { hierarchies, unified } => {
            let dirs = hierarchies.iter().chain(unified).map(|h| place.below_own(h)).collect::<Result<_>>()?;
            (Version::V1, dirs)
        }
        CgroupLayout::None if path.is_none() => (Version::V2, Vec::new()),
        CgroupLayout::None => return Err(Error::unsupported(FIELD, "this host has no cgroups mounted")),
    };
    Ok(CgroupPlan { version, dirs })
}

/// All of a container's cgroup directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// Which interface controls the container.
    pub version: Version,
    /// One directory a hierarchy: on v2 exactly one; on v1 those of the v1 hierarchies in mount order, then that of
    /// the v2 tree if the host is a hybrid one.
    pub dirs: Vec<CgroupDir>,
}

impl CgroupPlan {
    /// The directory in the v2 tree. A new process gets there by CLONE_INTO_CGROUP.
    pub fn unified(&self) -> Option<&CgroupDir> {
        self.dirs.last().filter(|dir| dir.is_unified())
    }

    /// The directories in v1 hierarchies.
    pub fn legacy(&self) -> &[CgroupDir] {
        match self.dirs.split_last() {
            Some((last, legacy)) if last.is_unified() => legacy,
            _ => &self.dirs,
        }
    }

    /// The directory in the hierarchy that has this v1 controller.
    pub fn controller(&self, name: &str) -> Option<&CgroupDir> {
        self.legacy().iter().find(|dir| dir.controls(name))
    }

    /// The v1 files into which init itself writes `0` to join. A parent's write of its pid to cgroup.procs would
    /// wait 7 to 20 ms for a grace period.
    pub fn join_files(&self) -> impl Iterator<Item = String> {
        self.legacy().iter().map(|dir| dir.file("tasks"))
    }

    /// What a mount of type `cgroup` shows in a container without a cgroup namespace of its own: the container's own
    /// directories. `None` on v2, where there is one, [`CgroupPlan::unified`].
    pub fn mount_sources(&self) -> Option<CgroupMounts> {
        if self.version == Version::V2 {
            return None;
        }
        let mut mounts = CgroupMounts::default();
        for dir in self.legacy() {
            let name = dir.mountpoint.rsplit('/').next().unwrap_or_default();
            mounts.sources.push(MountSource {
                name: name.to_owned(),
                host: dir.host(),
                controllers: dir.controllers.clone(),
            });
            let shared = dir.controllers.contains(',');
            for controller in dir.controllers.split(',').filter(|c| shared && *c != name && !c.contains('=')) {
                mounts.links.push(MountLink { name: controller.to_owned(), target: name.to_owned() });
            }
        }
        Some(mounts)
    }
}

/// The content of a `cgroup` mount on a v1 host, in a tmpfs (mode 0755) at the mount's destination that is made
/// read-only afterwards if the config says `ro`, as runc does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupMounts {
    /// A directory of the tmpfs for each hierarchy.
    pub sources: Vec<MountSource>,
    /// Links of the tmpfs, for controllers that share a hierarchy.
    pub links: Vec<MountLink>,
}

/// One hierarchy in a `cgroup` mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSource {
    /// The directory's name below the destination, the same as on the host: `cpu,cpuacct`, `systemd`.
    pub name: String,
    /// What is bound there when the container has no cgroup namespace of its own.
    pub host: String,
    /// What is mounted there (type `cgroup`, these options) when it has one: `cpu,cpuacct`, `name=systemd`.
    pub controllers: String,
}

/// A link in a `cgroup` mount: `cpu` → `cpu,cpuacct`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLink {
    /// Its name below the destination.
    pub name: String,
    /// What it says.
    pub target: String,
}

/// A cgroupsPath, taken apart.
struct Place {
    absolute: bool,
    /// Normalised: every component preceded by one `/`, at least one component, none of them `..`.
    below: String,
}

impl Place {
    /// Ids are checked where they come in; here one must only stay one name.
    fn of_id(id: &str) -> Result<Place> {
        if id.is_empty() || id == "." || id == ".." || id.contains(['/', '\0', '\n']) {
            return Err(Error::new(ErrorKind::InvalidId, "the id cannot name a cgroup").detail(format!("{id:?}")));
        }
        Ok(Place { absolute: false, below: format!("/{id}") })
    }

    fn new(path: &str) -> Result<Place> {
        let absolute = path.starts_with('/');
        if !absolute && path.split(':').count() == 3 {
            return Err(Error::unsupported(FIELD, "cgroups managed by systemd are not supported yet")
                .detail(format!("{path:?} has the form slice:prefix:name")));
        }
        if path.contains(['\0', '\n']) {
            return Err(Error::invalid(FIELD, "the name of a cgroup cannot hold a NUL or a line feed").path(path));
        }
        let mut below = String::with_capacity(path.len() + 1);
        for component in path.split('/').filter(|c| !c.is_empty() && *c != ".") {
            if component == ".." {
                return Err(Error::invalid(FIELD, "must not contain \"..\"").path(path));
            }
            below.push('/');
            below.push_str(component);
        }
        if below.is_empty() {
            return Err(Error::invalid(FIELD, "names no cgroup of the container's own").path(path));
        }
        Ok(Place { absolute, below })
    }

    /// Below the runtime's own cgroup, if relative.
    fn below_own(&self, hierarchy: &Hierarchy) -> Result<CgroupDir> {
        self.at(hierarchy, &hierarchy.own)
    }

    /// Beside the runtime's own cgroup, if relative.
    fn beside(&self, hierarchy: &Hierarchy) -> Result<CgroupDir> {
        self.at(hierarchy, hierarchy.own.rsplit_once('/').map_or("", |(parent, _)| parent))
    }

    fn at(&self, hierarchy: &Hierarchy, base: &str) -> Result<CgroupDir> {
        let below = if self.absolute {
            self.below.clone()
        } else {
            // A parent of the own cgroup may be empty here, where the root is meant.
            let base = if base.is_empty() { "/" } else { base };
            let base = within(&hierarchy.root, base).filter(|base| !base.split('/').any(|c| c == ".."));
            let Some(base) = base else {
                return Err(Error::unsupported(
                    FIELD,
                    "the runtime's own cgroup is not below this mount, and the path is relative to it",
                )
                .path(&hierarchy.mountpoint)
                .hint("an absolute path starts at the mount"));
            };
            format!("{}{}", base.trim_end_matches('/'), self.below)
        };
        Ok(CgroupDir {
            controllers: hierarchy.controllers.clone(),
            mountpoint: hierarchy.mountpoint.trim_end_matches('/').to_owned(),
            root: hierarchy.root.clone(),
            below,
        })
    }
}
