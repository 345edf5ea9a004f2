//! The cgroup trees as the calling thread's mount namespace shows them, v1 and v2 alike.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procfs::FromBufRead as _;
use procfs::process::{MountInfo, MountInfos};

use crate::sandbox::CGROUP_PARENT;

/// The mounts of the calling thread: a test's thread may have a namespace of its own.
///
/// # Panics
/// If /proc cannot be read.
pub fn mounts() -> Vec<MountInfo> {
    let file = fs::File::open("/proc/thread-self/mountinfo").expect("mountinfo can be opened");
    MountInfos::from_buf_read(BufReader::new(file)).expect("mountinfo can be parsed").0
}

/// Where each hierarchy is mounted, v2 included.
pub fn hierarchies() -> Vec<PathBuf> {
    let mut all: Vec<_> = mounts()
        .into_iter()
        .filter(|m| matches!(m.fs_type.as_str(), "cgroup" | "cgroup2") && m.root == "/")
        .map(|m| m.mount_point)
        .filter(|m| m.exists())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Makes the sandbox's cgroup in every hierarchy.
///
/// # Panics
/// If that fails.
pub fn make(token: &str) {
    for hierarchy in hierarchies() {
        let mut cgroup = hierarchy;
        for name in [CGROUP_PARENT, token] {
            cgroup.push(name);
            if let Err(error) = fs::create_dir(&cgroup) {
                assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{}: {error}", cgroup.display());
            }
            inherit_cpuset(&cgroup);
        }
    }
}

/// A v1 cpuset takes no process until it has processors and memory nodes.
fn inherit_cpuset(cgroup: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, parent) = (cgroup.join(file), cgroup.with_file_name(file));
        // Only v1's: a v2 cpuset may stay empty, and its parent may have none.
        let Ok(above) = fs::read_to_string(parent) else { continue };
        if fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty()) && !above.trim().is_empty() {
            fs::write(&own, above.trim()).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
        }
    }
}

/// Every cgroup with the token in its path, parents first.
pub fn below_token(token: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        collect(&hierarchy, token, &mut found);
    }
    found.sort();
    found
}

fn collect(dir: &Path, token: &str, found: &mut Vec<PathBuf>) {
    // A cgroup that goes away while we look is none of ours.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let path = entry.path();
        if path.as_os_str().to_string_lossy().contains(token) {
            found.push(path.clone());
        }
        collect(&path, token, found);
    }
}

/// Thaws a cgroup: SIGKILL waits for ever in a frozen v1 one.
pub fn thaw(cgroup: &Path) {
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = cgroup.join(file);
        if !file.exists() {
            continue;
        }
        if let Err(error) = fs::write(&file, word) {
            crate::print_uncaptured(&format!("{}: cannot thaw: {error}\n", file.display()));
        }
    }
}

/// Takes away every cgroup with the token in its path, and the parent if it is empty then.
pub fn remove(token: &str) {
    for cgroup in below_token(token).into_iter().rev() {
        // A process that has just been killed keeps its cgroup busy for a moment.
        let gone = (0..100).any(|attempt| {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            fs::remove_dir(&cgroup).is_ok() || !cgroup.exists()
        });
        if !gone {
            crate::print_uncaptured(&format!("{}: cannot be removed\n", cgroup.display()));
        }
    }
    for hierarchy in hierarchies() {
        // Another test may still use it: then the last one takes it away.
        let _ = fs::remove_dir(hierarchy.join(CGROUP_PARENT));
    }
}
