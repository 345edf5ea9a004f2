//! Ops that make or write single files of the container: device nodes, links, the working directory, sysctls.

use crate::message::Step;
use crate::op::Op;
use crate::paths::{self, Buffer, Make};
use crate::report::{At, Done, Fail};
use crate::run::Init;
use crate::sys::consts::*;
use crate::sys::{self, mount};
use crate::wire::{Slot, Text};

/// Executes one of the ops of this file.
pub fn execute(init: &mut Init, op: Op<'_>) -> Done {
    match op {
        Op::Device { path, mode, major, minor, uid, gid } => make_device(init, path, mode, (major, minor), (uid, gid)),
        Op::Symlink { path, target, replace } => make_link(init, path, target, replace != 0),
        Op::OpenProc { proc } => open_proc(init, proc),
        Op::Sysctl { proc, path, value } => set_sysctl(init.slot(proc)?, path, value),
        _ => Err(Fail::new(Step::Plan, EINVAL)),
    }
}

/// Makes a node, then looks at what is there, whoever made it: only the very device asked for gets owner and mode.
fn make_device(init: &Init, path: Text<'_>, mode: u32, (major, minor): (u32, u32), (uid, gid): (u32, u32)) -> Done {
    let mut name = Buffer::new();
    let (dir, name) = paths::open_parent(init.root, path, &mut name)?;
    match sys::mknodat(dir.raw(), name, mode, encode_device(major, minor)) {
        Ok(()) | Err(EEXIST) => {}
        Err(errno) => return Err(errno).at(Step::MakeNode),
    }
    let node = sys::openat(dir.raw(), name, O_PATH | O_NOFOLLOW, 0).at(Step::Verify)?;
    let found = sys::stat_fd(node.raw()).at(Step::Verify)?;
    let is_device = found.major == major && found.minor == minor;
    if found.kind() != mode & S_IFMT || (mode & S_IFMT != S_IFIFO && !is_device) {
        return Err(EEXIST).at(Step::Verify);
    }
    if (found.uid, found.gid) != (uid, gid) {
        sys::chown_fd(node.raw(), uid, gid).at(Step::Owner)?;
    }
    if found.mode != mode {
        // Never by name: a link swapped in would lead chmod to the host. Needs Linux 6.6, and only for a node that
        // was there before, since init's own have the right mode from the start (its umask is 0).
        sys::chmod_fd(node.raw(), mode & 0o7777).at(Step::Mode)?;
    }
    Ok(())
}

/// dev_t as mknod(2) takes it (Linux's new_encode_dev).
fn encode_device(major: u32, minor: u32) -> u64 {
    u64::from((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

fn make_link(init: &Init, path: Text<'_>, target: Text<'_>, replace: bool) -> Done {
    let mut name = Buffer::new();
    let (dir, name) = paths::open_parent(init.root, path, &mut name)?;
    let text = target.as_cstr().ok_or(EINVAL).at(Step::Plan)?;
    match sys::symlinkat(text, dir.raw(), name) {
        Err(EEXIST) => {}
        result => return result.at(Step::Whole),
    }
    let mut there = [0u8; paths::PATH_MAX];
    if sys::readlinkat(dir.raw(), name, &mut there).is_ok_and(|t| t == target.as_bytes()) {
        return Ok(());
    }
    if !replace {
        return Err(EEXIST).at(Step::Verify);
    }
    sys::unlinkat(dir.raw(), name).at(Step::Whole)?;
    sys::symlinkat(text, dir.raw(), name).at(Step::Whole)
}

/// Changes into a directory by descriptor: it lies inside the root, because it was opened there (CVE-2024-21626).
pub fn change_directory(init: &Init, path: Text<'_>) -> Done {
    let dir = paths::open_or_create(init.root, path, Make::Directory)?;
    sys::fchdir(dir.raw()).at(Step::Whole)
}

/// A procfs that hangs nowhere: nobody can mount over its files.
fn open_proc(init: &mut Init, slot: Slot) -> Done {
    let fs = mount::open_fs(c"proc").at(Step::FsOpen)?;
    mount::create_fs(fs.raw()).at(Step::FsCreate)?;
    let proc =
        mount::make_mount(fs.raw(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC).at(Step::FsMount)?;
    init.fill(slot, proc)
}

/// Writes below a procfs that init itself has made, without crossing a mount or following a link (R3).
fn set_sysctl(proc: i32, path: Text<'_>, value: Text<'_>) -> Done {
    let path = path.as_cstr().ok_or(EINVAL).at(Step::Plan)?;
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    let file = sys::openat2(proc, path, O_WRONLY, resolve).at(Step::Open)?;
    sys::write(file.raw(), value.as_bytes()).at(Step::Write).map(|_| ())
}
