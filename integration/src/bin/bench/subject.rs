//! What is measured: three runtimes with one command line, and the floor with its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program that makes containers.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its binary.
    pub program: PathBuf,
    /// What `--version` says, in short.
    pub version: String,
    floor: bool,
}

/// One place for a container: everything that its commands name.
#[derive(Clone, Debug)]
pub struct Place {
    /// The container's id.
    pub id: String,
    /// The bundle; the config names the cgroup.
    pub bundle: PathBuf,
    /// Whether the bundle's program sleeps, as the floor wants to be told.
    pub sleeps: bool,
    /// The state root, for the floor its directory.
    pub root: PathBuf,
    /// Where `create` writes the pid; the floor's is `pid` in its directory.
    pub pid_file: PathBuf,
    /// The root file system.
    pub rootfs: PathBuf,
    /// The container's cgroup in each hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// `v1` or `v2`, for the floor.
    pub layout: &'static str,
}

/// A command of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create, start, wait, delete.
    Run,
    /// Everything but the program.
    Create,
    /// The program.
    Start,
    /// Sends SIGCONT, which changes nothing.
    Kill,
    /// Prints the state.
    State,
    /// Takes the container away.
    Delete,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Run => "run",
            Action::Create => "create",
            Action::Start => "start",
            Action::Kill => "kill",
            Action::State => "state",
            Action::Delete => "delete",
        }
    }
}

/// gantry and the floor, built beside this program, and Debian's crun and runc.
pub fn all() -> Vec<Subject> {
    let own = std::env::current_exe().expect("/proc/self/exe can be read");
    let beside = |name: &str| own.with_file_name(name);
    let gantry = std::env::var_os("GANTRY").map_or_else(|| beside("gantry"), PathBuf::from);
    let installed = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|dir| dir.join(name));
        found.into_iter().find(|file| file.exists()).unwrap_or_else(|| name.into())
    };
    [
        ("gantry", gantry, false),
        ("crun", installed("crun"), false),
        ("runc", installed("runc"), false),
        ("floor", beside("floor"), true),
    ]
    .into_iter()
    .map(|(name, program, floor)| Subject { name, version: version(&program, floor), program, floor })
    .collect()
}

fn version(program: &Path, floor: bool) -> String {
    if floor {
        return String::new();
    }
    let output = std::process::Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    first.rsplit(' ').next().unwrap_or_default().to_owned()
}

impl Subject {
    /// The arguments of a command.
    pub fn arguments(&self, action: Action, place: &Place) -> Vec<OsString> {
        if self.floor { floor_arguments(action, place) } else { runtime_arguments(action, place) }
    }

    /// The binary's size in bytes.
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.program).map(|meta| meta.len()).unwrap_or(0)
    }
}

fn runtime_arguments(action: Action, place: &Place) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--root".into(), place.root.clone().into(), action.word().into()];
    if matches!(action, Action::Run | Action::Create) {
        words.extend(["--bundle".into(), place.bundle.clone().into()]);
    }
    if action == Action::Create {
        words.extend(["--pid-file".into(), place.pid_file.clone().into()]);
    }
    words.push(place.id.clone().into());
    if action == Action::Kill {
        words.push("CONT".into());
    }
    words
}

fn floor_arguments(action: Action, place: &Place) -> Vec<OsString> {
    let cgroups = place.cgroups.iter().map(OsString::from);
    let mut words: Vec<OsString> = vec![action.word().into()];
    match action {
        Action::Run | Action::Create => {
            words.extend([place.layout.into(), place.root.clone().into(), place.rootfs.clone().into()]);
            words.extend(cgroups);
        }
        Action::Delete => {
            words.push(place.root.clone().into());
            words.extend(cgroups);
        }
        Action::Start | Action::State | Action::Kill => words.push(place.root.clone().into()),
    }
    words
}
