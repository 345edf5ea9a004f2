//! The parent's end of the sync socket.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use super::interrupted;
use crate::error::{Error, Result};
use crate::plan::message::{GO, Kind, Message, Step};

/// A message from init.
#[derive(Debug)]
pub struct Received {
    /// What it says.
    pub kind: Kind,
    /// The op's index.
    pub op: usize,
    /// The step inside the op.
    pub step: Step,
    /// errno, or 0.
    pub errno: i32,
    /// What kind or step say it is.
    pub value: u32,
    /// Further words.
    pub detail: Vec<u8>,
}

impl Received {
    /// The stamps of a trace.
    pub fn stamps(&self) -> Vec<u64> {
        self.detail.chunks_exact(8).filter_map(|b| Some(u64::from_ne_bytes(b.try_into().ok()?))).collect()
    }
}

/// Our end; reads nothing after init's last word.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// What is still to be sent of the plan.
    pending: Vec<u8>,
}

impl Socket {
    /// Takes over the socket.
    pub fn new(fd: OwnedFd) -> Self {
        Socket { fd, pending: Vec::new() }
    }

    /// Sends as much as fits without waiting.
    pub fn offer(&mut self, mut bytes: Vec<u8>) -> Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let sent = match send(self.fd.as_raw_fd(), &bytes, flags) {
            Err(Errno::EAGAIN) => 0,
            result => result.map_err(|e| Error::system("send the plan to init", e))?,
        };
        bytes.drain(..sent);
        self.pending = bytes;
        Ok(())
    }

    /// Sends the rest. An init that is gone is not an error here: its last message, or its absence, says more.
    pub fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            match send(self.fd.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
                Err(errno) => return Err(Error::system("send the plan to init", errno)),
            }
        }
        Ok(())
    }

    /// Lets init go on.
    pub fn go(&mut self) -> Result<()> {
        match send(self.fd.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Error::system("answer init", errno)),
        }
    }

    /// The next message; `None` when init has closed the socket. What `interrupt` says comes first.
    pub fn receive(&mut self, interrupt: Option<BorrowedFd<'_>>) -> Result<Option<Received>> {
        if let Some(interrupt) = interrupt {
            self.wait_or_interrupt(interrupt)?;
        }
        let mut front = [0; Message::SIZE];
        if !self.fill(&mut front)? {
            return Ok(None);
        }
        let broken = || Error::system("understand init", Errno::EPROTO);
        let message = Message::decode(&front).ok_or_else(broken)?;
        let mut detail = vec![0; message.detail as usize];
        if !self.fill(&mut detail)? {
            return Ok(None);
        }
        Ok(Some(Received {
            kind: Kind::from_code(message.kind).ok_or_else(broken)?,
            op: message.op as usize,
            step: Step::from_code(message.step).ok_or_else(broken)?,
            errno: message.errno as i32,
            value: message.value,
            detail,
        }))
    }

    fn wait_or_interrupt(&self, interrupt: BorrowedFd<'_>) -> Result<()> {
        let mut fds = [interrupt, self.fd.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) if fds[0].any() == Some(true) => return Err(interrupted()),
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::system("wait for init", errno)),
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match recv(self.fd.as_raw_fd(), &mut buffer[filled..], MsgFlags::MSG_WAITALL) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(false),
                Ok(count) => filled += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::system("hear from init", errno)),
            }
        }
        Ok(true)
    }
}
