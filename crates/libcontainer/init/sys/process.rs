//! The system calls about the process itself: clones, ids, capabilities, signals, limits.

use core::ffi::CStr;
use core::mem::size_of;

use super::consts::*;
use super::{Errno, Fd, Sys, call, done, nr, plain, ptr};

/// clone3(2) like fork: `None` in the child, which runs on a copy of this address space; pid and pidfd in the parent.
pub fn fork(flags: u64, exit_signal: u64) -> Sys<Option<(i32, Fd)>> {
    let mut pidfd: i32 = -1;
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    let args: [u64; 8] = [flags | CLONE_PIDFD, &raw mut pidfd as u64, 0, 0, exit_signal, 0, 0, 0];
    // SAFETY: no stack and no CLONE_VM: the child goes on with its own copy of everything.
    let pid = unsafe { call(nr::CLONE3, [args.as_ptr() as usize, size_of::<[u64; 8]>(), 0, 0, 0, 0]) }?;
    Ok((pid != 0).then(|| (pid as i32, Fd::from_raw(pidfd))))
}

/// unshare(2).
pub fn unshare(flags: u64) -> Sys<()> {
    done(plain(nr::UNSHARE, [flags as usize, 0, 0, 0, 0, 0]))
}

/// setns(2).
pub fn join_namespace(namespace: i32, kind: u64) -> Sys<()> {
    done(plain(nr::SETNS, [namespace as usize, kind as usize, 0, 0, 0, 0]))
}

/// execve(2); comes back only to say why not.
pub fn execve(path: &CStr, argv: *const usize, envp: *const usize) -> Errno {
    // SAFETY: callers pass arrays of C strings that end in a null pointer.
    match unsafe { call(nr::EXECVE, [ptr(path), argv as usize, envp as usize, 0, 0, 0]) } {
        Err(errno) => errno,
        Ok(_) => EINVAL,
    }
}

/// setsid(2).
pub fn new_session() -> Sys<()> {
    done(plain(nr::SETSID, [0; 6]))
}

/// Every signal that can be reset gets its default disposition, and none is blocked. SIGKILL and SIGSTOP answer EINVAL.
pub fn reset_signals() -> Sys<()> {
    // struct kernel_sigaction: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0usize; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads one struct; nothing is written back.
        let _ = unsafe { call(nr::RT_SIGACTION, [signal, default.as_ptr() as usize, 0, 8, 0, 0]) };
    }
    let none = 0u64;
    // SAFETY: the kernel reads a set of eight bytes.
    done(unsafe { call(nr::RT_SIGPROCMASK, [SIG_SETMASK, &raw const none as usize, 0, 8, 0, 0]) })
}

/// Ignores SIGPIPE, or gives it back its default.
pub fn set_broken_pipes(ignore: bool) {
    // struct kernel_sigaction, as above; SIG_IGN is 1.
    let action = [usize::from(ignore), 0, 0, 0];
    // SAFETY: the kernel reads one struct; nothing is written back. SIGPIPE can always be set.
    let _ = unsafe { call(nr::RT_SIGACTION, [SIGPIPE, action.as_ptr() as usize, 0, 8, 0, 0]) };
}

/// prctl(2) with plain numbers.
pub fn prctl(option: usize, a: usize, b: usize) -> Sys<()> {
    done(plain(nr::PRCTL, [option, a, b, 0, 0, 0]))
}

/// prctl(PR_SET_NAME).
pub fn set_name(name: &CStr) {
    // SAFETY: the name is a C string. A name that cannot be set changes nothing.
    let _ = unsafe { call(nr::PRCTL, [PR_SET_NAME, ptr(name), 0, 0, 0, 0]) };
}

/// setresuid(2) of this thread; there is no other.
pub fn set_uid(uid: u32) -> Sys<()> {
    let uid = uid as usize;
    done(plain(nr::SETRESUID, [uid, uid, uid, 0, 0, 0]))
}

/// setresgid(2).
pub fn set_gid(gid: u32) -> Sys<()> {
    let gid = gid as usize;
    done(plain(nr::SETRESGID, [gid, gid, gid, 0, 0, 0]))
}

/// setgroups(2); the ids stand one after the other, four bytes each in the machine's order.
pub fn set_groups(groups: &[u32]) -> Sys<()> {
    // SAFETY: the kernel reads `len` ids.
    done(unsafe { call(nr::SETGROUPS, [groups.len(), groups.as_ptr() as usize, 0, 0, 0, 0]) })
}

/// capset(2), version 3.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Sys<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let data: [u32; 6] =
        [low(effective), low(permitted), low(inheritable), high(effective), high(permitted), high(inheritable)];
    // SAFETY: header and data have the layouts that version 3 asks for.
    done(unsafe { call(nr::CAPSET, [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0, 0]) })
}

/// prlimit(2) on this process.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Sys<()> {
    let limit = [soft, hard];
    // SAFETY: the kernel reads one struct rlimit64.
    done(unsafe { call(nr::PRLIMIT64, [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0]) })
}

/// Soft and hard limit of a resource.
pub fn limit(resource: u32) -> Sys<(u64, u64)> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes one struct rlimit64.
    unsafe { call(nr::PRLIMIT64, [0, resource as usize, 0, limit.as_mut_ptr() as usize, 0, 0]) }?;
    let [soft, hard] = limit;
    Ok((soft, hard))
}

/// sethostname(2).
pub fn set_hostname(name: &[u8]) -> Sys<()> {
    // SAFETY: the kernel reads `len` bytes.
    done(unsafe { call(nr::SETHOSTNAME, [name.as_ptr() as usize, name.len(), 0, 0, 0, 0]) })
}

/// setdomainname(2).
pub fn set_domainname(name: &[u8]) -> Sys<()> {
    // SAFETY: the kernel reads `len` bytes.
    done(unsafe { call(nr::SETDOMAINNAME, [name.as_ptr() as usize, name.len(), 0, 0, 0, 0]) })
}

/// Waits until `pidfd`'s process has ended, at most `timeout` milliseconds (-1 for ever): true if it has.
pub fn wait_ended(pidfd: i32, timeout: i32) -> Sys<bool> {
    // struct pollfd: fd, events, revents.
    let mut poll: [u32; 2] = [pidfd as u32, u32::from(POLLIN)];
    // SAFETY: the kernel reads and writes one struct pollfd.
    let count = unsafe { call(nr::POLL, [poll.as_mut_ptr() as usize, 1, timeout as usize, 0, 0, 0]) }?;
    Ok(count > 0)
}

/// wait4(2) for one child: its wait status.
pub fn wait(pid: i32) -> Sys<u32> {
    let mut status = 0u32;
    loop {
        // SAFETY: the kernel writes one int.
        match unsafe { call(nr::WAIT4, [pid as usize, &raw mut status as usize, 0, 0, 0, 0]) } {
            Err(EINTR) => continue,
            result => return result.map(|_| status),
        }
    }
}

/// kill(2) with SIGKILL.
pub fn kill(pid: i32) {
    let _ = plain(nr::KILL, [pid as usize, SIGKILL, 0, 0, 0, 0]);
}
