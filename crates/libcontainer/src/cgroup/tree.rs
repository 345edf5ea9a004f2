//! Reads cgroup files and walks nested cgroups.
//!
//! What lies below a container's cgroup is its own making if it was given a writable one, so walks are by file
//! descriptor and without recursion: neither a path of more than 4,096 bytes nor ten thousand levels stop them.

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::read;

use crate::{Error, Result};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Writes a cgroup file: one open(2), one write(2).
pub(super) fn write(path: &str, data: &[u8]) -> Result<()> {
    let text = || String::from_utf8_lossy(data).into_owned();
    let mut file = OpenOptions::new().write(true).open(path).map_err(|e| Error::io("open", &e).path(path))?;
    file.write_all(data).map_err(|e| Error::io(format!("write {:?} to", text()), &e).path(path))
}

/// Writes a file of an open cgroup. One that is gone needs nothing written.
pub(super) fn write_at(dir: BorrowedFd<'_>, name: &CStr, data: &[u8]) -> Result<(), Errno> {
    let file = match openat(dir, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    match nix::unistd::write(&file, data) {
        Ok(_) | Err(Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Reads a small file without asking for its size first. `None` if there is none.
pub(super) fn read_small(path: &str) -> Result<Option<String>> {
    let failed = |e: &io::Error| Error::io("read", e).path(path);
    let mut file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let mut buffer = [0; 4096];
    match file.read(&mut buffer) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned())),
        // The cgroup was removed while the file was open.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// Opens a cgroup's directory. `None` if there is none.
pub(super) fn open_dir(path: &str) -> Result<Option<OwnedFd>> {
    match open(path, DIRECTORY, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(Error::system("open", errno).path(path)),
    }
}

/// The processes of one cgroup, without those of nested ones, added to `pids`.
///
/// Processes that this pid namespace does not have are listed as 0, which kill(2) would take for something else:
/// they are left out. A cgroup that is gone has no processes, and those of a threaded one belong to its parent.
pub(super) fn pids_at(dir: impl AsFd, pids: &mut Vec<i32>) -> Result<(), Errno> {
    let file = match openat(dir, "cgroup.procs", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut buffer = [0; 4096];
    let mut number = 0;
    loop {
        let length = match read(&file, &mut buffer) {
            Ok(0) | Err(Errno::ENODEV | Errno::EOPNOTSUPP) => return Ok(()),
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        };
        for byte in &buffer[..length] {
            match byte {
                b'0'..=b'9' => number = number * 10 + i32::from(byte - b'0'),
                _ => {
                    if number > 0 {
                        pids.push(number);
                    }
                    number = 0;
                }
            }
        }
    }
}

/// The processes of the cgroup at `path` and of those nested in it.
pub(super) fn pids(path: &str) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    let failed = |errno| Error::system("list the processes of", errno).path(path);
    if let Some(dir) = open_dir(path)? {
        pids_at(&dir, &mut pids).map_err(failed)?;
        walk(dir, |nested, _, _| pids_at(nested, &mut pids)).map_err(failed)?;
    }
    Ok(pids)
}

/// Calls `visit` for every cgroup nested in `top`, deeper ones first, with its directory, that of its parent, and its
/// name there. Cgroups that go away meanwhile are passed over.
pub(super) fn walk(
    top: OwnedFd,
    mut visit: impl FnMut(BorrowedFd<'_>, BorrowedFd<'_>, &CString) -> Result<(), Errno>,
) -> Result<(), Errno> {
    // One entry a level: the names that are still to do in it, the last one being where the walk is below it.
    let mut levels = vec![nested(&top)?];
    let mut here = top;
    while let Some(names) = levels.last() {
        if let Some(name) = names.last() {
            match openat(&here, name.as_c_str(), DIRECTORY, Mode::empty()) {
                Ok(below) => {
                    levels.push(nested(&below)?);
                    here = below;
                }
                Err(Errno::ENOENT) => drop(levels.last_mut().and_then(Vec::pop)),
                Err(errno) => return Err(errno),
            }
            continue;
        }
        levels.pop();
        if let Some(name) = levels.last_mut().and_then(Vec::pop) {
            let parent = openat(&here, "..", DIRECTORY.difference(OFlag::O_NOFOLLOW), Mode::empty())?;
            visit(here.as_fd(), parent.as_fd(), &name)?;
            here = parent;
        }
    }
    Ok(())
}

/// The names of the cgroups directly below.
fn nested(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    // The kernel counts a cgroup's children in its links, which saves listing a directory of forty files.
    if fstat(dir)?.st_nlink == 2 {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in Dir::openat(dir, ".", DIRECTORY, Mode::empty())?.iter() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::ENOENT) => break,
            Err(errno) => return Err(errno),
        };
        let name = entry.file_name();
        if entry.file_type() == Some(Type::Directory) && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whether there is something at `path`.
pub(super) fn exists(path: &str) -> bool {
    nix::sys::stat::fstatat(AT_FDCWD, Path::new(path), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
}
