//! The life of a container: create, start, kill, delete, as runtime.md of the runtime spec has it.
//!
//! [`Runtime`] is a root directory with the state of containers in it; [`Container`] is one of them. A handle holds
//! no secret knowledge: what it says of its container comes from the state directory and from the kernel, so that any
//! number of processes may hold handles of the same container.
//!
//! ```text
//!   create ──► created ──start──► running ──► stopped ──delete──► gone
//!                 └──────kill──────┴────────────▲
//! ```

mod create;
mod delete;
mod hooks;
mod inputs;
mod kill;
mod process;
mod record;
mod spawn;
mod start;
mod status;
mod trace;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

pub use create::CreateOptions;
pub use process::ExitStatus;
pub use status::{State, Status};

use crate::launch::Child;
use crate::state::{Record, StateDir, not_found};
use crate::{Error, ErrorKind, Result};

/// Where the state of containers is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    root: PathBuf,
}

impl Runtime {
    /// A runtime with this root directory, which is made with the first container.
    pub fn new(root: impl Into<PathBuf>) -> Runtime {
        Runtime { root: root.into() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The container of this id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidId`]; a record that cannot be read, which only
    /// [`Runtime::delete`] with force deals with.
    pub fn container(&self, id: &str) -> Result<Container> {
        let dir = StateDir::open(&self.root, id)?;
        match dir.read()? {
            Some(record) => Ok(Container { dir, record, child: None }),
            None => Err(not_found()),
        }
    }

    /// All containers, by id; for each its id, and itself or what is wrong with it.
    ///
    /// # Errors
    /// If the root directory cannot be read. One that does not exist has no containers.
    pub fn list(&self) -> Result<Vec<(String, Result<Container>)>> {
        let mut ids = StateDir::ids(&self.root)?;
        ids.sort_unstable();
        Ok(ids
            .into_iter()
            .map(|id| {
                let container = self.container(&id);
                (id, container)
            })
            .collect())
    }
}

/// A container that has been created. Dropping the handle does nothing to it.
#[derive(Debug)]
pub struct Container {
    dir: StateDir,
    record: Record,
    /// init, if this process has launched it and not reaped it yet.
    child: Option<Child>,
}

impl Container {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Its state as it is now.
    ///
    /// # Errors
    /// If /proc or the state directory cannot be read.
    pub fn state(&self) -> Result<State> {
        status::state(&self.dir, &self.record)
    }

    /// A descriptor that is readable (poll(2)) once the container's init has ended. `None` for a container that was
    /// not created by this process, or for whose end [`Container::wait`] has waited.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(|child| child.pidfd.as_fd())
    }

    /// Waits for the end of the container's init, which is a child of the process that created it, and reaps it.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] if this handle did not create the container, or has waited already.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let Some(child) = &self.child else {
            return Err(Error::new(ErrorKind::WrongStatus, "wait for a process that is not this process's child"));
        };
        let status = process::reap(child.pidfd.as_fd())?;
        self.child = None;
        Ok(status)
    }
}
