//! init: executes a plan, and becomes the container's process.
//!
//! A static program without libc, allocator or formatting, started from a sealed memfd by the library's `launch`
//! with a handful of descriptors and nothing else: one socket to its parent, over which the plan comes, and the
//! plan's inputs. It decodes one operation after the other, does its system calls, and says over the socket (after
//! `start`: over a FIFO) which operation failed, at which step, and with which errno.
//!
//! What it promises:
//! - It reads nothing from the container's files before it is undumpable and confined to the root (R5, R1).
//! - A path of the container is only ever resolved by `openat2` in the root, without magic links.
//! - It never executes anything between entering a user namespace and the final execve: memory made by an exec inside
//!   belongs to that namespace, and its root could write to it.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[path = "../src/plan/message.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod message;
mod mounts;
mod nodes;
#[path = "../src/plan/op.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod op;
mod paths;
mod process;
mod program;
mod report;
mod run;
mod sys;
#[path = "../src/plan/wire.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod wire;

use core::ffi::CStr;

/// Where `_start` leads: `stack` points at argc, argv follows.
///
/// # Safety
/// Called once, with the stack as the kernel made it.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel put argc there, and argc pointers to C strings behind it.
    let base = unsafe { if *stack == 2 { CStr::from_ptr(*stack.add(2) as *const _) } else { c"" } };
    match parse(base.to_bytes()) {
        Some(base) => run::run(base),
        None => sys::exit(1),
    }
}

/// The number of the first descriptor, the socket's.
fn parse(digits: &[u8]) -> Option<i32> {
    let mut value: i32 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        value = value.checked_mul(10)?.checked_add(i32::from(digit))?;
    }
    (value >= 3).then_some(value)
}

/// Nothing here should panic; if something does, the parent sees the socket close.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(1)
}
