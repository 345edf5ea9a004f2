//! One container's state directory.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, mkfifoat, unlinkat};

use super::{Record, check_id};
use crate::{Error, ErrorKind, Result};

const STATE: &str = "state.json";
const STATE_NEW: &str = "state.json.new";
/// The FIFO on which `start` gives the word.
pub(crate) const FIFO_GO: &str = "go";
/// The FIFO on which init reports; its lock is `start`'s.
pub(crate) const FIFO_ERR: &str = "err";

/// A container's directory, open. The lock, if held, goes with the descriptor.
#[derive(Debug)]
pub(crate) struct StateDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl StateDir {
    /// Makes the directory of a new container and locks it, making the root directory first if need be.
    pub fn create(root: &Path, id: &str) -> Result<StateDir> {
        check_id(id)?;
        let path = root.join(id);
        let failed = |what: &'static str| move |e| Error::system(what, e).path(root.join(id));
        let mode = Mode::S_IRWXU;
        match mkdirat(AT_FDCWD, &path, mode) {
            Ok(()) => {}
            Err(Errno::ENOENT) => {
                make_root(root)?;
                mkdirat(AT_FDCWD, &path, mode).map_err(|e| taken(e, &path))?;
            }
            Err(e) => return Err(taken(e, &path)),
        }
        let fd = open_dir(&path).map_err(failed("open the state directory"))?;
        let dir = StateDir { fd, path };
        // A `delete` that came between mkdir and here has the lock, or has removed the directory already.
        if !dir.try_lock()? || dir.is_removed()? {
            return Err(Error::new(ErrorKind::NotFound, "container was deleted while it was being created"));
        }
        Ok(dir)
    }

    /// Opens the directory of a container.
    pub fn open(root: &Path, id: &str) -> Result<StateDir> {
        check_id(id)?;
        let path = root.join(id);
        match open_dir(&path) {
            Ok(fd) => Ok(StateDir { fd, path }),
            Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Err(not_found()),
            Err(e) => Err(Error::system("open the state directory", e).path(path)),
        }
    }

    /// The ids below a root directory, in no order. A root that does not exist has none.
    pub fn ids(root: &Path) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read the root directory", &e).path(root)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read the root directory", &e).path(root))?;
            let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
            // What no create can have made is none of ours.
            if let Some(id) = entry.file_name().to_str().filter(|id| is_dir && check_id(id).is_ok()) {
                ids.push(id.to_owned());
            }
        }
        Ok(ids)
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock unless somebody else holds it.
    pub fn try_lock(&self) -> Result<bool> {
        match lock(self.fd.as_fd(), libc::LOCK_EX | libc::LOCK_NB) {
            Ok(()) => Ok(true),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(e) => Err(self.error("lock the state directory", e)),
        }
    }

    /// Takes the lock, waiting for it until `limit` has passed; false if somebody else still holds it then.
    ///
    /// flock(2) knows no time limit and nothing tells of its release, so this asks again, ever more rarely.
    pub fn lock_within(&self, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_micros(500);
        loop {
            if self.try_lock()? {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Whether somebody holds the lock through another descriptor.
    ///
    /// flock(2) can only be tried; a shared lock that is given back at once disturbs nobody who waits.
    pub fn is_locked(&self) -> Result<bool> {
        match lock(self.fd.as_fd(), libc::LOCK_SH | libc::LOCK_NB) {
            Ok(()) => self.unlock().map(|()| false),
            Err(Errno::EWOULDBLOCK) => Ok(true),
            Err(e) => Err(self.error("lock the state directory", e)),
        }
    }

    /// Gives the lock back.
    pub fn unlock(&self) -> Result<()> {
        lock(self.fd.as_fd(), libc::LOCK_UN).map_err(|e| self.error("unlock the state directory", e))
    }

    /// True once the directory has been removed: whoever waited for its lock came too late.
    pub fn is_removed(&self) -> Result<bool> {
        let stat = fstat(&self.fd).map_err(|e| self.error("stat the state directory", e))?;
        Ok(stat.st_nlink == 0)
    }

    /// Makes both FIFOs.
    pub fn make_fifos(&self) -> Result<()> {
        for name in [FIFO_GO, FIFO_ERR] {
            mkfifoat(&self.fd, name, Mode::S_IRUSR | Mode::S_IWUSR)
                .map_err(|e| Error::system("make FIFO", e).path(self.path.join(name)))?;
        }
        Ok(())
    }

    /// Opens one of the FIFOs.
    pub fn open_fifo(&self, name: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        openat(&self.fd, name, flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
    }

    /// Writes the first record.
    pub fn write_first(&self, record: &Record) -> Result<()> {
        self.write_file(STATE, &record.to_json()?)
    }

    /// Replaces the record: a reader sees the old one or the new one.
    pub fn replace(&self, record: &Record) -> Result<()> {
        self.write_file(STATE_NEW, &record.to_json()?)?;
        renameat(&self.fd, STATE_NEW, &self.fd, STATE).map_err(|e| self.error("replace state.json in", e))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|e| Error::system("create", e).path(self.path.join(name)))?;
        File::from(fd).write_all(bytes).map_err(|e| Error::io("write", &e).path(self.path.join(name)))
    }

    /// The record; `None` for a directory that has none (yet).
    pub fn read(&self) -> Result<Option<Record>> {
        let path = || self.path.join(STATE);
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let fd = match openat(&self.fd, STATE, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(Error::system("open", e).path(path())),
        };
        let mut bytes = Vec::with_capacity(4096);
        File::from(fd).read_to_end(&mut bytes).map_err(|e| Error::io("read", &e).path(path()))?;
        Record::from_json(&bytes)
            .map(Some)
            .map_err(|e| e.path(path()).hint("`delete --force` removes what is left of the container"))
    }

    /// Removes the directory and what this module has put there. Whoever calls holds the lock.
    pub fn remove(&self) -> Result<()> {
        for name in [FIFO_GO, FIFO_ERR, STATE] {
            self.remove_file(name)?;
        }
        match self.remove_directory() {
            // A create that died between writing and renaming.
            Err(Errno::ENOTEMPTY) => {
                self.remove_file(STATE_NEW)?;
                self.remove_directory()
            }
            result => result,
        }
        .map_err(|e| self.error("remove the state directory", e))
    }

    fn remove_file(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(Error::system("remove", e).path(self.path.join(name))),
        }
    }

    fn remove_directory(&self) -> nix::Result<()> {
        match unlinkat(AT_FDCWD, &self.path, UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    fn error(&self, what: &'static str, errno: Errno) -> Error {
        Error::system(what, errno).path(&self.path)
    }
}

/// A container that is not there.
pub(crate) fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "container does not exist")
}

fn taken(errno: Errno, path: &Path) -> Error {
    match errno {
        Errno::EEXIST => Error::new(ErrorKind::AlreadyExists, "container with given ID already exists"),
        errno => Error::system("create the state directory", errno).path(path),
    }
}

fn make_root(root: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|e| Error::io("create the root directory", &e).path(root))
}

fn open_dir(path: &Path) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// flock(2). nix's own wrapper takes the descriptor away and panics when it cannot unlock.
pub(crate) fn lock(fd: BorrowedFd<'_>, how: i32) -> nix::Result<()> {
    loop {
        // SAFETY: flock(2) touches no memory, and the descriptor is open for the call's duration.
        match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), how) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::example_record;
    use std::os::unix::fs::PermissionsExt as _;

    /// A root directory that is not there yet, and gone when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            Root(std::env::temp_dir().join(format!("gantry-state-{name}-{}", std::process::id())).join("root"))
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.parent().expect("has one"));
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .expect("is there")
            .map(|e| e.expect("can be read").file_name().into_string().expect("is text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_is_made_once_private_and_taken_away_whole() {
        let root = Root::new("once");
        assert!(StateDir::ids(&root.0).expect("no root, no containers").is_empty());
        assert_eq!(StateDir::open(&root.0, "c1").expect_err("not there").kind(), ErrorKind::NotFound);
        let dir = StateDir::create(&root.0, "c1").expect("is made, with its root");
        for path in [&root.0, &root.0.join("c1")] {
            let mode = std::fs::metadata(path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{}", path.display());
        }
        assert_eq!(StateDir::create(&root.0, "c1").expect_err("is taken").kind(), ErrorKind::AlreadyExists);
        assert_eq!(StateDir::create(&root.0, "../c2").expect_err("is no id").kind(), ErrorKind::InvalidId);
        std::fs::write(root.0.join("file"), "").expect("can be written");
        assert_eq!(StateDir::ids(&root.0).expect("can be read"), ["c1"]);
        assert!(dir.read().expect("can be read").is_none());
        dir.write_first(&example_record("c1")).expect("is written");
        dir.make_fifos().expect("are made");
        assert_eq!(names(dir.path()), ["err", "go", "state.json"]);
        // As a create leaves it that dies over replacing the record.
        std::fs::write(dir.path().join(STATE_NEW), "half a rec").expect("can be written");
        dir.remove().expect("is removed");
        assert!(dir.is_removed().expect("can be asked"));
        assert_eq!(names(&root.0), ["file"]);
        dir.remove().expect("nothing is left to do");
    }

    #[test]
    fn what_is_not_ours_keeps_the_directory() {
        let root = Root::new("foreign");
        let dir = StateDir::create(&root.0, "c1").expect("is made");
        std::fs::write(dir.path().join("notes"), "").expect("can be written");
        assert_eq!(dir.remove().expect_err("is not empty").raw_errno(), Some(libc::ENOTEMPTY));
        assert_eq!(names(dir.path()), ["notes"]);
    }

    #[test]
    fn the_record_is_replaced_and_read_back() {
        let root = Root::new("record");
        let dir = StateDir::create(&root.0, "c1").expect("is made");
        let mut record = example_record("c1");
        dir.write_first(&record).expect("is written");
        assert_eq!(dir.read().expect("can be read"), Some(record.clone()));
        assert!(dir.write_first(&record).is_err(), "the first is the first");
        record.pid = 43;
        dir.replace(&record).expect("is replaced");
        assert_eq!(dir.read().expect("can be read"), Some(record));
        assert_eq!(names(dir.path()), ["state.json"]);
        std::fs::write(dir.path().join(STATE), "{").expect("can be written");
        let error = dir.read().expect_err("is broken").to_string();
        assert!(error.contains("state.json") && error.contains("delete --force"), "{error}");
    }

    #[test]
    fn the_lock_is_its_makers_until_it_lets_go() {
        let root = Root::new("lock");
        let dir = StateDir::create(&root.0, "c1").expect("is made");
        let other = StateDir::open(&root.0, "c1").expect("is there");
        assert!(!other.try_lock().expect("can be tried"));
        assert!(other.is_locked().expect("can be asked"));
        assert!(!other.lock_within(Duration::from_millis(2)).expect("can be tried"));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| other.lock_within(Duration::from_secs(60)));
            dir.unlock().expect("is ours");
            assert!(waiting.join().expect("does not panic").expect("can be tried"));
        });
        assert!(dir.is_locked().expect("can be asked"));
        drop(other);
        assert!(!dir.is_locked().expect("can be asked"));
    }
}
