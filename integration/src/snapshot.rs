//! What a command may have left behind on the host: taken before, compared afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Sandbox, cgroups, processes};

/// How long the kernel may take to finish what a command has begun: a killed process's end, a cgroup's removal.
const SETTLE: Duration = Duration::from_secs(2);

/// The host, as far as one sandbox is concerned. One line a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSnapshot {
    token: String,
    watched: Vec<PathBuf>,
    lines: BTreeSet<String>,
}

impl HostSnapshot {
    /// Mounts of this thread's namespace, cgroups with the sandbox's token, the state root, descendants of this
    /// process and processes marked with the token, open descriptors.
    pub fn take(sandbox: &Sandbox) -> HostSnapshot {
        HostSnapshot::take_all(sandbox.token().to_owned(), vec![sandbox.root()])
    }

    /// The same, and everything below `dir` with its contents: a host directory that a hostile image points at.
    #[must_use]
    pub fn watching(self, dir: impl Into<PathBuf>) -> HostSnapshot {
        let mut watched = self.watched;
        watched.push(dir.into());
        HostSnapshot::take_all(self.token, watched)
    }

    fn take_all(token: String, watched: Vec<PathBuf>) -> HostSnapshot {
        processes::reap_orphans();
        let mut lines = BTreeSet::new();
        for mount in cgroups::mounts() {
            let (point, root, kind) = (mount.mount_point.display(), &mount.root, &mount.fs_type);
            let options: BTreeSet<_> = mount.mount_options.keys().collect();
            lines.insert(format!("mount {point} of {kind} {root} {options:?} {:?}", mount.opt_fields));
        }
        lines.extend(cgroups::below_token(&token).into_iter().map(|dir| format!("cgroup {}", dir.display())));
        for process in processes::descendants().into_iter().chain(processes::marked(&token)) {
            lines.insert(format!("process {process} started {}", process.started));
        }
        for (number, target) in descriptors() {
            lines.insert(format!("descriptor {number} of {}", target.display()));
        }
        for dir in &watched {
            describe_tree(dir, &mut lines);
        }
        HostSnapshot { token, watched, lines }
    }

    /// Fails, naming each difference, unless the host is again as it was. Waits a little for the kernel.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn assert_same(&self) {
        let differences = self.differences();
        assert!(differences.is_empty(), "the host is not as it was:\n{}", differences.join("\n"));
    }

    /// `+ what is new` and `- what is gone`.
    pub fn differences(&self) -> Vec<String> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = HostSnapshot::take_all(self.token.clone(), self.watched.clone());
            if now.lines == self.lines {
                return Vec::new();
            }
            if Instant::now() > deadline {
                let new = now.lines.difference(&self.lines).map(|line| format!("+ {line}"));
                let gone = self.lines.difference(&now.lines).map(|line| format!("- {line}"));
                return new.chain(gone).collect();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The process's own open descriptors, but the one that lists them.
fn descriptors() -> Vec<(String, PathBuf)> {
    let list: Vec<_> = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be listed").flatten().collect();
    let named = list.into_iter().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    // The listing's own descriptor is closed by now, so its link cannot be read any more.
    named.filter_map(|(number, link)| Some((number, fs::read_link(link).ok()?))).collect()
}

/// One line for each file: kind, mode, owner, device, link target or content.
fn describe_tree(path: &Path, lines: &mut BTreeSet<String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let kind = meta.file_type();
    let content = if kind.is_symlink() {
        fs::read_link(path).map(|target| format!("-> {}", target.display())).unwrap_or_default()
    } else if kind.is_file() {
        let bytes = fs::read(path).unwrap_or_default();
        match String::from_utf8(bytes) {
            Ok(text) if text.len() <= 200 => format!("{text:?}"),
            Ok(text) => format!("{} bytes, {:x}", text.len(), fnv(text.as_bytes())),
            Err(error) => format!("{} bytes, {:x}", error.as_bytes().len(), fnv(error.as_bytes())),
        }
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {:x}", meta.rdev())
    } else {
        String::new()
    };
    lines.insert(format!("file {} {:o} {}:{} {content}", path.display(), meta.mode(), meta.uid(), meta.gid()));
    if kind.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| describe_tree(&entry.path(), lines));
    }
}

/// FNV-1a: enough to notice a change.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
