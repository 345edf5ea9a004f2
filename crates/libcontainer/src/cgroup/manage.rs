//! Makes and removes a container's cgroup.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::{UnlinkatFlags, mkdir, unlinkat};

use super::layout::{CgroupDir, CgroupPlan};
use super::tree;
use crate::{Error, ErrorKind, Result};

/// How long [`Cgroup::remove`] waits for processes that are being killed to be gone.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a dying process usually needs: only after that is it worth to be told by `cgroup.events`, whose
/// notifications the kernel holds back for up to 10 ms.
const SPIN: Duration = Duration::from_millis(2);

/// A container's cgroup on this host.
#[derive(Debug)]
pub struct Cgroup {
    plan: CgroupPlan,
    unified: Option<OwnedFd>,
    /// What [`Cgroup::create`] made, parents before children.
    made: Vec<String>,
}

impl Cgroup {
    /// Makes every directory of the plan, and the missing ones above. If one cannot be made, those that were are
    /// removed again.
    ///
    /// # Errors
    /// A cgroup that exists already is taken, unless it has processes or is frozen, as in runc: what is done to one
    /// container would be done to the other. So is one below a frozen cgroup refused, in which a new process would
    /// not get anywhere.
    pub fn create(plan: &CgroupPlan) -> Result<Cgroup> {
        let mut cgroup = Cgroup { plan: plan.clone(), unified: None, made: Vec::with_capacity(plan.dirs.len()) };
        match cgroup.make() {
            Ok(()) => Ok(cgroup),
            Err(error) => Err(match cgroup.undo() {
                Ok(()) => error,
                Err(second) => error.hint(format!("and then: {second}")),
            }),
        }
    }

    /// The cgroup of a container that was created earlier. Asks nothing of the kernel.
    pub fn open(plan: &CgroupPlan) -> Cgroup {
        Cgroup { plan: plan.clone(), unified: None, made: Vec::new() }
    }

    /// Where it lies.
    pub fn plan(&self) -> &CgroupPlan {
        &self.plan
    }

    /// The directory in the v2 tree, opened by [`Cgroup::create`]: a new process is put there by CLONE_INTO_CGROUP
    /// (Linux 5.7), on a hybrid host in addition to [`CgroupPlan::join_files`]. The cgroup was empty and not frozen, so
    /// that the clone does not block.
    pub fn dirfd(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(|fd| fd.as_fd())
    }

    /// Whether [`Cgroup::create`] made this directory itself.
    pub(super) fn made(&self, dir: &CgroupDir) -> bool {
        self.made.contains(&dir.host())
    }

    fn make(&mut self) -> Result<()> {
        // Split borrows: the plan is read while `made` grows.
        let Cgroup { plan, unified, made } = self;
        for dir in &plan.dirs {
            let path = dir.host();
            let is_new = make_all(dir, &path, made)?;
            if !is_new {
                refuse_used(dir, &path)?;
            }
            if dir.is_unified() {
                let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                *unified =
                    Some(open(path.as_str(), flags, Mode::empty()).map_err(|e| Error::system("open", e).path(&path))?);
                refuse_frozen(dir, &path, is_new, "cgroup.events", "frozen 1")?;
            } else if dir.controls("freezer") {
                refuse_frozen(dir, &path, is_new, "freezer.state", "FR")?;
            } else if dir.controls("cpuset") && !is_new {
                fill_cpuset(dir, &path, false)?;
            }
        }
        Ok(())
    }

    /// Takes back what [`Cgroup::create`] made, and only that, whatever is in it by now. Directories above the
    /// container's own stay if someone else has come to use them.
    pub fn undo(self) -> Result<()> {
        let deadline = Instant::now() + REMOVE_TIMEOUT;
        let mut result = Ok(());
        for path in self.made.iter().rev() {
            let removed = if self.plan.dirs.iter().any(|dir| dir.host() == *path) {
                remove(path, deadline)
            } else {
                match rmdir(path) {
                    Ok(()) | Err(Errno::ENOENT | Errno::EBUSY | Errno::ENOTEMPTY) => Ok(()),
                    Err(errno) => Err(Error::system("remove cgroup", errno).path(path)),
                }
            };
            result = result.and(removed);
        }
        result
    }

    /// Removes the container's directories if there is nothing in them, without waiting. False, some perhaps removed, if
    /// there is: [`Cgroup::kill_all`] and [`Cgroup::remove`] do the rest then.
    pub fn remove_empty(&self) -> Result<bool> {
        for dir in self.plan.dirs.iter().rev() {
            let path = dir.host();
            match rmdir(&path) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EBUSY | Errno::ENOTEMPTY) => return Ok(false),
                Err(Errno::EROFS) if !tree::exists(&path) => {}
                Err(errno) => return Err(Error::system("remove cgroup", errno).path(path)),
            }
        }
        Ok(true)
    }

    /// [`Cgroup::remove_within`] ten seconds.
    pub fn remove(&self) -> Result<()> {
        self.remove_within(REMOVE_TIMEOUT)
    }

    /// Removes the container's directories and what is nested in them; one that is missing is fine. Waits for
    /// processes that are about to be gone. The directories above stay: they are the engine's.
    ///
    /// # Errors
    /// All are tried, the first failure is reported: EBUSY if processes are left.
    pub fn remove_within(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        // The v2 tree first: it tells when the processes are gone, and then they are gone from all hierarchies.
        let mut result = Ok(());
        for dir in self.plan.dirs.iter().rev() {
            result = result.and(remove(&dir.host(), deadline));
        }
        result
    }
}

fn rmdir(path: &str) -> Result<(), Errno> {
    unlinkat(nix::fcntl::AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

/// mkdir -p, by the last component first: usually the rest is there. True if the directory is new.
fn make_all(dir: &CgroupDir, path: &str, made: &mut Vec<String>) -> Result<bool> {
    // Another runtime may remove a parent that it has just made and we have just found: start over then.
    for _ in 0..16 {
        match make_one(dir, path, made)? {
            Some(is_new) => return Ok(is_new),
            None => {
                for (at, _) in dir.below.match_indices('/').skip(1) {
                    let parent = &path[..dir.mountpoint.len() + at];
                    if make_one(dir, parent, made)?.is_none() {
                        break;
                    }
                }
            }
        }
    }
    Err(Error::system("create cgroup", Errno::ENOENT).path(path))
}

/// `Some(true)` if the directory is new, `None` if there is nothing above it.
fn make_one(dir: &CgroupDir, path: &str, made: &mut Vec<String>) -> Result<Option<bool>> {
    match mkdir(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) => made.push(path.to_owned()),
        Err(Errno::EEXIST) => return Ok(Some(false)),
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(Error::system("create cgroup", errno).path(path)),
    }
    if dir.controls("cpuset") {
        fill_cpuset(dir, path, true)?;
    }
    Ok(Some(true))
}

/// Gives a v1 cpuset the processors and memory nodes of its parent: a new one has none and lets no process in.
fn fill_cpuset(dir: &CgroupDir, path: &str, is_new: bool) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        inherit(dir, path, file, is_new)?;
    }
    Ok(())
}

/// Takes the value of `file` from the nearest cgroup above that has one, if the one at `path` has none.
fn inherit(dir: &CgroupDir, path: &str, file: &str, is_new: bool) -> Result<()> {
    // From here upwards to the mountpoint, as far as there is nothing.
    let mut empty = Vec::new();
    let mut at = path;
    let value = loop {
        let name = format!("{at}/{file}");
        if !(is_new && empty.is_empty()) {
            let value = tree::read_small(&name)?.ok_or_else(|| Error::system("read", Errno::ENOENT).path(&name))?;
            if !value.trim_ascii().is_empty() {
                break value;
            }
        }
        if at.len() <= dir.mountpoint.len() {
            return Err(Error::new(ErrorKind::System, "no processors or memory nodes in").path(name));
        }
        empty.push(name);
        at = at.rsplit_once('/').map_or(at, |(parent, _)| parent);
    };
    for name in empty.iter().rev() {
        tree::write(name, value.trim_ascii().as_bytes())?;
    }
    Ok(())
}

/// Refuses a cgroup that was there before and has processes.
fn refuse_used(dir: &CgroupDir, path: &str) -> Result<()> {
    let count = tree::pids(path)?.len();
    if count == 0 {
        return Ok(());
    }
    let place = if dir.is_unified() { String::new() } else { format!(" ({})", dir.controllers) };
    Err(Error::invalid("linux.cgroupsPath", format!("container's cgroup is not empty{place}:"))
        .path(path)
        .detail(format!("{count} process(es) found")))
}

/// Refuses a frozen cgroup. For a new one its parent tells: the parent's files have been looked at before, which makes
/// reading them half as dear; a hierarchy's root has no such file and cannot be frozen.
fn refuse_frozen(dir: &CgroupDir, path: &str, is_new: bool, file: &str, frozen: &str) -> Result<()> {
    let at = match path.rsplit_once('/') {
        Some((parent, _)) if is_new => parent,
        _ => path,
    };
    if at.len() <= dir.mountpoint.len() {
        return Ok(());
    }
    let text = tree::read_small(&format!("{at}/{file}"))?.unwrap_or_default();
    if text.lines().any(|line| line.starts_with(frozen)) {
        return Err(Error::invalid("linux.cgroupsPath", "container's cgroup unexpectedly frozen:").path(at));
    }
    Ok(())
}

/// Removes a cgroup and those nested in it.
fn remove(path: &str, deadline: Instant) -> Result<()> {
    let failed = |errno| Error::system("remove cgroup", errno).path(path);
    match rmdir(path) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
        // On a read-only mount rmdir does not look whether there is something.
        Err(Errno::EROFS) if !tree::exists(path) => return Ok(()),
        Err(errno) => return Err(failed(errno)),
    }
    let started = Instant::now();
    let mut pause = Duration::from_micros(20);
    loop {
        if let Some(top) = tree::open_dir(path)? {
            let nested =
                tree::walk(top, |_, parent, name| match unlinkat(parent, name.as_c_str(), UnlinkatFlags::RemoveDir) {
                    Err(Errno::ENOENT | Errno::EBUSY | Errno::ENOTEMPTY) | Ok(()) => Ok(()),
                    Err(errno) => Err(errno),
                });
            nested.map_err(failed)?;
        }
        match rmdir(path) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if Instant::now() < deadline => {}
            Err(errno) => return Err(failed(errno).detail(format!("{} process(es) left", tree::pids(path)?.len()))),
        }
        // A v1 hierarchy has no events to wait for.
        if started.elapsed() < SPIN || !wait_for_event(path, deadline)? {
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// Waits until the cgroup has no processes. False if there is nothing to wait for, as on v1.
fn wait_for_event(path: &str, deadline: Instant) -> Result<bool> {
    let path = format!("{path}/cgroup.events");
    let failed = |errno| Error::system("wait for", errno).path(&path);
    let events = match open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(events) => events,
        Err(Errno::ENOENT) => return Ok(false),
        Err(errno) => return Err(failed(errno)),
    };
    let mut waited = false;
    loop {
        let mut buffer = [0; 256];
        let length = match pread(&events, &mut buffer, 0) {
            Ok(length) => length,
            Err(Errno::ENODEV) => return Ok(true),
            Err(errno) => return Err(failed(errno)),
        };
        let populated = buffer[..length].split(|b| *b == b'\n').any(|line| line == b"populated 1");
        let left = deadline.saturating_duration_since(Instant::now());
        if !populated || left.is_zero() {
            return Ok(waited);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => waited = true,
            Err(errno) => return Err(failed(errno)),
        }
    }
}
