//! What is measured, and where: scenarios in one cgroup layout.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use integration::{Layout, Sandbox, cgroups, processes, sandbox};
use serde_json::json;

use crate::Options;
use crate::measure::{Sample, finish, reap, spawn, spawn_program, sweep, timed};
use crate::subject::{self, Action, Place, Subject};

/// A piece of work, done by every subject in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// `run` of /bin/true.
    Run,
    /// create, start, wait until /bin/true has ended, delete.
    Cycle,
    /// `state` of a running container.
    State,
    /// `kill` with a signal that changes nothing.
    Kill,
    /// Many `run`, one after the other.
    Sequence(usize),
    /// Several `run` at once.
    Parallel(usize),
}

impl Scenario {
    /// What it is called in tables.
    pub fn title(self) -> String {
        match self {
            Scenario::Run => "run".to_owned(),
            Scenario::Cycle => "create + start + delete".to_owned(),
            Scenario::State => "state".to_owned(),
            Scenario::Kill => "kill".to_owned(),
            Scenario::Sequence(n) => format!("{n} × run, in sequence"),
            Scenario::Parallel(n) => format!("{n} × run, in parallel"),
        }
    }

    /// How often it is measured in so many rounds.
    fn rounds(self, rounds: usize) -> usize {
        match self {
            Scenario::Sequence(_) => rounds.div_ceil(10),
            _ => rounds,
        }
    }
}

/// A subject's samples of a scenario.
#[derive(Debug)]
pub struct Series {
    /// The scenario.
    pub scenario: Scenario,
    /// Index of the subject.
    pub subject: usize,
    /// What was measured.
    pub samples: Vec<Sample>,
}

/// All that was measured in one layout.
#[derive(Debug)]
pub struct Results {
    /// `v1` or `v2`.
    pub layout: &'static str,
    /// Who was measured.
    pub subjects: Vec<Subject>,
    /// What came of it.
    pub series: Vec<Series>,
    /// Peak memory of `run` in KiB, by subject.
    pub peaks: Vec<u64>,
    /// Who could not be measured, and why.
    pub refused: Vec<(&'static str, String)>,
}

/// Where state roots lie: in memory, as below /run. In a mount namespace of the benchmark's own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(dir: PathBuf) -> Tmpfs {
        fs::create_dir(&dir).expect("a directory of the sandbox can be made");
        let (kind, none) = (Some("tmpfs"), None::<&str>);
        nix::mount::mount(kind, &dir, kind, nix::mount::MsFlags::empty(), none).expect("a tmpfs can be mounted");
        Tmpfs(dir)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).expect("the tmpfs can be unmounted");
    }
}

/// One subject in this layout, with the places that it uses.
struct Contestant {
    subject: Subject,
    /// For `run` and the cycle; the first is used most, the others by parallel runs.
    places: Vec<Place>,
    /// Where a container sleeps, for `state` and `kill`.
    sleeper: Place,
    log: PathBuf,
}

const PARALLEL: usize = 8;

/// Measures everything in the layout that the calling thread has entered.
pub fn measure_layout(layout: Layout, options: &Options) -> Results {
    let name = if layout == Layout::Unified { "v2" } else { "v1" };
    let sandbox = Sandbox::new(&format!("bench-{name}"), layout);
    cgroups::make(sandbox.token());
    let run = Tmpfs::mount(sandbox.dir().join("run"));
    let mut results = Results { layout: name, subjects: vec![], series: vec![], peaks: vec![], refused: vec![] };
    let mut contestants = Vec::new();
    for subject in subject::all() {
        let contestant = Contestant::new(&sandbox, &run, name, subject);
        match contestant.trial() {
            Ok(()) => contestants.push(contestant),
            Err(reason) => results.refused.push((contestant.subject.name, reason)),
        }
    }
    let sequence = if options.sample { 5 } else { 100 };
    let scenarios = [
        Scenario::Run,
        Scenario::Cycle,
        Scenario::State,
        Scenario::Kill,
        Scenario::Sequence(sequence),
        Scenario::Parallel(PARALLEL),
    ];
    contestants.iter().for_each(Contestant::wake_sleeper);
    for scenario in scenarios {
        eprintln!("cgroup {name}: {}", scenario.title());
        results.series.extend(measure(scenario, &contestants, options.rounds));
    }
    results.peaks = contestants.iter().map(|contestant| contestant.peak(&sandbox)).collect();
    contestants.iter().for_each(Contestant::end_sleeper);
    results.subjects = contestants.into_iter().map(|contestant| contestant.subject).collect();
    results
}

fn measure(scenario: Scenario, contestants: &[Contestant], rounds: usize) -> Vec<Series> {
    let empty = |subject| Series { scenario, subject, samples: Vec::new() };
    let mut series: Vec<Series> = (0..contestants.len()).map(empty).collect();
    for round in 0..scenario.rounds(rounds) {
        // Each round begins with another subject, so that none always follows the same one.
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let contestant = &contestants[index];
            let sample =
                contestant.perform(scenario).unwrap_or_else(|reason| panic!("{}: {reason}", contestant.subject.name));
            series[index].samples.push(sample);
        }
    }
    series
}

impl Contestant {
    fn new(sandbox: &Sandbox, run: &Tmpfs, layout: &'static str, subject: Subject) -> Contestant {
        let dir = sandbox.dir().join(subject.name);
        let bundle = sandbox.bundle();
        let place = |name: &str, args: &[&str]| {
            let id = sandbox.id(&format!("{}-{name}", subject.name));
            let root = run.0.join(subject.name).join(name);
            let place = Place {
                bundle: dir.join(name),
                sleeps: args.len() > 1,
                pid_file: root.join("pid"),
                root,
                rootfs: bundle.rootfs(),
                cgroups: cgroup_dirs(sandbox, &id),
                layout,
                id,
            };
            // crun makes its root's last directory only.
            fs::create_dir_all(&place.bundle)
                .and_then(|()| fs::create_dir_all(&place.root))
                .expect("a place can be made");
            let mut config = bundle.config();
            config["root"]["path"] = json!(place.rootfs);
            config["process"]["args"] = json!(args);
            config["linux"]["cgroupsPath"] = json!(sandbox.cgroups_path(&place.id));
            fs::write(place.bundle.join("config.json"), config.to_string()).expect("a config can be written");
            place
        };
        for name in ["proc", "sys", "dev"] {
            let made = fs::create_dir_all(bundle.rootfs().join(name));
            made.expect("the floor wants its mount points to be there");
        }
        let places = (0..PARALLEL).map(|i| place(&format!("run-{i}"), &["/bin/true"])).collect();
        let sleeper = place("sleeper", &["/bin/sleep", "3600"]);
        Contestant { places, sleeper, log: dir.join("log"), subject }
    }

    fn perform(&self, scenario: Scenario) -> Result<Sample, String> {
        let (first, sleeper) = (&self.places[..1], &self.sleeper);
        match scenario {
            Scenario::Run => self.run(first),
            Scenario::Parallel(_) => self.run(&self.places),
            Scenario::Sequence(count) => (0..count).try_fold(Sample::default(), |sum, _| {
                let one = self.run(first)?;
                Ok(Sample { wall: sum.wall + one.wall, cpu: sum.cpu + one.cpu })
            }),
            Scenario::Cycle => self.told(timed(|| {
                let place = &self.places[0];
                let mut cpu = finish(&[self.spawn(Action::Create, place)])?;
                cpu += finish(&[self.spawn(Action::Start, place)])?;
                cpu += Contestant::await_program(place);
                cpu += finish(&[self.spawn(Action::Delete, place)])?;
                Ok(cpu + sweep())
            })),
            Scenario::State => self.told(timed(|| finish(&[self.spawn(Action::State, sleeper)]))),
            Scenario::Kill => self.told(timed(|| finish(&[self.spawn(Action::Kill, sleeper)]))),
        }
    }

    fn run(&self, places: &[Place]) -> Result<Sample, String> {
        self.told(timed(|| {
            let commands: Vec<_> = places.iter().map(|place| self.spawn(Action::Run, place)).collect();
            finish(&commands)
        }))
    }

    fn spawn(&self, action: Action, place: &Place) -> i32 {
        spawn(&self.subject, action, place, &self.log)
    }

    fn told(&self, result: Result<Sample, i32>) -> Result<Sample, String> {
        result.map_err(|status| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            format!("{}: {}", ExitStatus::from_raw(status), log.lines().last().unwrap_or_default())
        })
    }

    /// Once through everything, so that what cannot run here is known before anything is measured.
    fn trial(&self) -> Result<(), String> {
        if !self.subject.program.exists() {
            return Err(format!("{} is not there", self.subject.program.display()));
        }
        self.perform(Scenario::Run)?;
        self.perform(Scenario::Cycle)?;
        Ok(())
    }

    /// Reaps the container's init, an orphan that has come to this process.
    fn await_program(place: &Place) -> Duration {
        let pid = fs::read_to_string(&place.pid_file).ok().and_then(|text| text.trim().parse().ok());
        reap(pid.expect("create has written the pid file"))
    }

    fn wake_sleeper(&self) {
        for action in [Action::Create, Action::Start] {
            let done = finish(&[self.spawn(action, &self.sleeper)]);
            let name = self.subject.name;
            done.unwrap_or_else(|status| panic!("{name}: {action:?}: {}", ExitStatus::from_raw(status)));
        }
    }

    fn end_sleeper(&self) {
        for process in processes::marked(&self.sleeper.id) {
            processes::kill(process.pid);
            reap(process.pid);
        }
    }

    /// Peak memory of `run` in KiB: the largest of its processes.
    fn peak(&self, sandbox: &Sandbox) -> u64 {
        let file = sandbox.dir().join("peak");
        let floor = std::env::current_exe().expect("/proc/self/exe can be read").with_file_name("floor");
        let mut words = vec!["peak".into(), file.clone().into(), self.subject.program.clone().into()];
        words.extend(self.subject.arguments(Action::Run, &self.places[0]));
        let mut peaks: Vec<u64> = (0..5)
            .filter_map(|_| {
                finish(&[spawn_program(&floor, words.clone(), false, &self.log)]).ok()?;
                fs::read_to_string(&file).ok()?.parse().ok()
            })
            .collect();
        peaks.sort_unstable();
        peaks.get(peaks.len() / 2).copied().unwrap_or(0)
    }
}

fn cgroup_dirs(sandbox: &Sandbox, id: &str) -> Vec<PathBuf> {
    let below = |hierarchy: PathBuf| hierarchy.join(sandbox::CGROUP_PARENT).join(sandbox.token()).join(id);
    cgroups::hierarchies().into_iter().map(below).collect()
}
