//! What an op does, in words: for `explain`, and for the text of an error when the op fails.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::names;
use crate::plan::op::Op;
use crate::plan::wire::{Slot, Text, TextList};
use crate::plan::{Input, Plan};

/// What an op does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The deed, so worded that `path` and an errno's text can follow: `attach bind of`.
    pub words: String,
    /// What it is done to.
    pub path: Option<PathBuf>,
    /// What else there is to know; not part of an error's text.
    pub detail: String,
}

impl Action {
    fn new(words: impl Into<String>) -> Self {
        Action { words: words.into(), path: None, detail: String::new() }
    }

    fn to(words: impl Into<String>, path: Text<'_>) -> Self {
        Action::new(words).path(Path::new(OsStr::from_bytes(path.as_bytes())))
    }

    fn path(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)?;
        if let Some(path) = &self.path {
            write!(f, " {path:?}")?;
        }
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        Ok(())
    }
}

/// What the op at `index` of `plan` does; `None` if there is no such op.
pub fn action(plan: &Plan, index: usize) -> Option<Action> {
    let op = plan.op(index)?;
    Some(match op.tag() {
        1..=14 | 41.. => before_the_root(plan, op),
        15..=26 => in_the_root(plan, index, op),
        _ => the_process(op),
    })
}

/// Ops that still see the host.
fn before_the_root(plan: &Plan, op: Op<'_>) -> Action {
    match op {
        Op::CloseInherited { keep: 0 } => Action::new("close inherited descriptors").detail("but stdio"),
        Op::CloseInherited { keep } => {
            Action::new("close inherited descriptors").detail(format!("but stdio and {keep} from 3 on"))
        }
        Op::ResetSignals {} => Action::new("reset signal dispositions and mask"),
        Op::ParentDeath { signal: 0 } => Action::new("outlive the parent"),
        Op::ParentDeath { signal } => Action::new("die with the parent").detail(format!("by signal {signal}")),
        Op::WriteHost { host, data } => Action::to(format!("write {:?} to", lossy(data.0)), host),
        Op::NotDumpable {} => Action::new("become undumpable"),
        Op::JoinNamespace { namespace, kind } => {
            let words = format!("join {} namespace", names::namespaces(kind).join(" "));
            match plan.inputs().get(namespace.0 as usize) {
                Some(Input::Namespace { path, .. }) => Action::new(words).path(path),
                _ => Action::new(words),
            }
        }
        Op::Unshare { flags } => Action::new(format!("make new {} namespace", names::namespaces(flags).join(", "))),
        Op::AwaitIdMaps {} => Action::new("wait for id maps"),
        Op::BecomeRoot {} => Action::new("become root of the user namespace"),
        Op::Clone { flags: 0 } => Action::new("go on in a new process"),
        Op::Clone { flags } => {
            Action::new(format!("go on in a new process in new namespaces: {}", names::namespaces(flags).join(", ")))
        }
        Op::NewSession {} => Action::new("lead a new session"),
        Op::Propagation { flags } => {
            let what = if flags & libc::MS_REC != 0 { "every mount" } else { "/" };
            Action::new(format!("set propagation of {what} to {}", names::propagation(flags)))
        }
        Op::TakeTree { host, recursive, .. } => {
            Action::to("take bind source", host).detail(if recursive == 1 { "with the mounts below it" } else { "" })
        }
        Op::OpenRoot { host, .. } => Action::to("open rootfs", host),
        Op::RaiseFileLimit {} => Action::new("raise the limit of open files"),
        Op::LoopbackUp {} => Action::new("bring up the loopback device"),
        Op::StdioOwner { uid } => Action::new(format!("give stdio to user {uid}")),
        other => Action::new(other.name()),
    }
}

/// Ops on mounts and files of the container.
fn in_the_root(plan: &Plan, index: usize, op: Op<'_>) -> Action {
    match op {
        Op::MountFs { dest, fstype, options, flags, inherit_mode, .. } => {
            let mut detail = names::mount_flags(&flags);
            for option in options.iter() {
                let _ = write!(detail, " {}", lossy(option.as_bytes()));
            }
            if inherit_mode == 1 {
                detail.push_str(" with the directory's own mode");
            }
            Action::to(format!("mount {} on", lossy(fstype.as_bytes())), dest).detail(parenthesised(detail.trim()))
        }
        Op::AttachTree { tree, dest, flags } => {
            let mut detail = format!("on {:?}", lossy(dest.as_bytes()));
            let flags = parenthesised(&names::mount_flags(&flags));
            if !flags.is_empty() {
                let _ = write!(detail, " {flags}");
            }
            match source_of(plan, index, tree) {
                Some(host) => Action::to("attach bind of", host).detail(detail),
                None => Action::to("attach bind on", dest),
            }
        }
        Op::SetMountAttr { dest, flags } => Action::to(format!("set {} on", names::mount_flags(&flags)), dest),
        Op::Device { path, mode, major, minor, uid, gid } => {
            let numbers =
                if mode & libc::S_IFMT == libc::S_IFIFO { String::new() } else { format!("{major}:{minor} ") };
            let owner = if uid == 0 && gid == 0 { String::new() } else { format!(" owner {uid}:{gid}") };
            Action::to(format!("create {}", names::device_kind(mode)), path)
                .detail(format!("{numbers}mode {:04o}{owner}", mode & 0o7777))
        }
        Op::Symlink { path, target, .. } => {
            Action::to("create link", path).detail(format!("to {:?}", lossy(target.as_bytes())))
        }
        Op::RuntimeHooks {} => Action::new("wait for the runtime's hooks"),
        Op::RunHook { path, timeout, .. } => {
            let detail = if timeout == 0 { String::new() } else { format!("for at most {timeout} s") };
            Action::to("run hook", path).detail(detail)
        }
        Op::PivotRoot { .. } => Action::new("make the rootfs the root and let go of the host's mounts"),
        Op::OpenProc { .. } => Action::new("open a procfs of its own"),
        Op::Sysctl { path, value, .. } => {
            let file = Path::new("/proc").join(OsStr::from_bytes(path.as_bytes()));
            Action::new(format!("write {:?} to", lossy(value.as_bytes()))).path(&file)
        }
        Op::Mask { path, .. } => Action::to("mask", path),
        Op::ReadonlyPath { path } => Action::to("make read-only", path),
        other => Action::new(other.name()),
    }
}

/// Ops on the process itself.
fn the_process(op: Op<'_>) -> Action {
    match op {
        Op::Hostname { name } => Action::new(format!("set hostname to {:?}", lossy(name.as_bytes()))),
        Op::Domainname { name } => Action::new(format!("set domainname to {:?}", lossy(name.as_bytes()))),
        Op::Rlimit { resource, soft, hard } => Action::new(format!("set {}", names::rlimit(resource))).detail(format!(
            "to {} (hard {})",
            names::limit(soft),
            names::limit(hard)
        )),
        Op::Umask { mask } => Action::new(format!("set umask to {mask:04o}")),
        Op::WorkingDirectory { path } => Action::to("change directory to", path),
        Op::FindProgram { name, search } => {
            let detail = if name.as_bytes().contains(&b'/') {
                String::new()
            } else {
                format!("in {}", lossy(search.as_bytes()))
            };
            Action::to("find program", name).detail(detail)
        }
        Op::Home { uid } => Action::new(format!("set HOME as /etc/passwd has it for user {uid}")),
        Op::BoundingSet { keep } => {
            Action::new("limit the bounding set").detail(format!("to {}", names::capabilities(keep)))
        }
        Op::SetIds { uid, gid, groups } => {
            let mut words = format!("become user {uid}, group {gid}");
            if !groups.is_empty() {
                let list: Vec<_> = groups.iter().map(|g| g.to_string()).collect();
                let _ = write!(words, " (additional {})", list.join(" "));
            }
            Action::new(words)
        }
        Op::Capabilities { effective, permitted, inheritable, ambient } => {
            Action::new("set capabilities").detail(format!(
                "(effective {}, permitted {}, inheritable {}, ambient {})",
                names::capabilities(effective),
                names::capabilities(permitted),
                names::capabilities(inheritable),
                names::capabilities(ambient)
            ))
        }
        Op::NoNewPrivileges {} => Action::new("give up gaining privileges by execve"),
        Op::Created {} => Action::new("report that the container is created"),
        Op::AwaitStart { .. } => Action::new("wait for start"),
        Op::Exec { args, .. } => match args.iter().next() {
            Some(program) => Action::to("execute", program).detail(rest_of(args)),
            None => Action::new("execute"),
        },
        other => Action::new(other.name()),
    }
}

/// The host path of the tree that the op at `index` attaches: what an earlier op put into its slot.
fn source_of(plan: &Plan, index: usize, wanted: Slot) -> Option<Text<'_>> {
    (0..index).rev().find_map(|i| match plan.op(i) {
        Some(Op::TakeTree { tree, host, .. }) if tree == wanted => Some(host),
        _ => None,
    })
}

fn rest_of(args: TextList<'_>) -> String {
    let rest: Vec<_> = args.iter().skip(1).map(|a| format!("{:?}", lossy(a.as_bytes()))).collect();
    rest.join(" ")
}

fn parenthesised(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("({text})") }
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Field;
    use crate::plan::op::MountFlags;

    #[test]
    fn a_bind_is_told_by_its_source() {
        let mut plan = Plan::new();
        let tree = plan.slot();
        let field = Field::labelled("mounts[3]", "/etc/hosts");
        plan.push(&field, Op::TakeTree { tree, host: Text::new(b"/x/hosts"), recursive: 1 });
        plan.push(&field, Op::AttachTree { tree, dest: Text::new(b"/etc/hosts"), flags: MountFlags::NONE });
        let action = action(&plan, 1).expect("an op");
        assert_eq!((action.words.as_str(), action.path.as_deref()), ("attach bind of", Some(Path::new("/x/hosts"))));
        assert_eq!(action.to_string(), r#"attach bind of "/x/hosts" on "/etc/hosts""#);
    }

    #[test]
    fn every_op_has_words_of_its_own() {
        // An op whose number is new lands in a catch-all arm and would be told by its bare name.
        for tag in 1..=43u32 {
            let mut blob = tag.to_le_bytes().to_vec();
            blob.resize(256, 0);
            let op = Op::decode(&mut crate::plan::wire::Reader::new(&blob)).unwrap_or_else(|| panic!("op {tag}"));
            let mut plan = Plan::new();
            plan.push(&Field::new("x"), op);
            assert_ne!(action(&plan, 0).expect("an op").words, op.name(), "op {tag}");
        }
        let none = Op::decode(&mut crate::plan::wire::Reader::new(&44u32.to_le_bytes())).is_none();
        assert!(none, "op 44 is there: widen this test");
    }
}
