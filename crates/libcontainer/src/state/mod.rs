//! What is remembered about a container between commands: one directory a container, below a root directory.
//!
//! ```text
//! <root>/<id>/            0700; made by mkdir, so that of two creates of one id exactly one succeeds
//!     state.json          the record: first "creating", replaced by "created" once init has reported it
//!     go                  FIFO: init waits on it for `start`'s word
//!     err                 FIFO: init says on it how execve went
//! ```
//!
//! Invariants:
//! - The directory's lock (flock(2)) is held by whoever makes or removes the container. A record that says
//!   "creating" while nobody holds the lock is left over from a runtime that died.
//! - The record is complete or absent: it is written to a file of its own and renamed.
//! - The status is not in it: it is derived from init and the `go` FIFO, so it cannot go stale.
//! - state.json goes last when a container is removed: an interrupted removal can be taken up again.

mod dir;
mod id;
mod record;
mod timestamp;

pub(crate) use dir::{FIFO_ERR, FIFO_GO, StateDir, lock, not_found};
pub(crate) use id::check as check_id;
pub use record::HookRecord;
pub(crate) use record::{HookRecords, LateOp, Phase, Record};
pub use timestamp::now as timestamp_now;

#[cfg(test)]
pub(crate) use record::tests::example as example_record;
