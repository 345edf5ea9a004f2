//! What `create` records of a container for the commands after it.

use std::path::{Path, PathBuf};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::compile::Compiled;
use crate::compile::explain::action;
use crate::config::Config;
use crate::config::types::Hook;
use crate::host::HostFacts;
use crate::plan::Plan;
use crate::plan::op::Op;
use crate::state::{HookRecord, HookRecords, LateOp, Phase, Record, timestamp_now};

/// The record of a container whose creation begins.
pub(super) fn new(id: &str, bundle: &Path, config: &Config<'_>, compiled: &Compiled, facts: &HostFacts) -> Record {
    let plan = &compiled.plan;
    Record {
        version: Record::VERSION,
        oci_version: config.oci_version.to_string(),
        id: id.to_owned(),
        phase: Phase::Creating,
        pid: 0,
        start_time: 0,
        bundle: bundle.to_owned(),
        rootfs: rootfs(plan),
        created: timestamp_now(),
        annotations: config.annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        owner: facts.euid,
        own_pid_namespace: makes_pid_namespace(plan),
        cgroup: compiled.cgroup.clone(),
        hooks: HookRecords { poststart: hooks(&config.hooks.poststart), poststop: hooks(&config.hooks.poststop) },
        late_ops: late_ops(plan),
    }
}

/// Hooks as they are recorded.
pub(super) fn hooks(list: &[Hook<'_>]) -> Vec<HookRecord> {
    let texts = |list: &[crate::config::types::Str<'_>]| list.iter().map(ToString::to_string).collect();
    list.iter()
        .map(|hook| HookRecord {
            path: PathBuf::from(hook.path.as_ref() as &str),
            args: texts(&hook.args),
            env: texts(&hook.env),
            // compile has refused one that is not a number of seconds.
            timeout: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()),
        })
        .collect()
}

/// Where init finds the root file system on the host.
fn rootfs(plan: &Plan) -> PathBuf {
    plan.ops()
        .find_map(|(op, _)| match op {
            Op::OpenRoot { host, .. } => Some(PathBuf::from(OsStr::from_bytes(host.as_bytes()))),
            _ => None,
        })
        .unwrap_or_default()
}

/// Whether init becomes pid 1 of a new pid namespace.
fn makes_pid_namespace(plan: &Plan) -> bool {
    let new = libc::CLONE_NEWPID as u64;
    let made = |op: Op<'_>| matches!(op, Op::Clone { flags } | Op::Unshare { flags } if flags & new != 0);
    plan.clone_flags & new != 0 || plan.ops().any(|(op, _)| made(op))
}

/// The ops that `start` will have to name.
fn late_ops(plan: &Plan) -> Vec<LateOp> {
    let Some(wait) = plan.ops().position(|(op, _)| matches!(op, Op::AwaitStart { .. })) else { return Vec::new() };
    (wait..plan.len())
        .filter_map(|index| {
            let (op, field, action) = (plan.op(index)?, plan.field(index)?, action(plan, index)?);
            Some(LateOp {
                index: u32::try_from(index).ok()?,
                op: op.name().to_owned(),
                words: action.words,
                path: action.path,
                field: field.path.clone(),
                label: field.label.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::wire::{Slot, Text};
    use crate::plan::{Field, TextListBuf};

    #[test]
    fn what_start_may_have_to_name_is_what_comes_after_the_wait() {
        let mut plan = Plan::new();
        let slot = plan.slot();
        plan.push(&Field::new("root.path"), Op::OpenRoot { root: slot, host: Text::new(b"/b/rootfs") });
        plan.push(&Field::new("process"), Op::AwaitStart { go: Slot(0), err: Slot(1) });
        let (args, env): (TextListBuf, TextListBuf) = (["sh", "-c"].into_iter().collect(), TextListBuf::default());
        plan.push(&Field::new("process.args[0]"), Op::Exec { args: args.list(), env: env.list() });
        let late = late_ops(&plan);
        assert_eq!(
            late.iter().map(|op| (op.index, op.op.as_str())).collect::<Vec<_>>(),
            [(1, "AwaitStart"), (2, "Exec")]
        );
        assert_eq!(late[1].path.as_deref(), Some(Path::new("sh")));
        assert_eq!(rootfs(&plan), Path::new("/b/rootfs"));
        assert!(!makes_pid_namespace(&plan));
        plan.clone_flags = libc::CLONE_NEWPID as u64;
        assert!(makes_pid_namespace(&plan));
    }
}
