//! Constants of the kernel's uapi headers, the same on every architecture unless a comment says otherwise.
#![allow(missing_docs)]

use super::Errno;

pub const EPERM: Errno = Errno(1);
pub const ENOENT: Errno = Errno(2);
pub const EINTR: Errno = Errno(4);
pub const EAGAIN: Errno = Errno(11);
pub const EACCES: Errno = Errno(13);
pub const EEXIST: Errno = Errno(17);
pub const ENOTDIR: Errno = Errno(20);
pub const EISDIR: Errno = Errno(21);
pub const EINVAL: Errno = Errno(22);
pub const EFBIG: Errno = Errno(27);
pub const EPIPE: Errno = Errno(32);
pub const ENAMETOOLONG: Errno = Errno(36);
pub const ELOOP: Errno = Errno(40);
pub const EBADF: Errno = Errno(9);

pub const O_RDONLY: u32 = 0;
pub const O_WRONLY: u32 = 1;
pub const O_CREAT: u32 = 0o100;
pub const O_EXCL: u32 = 0o200;
pub const O_NONBLOCK: u32 = 0o4000;
pub const O_CLOEXEC: u32 = 0o2000000;
pub const O_PATH: u32 = 0o10000000;
// These two differ on arm.
pub const O_DIRECTORY: u32 = 0o200000;
pub const O_NOFOLLOW: u32 = 0o400000;

pub const RESOLVE_NO_XDEV: u64 = 0x01;
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub const RESOLVE_BENEATH: u64 = 0x08;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

pub const AT_FDCWD: i32 = -100;
pub const AT_EMPTY_PATH: u32 = 0x1000;
pub const AT_EACCESS: u32 = 0x200;
pub const AT_RECURSIVE: u32 = 0x8000;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFIFO: u32 = 0o010000;
pub const STATX_TYPE: usize = 1;
pub const STATX_MODE: usize = 2;
pub const STATX_UID: usize = 8;
pub const STATX_GID: usize = 0x10;
pub const X_OK: usize = 1;

pub const MSG_NOSIGNAL: usize = 0x4000;
pub const PROT_READ_WRITE: usize = 3;
pub const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
pub const CLOCK_MONOTONIC: usize = 1;
pub const CLOSE_RANGE_CLOEXEC: u32 = 4;
pub const POLLIN: u16 = 1;

pub const OPEN_TREE_CLONE: u32 = 1;
pub const MOVE_MOUNT_F_EMPTY_PATH: usize = 0x04;
pub const MOVE_MOUNT_T_EMPTY_PATH: usize = 0x40;
pub const FSOPEN_CLOEXEC: usize = 1;
pub const FSMOUNT_CLOEXEC: usize = 1;
pub const FSCONFIG_SET_FLAG: usize = 0;
pub const FSCONFIG_SET_STRING: usize = 1;
pub const FSCONFIG_CMD_CREATE: usize = 6;
pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NOSUID: u64 = 2;
pub const MOUNT_ATTR_NODEV: u64 = 4;
pub const MOUNT_ATTR_NOEXEC: u64 = 8;
pub const MS_REC: u64 = 0x4000;
pub const MNT_DETACH: usize = 2;

pub const CLONE_PIDFD: u64 = 0x1000;
pub const CLONE_PARENT: u64 = 0x8000;
pub const SIGKILL: usize = 9;
pub const SIGPIPE: usize = 13;
pub const SIGCHLD: u64 = 17;
pub const SIG_SETMASK: usize = 2;

pub const PR_SET_PDEATHSIG: usize = 1;
pub const PR_SET_DUMPABLE: usize = 4;
pub const PR_SET_KEEPCAPS: usize = 8;
pub const PR_SET_NAME: usize = 15;
pub const PR_CAPBSET_DROP: usize = 24;
pub const PR_SET_NO_NEW_PRIVS: usize = 38;
pub const PR_CAP_AMBIENT: usize = 47;
pub const PR_CAP_AMBIENT_RAISE: usize = 2;
pub const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
pub const RLIMIT_NOFILE: u32 = 7;

pub const AF_UNIX: usize = 1;
pub const SOCK_DGRAM_CLOEXEC: usize = 0o2000002;
pub const SIOCSIFFLAGS: usize = 0x8914;
pub const IFF_UP: u16 = 1;
pub const IFF_RUNNING: u16 = 0x40;
pub const PROC_SUPER_MAGIC: i64 = 0x9fa0;
pub const S_IFCHR: u32 = 0o020000;
pub const EROFS: Errno = Errno(30);
