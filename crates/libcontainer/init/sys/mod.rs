//! The system calls that init makes, each as a safe function over descriptors and C strings.
//!
//! All of them close-on-exec, none follows a path that its caller did not confine. Numbers and entry are per
//! architecture; constants are those of the kernel's uapi headers.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
pub mod consts;
pub mod mount;
pub mod process;
#[cfg(target_arch = "x86_64")]
mod start_x86_64;

use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};

pub use arch::nr;
use consts::*;

/// An errno(3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What a system call answers.
pub type Sys<T> = core::result::Result<T, Errno>;

/// An open descriptor, closed when dropped.
pub struct Fd(i32);

impl Fd {
    /// Takes over a descriptor.
    pub fn from_raw(fd: i32) -> Fd {
        Fd(fd)
    }

    /// The number, still owned here.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// The number, no longer owned.
    pub fn into_raw(self) -> i32 {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// # Safety
/// As for [`arch::syscall6`].
unsafe fn call(n: usize, args: [usize; 6]) -> Sys<usize> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: passed on to the caller.
    let result = unsafe { arch::syscall6(n, a, b, c, d, e, f) };
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

/// A call whose arguments are all numbers: nothing of ours is touched by the kernel.
fn plain(n: usize, args: [usize; 6]) -> Sys<usize> {
    // SAFETY: callers in this module use it for calls without pointers only.
    unsafe { call(n, args) }
}

fn owned(result: Sys<usize>) -> Sys<Fd> {
    result.map(|fd| Fd(fd as i32))
}

fn done(result: Sys<usize>) -> Sys<()> {
    result.map(|_| ())
}

fn ptr(text: &CStr) -> usize {
    text.as_ptr() as usize
}

/// Ends the process.
pub fn exit(code: i32) -> ! {
    loop {
        let _ = plain(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]);
    }
}

/// close(2). Its errors tell nothing that could be acted on.
pub fn close(fd: i32) {
    let _ = plain(nr::CLOSE, [fd as usize, 0, 0, 0, 0, 0]);
}

/// close_range(2), Linux 5.11 with `CLOSE_RANGE_CLOEXEC`. An empty range is fine.
pub fn close_range(first: u32, last: u32, flags: u32) -> Sys<()> {
    if first > last {
        return Ok(());
    }
    done(plain(nr::CLOSE_RANGE, [first as usize, last as usize, flags as usize, 0, 0, 0]))
}

/// read(2), again when interrupted.
pub fn read(fd: i32, buffer: &mut [u8]) -> Sys<usize> {
    loop {
        // SAFETY: the kernel writes at most `len` bytes into the buffer.
        match unsafe { call(nr::READ, [fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) } {
            Err(EINTR) => continue,
            result => return result,
        }
    }
}

/// Reads until the buffer is full; a short end is `EPIPE`.
pub fn read_exact(fd: i32, mut buffer: &mut [u8]) -> Sys<()> {
    while !buffer.is_empty() {
        let count = read(fd, buffer)?;
        if count == 0 {
            return Err(EPIPE);
        }
        buffer = buffer.get_mut(count..).ok_or(EINVAL)?;
    }
    Ok(())
}

/// One write(2), again when interrupted.
pub fn write(fd: i32, bytes: &[u8]) -> Sys<usize> {
    loop {
        // SAFETY: the kernel reads `len` bytes of the slice.
        match unsafe { call(nr::WRITE, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) } {
            Err(EINTR) => continue,
            result => return result,
        }
    }
}

/// Sends all bytes over a socket without raising SIGPIPE.
pub fn send_all(fd: i32, mut bytes: &[u8]) -> Sys<()> {
    while !bytes.is_empty() {
        let args = [fd as usize, bytes.as_ptr() as usize, bytes.len(), MSG_NOSIGNAL, 0, 0];
        // SAFETY: the kernel reads `len` bytes of the slice.
        match unsafe { call(nr::SENDTO, args) } {
            Err(EINTR) => continue,
            result => bytes = bytes.get(result?..).ok_or(EINVAL)?,
        }
    }
    Ok(())
}

/// openat(2), always close-on-exec.
pub fn openat(dir: i32, path: &CStr, flags: u32, mode: u32) -> Sys<Fd> {
    // SAFETY: the path is a C string.
    owned(unsafe { call(nr::OPENAT, [dir as usize, ptr(path), (flags | O_CLOEXEC) as usize, mode as usize, 0, 0]) })
}

/// openat2(2), Linux 5.6, always close-on-exec. `EAGAIN` (the tree changed under the walk) is tried again, but an
/// attacker who keeps changing it does not keep us here.
pub fn openat2(dir: i32, path: &CStr, flags: u32, resolve: u64) -> Sys<Fd> {
    let how: [u64; 3] = [u64::from(flags | O_CLOEXEC), 0, resolve];
    let mut tries = 0;
    loop {
        let args = [dir as usize, ptr(path), how.as_ptr() as usize, size_of::<[u64; 3]>(), 0, 0];
        // SAFETY: `how` has the layout of struct open_how, and the path is a C string.
        match unsafe { call(nr::OPENAT2, args) } {
            Err(EAGAIN) if tries < 128 => tries += 1,
            result => return owned(result),
        }
    }
}

/// mkdirat(2).
pub fn mkdirat(dir: i32, name: &CStr, mode: u32) -> Sys<()> {
    // SAFETY: the name is a C string.
    done(unsafe { call(nr::MKDIRAT, [dir as usize, ptr(name), mode as usize, 0, 0, 0]) })
}

/// mknodat(2).
pub fn mknodat(dir: i32, name: &CStr, mode: u32, device: u64) -> Sys<()> {
    // SAFETY: the name is a C string.
    done(unsafe { call(nr::MKNODAT, [dir as usize, ptr(name), mode as usize, device as usize, 0, 0]) })
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, dir: i32, name: &CStr) -> Sys<()> {
    // SAFETY: both are C strings.
    done(unsafe { call(nr::SYMLINKAT, [ptr(target), dir as usize, ptr(name), 0, 0, 0]) })
}

/// unlinkat(2) of something that is no directory.
pub fn unlinkat(dir: i32, name: &CStr) -> Sys<()> {
    // SAFETY: the name is a C string.
    done(unsafe { call(nr::UNLINKAT, [dir as usize, ptr(name), 0, 0, 0, 0]) })
}

/// readlinkat(2): the part of the buffer that was filled. A target as long as the buffer is `ENAMETOOLONG`.
pub fn readlinkat<'b>(dir: i32, name: &CStr, buffer: &'b mut [u8]) -> Sys<&'b [u8]> {
    let args = [dir as usize, ptr(name), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0];
    // SAFETY: the kernel writes at most `len` bytes into the buffer.
    let count = unsafe { call(nr::READLINKAT, args) }?;
    if count >= buffer.len() {
        return Err(ENAMETOOLONG);
    }
    buffer.get(..count).ok_or(EINVAL)
}

/// fchownat(2) of an open descriptor, `O_PATH` ones included.
pub fn chown_fd(fd: i32, uid: u32, gid: u32) -> Sys<()> {
    let args = [fd as usize, ptr(c""), uid as usize, gid as usize, AT_EMPTY_PATH as usize, 0];
    // SAFETY: the path is a C string.
    done(unsafe { call(nr::FCHOWNAT, args) })
}

/// fchmodat2(2), Linux 6.6, of an open descriptor, `O_PATH` ones included.
pub fn chmod_fd(fd: i32, mode: u32) -> Sys<()> {
    // SAFETY: the path is a C string.
    done(unsafe { call(nr::FCHMODAT2, [fd as usize, ptr(c""), mode as usize, AT_EMPTY_PATH as usize, 0, 0]) })
}

/// What statx(2) says of an inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File type and permissions.
    pub mode: u32,
    /// For a device node: major number.
    pub major: u32,
    /// For a device node: minor number.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Stat {
    /// The `S_IF*` part of the mode.
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }
}

/// statx(2) of an open descriptor.
pub fn stat_fd(fd: i32) -> Sys<Stat> {
    /// struct statx, as far as it is read.
    #[repr(C)]
    struct Raw {
        mask: u32,
        block_size: u32,
        attributes: u64,
        links: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        spare: u16,
        inode: u64,
        middle: [u64; 11],
        rdev_major: u32,
        rdev_minor: u32,
        rest: [u64; 15],
    }
    const { assert!(size_of::<Raw>() == 256) };
    let mut raw = MaybeUninit::<Raw>::zeroed();
    let mask = STATX_TYPE | STATX_MODE | STATX_UID | STATX_GID;
    let args = [fd as usize, ptr(c""), AT_EMPTY_PATH as usize, mask, raw.as_mut_ptr() as usize, 0];
    // SAFETY: the kernel writes one struct statx, 256 bytes.
    unsafe { call(nr::STATX, args) }?;
    // SAFETY: zeroed, then written; every bit pattern of its fields is valid.
    let raw = unsafe { raw.assume_init() };
    Ok(Stat { mode: u32::from(raw.mode), major: raw.rdev_major, minor: raw.rdev_minor, uid: raw.uid, gid: raw.gid })
}

/// The magic number of the file system that a descriptor lies on. fstatfs(2).
pub fn fs_magic(fd: i32) -> Sys<i64> {
    // struct statfs of 64-bit machines: f_type, then 14 more words.
    let mut raw = [0i64; 15];
    // SAFETY: the kernel writes one struct statfs, 120 bytes.
    unsafe { call(nr::FSTATFS, [fd as usize, raw.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    let [magic, ..] = raw;
    Ok(magic)
}

/// Brings the interface `lo` of this network namespace up. netdevice(7), `SIOCSIFFLAGS`.
pub fn loopback_up() -> Sys<()> {
    let socket = owned(plain(nr::SOCKET, [AF_UNIX, SOCK_DGRAM_CLOEXEC, 0, 0, 0, 0]))?;
    // struct ifreq: 16 bytes of name, then a union of 24 bytes that begins with the flags.
    let mut request = [0u8; 40];
    for (to, from) in request.iter_mut().zip(b"lo") {
        *to = *from;
    }
    for (to, from) in request.iter_mut().skip(16).zip((IFF_UP | IFF_RUNNING).to_ne_bytes()) {
        *to = from;
    }
    // SAFETY: the kernel reads and writes one struct ifreq.
    done(unsafe { call(nr::IOCTL, [socket.raw() as usize, SIOCSIFFLAGS, request.as_mut_ptr() as usize, 0, 0, 0]) })
}

/// faccessat2(2), Linux 5.8: may the effective ids execute what is open here?
pub fn may_execute(fd: i32) -> Sys<()> {
    let args = [fd as usize, ptr(c""), X_OK, (AT_EMPTY_PATH | AT_EACCESS) as usize, 0, 0];
    // SAFETY: the path is a C string.
    done(unsafe { call(nr::FACCESSAT2, args) })
}

/// fchdir(2).
pub fn fchdir(fd: i32) -> Sys<()> {
    done(plain(nr::FCHDIR, [fd as usize, 0, 0, 0, 0, 0]))
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Sys<()> {
    // SAFETY: the path is a C string.
    done(unsafe { call(nr::CHDIR, [ptr(path), 0, 0, 0, 0, 0]) })
}

/// lseek(2) to the beginning; a pipe has none, and needs none.
pub fn rewind(fd: i32) {
    let _ = plain(nr::LSEEK, [fd as usize, 0, 0, 0, 0, 0]);
}

/// The end of a file, as much of it as fits.
pub fn read_tail(fd: i32, buffer: &mut [u8]) -> Sys<usize> {
    const SEEK_END: usize = 2;
    // A shorter file is read from its beginning.
    if plain(nr::LSEEK, [fd as usize, buffer.len().wrapping_neg(), SEEK_END, 0, 0, 0]).is_err() {
        rewind(fd);
    }
    read(fd, buffer)
}

/// dup3(2) without close-on-exec.
pub fn dup_onto(fd: i32, onto: i32) -> Sys<()> {
    done(plain(nr::DUP3, [fd as usize, onto as usize, 0, 0, 0, 0]))
}

/// Memory of this many zeroed bytes, never given back: init is short-lived.
pub fn map(len: usize) -> Sys<&'static mut [u8]> {
    let args = [0, len.max(1), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0];
    let address = plain(nr::MMAP, args)?;
    // SAFETY: a fresh private mapping of at least `len` bytes that nobody else knows.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, len) })
}

/// CLOCK_MONOTONIC in nanoseconds; 0 if the clock cannot be read.
pub fn now() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a struct timespec, two words.
    let result = unsafe { call(nr::CLOCK_GETTIME, [CLOCK_MONOTONIC, time.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let [seconds, nanos] = time;
    result.map_or(0, |_| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos))
}

/// umask(2).
pub fn umask(mask: u32) {
    let _ = plain(nr::UMASK, [mask as usize, 0, 0, 0, 0, 0]);
}
