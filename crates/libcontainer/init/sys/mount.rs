//! The mount system calls: open_tree, move_mount, fsopen, fsconfig, fsmount (Linux 5.2), mount_setattr (5.12).

use core::ffi::CStr;
use core::mem::size_of;

use super::consts::*;
use super::{Fd, Sys, call, done, nr, owned, plain, ptr};

/// open_tree(2) with `OPEN_TREE_CLONE`: a detached copy of the mount at `path`.
pub fn clone_tree(dir: i32, path: &CStr, recursive: bool) -> Sys<Fd> {
    let mut flags = OPEN_TREE_CLONE | O_CLOEXEC;
    if recursive {
        flags |= AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= AT_EMPTY_PATH;
    }
    // SAFETY: the path is a C string.
    owned(unsafe { call(nr::OPEN_TREE, [dir as usize, ptr(path), flags as usize, 0, 0, 0]) })
}

/// move_mount(2): attaches what `tree` refers to onto what `target` refers to.
pub fn attach(tree: i32, target: i32) -> Sys<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are C strings.
    done(unsafe { call(nr::MOVE_MOUNT, [tree as usize, ptr(c""), target as usize, ptr(c""), flags, 0]) })
}

/// mount_setattr(2) on the mount that `fd` refers to, or, with a path, on that one.
pub fn set_attributes(dir: i32, path: &CStr, recursive: bool, set: u64, clear: u64, propagation: u64) -> Sys<()> {
    let attributes: [u64; 4] = [set, clear, propagation, 0];
    let mut flags = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    if recursive {
        flags |= AT_RECURSIVE;
    }
    let args = [dir as usize, ptr(path), flags as usize, attributes.as_ptr() as usize, size_of::<[u64; 4]>(), 0];
    // SAFETY: the attributes have the layout of struct mount_attr, and the path is a C string.
    done(unsafe { call(nr::MOUNT_SETATTR, args) })
}

/// fsopen(2).
pub fn open_fs(fstype: &CStr) -> Sys<Fd> {
    // SAFETY: the type is a C string.
    owned(unsafe { call(nr::FSOPEN, [ptr(fstype), FSOPEN_CLOEXEC, 0, 0, 0, 0]) })
}

/// fsconfig(2) with a key and a value, or without a value as a flag.
pub fn set_option(fs: i32, key: &CStr, value: Option<&CStr>) -> Sys<()> {
    let (command, value) = value.map_or((FSCONFIG_SET_FLAG, 0), |value| (FSCONFIG_SET_STRING, ptr(value)));
    // SAFETY: key and value are C strings.
    done(unsafe { call(nr::FSCONFIG, [fs as usize, command, ptr(key), value, 0, 0]) })
}

/// fsconfig(2) with `FSCONFIG_CMD_CREATE`.
pub fn create_fs(fs: i32) -> Sys<()> {
    done(plain(nr::FSCONFIG, [fs as usize, FSCONFIG_CMD_CREATE, 0, 0, 0, 0]))
}

/// fsmount(2): a detached mount with these `MOUNT_ATTR_*`.
pub fn make_mount(fs: i32, attributes: u64) -> Sys<Fd> {
    owned(plain(nr::FSMOUNT, [fs as usize, FSMOUNT_CLOEXEC, attributes as usize, 0, 0, 0]))
}

/// pivot_root(".", "."): the old root ends up on top of the new one.
pub fn pivot_root_here() -> Sys<()> {
    // SAFETY: both paths are C strings.
    done(unsafe { call(nr::PIVOT_ROOT, [ptr(c"."), ptr(c"."), 0, 0, 0, 0]) })
}

/// umount2(".", MNT_DETACH).
pub fn detach_here() -> Sys<()> {
    // SAFETY: the path is a C string.
    done(unsafe { call(nr::UMOUNT2, [ptr(c"."), MNT_DETACH, 0, 0, 0, 0]) })
}
