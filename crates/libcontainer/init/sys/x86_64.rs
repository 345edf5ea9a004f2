//! x86_64: entering the kernel, the program's entry, and the call numbers. The only file that knows the machine.
//!
//! Another architecture is another file with the same names.

use core::arch::asm;

/// Enters the kernel; the answer is the value or minus the errno.
///
/// # Safety
/// The arguments must be what system call `n` takes: pointers valid for what it reads and writes.
#[inline(always)]
pub unsafe fn syscall6(n: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: the kernel clobbers rcx and r11 only, and touches memory as the caller vouches for.
    unsafe {
        asm!("syscall", inlateout("rax") n as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// System call numbers, from the kernel's syscall_64.tbl.
pub mod nr {
    macro_rules! numbers {
        ($($name:ident $number:literal)*) => { $( #[allow(dead_code, missing_docs)] pub const $name: usize = $number; )* };
    }
    numbers! {
        READ 0 WRITE 1 CLOSE 3 POLL 7 LSEEK 8 MMAP 9 RT_SIGACTION 13 RT_SIGPROCMASK 14 IOCTL 16 FCHDIR 81 SOCKET 41 SENDTO 44
        EXECVE 59 EXIT 60 WAIT4 61 UMASK 95 SETSID 112 SETGROUPS 116 SETRESUID 117 SETRESGID 119 CAPSET 126
        FCHMOD 91 PIVOT_ROOT 155 PRCTL 157 SETHOSTNAME 170 SETDOMAINNAME 171 EXIT_GROUP 231 CLOCK_GETTIME 228
        OPENAT 257 MKDIRAT 258 MKNODAT 259 FCHOWNAT 260 NEWFSTATAT 262 UNLINKAT 263 SYMLINKAT 266 READLINKAT 267
        UNSHARE 272 DUP3 292 PRLIMIT64 302 SETNS 308 EXECVEAT 322 UMOUNT2 166 OPEN_TREE 428 MOVE_MOUNT 429
        FSOPEN 430 FSCONFIG 431 FSMOUNT 432 CLONE3 435 CLOSE_RANGE 436 OPENAT2 437 FACCESSAT2 439 MOUNT_SETATTR 442
        KILL 62 CHDIR 80 FCHMODAT2 452 FCHMODAT 268 GETPID 39 FSTATFS 138 STATX 332
    }
}

/// Runs `f(arg)` in a clone that may share this address space, on a stack of its own; answers what clone3(2) answers
/// in the caller. `f` never returns.
///
/// # Safety
/// `args` must be valid `struct clone_args` of `size` bytes whose stack is writable and large enough for `f`, and `f`
/// must not unwind, allocate, or touch thread-local storage when memory is shared.
#[allow(dead_code)]
pub unsafe fn clone3_call(args: *const u64, size: usize, f: extern "C" fn(usize) -> !, arg: usize) -> isize {
    let result: isize;
    // SAFETY: the child starts behind the `syscall` with the new stack pointer and the caller's registers, calls `f`
    // at a 16-byte aligned stack, and never comes back here; the parent skips over the call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") nr::CLONE3 as isize => result,
            in("rdi") args, in("rsi") size, in("r12") arg, in("r13") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}
