//! Where the C library enters the program.
//!
//! Rust's own entry reads /proc/self/maps and makes a second stack, to report stack overflows: 60 of the 450 µs of CPU
//! that starting and ending a static program costs. Of what else it does, two things matter and are done here.
//! Descriptors 0 to 2 are open, so that nothing opened later is taken for the container's standard streams. And
//! SIGPIPE is ignored, so that writing to a process that has died fails, instead of killing gantry halfway.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;

/// main(3p): `argv` holds `argc` C strings, of which the first is the program's name.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    open_standard_streams();
    // SAFETY: an ignored signal runs no handler.
    if unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.is_err() {
        std::process::abort();
    }
    let count = usize::try_from(argc).unwrap_or(0);
    let arguments = (1..count).map(|index| {
        // SAFETY: the C library passes `argc` pointers to C strings that live as long as the process.
        let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsString::from(OsStr::from_bytes(argument.to_bytes()))
    });
    crate::gantry(arguments.collect()).into()
}

/// Opens /dev/null in the place of each standard stream that is closed. Without one there is nowhere to say why not.
fn open_standard_streams() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: `streams` is an array of three pollfd to read and write.
    if unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) } < 0 {
        std::process::abort();
    }
    for stream in streams {
        if stream.revents & libc::POLLNVAL != 0 {
            // The lowest free descriptor is the stream's: those below it are open. It stays open, over execve too.
            let null = open("/dev/null", OFlag::O_RDWR, Mode::empty());
            if null.map(OwnedFd::into_raw_fd) != Ok(stream.fd) {
                std::process::abort();
            }
        }
    }
}
