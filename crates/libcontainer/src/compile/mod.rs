//! Config + HostFacts → Plan: every decision about a container's creation, taken before anything is done.
//!
//! [`create`] is a pure function: it looks at no file, asks no kernel and changes nothing. What can only be known at
//! run time has a slot in the plan. Each config field is read in one place, and what cannot be honoured is an error
//! that names the field, or a warning where the runtime spec wants one.
//!
//! The order of the ops is the security of the whole; [`create`] tells it step by step, and [`invariants`] states
//! what must hold.

mod capabilities;
mod cgroups;
mod devices;
pub mod explain;
mod hooks;
pub mod invariants;
pub mod mount_options;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod root;

use std::path::Path;

pub use capabilities::names as capability_names;
use process::Environment;

use crate::cgroup::devices::Filter;
use crate::cgroup::{self, CgroupPlan};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostFacts;
use crate::plan::op::Op;
use crate::plan::wire::Slot;
use crate::plan::{Field, Plan};

/// What compile needs besides the config.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The bundle's absolute path: relative paths of the host are taken from it.
    pub bundle: &'a Path,
    /// The container's id, which names its cgroup if the config does not.
    pub id: &'a str,
    /// The host.
    pub facts: &'a HostFacts,
    /// What the caller wants.
    pub options: Options,
}

/// What the caller of create wants, beyond the config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many descriptors, from 3 on, the container's process inherits.
    pub preserve_fds: u32,
    /// A signal that init gets when the thread that launched it ends before CREATED. Only for a caller whose thread
    /// is its process, as a command line's is.
    pub parent_death: Option<u32>,
    /// Asked to do without pivot_root(2), which is refused.
    pub no_pivot: bool,
}

/// A compiled config.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What init does.
    pub plan: Plan,
    /// What was left out, for the operator.
    pub warnings: Vec<String>,
    /// Where the container's cgroup lies; without directories on a host without cgroups.
    pub cgroup: CgroupPlan,
    /// Which devices it lets through.
    pub devices: Filter,
}

/// Compiles the creation of a container. `config` has been validated.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] or [`ErrorKind::Unsupported`], with the JSON path of the field.
pub fn create(config: &Config<'_>, ctx: &Context<'_>) -> Result<Compiled> {
    if ctx.options.no_pivot {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "--no-pivot is not supported: a rootfs that is not the root can be left again",
        ));
    }
    let cgroup = cgroup::plan(config.linux.cgroups_path.as_deref(), ctx.id, ctx.facts)?;
    let devices = devices::filter(config)?;
    let mut compiler = Compiler::new(config, ctx, &cgroup);
    // Inputs take the first slots; then everything is read that can be refused before anything is planned.
    let joins = compiler.inputs()?;
    let mounts = compiler.read_mounts()?;

    // In the host's view. Inherited descriptors go first (CVE-2024-21626); /proc/self is written to while it is still
    // init's own, and cgroups are entered while their paths still are the host's.
    compiler.shed_the_caller();
    compiler.enter_cgroups(&mounts);
    // Nobody in a namespace that is joined, and nothing in the rootfs, may look into init from here on (CVE-2016-9962).
    compiler.push("process", Op::NotDumpable {});
    compiler.isolate(&joins)?;
    // Bind sources are the last host paths that are looked up; the rootfs is the door behind which there are none.
    let trees = compiler.take_trees(&mounts, &joins)?;
    compiler.open_root();

    // In the rootfs, by descriptor. Devices come after all mounts, so that they land on what is mounted on /dev.
    compiler.mount(&mounts, &trees);
    compiler.devices(&mounts)?;
    // Hooks may add mounts of their own, for which they need both views; so they run before the root changes.
    compiler.hooks_before_pivot()?;
    compiler.pivot();

    // In the container. Read-only flags wait until everything is made, sysctls go before /proc/sys is covered, covers
    // come last of all that concerns mounts: nothing can be mounted over them any more.
    compiler.create_working_directory(&mounts);
    compiler.seal(&mounts, &trees)?;
    let environment = Environment::read(&config.process.env);
    compiler.become_the_process(&environment)?;
    compiler.hooks_before_exec()?;
    compiler.execute(&environment);

    let Compiler { plan, warnings, .. } = compiler;
    Ok(Compiled { plan, warnings, cgroup, devices })
}

/// A plan in the making.
struct Compiler<'a> {
    config: &'a Config<'a>,
    ctx: &'a Context<'a>,
    cgroup: &'a CgroupPlan,
    plan: Plan,
    warnings: Vec<String>,
    slots: Slots,
}

/// Descriptors that several steps share.
struct Slots {
    go: Slot,
    err: Slot,
    /// For hooks that run inside; [`Slot::NONE`] without such.
    hook_state: Slot,
    hook_output: Slot,
    root: Slot,
    /// A procfs of init's own to write kernel parameters through; [`Slot::NONE`] until there is one.
    proc: Slot,
}

impl<'a> Compiler<'a> {
    fn new(config: &'a Config<'a>, ctx: &'a Context<'a>, cgroup: &'a CgroupPlan) -> Self {
        let none = Slot::NONE;
        let slots = Slots { go: none, err: none, hook_state: none, hook_output: none, root: none, proc: none };
        Compiler { config, ctx, cgroup, plan: Plan::new(), warnings: Vec::new(), slots }
    }

    /// Adds an op for a field that has no label.
    fn push(&mut self, field: &str, op: Op<'_>) {
        self.plan.push(&Field::new(field), op);
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}
