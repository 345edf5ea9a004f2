//! The hooks that run on the way from create to the program: which op runs them, and where.
//!
//! | hook            | runs in                       | path resolved in | op             |
//! |-----------------|-------------------------------|------------------|----------------|
//! | prestart        | the runtime's namespaces      | the host         | `RuntimeHooks` |
//! | createRuntime   | the runtime's namespaces      | the host         | `RuntimeHooks` |
//! | createContainer | the container's, old root     | the host         | `RunHook`      |
//! | startContainer  | the container's               | the container    | `RunHook`      |
//!
//! poststart and poststop are the runtime's, after start and delete: no op of a plan. Hooks get the environment that
//! the config gives them and nothing else (R10, CVE-2025-23266).

use super::Compiler;
use crate::config::types::Hook;
use crate::error::{Error, Result};
use crate::plan::op::Op;
use crate::plan::wire::Text;
use crate::plan::{Field, Input, TextListBuf};

/// The umask of hooks that run before the container's own is set.
const HOOK_UMASK: u32 = 0o022;

impl Compiler<'_> {
    /// Reserves the descriptors of hooks that init runs.
    pub(super) fn hook_inputs(&mut self) {
        let hooks = &self.config.hooks;
        if !hooks.create_container.is_empty() || !hooks.start_container.is_empty() {
            self.slots.hook_state = self.plan.input(Input::HookState);
            self.slots.hook_output = self.plan.input(Input::HookOutput);
        }
    }

    /// With all mounts made and the old root still there, hooks may inject mounts of their own.
    pub(super) fn hooks_before_pivot(&mut self) -> Result<()> {
        let hooks = &self.config.hooks;
        if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
            self.push("hooks", Op::RuntimeHooks {});
        }
        if !hooks.create_container.is_empty() {
            // init itself works without one, so that what it makes has the very mode that it asks for.
            self.push("hooks.createContainer", Op::Umask { mask: HOOK_UMASK });
            self.run_hooks("hooks.createContainer", &hooks.create_container)?;
        }
        Ok(())
    }

    /// startContainer hooks: with the rights of the process, right before it.
    pub(super) fn hooks_before_exec(&mut self) -> Result<()> {
        self.run_hooks("hooks.startContainer", &self.config.hooks.start_container)
    }

    fn run_hooks(&mut self, name: &str, hooks: &[Hook<'_>]) -> Result<()> {
        for (index, hook) in hooks.iter().enumerate() {
            let path = format!("{name}[{index}]");
            // The specification has no "forever" but an absent timeout.
            let timeout = u32::try_from(hook.timeout.unwrap_or(0))
                .map_err(|_| Error::invalid(format!("{path}.timeout"), "must be a positive number of seconds"))?;
            let mut args: TextListBuf = hook.args.iter().map(|arg| arg.as_bytes()).collect();
            if hook.args.is_empty() {
                args.push(hook.path.as_bytes());
            }
            let env: TextListBuf = hook.env.iter().map(|variable| variable.as_bytes()).collect();
            let op = Op::RunHook {
                path: Text::new(hook.path.as_bytes()),
                args: args.list(),
                env: env.list(),
                timeout,
                state: self.slots.hook_state,
                output: self.slots.hook_output,
            };
            self.plan.push(&Field::labelled(path, hook.path.to_string()), op);
        }
        Ok(())
    }
}
