//! `create`: from a bundle to a container that waits for `start`.
//!
//! The order keeps three promises. Whatever happens, a `delete` finds what there is to take away: the record, which
//! says where the cgroup lies, is written before the cgroup is made. Whoever sees "created" finds a container that can
//! be started. And the pid file comes last, so that one that is there tells of success.
//!
//! A `create` that fails takes away all it has made; the error is that of the first thing that went wrong.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::sys::signal::Signal;

use super::hooks::{self, Hooks};
use super::inputs::Inputs;
use super::process::{self, Process};
use super::status::Status;
use super::trace::Timeline;
use super::{Container, Runtime, delete, record};
use crate::cgroup::Cgroup;
use crate::compile::{self, Compiled, Context};
use crate::config::{self, Bundle, Config};
use crate::host::HostFacts;
use crate::launch::{self, Child, Event, Request};
use crate::plan::Plan;
use crate::state::{Phase, Record, StateDir, check_id};
use crate::{Error, ErrorKind, Result};

/// What a caller of [`Runtime::create`] may want besides what the config says.
#[derive(Clone, Copy, Default)]
pub struct CreateOptions<'a> {
    /// Where to write init's pid, once all has succeeded.
    pub pid_file: Option<&'a Path>,
    /// How many of the caller's descriptors, from 3 on, the container inherits. They must be open and without
    /// close-on-exec.
    pub preserve_fds: u32,
    /// The container's stdin, stdout and stderr; `None` leaves the caller's.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// A signal that init gets if the calling thread ends before the container is created. Only for a caller whose
    /// thread is its process: it follows the thread (prctl(2), PR_SET_PDEATHSIG).
    pub parent_death_signal: Option<u32>,
    /// Asks not to use pivot_root(2), which is refused.
    pub no_pivot: bool,
    /// Where to write the timeline, as Chrome trace JSON.
    pub trace: Option<&'a Path>,
    /// Once this is readable (poll(2)), the creation is given up with [`ErrorKind::Interrupted`]: a signalfd(2), the
    /// end of a pipe. It is not read from.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// Is shown the plan before it is executed, and may change it.
    pub amend_plan: Option<&'a dyn Fn(&mut Plan)>,
}

impl Runtime {
    /// Creates a container: everything that its config asks for but the program itself, which waits for
    /// [`Container::start`]. Answers warnings, too: what was left out because it could not be granted.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::InvalidId`], [`ErrorKind::InvalidConfig`],
    /// [`ErrorKind::Unsupported`] before anything is done; [`ErrorKind::Program`] if there is no such program,
    /// [`ErrorKind::Hook`] if a hook failed, [`ErrorKind::Interrupted`], [`ErrorKind::System`]. What had been made is
    /// gone then; if something resists, the error says so, and [`Runtime::delete`] with force tries again.
    pub fn create(&self, id: &str, bundle: &Bundle, options: &CreateOptions<'_>) -> Result<(Container, Vec<String>)> {
        check_id(id)?;
        let mut timeline = Timeline::new(options.trace)?;
        let config = bundle.config()?;
        config::validate(&config)?;
        timeline.phase("read config");
        let facts = HostFacts::gather()?;
        timeline.phase("gather host facts");
        let wanted = compile::Options {
            preserve_fds: options.preserve_fds,
            parent_death: options.parent_death_signal,
            no_pivot: options.no_pivot,
        };
        let context = Context { bundle: bundle.path(), id, facts: &facts, options: wanted };
        let mut compiled = compile::create(&config, &context)?;
        timeline.phase("compile");
        if let Some(amend) = options.amend_plan {
            amend(&mut compiled.plan);
        }
        let mut record = record::new(id, bundle.path(), &config, &compiled, &facts);
        let dir = StateDir::create(self.root(), id)?;
        let mut creation =
            Creation { dir: &dir, config: &config, compiled: &compiled, options, timeline, made: Made::default() };
        let child = creation.make(&mut record);
        let Creation { timeline, made, .. } = creation;
        let traced = timeline.write(&compiled.plan, &made.stamps);
        match child {
            Ok(child) => {
                compiled.warnings.extend(traced.err().map(|error| error.to_string()));
                dir.unlock()?;
                Ok((Container { dir, record, child: Some(child) }, compiled.warnings))
            }
            Err(error) => Err(made.undo(&dir, &record, options, error).warnings(compiled.warnings)),
        }
    }
}

/// A creation under way.
struct Creation<'a> {
    dir: &'a StateDir,
    config: &'a Config<'a>,
    compiled: &'a Compiled,
    options: &'a CreateOptions<'a>,
    timeline: Timeline,
    made: Made,
}

/// What there is to be taken away if the rest fails.
#[derive(Default)]
struct Made {
    cgroup: Option<Cgroup>,
    /// There may be processes in the cgroup.
    launched: bool,
    /// Hooks have been run, or may have been: poststop hooks get to know (runtime.md, "Lifecycle", steps 3 to 5).
    hooked: bool,
    pid_file: bool,
    /// init's time stamps.
    stamps: Vec<u64>,
}

impl Creation<'_> {
    fn make(&mut self, record: &mut Record) -> Result<Child> {
        self.dir.write_first(record)?;
        self.dir.make_fifos()?;
        self.timeline.phase("make state directory");
        let cgroup = self.made.cgroup.insert(Cgroup::create(&self.compiled.cgroup)?);
        cgroup.apply_devices(&self.compiled.devices)?;
        self.timeline.phase("make cgroup");
        let inputs = Inputs::open(&self.compiled.plan, self.dir)?;
        self.timeline.phase("open inputs");
        let created = self.launch(record, &inputs)?;
        self.timeline.phase("launch");
        self.made.stamps = created.trace().unwrap_or_default().to_vec();
        let Process { pid, start_time } = Process::of(created.child().pid)?;
        (record.phase, record.pid, record.start_time) = (Phase::Created, pid, start_time);
        // What startContainer hooks will read.
        tell_hooks_inside(&inputs, record, Status::Created, pid)?;
        self.dir.replace(record)?;
        if let Some(path) = self.options.pid_file {
            write_pid_file(path, pid)?;
            self.made.pid_file = true;
        }
        self.timeline.phase("record");
        created.acknowledge()
    }

    fn launch(&mut self, record: &Record, inputs: &Inputs) -> Result<launch::Created> {
        let Creation { config, compiled, options, made, timeline, .. } = self;
        let fds = inputs.fds();
        let request = Request {
            plan: &compiled.plan,
            inputs: &fds,
            cgroup: made.cgroup.as_ref().and_then(Cgroup::dirfd),
            trace: timeline.is_on(),
            stdio: options.stdio,
            keep_fds: options.preserve_fds,
            interrupt: options.interrupt,
        };
        made.launched = true;
        made.hooked = !config.hooks.create_container.is_empty();
        let hooked = &mut made.hooked;
        launch::launch(&request, &mut |event| match event {
            Event::Started(child) => tell_hooks_inside(inputs, record, Status::Creating, child.pid),
            Event::Hooks(child) => {
                *hooked = true;
                let state = hooks::state(record, Status::Creating, Some(child.pid))?;
                run_hooks(config, record, options.interrupt, &state)
            }
        })
    }
}

/// The hooks in the runtime's namespaces, while init waits.
fn run_hooks(config: &Config<'_>, record: &Record, interrupt: Option<BorrowedFd<'_>>, state: &[u8]) -> Result<()> {
    let hooks = &config.hooks;
    for (kind, list) in [("prestart", &hooks.prestart), ("createRuntime", &hooks.create_runtime)] {
        let list = record::hooks(list);
        Hooks { kind, list: &list, bundle: &record.bundle, interrupt }.run(state)?;
    }
    Ok(())
}

/// Writes the state for hooks that init runs, with the pid as they see it.
fn tell_hooks_inside(inputs: &Inputs, record: &Record, status: Status, pid: i32) -> Result<()> {
    let Some(memory) = &inputs.hook_state else { return Ok(()) };
    let pid = if record.own_pid_namespace { 1 } else { process::pid_inside(pid)? };
    memory
        .set(&hooks::state(record, status, Some(pid))?)
        .map_err(|e| Error::system("write the state for hooks", e).field("hooks"))
}

impl Made {
    /// Takes it all away again; answers the error that was the cause, and with it what went wrong here.
    fn undo(self, dir: &StateDir, record: &Record, options: &CreateOptions<'_>, cause: Error) -> Error {
        let steps = [
            self.pid_file.then(|| options.pid_file.map_or(Ok(()), remove_pid_file)),
            self.cgroup.map(|cgroup| {
                // init is gone; what a hook of its has left behind is not, without a pid namespace.
                let killed = if self.launched { cgroup.kill_all(Signal::SIGKILL) } else { Ok(()) };
                killed.and(cgroup.undo())
            }),
        ];
        let mut error = cause;
        let mut clean = true;
        for second in steps.into_iter().flatten().filter_map(Result::err) {
            clean = false;
            error = error.and_then(second);
        }
        // What could not be removed is for `delete --force`, which needs the record.
        if clean {
            if let Err(second) = dir.remove() {
                error = error.and_then(second);
            }
        }
        if self.hooked {
            match delete::poststop(record) {
                Ok(warnings) => warnings.into_iter().fold(error, Error::and_then),
                Err(second) => error.and_then(second),
            }
        } else {
            error
        }
    }
}

/// Writes the pid file: whoever finds it finds all of it.
fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or_else(|| Error::new(ErrorKind::Unsupported, "no file name:").path(path))?);
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let failed = |what: &'static str| move |e: std::io::Error| Error::io(what, &e).path(path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary);
    let mut file = file.map_err(failed("create pid file"))?;
    let written = file
        .write_all(pid.to_string().as_bytes())
        .map_err(failed("write pid file"))
        .and_then(|()| std::fs::rename(&temporary, path).map_err(failed("put in place pid file")));
    if written.is_err() {
        // The error that counts is the one before.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn remove_pid_file(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| Error::io("remove pid file", &e).path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_whole_or_not_there() {
        let dir = std::env::temp_dir().join(format!("gantry-pid-test-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("a new directory");
        let path = dir.join("pid");
        std::fs::write(&path, "an older and longer one").expect("writes");
        write_pid_file(&path, 4711).expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "4711");
        // A directory is in the way.
        std::fs::create_dir(dir.join("taken")).expect("a new directory");
        std::fs::write(dir.join("taken/file"), "").expect("writes");
        write_pid_file(&dir.join("taken"), 1).expect_err("cannot be replaced");
        assert!(write_pid_file(Path::new("/"), 1).is_err());
        let left: Vec<_> = std::fs::read_dir(&dir).expect("is there").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 2, "no temporary files: {left:?}");
        std::fs::remove_dir_all(&dir).expect("ours");
    }
}
