//! Finds the mounted cgroup trees, and where in them this process is.

use std::fs;
use std::io::ErrorKind;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::{CgroupLayout, Hierarchy};
use crate::{Error, Result};

/// Where every distribution mounts its cgroups; anything else costs a look at mountinfo.
const MOUNTPOINT: &str = "/sys/fs/cgroup";

/// The layout, and whether the kernel was built with cgroups, which since Linux 4.6 means cgroup namespaces too.
pub(super) fn gather() -> Result<(CgroupLayout, bool)> {
    let own = match fs::read_to_string("/proc/self/cgroup") {
        Ok(own) => own,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((CgroupLayout::None, false)),
        Err(error) => return Err(Error::io("read", &error).path("/proc/self/cgroup")),
    };
    if statfs(MOUNTPOINT).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC) {
        let unified = Hierarchy {
            controllers: String::new(),
            mountpoint: MOUNTPOINT.to_owned(),
            root: "/".to_owned(),
            own: unified_own(&own).unwrap_or("/").to_owned(),
        };
        return Ok((CgroupLayout::Unified(unified), true));
    }
    let mounts =
        fs::read("/proc/self/mountinfo").map_err(|error| Error::io("read", &error).path("/proc/self/mountinfo"))?;
    Ok((layout(&own, &mounts), true))
}

/// The cgroup of a process in the v2 tree, from its /proc/PID/cgroup.
fn unified_own(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// One cgroup mount of mountinfo.
struct Mount {
    unified: bool,
    root: String,
    mountpoint: String,
    /// The super block's options, comma-separated: a v1 hierarchy's controllers are among them.
    options: String,
}

/// The layout that /proc/self/cgroup and /proc/self/mountinfo describe; see proc_pid_cgroup(5), proc_pid_mountinfo(5).
fn layout(own: &str, mountinfo: &[u8]) -> CgroupLayout {
    let mounts = cgroup_mounts(mountinfo);
    let mut hierarchies: Vec<(usize, Hierarchy)> = Vec::new();
    let mut unified = None;
    for line in own.lines() {
        // hierarchy-ID:controllers:path, where the path may hold colons.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(own)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Some((order, mount)) = choose(&mounts, controllers, own) else { continue };
        let hierarchy = Hierarchy {
            controllers: controllers.to_owned(),
            mountpoint: mount.mountpoint.clone(),
            root: mount.root.clone(),
            own: own.to_owned(),
        };
        if mount.unified {
            unified = Some(hierarchy);
        } else {
            hierarchies.push((order, hierarchy));
        }
    }
    hierarchies.sort_by_key(|(order, _)| *order);
    match (hierarchies.is_empty(), unified) {
        (true, Some(unified)) => CgroupLayout::Unified(unified),
        (true, None) => CgroupLayout::None,
        (false, unified) => {
            CgroupLayout::Legacy { hierarchies: hierarchies.into_iter().map(|(_, h)| h).collect(), unified }
        }
    }
}

/// The mount through which to reach the hierarchy with these controllers (none: v2): the first whose root contains
/// `own`, else the first.
fn choose<'a>(mounts: &'a [Mount], controllers: &str, own: &str) -> Option<(usize, &'a Mount)> {
    let mut candidates = mounts.iter().enumerate().filter(|(_, mount)| match controllers.split(',').next() {
        Some("") | None => mount.unified,
        // All controllers of a hierarchy are mounted together: one tells which it is.
        Some(first) => !mount.unified && mount.options.split(',').any(|option| option == first),
    });
    let first = candidates.next()?;
    if within(&first.1.root, own).is_some() {
        return Some(first);
    }
    Some(candidates.find(|(_, mount)| within(&mount.root, own).is_some()).unwrap_or(first))
}

/// `path` as seen from `root`, which it must be equal to or below; both are `/`-rooted.
pub(crate) fn within<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let root = root.trim_end_matches('/');
    let below = path.strip_prefix(root)?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

/// The cgroup mounts in mount order. One that a later mount at the same place covers is left out.
fn cgroup_mounts(mountinfo: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in mountinfo.split(|byte| *byte == b'\n') {
        if let Some(mount) = std::str::from_utf8(line).ok().and_then(cgroup_mount) {
            mounts.retain(|old| old.mountpoint != mount.mountpoint);
            mounts.push(mount);
        }
    }
    mounts
}

/// `36 35 98:0 ROOT MOUNTPOINT rw,noatime OPTIONAL… - FSTYPE SOURCE OPTIONS`
fn cgroup_mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let unified = match back.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options = back.nth(1)?.to_owned();
    let mut front = front.split(' ').skip(3);
    Some(Mount { unified, root: unescape(front.next()?), mountpoint: unescape(front.next()?), options })
}

/// Undoes mountinfo's octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                out.push(char::from(code));
                rest = &rest[at + 4..];
            }
            _ => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime shared:9 master:1 - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";
    const HYBRID_OWN: &str = "\
9:name=systemd:/a:b
4:memory:/x
3:pids:/
1:cpu,cpuacct:/
0::/y
";

    fn hierarchy(controllers: &str, mountpoint: &str, root: &str, own: &str) -> Hierarchy {
        Hierarchy { controllers: controllers.into(), mountpoint: mountpoint.into(), root: root.into(), own: own.into() }
    }

    #[test]
    fn a_hybrid_host_has_its_hierarchies_in_mount_order() {
        assert_eq!(
            layout(HYBRID_OWN, HYBRID.as_bytes()),
            CgroupLayout::Legacy {
                hierarchies: vec![
                    hierarchy("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/", "/"),
                    hierarchy("memory", "/sys/fs/cgroup/memory", "/", "/x"),
                    hierarchy("name=systemd", "/sys/fs/cgroup/systemd", "/", "/a:b"),
                ],
                unified: Some(hierarchy("", "/sys/fs/cgroup/unified", "/", "/y")),
            }
        );
    }

    #[test]
    fn a_mount_that_holds_our_own_cgroup_is_preferred() {
        let mounts = "\
1 0 0:1 /pod\\040a /mnt/elsewhere rw - cgroup cgroup rw,memory
2 0 0:1 /pod b/self /mnt/m rw - tmpfs cgroup rw,memory
3 0 0:1 /pod\\040b /mnt/own\\134tree rw - cgroup cgroup rw,memory
";
        assert_eq!(
            layout("4:memory:/pod b/self\n", mounts.as_bytes()),
            CgroupLayout::Legacy {
                hierarchies: vec![hierarchy("memory", "/mnt/own\\tree", "/pod b", "/pod b/self")],
                unified: None
            }
        );
    }

    #[test]
    fn a_later_mount_covers_an_earlier_one() {
        let mounts = "\
1 0 0:1 / /m rw - cgroup cgroup rw,memory
2 0 0:2 / /m rw - cgroup cgroup rw,pids
";
        assert_eq!(
            layout("4:memory:/\n3:pids:/\n", mounts.as_bytes()),
            CgroupLayout::Legacy { hierarchies: vec![hierarchy("pids", "/m", "/", "/")], unified: None }
        );
    }

    #[test]
    fn v2_in_an_unusual_place_is_v2_all_the_same() {
        let mounts = "1 0 0:1 / /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(layout("0::/own\n", mounts.as_bytes()), CgroupLayout::Unified(hierarchy("", "/cg", "/", "/own")));
        assert_eq!(layout("0::/own\n", b""), CgroupLayout::None);
    }

    #[test]
    fn within_respects_component_borders() {
        assert_eq!(within("/", "/a/b"), Some("/a/b"));
        assert_eq!(within("/", "/"), Some("/"));
        assert_eq!(within("/a", "/a/b"), Some("/b"));
        assert_eq!(within("/a", "/a"), Some(""));
        assert_eq!(within("/a", "/ab"), None);
        assert_eq!(within("/a", "/"), None);
    }

    #[test]
    fn this_host_has_what_it_says() {
        let (layout, namespaces) = gather().unwrap();
        assert!(namespaces);
        let (hierarchies, unified) = match layout {
            CgroupLayout::Unified(unified) => (Vec::new(), Some(unified)),
            CgroupLayout::Legacy { hierarchies, unified } => (hierarchies, unified),
            CgroupLayout::None => return,
        };
        for hierarchy in hierarchies.iter().chain(&unified) {
            let below = within(&hierarchy.root, &hierarchy.own).unwrap();
            let procs = format!("{}{below}/cgroup.procs", hierarchy.mountpoint);
            let pids = fs::read_to_string(&procs).unwrap();
            assert!(pids.lines().any(|pid| pid == std::process::id().to_string()), "{procs}");
        }
    }
}
