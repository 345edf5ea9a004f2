//! Ops about mounts. All of them work on detached mounts and attach these by descriptor to a target that was opened
//! in the root: no path is resolved by the kernel while mounting.

use core::ffi::CStr;

use crate::message::Step;
use crate::op::{MountFlags, Op};
use crate::paths::{self, Make};
use crate::report::{self, At, Done, Fail};
use crate::run::Init;
use crate::sys::consts::*;
use crate::sys::{self, Fd, mount};
use crate::wire::{Slot, Text, TextList};

/// Executes one of the mount ops.
pub fn execute(init: &mut Init, op: Op<'_>) -> Done {
    match op {
        Op::Propagation { flags } => {
            mount::set_attributes(AT_FDCWD, c"/", flags & MS_REC != 0, 0, 0, flags & !MS_REC).at(Step::Propagation)
        }
        Op::TakeTree { tree, host, recursive } => {
            let fd = mount::clone_tree(AT_FDCWD, cstr(host)?, recursive != 0).at(Step::Clone)?;
            init.fill(tree, fd)
        }
        Op::OpenRoot { root, host } => open_root(init, root, cstr(host)?),
        Op::MountFs { dest, fstype, source, options, flags, keep, inherit_mode } => {
            // proc and sysfs go nowhere by a link, wherever they go.
            let no_links = matches!(fstype.as_bytes(), b"proc" | b"sysfs");
            let (target, existed) = open_target(init.root, dest, Make::Directory, no_links)?;
            let mode = if inherit_mode != 0 && existed { Some(target.raw()) } else { None };
            let fs = make_fs(cstr(fstype)?, source, options, mode)?;
            let fd = mount::make_mount(fs.raw(), flags.set).at(Step::FsMount)?;
            // fsmount has taken `set`; the rest needs a call of its own.
            set_flags(fd.raw(), &MountFlags { set: 0, ..flags })?;
            mount::attach(fd.raw(), target.raw()).at(Step::Attach)?;
            init.fill(keep, fd)
        }
        Op::AttachTree { tree, dest, flags } => {
            let tree = init.take(tree)?;
            let directory = sys::stat_fd(tree.raw()).at(Step::Verify)?.kind() == S_IFDIR;
            let make = if directory { Make::Directory } else { Make::File };
            let (target, _) = open_target(init.root, dest, make, false)?;
            set_flags(tree.raw(), &flags)?;
            mount::attach(tree.raw(), target.raw()).at(Step::Attach)
        }
        Op::SetMountAttr { dest, flags } => {
            let target = paths::open(init.root, cstr(dest)?, O_PATH).at(Step::Target)?;
            set_flags(target.raw(), &flags)
        }
        Op::Mask { path, null, empty } => mask(init, path, null, empty),
        Op::ReadonlyPath { path } => make_readonly(init, path),
        Op::PivotRoot { root } => pivot(init.slot(root)?),
        _ => Err(Fail::new(Step::Plan, EINVAL)),
    }
}

fn cstr(text: Text<'_>) -> Done<&CStr> {
    text.as_cstr().ok_or(EINVAL).at(Step::Plan)
}

/// The rootfs becomes a mount of its own, over itself: pivot_root wants one, and its flags are then ours to set.
fn open_root(init: &mut Init, slot: Slot, host: &CStr) -> Done {
    let below = sys::openat(AT_FDCWD, host, O_PATH | O_DIRECTORY, 0).at(Step::Open)?;
    let root = mount::clone_tree(below.raw(), c"", true).at(Step::Clone)?;
    mount::attach(root.raw(), below.raw()).at(Step::Attach)?;
    init.root = root.raw();
    init.fill(slot, root)
}

/// An unattached file system of this type, with these options. What the kernel says of a bad one goes into the error.
/// `mode` names the directory whose permission bits the new root gets.
fn make_fs(fstype: &CStr, source: Text<'_>, options: TextList<'_>, mode: Option<i32>) -> Done<Fd> {
    let fs = mount::open_fs(fstype).at(Step::FsOpen)?;
    let explain = |step, errno, value| {
        let mut fail = Fail::new(step, errno);
        fail.value = value;
        fail.detail = last_complaint(&fs);
        fail
    };
    if !source.is_empty() {
        let source = cstr(source)?;
        mount::set_option(fs.raw(), c"source", Some(source)).map_err(|e| explain(Step::FsOption, e, u32::MAX))?;
    }
    if let Some(like) = mode {
        let mut digits = paths::Buffer::new();
        let mode = sys::stat_fd(like).at(Step::Verify)?.mode;
        for shift in [9, 6, 3, 0] {
            digits.append(&[b'0' + (mode >> shift & 7) as u8]).at(Step::FsOption)?;
        }
        mount::set_option(fs.raw(), c"mode", Some(digits.as_cstr()))
            .map_err(|e| explain(Step::FsOption, e, u32::MAX))?;
    }
    for (index, option) in options.iter().enumerate() {
        let option = option.as_bytes();
        let mut key = paths::Buffer::new();
        let equals = option.iter().position(|b| *b == b'=');
        key.set(option.get(..equals.unwrap_or(option.len())).unwrap_or_default()).at(Step::FsOption)?;
        let mut value = paths::Buffer::new();
        let value = match equals {
            Some(at) => {
                value.set(option.get(at + 1..).unwrap_or_default()).at(Step::FsOption)?;
                Some(value.as_cstr())
            }
            None => None,
        };
        mount::set_option(fs.raw(), key.as_cstr(), value).map_err(|e| explain(Step::FsOption, e, index as u32))?;
    }
    mount::create_fs(fs.raw()).map_err(|e| explain(Step::FsCreate, e, 0))?;
    Ok(fs)
}

/// The first line of the file system context's log, without its "e " (fsopen(2): errors, warnings, information).
fn last_complaint(fs: &Fd) -> &'static [u8] {
    let mut line = [0u8; 200];
    match sys::read(fs.raw(), &mut line) {
        Ok(count) => {
            let line = line.get(..count).unwrap_or_default();
            report::keep(line.strip_prefix(b"e ").unwrap_or(line).trim_ascii_end())
        }
        // Most file systems say nothing.
        Err(_) => &[],
    }
}

/// The target of a mount, and whether it was there before.
///
/// /proc, /sys and /dev are ordinary directories: a link there would lead everything that is later written, made or
/// masked below to another place (CVE-2019-19921, CVE-2026-41579).
fn open_target(root: i32, dest: Text<'_>, make: Make, no_links: bool) -> Done<(Fd, bool)> {
    let (target, existed) = paths::open_or_make(root, dest, make)?;
    if !no_links && !matches!(dest.as_bytes(), b"/proc" | b"/sys" | b"/dev") {
        refuse_procfs(&target, dest)?;
        return Ok((target, existed));
    }
    drop(target);
    let target = paths::open_without_links(root, cstr(dest)?, O_PATH).at(Step::Verify)?;
    Ok((target, existed))
}

/// A link of the image may lead a mount into /proc, where it would catch what is later written there (R9). What
/// the config itself wants below /proc, compile has held against its allow-list.
fn refuse_procfs(target: &Fd, dest: Text<'_>) -> Done {
    let asked = dest.as_bytes().strip_prefix(b"/proc").is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    if !asked && sys::fs_magic(target.raw()).at(Step::Verify)? == PROC_SUPER_MAGIC {
        return Err(ELOOP).at(Step::Verify);
    }
    Ok(())
}

fn set_flags(fd: i32, flags: &MountFlags<'_>) -> Done {
    if flags.set | flags.clear != 0 {
        mount::set_attributes(fd, c"", false, flags.set, flags.clear, 0).at(Step::Attributes)?;
    }
    if flags.rec_set | flags.rec_clear != 0 {
        mount::set_attributes(fd, c"", true, flags.rec_set, flags.rec_clear, 0).at(Step::Attributes)?;
    }
    for propagation in flags.propagation.iter().map(u64::from) {
        mount::set_attributes(fd, c"", propagation & MS_REC != 0, 0, 0, propagation & !MS_REC).at(Step::Propagation)?;
    }
    Ok(())
}

/// Covers a path; one that is missing needs no cover.
fn mask(init: &mut Init, path: Text<'_>, null: Slot, empty: Slot) -> Done {
    let target = match paths::open(init.root, cstr(path)?, O_PATH) {
        Err(errno) if paths::is_missing(errno) => return Ok(()),
        result => result.at(Step::Target)?,
    };
    let directory = sys::stat_fd(target.raw()).at(Step::Verify)?.kind() == S_IFDIR;
    let (cover, attached) = if directory {
        if init.slot(empty).is_err() {
            let made = make_empty()?;
            init.fill(empty, made)?;
        }
        (init.slot(empty)?, &mut init.empty_attached)
    } else {
        (init.slot(null)?, &mut init.null_attached)
    };
    if !*attached {
        // The null device is the host's inode: without a read-only mount, the container's root could change its mode
        // and owner for everybody. Copies keep the flags.
        let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
        mount::set_attributes(cover, c"", false, attributes, 0, 0).at(Step::Attributes)?;
        // The mount itself goes first; only one that hangs in the tree can be cloned (before Linux 6.15).
        mount::attach(cover, target.raw()).at(Step::Attach)?;
        *attached = true;
        return Ok(());
    }
    let copy = mount::clone_tree(cover, c"", false).at(Step::Clone)?;
    mount::attach(copy.raw(), target.raw()).at(Step::Attach)
}

/// One empty read-only directory for all masks: a superblock costs more than everything else about a mask.
fn make_empty() -> Done<Fd> {
    let fs = mount::open_fs(c"tmpfs").at(Step::FsOpen)?;
    mount::set_option(fs.raw(), c"ro", None).at(Step::FsOption)?;
    mount::create_fs(fs.raw()).at(Step::FsCreate)?;
    let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    mount::make_mount(fs.raw(), attributes).at(Step::FsMount)
}

/// A copy of what is there, mounted over it read-only, submounts included.
fn make_readonly(init: &mut Init, path: Text<'_>) -> Done {
    let target = match paths::open(init.root, cstr(path)?, O_PATH) {
        Err(errno) if paths::is_missing(errno) => return Ok(()),
        result => result.at(Step::Target)?,
    };
    let copy = mount::clone_tree(target.raw(), c"", true).at(Step::Clone)?;
    mount::set_attributes(copy.raw(), c"", true, MOUNT_ATTR_RDONLY, 0, 0).at(Step::Attributes)?;
    mount::attach(copy.raw(), target.raw()).at(Step::Attach)
}

/// The old root lands on top of the new one and is let go with everything below it. All host mounts are slaves by
/// now (`Propagation`), so letting go of them here does nothing there.
fn pivot(root: i32) -> Done {
    sys::fchdir(root).at(Step::Whole)?;
    mount::pivot_root_here().at(Step::Pivot)?;
    mount::detach_here().at(Step::DetachOld)?;
    sys::chdir(c"/").at(Step::Whole)
}
