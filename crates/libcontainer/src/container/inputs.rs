//! Opens what a plan wants to be handed: namespaces, the FIFOs, what hooks inside read and write.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statfs::{FsType, fstatfs};

use super::spawn::Memory;
use crate::plan::op::Op;
use crate::plan::wire::Slot;
use crate::plan::{Input, Plan};
use crate::state::{FIFO_ERR, FIFO_GO, StateDir};
use crate::{Error, ErrorKind, Result};

/// statfs(2): the file system of namespaces' files.
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// What init is handed, and what of it the runtime goes on using.
#[derive(Default)]
pub(super) struct Inputs {
    /// In slot order; `None` stands for one of the two below.
    fds: Vec<Source>,
    /// The state JSON for hooks that run inside.
    pub hook_state: Option<Memory>,
    hook_output: Option<Memory>,
}

enum Source {
    Fd(OwnedFd),
    HookState,
    HookOutput,
}

impl Inputs {
    /// Opens all inputs of `plan`.
    pub fn open(plan: &Plan, dir: &StateDir) -> Result<Inputs> {
        let mut inputs = Inputs::default();
        for (index, input) in plan.inputs().iter().enumerate() {
            let source = match input {
                Input::Namespace { kind, path } => {
                    Source::Fd(namespace(path, *kind).map_err(|error| blame(plan, index, error))?)
                }
                // O_RDWR: with a mere reader, its read would end when `start` closes its writer.
                Input::Go => Source::Fd(fifo(dir, FIFO_GO, OFlag::O_RDWR)?),
                Input::Err => Source::Fd(only_writer(dir)?),
                Input::HookState => {
                    inputs.hook_state = Some(memory()?);
                    Source::HookState
                }
                Input::HookOutput => {
                    inputs.hook_output = Some(memory()?);
                    Source::HookOutput
                }
            };
            inputs.fds.push(source);
        }
        Ok(inputs)
    }

    /// The descriptors in slot order.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().filter_map(|source| self.fd(source)).collect()
    }

    fn fd<'a>(&'a self, source: &'a Source) -> Option<BorrowedFd<'a>> {
        match source {
            Source::Fd(fd) => Some(fd.as_fd()),
            Source::HookState => self.hook_state.as_ref().map(|memory| memory.as_fd()),
            Source::HookOutput => self.hook_output.as_ref().map(|memory| memory.as_fd()),
        }
    }
}

fn memory() -> Result<Memory> {
    Memory::new().map_err(|e| Error::system("make a memfd for hooks", e).field("hooks"))
}

fn fifo(dir: &StateDir, name: &'static str, flags: OFlag) -> Result<OwnedFd> {
    dir.open_fifo(name, flags).map_err(|e| Error::system("open FIFO", e).path(dir.path().join(name)))
}

/// A FIFO can only be opened for writing while it has a reader; the reader goes again at once.
fn only_writer(dir: &StateDir) -> Result<OwnedFd> {
    let _reader = fifo(dir, FIFO_ERR, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    fifo(dir, FIFO_ERR, OFlag::O_WRONLY)
}

/// Opens a namespace's file and makes sure that it is one, and of this kind (`CLONE_NEW*`): setns(2) would find out as
/// well, but only say EINVAL.
fn namespace(path: &Path, kind: u64) -> Result<OwnedFd> {
    nix::ioctl_none!(get_type, 0xb7, 0x3);
    // O_NONBLOCK: should it be a FIFO.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let fd = open(path, flags, Mode::empty()).map_err(|e| Error::system("open namespace", e).path(path))?;
    let wrong = || Error::new(ErrorKind::InvalidConfig, "is not a namespace of this type:").path(path);
    let filesystem = fstatfs(&fd).map_err(|e| Error::system("open namespace", e).path(path))?;
    if filesystem.filesystem_type() != NSFS_MAGIC {
        return Err(wrong());
    }
    // SAFETY: NS_GET_NSTYPE takes no argument, and the descriptor is open.
    match unsafe { get_type(fd.as_raw_fd()) } {
        Ok(found) if u64::try_from(found) == Ok(kind) => Ok(fd),
        Ok(_) | Err(Errno::ENOTTY) => Err(wrong()),
        Err(e) => Err(Error::system("open namespace", e).path(path)),
    }
}

/// Names the field whose op uses the input.
fn blame(plan: &Plan, index: usize, error: Error) -> Error {
    let uses = |op: Op<'_>| matches!(op, Op::JoinNamespace { namespace: Slot(slot), .. } if slot as usize == index);
    match plan.ops().find(|(op, _)| uses(*op)) {
        Some((_, field)) => {
            let error = error.field(field.path.clone());
            match &field.label {
                Some(label) => error.label(label.clone()),
                None => error,
            }
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_namespace_of_the_right_kind_will_do() {
        let network = libc::CLONE_NEWNET as u64;
        assert!(namespace(Path::new("/proc/self/ns/net"), network).is_ok());
        for wrong in ["/proc/self/ns/ipc", "/proc/self/status", "/dev/null", "/"] {
            let error = namespace(Path::new(wrong), network).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{wrong}: {error}");
        }
        let error = namespace(Path::new("/nowhere"), network).expect_err("not there");
        assert_eq!(error.to_string(), "open namespace \"/nowhere\": no such file or directory");
    }
}
