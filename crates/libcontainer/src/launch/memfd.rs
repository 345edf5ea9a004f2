//! init's program in memory: sealed, so that nobody who gets hold of it can change what runs next.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use crate::error::{Error, Result};

/// init, as built by the library's build script.
pub static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gantry-init"));

/// A descriptor of init that can be executed and not be written.
pub fn init() -> Result<OwnedFd> {
    match create(libc::MFD_EXEC) {
        // Before Linux 6.3 there was no such flag, and every memfd could be executed.
        Err(Errno::EINVAL) => fill(create(0).map_err(|e| Error::system("make a memfd for init", e))?),
        // vm.memfd_noexec=2 forbids it.
        Err(Errno::EACCES | Errno::EPERM) => detached_tmpfs(),
        result => fill(result.map_err(|e| Error::system("make a memfd for init", e))?),
    }
}

fn create(exec: libc::c_uint) -> nix::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | exec;
    // SAFETY: the name is a C string.
    let fd = Errno::result(unsafe { libc::memfd_create(c"gantry-init".as_ptr(), flags) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn fill(fd: OwnedFd) -> Result<OwnedFd> {
    let mut file = File::from(fd);
    file.write_all(INIT).map_err(|e| Error::io("write init", &e))?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|e| Error::system("seal init", e))?;
    Ok(file.into())
}

/// A file on a tmpfs that is attached nowhere and read-only by the time it is executed. Needs CAP_SYS_ADMIN.
fn detached_tmpfs() -> Result<OwnedFd> {
    let failed = |operation: &'static str| {
        move |errno| {
            Error::system(operation, errno).hint("vm.memfd_noexec=2 forbids executable memfds; set it to 0 or 1")
        }
    };
    // SAFETY: the type is a C string.
    let fs = syscall(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1) })
        .map_err(failed("open a tmpfs for init"))?;
    let nothing = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE (6) takes neither key nor value.
    let created = unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), 6, nothing, nothing, 0) };
    Errno::result(created).map_err(failed("make a tmpfs for init"))?;
    // SAFETY: plain numbers; FSMOUNT_CLOEXEC is 1, MOUNT_ATTR_NOSUID|NODEV are 2|4.
    let mount = syscall(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), 1, 6) })
        .map_err(failed("mount a tmpfs for init"))?;
    let flags = nix::fcntl::OFlag::O_CLOEXEC;
    let create = flags | nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_EXCL | nix::fcntl::OFlag::O_WRONLY;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o500);
    let file = nix::fcntl::openat(&mount, "gantry-init", create, mode).map_err(failed("create init's file"))?;
    File::from(file).write_all(INIT).map_err(|e| Error::io("write init", &e))?;
    // struct mount_attr: set MOUNT_ATTR_RDONLY, clear nothing.
    let readonly: [u64; 4] = [1, 0, 0, 0];
    // SAFETY: the attributes have the layout and size of struct mount_attr, and the path is a C string.
    let result = unsafe {
        let empty = c"".as_ptr();
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), empty, libc::AT_EMPTY_PATH, readonly.as_ptr(), 32)
    };
    Errno::result(result).map_err(failed("make init's file read-only"))?;
    let read = flags | nix::fcntl::OFlag::O_RDONLY;
    nix::fcntl::openat(mount.as_fd(), "gantry-init", read, nix::sys::stat::Mode::empty())
        .map_err(failed("open init's file"))
}

fn syscall(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: callers pass the result of a call that makes a descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_is_small_static_and_has_no_formatting_or_unwinding_linked_in() {
        assert_eq!(&INIT[..4], b"\x7fELF");
        assert!(INIT.len() < 100 * 1024, "{} bytes", INIT.len());
        let has = |words: &[u8]| INIT.windows(words.len()).any(|w| w == words);
        assert!(has(b"gantry-init"), "the search itself must be able to find something");
        // Texts that the panic and formatting machinery of core brings along.
        for words in
            [&b"index out of bounds"[..], b"called `Option::unwrap", b"00010203040506070809", b"_Unwind", b"ld-linux"]
        {
            assert!(!has(words), "init contains {}", String::from_utf8_lossy(words));
        }
    }

    #[test]
    fn a_sealed_init_cannot_be_written() {
        let fd = init().expect("a memfd");
        let error = nix::unistd::write(&fd, b"x").expect_err("sealed");
        assert!(matches!(error, Errno::EPERM | Errno::EBADF), "{error}");
    }
}
