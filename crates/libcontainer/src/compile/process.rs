//! `process`: from init to the container's program.
//!
//! Privileges go down step by step, each step taken while the one before still allows it:
//!
//! 1. what needs root's rights over files and limits: cwd, HOME, stdio's owner, rlimits
//! 2. the bounding set, which needs CAP_SETPCAP
//! 3. ids, with permitted capabilities kept
//! 4. the program is looked up, with the user's rights
//! 5. capabilities, no-new-privileges
//! 6. CREATED, the wait for start, execve

use std::collections::HashSet;
use std::path::Path;

use super::capabilities::{self, Names};
use super::mounts::Mount;
use super::{Compiler, paths};
use crate::error::{Error, Result};
use crate::plan::op::Op;
use crate::plan::wire::Text;
use crate::plan::{Field, NumbersBuf, TextListBuf};

/// Where a program is looked for when the config has no PATH: what shells and container images take for granted.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The umask when the config has none, as runc's.
const DEFAULT_UMASK: u32 = 0o022;

impl Compiler<'_> {
    /// Steps 1 to 6, up to the wait for start.
    pub(super) fn become_the_process(&mut self, environment: &Environment<'_>) -> Result<()> {
        let process = &self.config.process;
        self.names();
        // It lies inside the root, whatever it is called (R4, CVE-2024-21626), and on top of what covers it.
        self.working_directory(&paths::clean(&process.cwd));
        if environment.home.is_none() {
            self.push("process.user.uid", Op::Home { uid: process.user.uid });
        }
        if process.user.uid != 0 {
            self.push("process.user.uid", Op::StdioOwner { uid: process.user.uid });
        }
        self.rlimits()?;
        self.push("process.user.umask", Op::Umask { mask: process.user.umask.unwrap_or(DEFAULT_UMASK) });
        self.identity(environment);
        if self.ctx.options.parent_death.is_some() {
            // The wish survives execve(2): whoever created the container may leave now, and it stays.
            self.push("process", Op::ParentDeath { signal: 0 });
        }
        self.push("process", Op::Created {});
        self.push("process", Op::AwaitStart { go: self.slots.go, err: self.slots.err });
        Ok(())
    }

    /// Before anything becomes read-only, a working directory that could then not be created any more is created. It
    /// is entered here too, but left again for the covered one.
    pub(super) fn create_working_directory(&mut self, mounts: &[Mount<'_>]) {
        let cwd = paths::clean(&self.config.process.cwd);
        let read_only = self.config.root.readonly
            || mounts.iter().any(|mount| mount.late_op().is_some())
            || self.config.linux.readonly_paths.iter().any(|path| Path::new(&cwd).starts_with(paths::clean(path)));
        if read_only && cwd != "/" {
            self.working_directory(&cwd);
        }
    }

    fn working_directory(&mut self, clean: &str) {
        self.push("process.cwd", Op::WorkingDirectory { path: Text::new(clean.as_bytes()) });
    }

    fn names(&mut self) {
        if let Some(name) = self.config.hostname.as_deref().filter(|name| !name.is_empty()) {
            self.push("hostname", Op::Hostname { name: Text::new(name.as_bytes()) });
        }
        if let Some(name) = self.config.domainname.as_deref().filter(|name| !name.is_empty()) {
            self.push("domainname", Op::Domainname { name: Text::new(name.as_bytes()) });
        }
    }

    /// As late as CAP_SYS_RESOURCE allows, because a low limit of open files would hit init as well.
    fn rlimits(&mut self) -> Result<()> {
        for (index, limit) in self.config.process.rlimits.iter().enumerate() {
            let field = Field::labelled(format!("process.rlimits[{index}]"), limit.kind.to_string());
            let resource = limit.resource().ok_or_else(|| {
                Error::invalid(
                    format!("process.rlimits[{index}].type"),
                    format!("unknown resource limit {:?}", &*limit.kind),
                )
            })?;
            self.plan.push(&field, Op::Rlimit { resource, soft: limit.soft, hard: limit.hard });
        }
        Ok(())
    }

    /// Steps 2 to 5.
    fn identity(&mut self, environment: &Environment<'_>) {
        let process = &self.config.process;
        // Without the field there are no capabilities, as with runc.
        let names = process.capabilities.as_ref().map_or_else(Names::default, |lists| Names {
            bounding: &lists.bounding,
            effective: &lists.effective,
            permitted: &lists.permitted,
            inheritable: &lists.inheritable,
            ambient: &lists.ambient,
        });
        let sets = capabilities::sets(names, self.ctx.facts.bounding, &mut self.warnings);
        self.push("process.capabilities.bounding", Op::BoundingSet { keep: sets.bounding });
        let groups: NumbersBuf = process.user.additional_gids.iter().copied().collect();
        let ids = Op::SetIds { uid: process.user.uid, gid: process.user.gid, groups: groups.list() };
        self.push("process.user", ids);
        // The kernel forgets it when ids change (prctl(2), PR_SET_PDEATHSIG).
        if let Some(signal) = self.ctx.options.parent_death {
            self.push("process", Op::ParentDeath { signal });
        }
        let name = process.args.first().map(|name| name.as_bytes()).unwrap_or_default();
        let search = Text::new(environment.path.unwrap_or(DEFAULT_PATH).as_bytes());
        self.push("process.args[0]", Op::FindProgram { name: Text::new(name), search });
        let capabilities::Sets { effective, permitted, inheritable, ambient, .. } = sets;
        self.push("process.capabilities", Op::Capabilities { effective, permitted, inheritable, ambient });
        if process.no_new_privileges {
            self.push("process.noNewPrivileges", Op::NoNewPrivileges {});
        }
    }

    /// The end of init, and of the plan.
    pub(super) fn execute(&mut self, environment: &Environment<'_>) {
        let args: TextListBuf = self.config.process.args.iter().map(|arg| arg.as_bytes()).collect();
        let env: TextListBuf = environment.variables.iter().collect();
        self.push("process.args", Op::Exec { args: args.list(), env: env.list() });
    }
}

/// `process.env`, read as execve's caller would: of a name that stands there twice the last one counts, and only that
/// one is handed on, because programs take the first.
pub(super) struct Environment<'a> {
    variables: Vec<&'a str>,
    path: Option<&'a str>,
    home: Option<&'a str>,
}

impl<'a> Environment<'a> {
    pub(super) fn read<S: AsRef<str>>(variables: &'a [S]) -> Self {
        let mut seen = HashSet::with_capacity(variables.len());
        let mut environment = Environment { variables: Vec::with_capacity(variables.len()), path: None, home: None };
        for variable in variables.iter().rev().map(AsRef::as_ref) {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            if !seen.insert(name) {
                continue;
            }
            match name {
                "PATH" => environment.path = Some(value),
                // An empty HOME is as good as none, as with runc.
                "HOME" if value.is_empty() => continue,
                "HOME" => environment.home = Some(value),
                _ => {}
            }
            environment.variables.push(variable);
        }
        environment.variables.reverse();
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_variables_of_one_name_counts() {
        let environment = Environment::read(&["A=1", "PATH=/a", "B=2", "PATH=/b", "A=3", "HOME="]);
        assert_eq!(environment.variables, ["B=2", "PATH=/b", "A=3"]);
        assert_eq!((environment.path, environment.home), (Some("/b"), None));
        let environment = Environment::read(&["HOME=/root", "X"]);
        assert_eq!(environment.variables, ["HOME=/root", "X"]);
        assert_eq!((environment.path, environment.home), (None, Some("/root")));
    }
}
