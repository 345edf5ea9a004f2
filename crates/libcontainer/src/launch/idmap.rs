//! The id maps of a user namespace: by the parent itself where it may, else by newuidmap(1) and newgidmap(1).

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use nix::unistd::{getegid, geteuid};

use crate::error::{Error, Result};
use crate::plan::{IdMap, IdMaps};

/// Writes the maps of the user namespace that process `pid` has just made (user_namespaces(7)).
pub fn write(pid: i32, maps: &IdMaps) -> Result<()> {
    if !maps.setgroups {
        let path = format!("/proc/{pid}/setgroups");
        fs::write(&path, "deny").map_err(|e| Error::io("write", &e).path(&path).field("linux.gidMappings"))?;
    }
    let uids = Side { file: "uid_map", tool: "newuidmap", own: geteuid().as_raw(), field: "linux.uidMappings" };
    let gids = Side { file: "gid_map", tool: "newgidmap", own: getegid().as_raw(), field: "linux.gidMappings" };
    // An unprivileged process may map its group only after setgroups is denied, and newgidmap wants the uid map first.
    uids.write(pid, &maps.uids)?;
    gids.write(pid, &maps.gids)
}

struct Side {
    file: &'static str,
    tool: &'static str,
    own: u32,
    field: &'static str,
}

impl Side {
    fn write(&self, pid: i32, ranges: &[IdMap]) -> Result<()> {
        let single = matches!(ranges, [IdMap { host, size: 1, .. }] if *host == self.own);
        if !geteuid().is_root() && !single {
            return self.call_tool(pid, ranges);
        }
        let mut text = String::new();
        for IdMap { container, host, size } in ranges {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{container} {host} {size}");
        }
        let path = format!("/proc/{pid}/{}", self.file);
        // The kernel takes a map in one write only, which fs::write makes of a text this short.
        fs::write(&path, text).map_err(|e| Error::io("write", &e).path(&path).field(self.field))
    }

    fn call_tool(&self, pid: i32, ranges: &[IdMap]) -> Result<()> {
        let mut command = Command::new(self.tool);
        command.arg(pid.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        for IdMap { container, host, size } in ranges {
            command.args([container, host, size].map(u32::to_string));
        }
        let output = command
            .output()
            .map_err(|e| Error::io("run", &e).path(self.tool).field(self.field).hint("install the package uidmap"))?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::invalid(self.field, format!("{} refuses: {words}", self.tool)))
    }
}
