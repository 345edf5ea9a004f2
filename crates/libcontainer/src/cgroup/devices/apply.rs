//! Makes the kernel enforce a device filter.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;

use super::bpf;
use super::filter::{Filter, V1File};
use crate::cgroup::layout::CgroupDir;
use crate::cgroup::manage::Cgroup;
use crate::{Error, Result};

const FIELD: &str = "linux.resources.devices";

impl Cgroup {
    /// Puts the filter in force: by the v1 devices controller where its hierarchy is mounted, else by an eBPF program
    /// attached to the directory in the v2 tree, in place of those that are attached there already.
    ///
    /// # Errors
    /// A filter that the parent's does not allow (EPERM), or one that forbids something on a host that has neither:
    /// a container without its filter is not an option.
    pub fn apply_devices(&self, filter: &Filter) -> Result<()> {
        if let Some(dir) = self.plan().controller("devices") {
            return write_rules(dir, filter);
        }
        let Some(dir) = self.plan().unified() else {
            return match filter.permits_all() {
                true => Ok(()),
                false => Err(Error::unsupported(FIELD, "this host has no cgroup to enforce device rules with")),
            };
        };
        let is_new = self.made(dir);
        if is_new && filter.permits_all() {
            return Ok(());
        }
        let failed = |error: Error| error.path(dir.host()).field(FIELD);
        match self.dirfd() {
            Some(fd) => bpf::enforce(fd, filter, is_new).map_err(failed),
            None => {
                let path = dir.host();
                let fd = File::open(&path).map_err(|e| Error::io("open", &e).path(&path))?;
                bpf::enforce(fd.as_fd(), filter, is_new).map_err(failed)
            }
        }
    }
}

/// One write(2) a line, which is what the controller takes, to files opened once.
fn write_rules(dir: &CgroupDir, filter: &Filter) -> Result<()> {
    let mut open: [Option<File>; 2] = [None, None];
    for write in filter.v1_writes() {
        let path = || dir.file(write.file.name());
        let slot = &mut open[usize::from(write.file == V1File::Allow)];
        let file = match slot {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().write(true).open(path());
                slot.insert(file.map_err(|e| Error::io("open", &e).path(path()))?)
            }
        };
        file.write_all(write.line.as_bytes())
            .map_err(|e| Error::io(format!("write {:?} to", write.line), &e).path(path()).field(FIELD))?;
    }
    Ok(())
}
