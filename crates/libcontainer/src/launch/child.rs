//! The clone: from the caller's thread to init's first instruction.
//!
//! The child shares the caller's memory until it executes init (`CLONE_VM`), and the calling thread waits for that
//! (`CLONE_VFORK`). So the child does raw system calls only, on a stack of its own, with every signal blocked: no
//! handler of the caller's may run in it.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

use super::{Child, Request, end};
use crate::error::{Error, Result};

#[cfg(target_arch = "x86_64")]
#[path = "../../init/sys/x86_64.rs"]
#[allow(unused, reason = "init uses the rest")]
mod arch;

/// Bytes of stack for a handful of nested calls without buffers.
const STACK_SIZE: usize = 16 * 1024;

/// What the child reads, and the one word it writes.
struct Task {
    /// From which descriptor to which; the targets lie above all sources.
    moves: Vec<(i32, i32)>,
    /// The same for stdio, after `moves`.
    stdio: Vec<(i32, i32)>,
    program: i32,
    argv: [*const libc::c_char; 3],
    envp: [*const libc::c_char; 1],
    /// Set when the child gives up.
    errno: i32,
}

/// Starts init with its descriptors: the socket, then the inputs, in one row above everything else that is handed on.
pub fn start(request: &Request<'_>, program: &OwnedFd, socket: BorrowedFd<'_>) -> Result<Child> {
    check_kept(request.keep_fds)?;
    let sources: Vec<i32> =
        std::iter::once(socket.as_raw_fd()).chain(request.inputs.iter().map(|f| f.as_raw_fd())).collect();
    let stdio: Vec<i32> = request.stdio.iter().flatten().map(|f| f.as_raw_fd()).collect();
    let highest = sources.iter().chain(&stdio).copied().max().unwrap_or(2).max(program.as_raw_fd());
    let base = (highest + 1).max(i32::try_from(request.keep_fds).unwrap_or(i32::MAX - 3) + 3);
    let moves: Vec<(i32, i32)> = sources.iter().copied().chain(stdio).zip(base..).collect();
    let parked = base + sources.len() as i32;
    let stdio =
        (0..3).filter(|i| request.stdio[*i].is_some()).zip(parked..).map(|(i, from)| (from, i as i32)).collect();
    let digits = std::ffi::CString::new(base.to_string()).map_err(|_| Error::system("start init", Errno::EINVAL))?;
    let mut task = Task {
        moves,
        stdio,
        program: program.as_raw_fd(),
        argv: [c"gantry-init".as_ptr(), digits.as_ptr(), std::ptr::null()],
        envp: [std::ptr::null()],
        errno: 0,
    };
    let child = clone(&mut task, request.plan.clone_flags, request.cgroup)?;
    if task.errno != 0 {
        end(&child);
        return Err(Error::system("execute init", Errno::from_raw(task.errno)));
    }
    Ok(child)
}

/// The descriptors of --preserve-fds must be there: a hole would be filled by one of ours.
fn check_kept(count: u32) -> Result<()> {
    for fd in 3..3u32.saturating_add(count) {
        // SAFETY: fcntl(F_GETFD) of any number is harmless.
        if i32::try_from(fd).is_err() || unsafe { libc::fcntl(fd as i32, libc::F_GETFD) } < 0 {
            return Err(Error::system(format!("preserve file descriptor {fd}"), Errno::EBADF));
        }
    }
    Ok(())
}

fn clone(task: &mut Task, namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Child> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut flags = namespaces | (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64;
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let mut stack = vec![0u128; STACK_SIZE / 16];
    let mut pidfd: i32 = -1;
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
    // set_tid_size, cgroup.
    let args: [u64; 11] = [
        flags,
        &raw mut pidfd as u64,
        0,
        0,
        libc::SIGCHLD as u64,
        stack.as_mut_ptr() as u64,
        STACK_SIZE as u64,
        0,
        0,
        0,
        cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    ];
    let all = !0u64;
    let mut before = 0u64;
    let task: *mut Task = task;
    // SAFETY: the masks are eight bytes each, as the kernel's sigset_t. The clone's arguments are valid; `child`
    // makes system calls only, on a stack that lives until the clone has executed or ended (CLONE_VFORK).
    let result = unsafe {
        set_mask(&raw const all, &raw mut before);
        let result = arch::clone3_call(args.as_ptr(), size_of_val(&args), child, task as usize);
        set_mask(&raw const before, std::ptr::null_mut());
        result
    };
    drop(stack);
    match i32::try_from(result) {
        // SAFETY: CLONE_PIDFD has stored a new descriptor there.
        Ok(pid) if pid > 0 => Ok(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
        _ => Err(explain(Errno::from_raw(-result as i32), namespaces)),
    }
}

/// # Safety
/// Both pointers are null or eight bytes of signal set.
unsafe fn set_mask(new: *const u64, old: *mut u64) {
    // SAFETY: passed on to the caller. It cannot fail with these arguments.
    unsafe {
        arch::syscall6(arch::nr::RT_SIGPROCMASK, libc::SIG_SETMASK as usize, new as usize, old as usize, 8, 0, 0);
    }
}

fn explain(errno: Errno, namespaces: u64) -> Error {
    let error = Error::system("start init", errno);
    match errno {
        Errno::EPERM if namespaces != 0 => {
            error.field("linux.namespaces").hint("making namespaces needs CAP_SYS_ADMIN")
        }
        Errno::ENOSPC => error.field("linux.namespaces").hint("a limit of /proc/sys/user/max_*_namespaces is reached"),
        Errno::EAGAIN => error.hint("the limit of processes is reached: RLIMIT_NPROC or a pids cgroup"),
        Errno::ENOSYS => error.hint("clone3 is missing or forbidden; Linux 5.14 is needed"),
        _ => error,
    }
}

extern "C" fn child(task: usize) -> ! {
    let task = task as *mut Task;
    // SAFETY: the parent waits, and nobody else uses the task meanwhile. Vectors are only read.
    unsafe {
        for (from, to) in (*task).moves.iter().chain((*task).stdio.iter()) {
            let result = arch::syscall6(arch::nr::DUP3, *from as usize, *to as usize, 0, 0, 0, 0);
            if result < 0 {
                give_up(task, result);
            }
        }
        let (argv, envp) = ((*task).argv.as_ptr() as usize, (*task).envp.as_ptr() as usize);
        let path = c"".as_ptr() as usize;
        let flags = libc::AT_EMPTY_PATH as usize;
        let result = arch::syscall6(arch::nr::EXECVEAT, (*task).program as usize, path, argv, envp, flags, 0);
        give_up(task, result)
    }
}

/// # Safety
/// `task` as in [`child`].
unsafe fn give_up(task: *mut Task, result: isize) -> ! {
    // SAFETY: passed on to the caller; exit_group does not return.
    unsafe {
        (*task).errno = -result as i32;
        loop {
            arch::syscall6(arch::nr::EXIT_GROUP, 1, 0, 0, 0, 0, 0);
        }
    }
}
