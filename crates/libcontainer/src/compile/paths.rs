//! Paths as far as they can be judged without looking at any file system.
//!
//! What depends on what is there (links in the image, the file system under a mount target) is checked by init, on
//! descriptors. Here stand the rules that need only the path.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// `path` as an absolute path without empty, `.` and `..` components: `..` at the root stays there.
///
/// A relative path is taken from the root, as the runtime spec allows for mount destinations.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for part in parts {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    clean
}

/// A path of the host: a relative one belongs to the bundle.
pub fn host(bundle: &Path, path: &str) -> PathBuf {
    bundle.join(path)
}

/// A path of the host as the kernel wants it.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Files below /proc that may be bound over, because lxcfs and its like do: the list is runc's.
const BELOW_PROC: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// What a mount puts at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A new file system of this type.
    FileSystem(&'a str),
    /// This part of the host's tree.
    Bind(&'a Path),
}

/// Rule R9: what may be mounted over /proc. `destination` is clean.
///
/// A mount over /proc redirects what a runtime writes there and hides what the kernel says: CVE-2019-16884,
/// CVE-2025-52881. So only a procfs goes to /proc, and below it only the files of a short list.
///
/// # Errors
/// Why not, so worded that the destination can follow.
pub fn check_proc(destination: &str, content: Content<'_>) -> Result<(), &'static str> {
    let Some(below) = destination.strip_prefix("/proc") else { return Ok(()) };
    if below.is_empty() {
        return match content {
            Content::FileSystem("proc") => Ok(()),
            // The host's own procfs, for containers in its pid namespace.
            Content::Bind(source) if source == Path::new("/proc") => Ok(()),
            _ => Err("only a procfs may be mounted on"),
        };
    }
    if !below.starts_with('/') || BELOW_PROC.contains(&destination) {
        return Ok(());
    }
    Err("inside /proc only the files that lxcfs provides may be mounted on, not")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_path_has_no_dots_and_does_not_leave_the_root() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("../..", "/"),
            ("a/b", "/a/b"),
            ("/proc/../proc/sys", "/proc/sys"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn only_a_procfs_goes_to_proc_and_only_listed_files_below() {
        let tmpfs = Content::FileSystem("tmpfs");
        let bind = Content::Bind(Path::new("/x"));
        assert!(check_proc("/proc", Content::FileSystem("proc")).is_ok());
        assert!(check_proc("/proc", Content::Bind(Path::new("/proc"))).is_ok());
        assert!(check_proc("/processes", tmpfs).is_ok());
        assert!(check_proc("/proc/cpuinfo", bind).is_ok());
        assert!(check_proc("/sys", bind).is_ok());
        for (destination, content) in [
            ("/proc", tmpfs),
            ("/proc", bind),
            ("/proc/self/attr", bind),
            ("/proc/sys", tmpfs),
            ("/proc/cpuinfo/x", bind),
            ("/proc/sys", Content::FileSystem("proc")),
        ] {
            assert!(check_proc(destination, content).is_err(), "{destination}");
        }
    }
}
