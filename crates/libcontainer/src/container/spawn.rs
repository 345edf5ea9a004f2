//! Runs a program of the host with just the arguments, environment and descriptors that it is to have.
//!
//! By posix_spawn(3), which glibc does with `CLONE_VM | CLONE_VFORK`: the caller's memory is not copied, however
//! large, and no code of ours runs in the child. `std::process::Command` cannot close the caller's other descriptors
//! without forking. Needs glibc 2.34 (posix_spawn_file_actions_addclosefrom_np).

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::null_mut;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// What to run.
pub(crate) struct Program<'a> {
    pub path: &'a CStr,
    /// args[0] first.
    pub args: &'a [CString],
    /// The whole environment.
    pub env: &'a [CString],
    /// The working directory.
    pub dir: &'a CStr,
    pub stdin: &'a Memory,
    /// stdout and stderr.
    pub output: &'a Memory,
}

impl Program<'_> {
    /// Starts the program; answers its pid, for the caller to wait for.
    pub fn spawn(&self) -> nix::Result<i32> {
        let mut actions = Actions::new()?;
        actions.dup(self.stdin.as_fd(), 0)?;
        actions.dup(self.output.as_fd(), 1)?;
        actions.dup(self.output.as_fd(), 2)?;
        actions.close_from(3)?;
        actions.change_directory(self.dir)?;
        let attributes = Attributes::new()?;
        let (args, env) = (pointers(self.args), pointers(self.env));
        let mut pid = 0;
        // SAFETY: path, argv and envp are C strings and null-terminated lists of such that outlive the call, which
        // changes none of them; actions and attributes have been initialised.
        check(unsafe {
            let path = self.path.as_ptr();
            libc::posix_spawn(&raw mut pid, path, &actions.0, &attributes.0, args.as_ptr(), env.as_ptr())
        })?;
        Ok(pid)
    }
}

/// argv or envp: pointers into `texts`, ended by a null pointer.
fn pointers(texts: &[CString]) -> Vec<*mut c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([null_mut()]).collect()
}

/// The posix_spawn family answers the errno itself.
fn check(result: c_int) -> nix::Result<()> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw(result)) }
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> nix::Result<Self> {
        // SAFETY: plain data, initialised by the call that follows.
        let mut actions = Actions(unsafe { std::mem::zeroed() });
        // SAFETY: `actions` is there to be initialised.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions.0) })?;
        Ok(actions)
    }

    fn dup(&mut self, fd: BorrowedFd<'_>, onto: c_int) -> nix::Result<()> {
        // SAFETY: initialised by `new`.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd.as_raw_fd(), onto) })
    }

    fn close_from(&mut self, first: c_int) -> nix::Result<()> {
        // SAFETY: initialised by `new`.
        check(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first) })
    }

    fn change_directory(&mut self, dir: &CStr) -> nix::Result<()> {
        // SAFETY: initialised by `new`; the call copies the path.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, dir.as_ptr()) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, and not used afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// Every signal at its default, and none blocked: both would survive execve(2). A process group of its own, so that
    /// it can be killed with what it has started.
    fn new() -> nix::Result<Self> {
        // SAFETY: plain data, initialised by the call that follows.
        let mut attributes = Attributes(unsafe { std::mem::zeroed() });
        // SAFETY: `attributes` is there to be initialised.
        check(unsafe { libc::posix_spawnattr_init(&raw mut attributes.0) })?;
        // SAFETY: plain data; both sets are initialised before they are used.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETPGROUP;
        // SAFETY: the attributes have been initialised, and `set` outlives the calls, which copy it.
        unsafe {
            libc::sigfillset(&raw mut set);
            check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const set))?;
            libc::sigemptyset(&raw mut set);
            check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, &raw const set))?;
            check(libc::posix_spawnattr_setpgroup(&raw mut attributes.0, 0))?;
            check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags as _))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, and not used afterwards.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// A file in memory, to give a program its input and to take its output.
///
/// Not a pipe: nobody has to read or write while the program runs, and one that leaves a daemon behind with the
/// descriptor open keeps nobody waiting.
#[derive(Debug)]
pub(crate) struct Memory(OwnedFd);

impl Memory {
    /// An empty one.
    pub fn new() -> nix::Result<Memory> {
        // Without this flag (Linux 6.3) vm.memfd_noexec=2 refuses; without it older kernels are content.
        let noexec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
        let fd = match memfd_create(c"gantry-hook", MFdFlags::MFD_CLOEXEC | noexec) {
            Err(Errno::EINVAL) => memfd_create(c"gantry-hook", MFdFlags::MFD_CLOEXEC)?,
            result => result?,
        };
        if fd.as_raw_fd() > 2 {
            return Ok(Memory(fd));
        }
        // The caller has closed some of its stdio; there the child's would overwrite this one.
        let fd = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
        // SAFETY: fcntl has just made this descriptor for us.
        Ok(Memory(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Replaces the content; whoever has a copy of the descriptor reads it from the beginning.
    pub fn set(&self, bytes: &[u8]) -> nix::Result<()> {
        nix::unistd::ftruncate(&self.0, 0)?;
        nix::unistd::lseek(&self.0, 0, nix::unistd::Whence::SeekSet)?;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            // At an offset, so that the position stays at the beginning.
            at += nix::sys::uio::pwrite(&self.0, rest, at as libc::off_t)?;
        }
        Ok(())
    }

    /// The last `limit` bytes of the content.
    pub fn tail(&self, limit: usize) -> nix::Result<Vec<u8>> {
        let size = nix::sys::stat::fstat(&self.0)?.st_size;
        let begin = (size - limit as libc::off_t).max(0);
        let mut bytes = vec![0; (size - begin) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match nix::sys::uio::pread(&self.0, &mut bytes[filled..], begin + filled as libc::off_t)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
