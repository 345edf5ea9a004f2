//! Runs commands and takes their times: wall, and the CPU time of all processes that they leave to this one.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::subject::{Action, Place, Subject};

/// What one measured piece of work has cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// From before the first spawn until the last process has been waited for.
    pub wall: Duration,
    /// User and system time of all processes together.
    pub cpu: Duration,
}

/// Spawns a command of `subject`; its stderr goes to `log`.
pub fn spawn(subject: &Subject, action: Action, place: &Place, log: &Path) -> i32 {
    spawn_program(&subject.program, subject.arguments(action, place), place.sleeps, log)
}

/// Spawns a program with nothing in its environment but $PATH.
pub fn spawn_program(program: &Path, arguments: Vec<OsString>, sleeps: bool, log: &Path) -> i32 {
    let stderr = File::options().append(true).create(true).open(log).expect("the log can be opened");
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    if sleeps {
        command.env("FLOOR_SLEEP", "1");
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
    child.unwrap_or_else(|error| panic!("{}: {error}", program.display())).id() as i32
}

/// wait4(2), which tells what the child, and all that it has waited for, have used. `pid` -1 is any child.
/// None if there is no such child, or with WNOHANG if none is dead.
fn wait(pid: i32, options: i32) -> Option<(i32, Duration)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live variables of the right types.
    let waited = unsafe { libc::wait4(pid, &raw mut status, options, usage.as_mut_ptr()) };
    if waited <= 0 {
        return None;
    }
    // SAFETY: the kernel has filled it in, and all zeros is a value too.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    Some((status, time(usage.ru_utime) + time(usage.ru_stime)))
}

/// Waits for commands. Returns the CPU time of all, or the first wait status that is not 0.
pub fn finish(commands: &[i32]) -> Result<Duration, i32> {
    let done: Vec<_> = commands.iter().map(|pid| wait(*pid, 0).expect("a command is a child")).collect();
    match done.iter().find(|(status, _)| *status != 0) {
        Some((status, _)) => Err(*status),
        None => Ok(done.iter().map(|(_, cpu)| *cpu).sum()),
    }
}

/// Waits for an orphan that has come to this process, and returns its CPU time.
pub fn reap(pid: i32) -> Duration {
    wait(pid, 0).map_or(Duration::ZERO, |(_, cpu)| cpu)
}

/// Reaps all orphans that are dead already, and returns their CPU time.
pub fn sweep() -> Duration {
    std::iter::from_fn(|| wait(-1, libc::WNOHANG)).map(|(_, cpu)| cpu).sum()
}

/// Takes the time of `work`, which answers with the CPU time.
pub fn timed(work: impl FnOnce() -> Result<Duration, i32>) -> Result<Sample, i32> {
    let began = Instant::now();
    let cpu = work()?;
    Ok(Sample { wall: began.elapsed(), cpu })
}

/// The median by wall time and by CPU time, each for itself.
pub fn median(samples: &[Sample]) -> Sample {
    Sample { wall: percentile(samples, 50, |s| s.wall), cpu: percentile(samples, 50, |s| s.cpu) }
}

/// The nearest-rank percentile of one of the times.
pub fn percentile(samples: &[Sample], percent: usize, time: impl Fn(&Sample) -> Duration) -> Duration {
    let mut times: Vec<_> = samples.iter().map(time).collect();
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
