//! What a container is doing: derived from its init and the `go` FIFO every time, never stored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde::Serialize;

use super::process::Process;
use crate::state::{FIFO_GO, Phase, Record, StateDir};
use crate::{Error, Result};

/// A container's status (runtime.md, "State").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// init waits for `start`.
    Created,
    /// The program has been started and has not ended.
    Running,
    /// init has ended.
    Stopped,
}

impl Status {
    /// The status as the state JSON writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `state` and `list` print: runtime.md, "State", and what runc adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct State {
    /// The runtime spec's version, from the config.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// init's pid as the host sees it; 0 for a container that has stopped.
    pub pid: i32,
    /// What the container is doing.
    pub status: Status,
    /// The bundle's absolute path.
    pub bundle: PathBuf,
    /// The root file system's absolute path.
    pub rootfs: PathBuf,
    /// When it was created, as RFC 3339.
    pub created: String,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The name of the user who created it; `#` and the number for one without a name.
    pub owner: String,
}

/// The status as it is now.
pub(crate) fn status(dir: &StateDir, record: &Record) -> Result<Status> {
    if record.phase == Phase::Creating {
        // A record that says so while nobody has the lock was left behind by a runtime that died.
        return Ok(if dir.is_locked()? { Status::Creating } else { Status::Stopped });
    }
    if !process(record).is_alive()? {
        return Ok(Status::Stopped);
    }
    Ok(if waits_for_start(dir)? { Status::Created } else { Status::Running })
}

/// The container's init.
pub(crate) fn process(record: &Record) -> Process {
    Process { pid: record.pid, start_time: record.start_time }
}

/// Only init holds `go` open, and only until execve closes it.
pub(crate) fn waits_for_start(dir: &StateDir) -> Result<bool> {
    match dir.open_fifo(FIFO_GO, OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
        Ok(_) => Ok(true),
        Err(Errno::ENXIO) => Ok(false),
        Err(e) => Err(Error::system("open FIFO", e).path(dir.path().join(FIFO_GO))),
    }
}

/// The state that commands print.
pub(crate) fn state(dir: &StateDir, record: &Record) -> Result<State> {
    let status = status(dir, record)?;
    Ok(State {
        oci_version: record.oci_version.clone(),
        id: record.id.clone(),
        pid: if status == Status::Stopped { 0 } else { record.pid },
        status,
        bundle: record.bundle.clone(),
        rootfs: record.rootfs.clone(),
        created: record.created.clone(),
        annotations: record.annotations.clone(),
        owner: user_name(record.owner),
    })
}

/// Read by hand: getpwuid(3) would load whatever nsswitch.conf names.
fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    // A host without the file has no names.
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).unwrap_or_else(|| format!("#{uid}"))
}

fn name_in(passwd: &[u8], uid: u32) -> Option<String> {
    passwd.split(|b| *b == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_passwd() {
        let passwd = b"root:x:0:0::/root:/bin/sh\n:x:7:7::/:\n\xff:x:8:8::/:\nme:x:1000:1000::/home/me:/bin/sh";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("me"));
        for absent in [7, 8, 9, 100] {
            assert_eq!(name_in(passwd, absent), None);
        }
    }
}
