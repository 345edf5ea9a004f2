//! Faults put into plans: an op that fails, an op that never returns.
//!
//! A test changes the plan through `CreateOptions::amend_plan`; nothing that ships knows of it. An op keeps its place
//! and its field, so that the error must name the field that the op it replaces would have served.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libcontainer::plan::Plan;
use libcontainer::plan::op::{MountFlags, Op};
use libcontainer::plan::wire::{Bytes, Text};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a halting op writes, in bytes: more than the pipe takes ([`PIPE`]), so that it does not return.
const FLOOD: usize = 3 * PIPE;
/// The smallest capacity that the kernel gives a pipe, in bytes: a page.
const PIPE: usize = 4096;
/// The FIFO's name in a rootfs.
const FIFO: &str = "halt";

/// Where an op stands in its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index.
    pub index: usize,
    /// Its name.
    pub kind: &'static str,
    /// The JSON path of its field.
    pub field: String,
}

/// The ops of a plan.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let step = |(index, (op, field)): (usize, (Op<'_>, &libcontainer::plan::Field))| Step {
        index,
        kind: op.name(),
        field: field.path.clone(),
    };
    plan.ops().enumerate().map(step).collect()
}

/// One step for each kind of op and kind of op before it.
pub fn sample(steps: &[Step]) -> Vec<Step> {
    let mut seen = std::collections::HashSet::new();
    let before = std::iter::once("").chain(steps.iter().map(|step| step.kind));
    steps
        .iter()
        .zip(before)
        .filter(|(step, before)| seen.insert((step.kind, *before)))
        .map(|(s, _)| s.clone())
        .collect()
}

fn comes_after(plan: &Plan, index: usize, is: impl Fn(Op<'_>) -> bool) -> bool {
    plan.ops().take(index).any(|(op, _)| is(op))
}

/// The plan with an op at `index` that fails with ENOENT.
pub fn failing(plan: &Plan, index: usize) -> Plan {
    let missing = Text::new(b"/nowhere/at/all");
    let rooted = comes_after(plan, index, |op| matches!(op, Op::OpenRoot { .. }));
    let op = match rooted {
        true => Op::SetMountAttr { dest: missing, flags: MountFlags::NONE },
        false => Op::WriteHost { host: missing, data: Bytes(b"") },
    };
    plan.with_op(index, op)
}

/// The plan with an op at `index` that does not return: it writes to the [`Halt`] of this rootfs.
pub fn halting(plan: &Plan, index: usize, rootfs: &Path) -> Plan {
    let inside = comes_after(plan, index, |op| matches!(op, Op::PivotRoot { .. }));
    let host = if inside { Path::new("/").join(FIFO) } else { rootfs.join(FIFO) };
    let host = host.into_os_string().into_encoded_bytes();
    plan.with_op(index, Op::WriteHost { host: Text::new(&host), data: Bytes(&[0; FLOOD]) })
}

/// A FIFO in a rootfs that tells when init has begun to write to it, and keeps it there.
pub struct Halt {
    reader: File,
}

impl Halt {
    /// Makes the FIFO.
    ///
    /// # Panics
    /// If that fails.
    pub fn new(rootfs: &Path) -> Halt {
        let path = rootfs.join(FIFO);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO can be made");
        // init may be anybody by the time it gets here.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("ours");
        let reader = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).expect("can be read");
        // SAFETY: the descriptor is open, and the call takes a number.
        let size = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) };
        assert!(size > 0 && (size as usize) < FLOOD, "a pipe of {size} bytes");
        Halt { reader }
    }

    /// Waits until init writes, which it will not finish. False after `limit`.
    pub fn is_reached(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = PollTimeout::try_from(deadline.saturating_duration_since(Instant::now())).expect("short");
            // A FIFO that has had a writer hangs up for good: it is readable only with bytes in it.
            match poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], left) {
                Ok(_) if bytes_in(&self.reader) > 0 => return true,
                _ if Instant::now() >= deadline => return false,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Reads what is there: whoever writes goes on.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn drain(&mut self) {
        let mut buffer = [0; FLOOD];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn bytes_in(file: &File) -> i32 {
    let mut count = 0;
    // SAFETY: FIONREAD stores an int.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    count
}

/// A system call in a log of strace(1): the `nth` one of this name, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Its name.
    pub name: String,
    /// Which one of that name.
    pub nth: u32,
    /// Whether it changes something outside of the process, or waits for somebody.
    pub matters: bool,
}

/// Reads a log of strace(1), written without -f; execve, which starts the program, is left out.
///
/// # Panics
/// If it cannot be read.
pub fn syscalls(log: &PathBuf) -> Vec<Syscall> {
    const MATTER: [&str; 22] = [
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "write",
        "pwrite64",
        "rename",
        "renameat",
        "unlink",
        "unlinkat",
        "rmdir",
        "clone",
        "clone3",
        "vfork",
        "sendto",
        "recvfrom",
        "kill",
        "pidfd_send_signal",
        "flock",
        "waitid",
        "bpf",
        "ftruncate",
    ];
    let mut counts = std::collections::HashMap::new();
    let text = fs::read_to_string(log).expect("the log can be read");
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if name == "execve" || name.contains(' ') {
            continue;
        }
        let nth = counts.entry(name.to_owned()).and_modify(|n| *n += 1).or_insert(1);
        let opens_to_write = name == "openat" && ["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|f| rest.contains(f));
        let matters = MATTER.contains(&name) || opens_to_write;
        found.push(Syscall { name: name.to_owned(), nth: *nth, matters });
    }
    found
}
