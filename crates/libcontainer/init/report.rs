//! How init says what happened.

use crate::message::{Kind, Message, Step};
use crate::sys::{self, Errno, Sys};
use crate::wire::Sink;

/// Why an op failed.
pub struct Fail {
    /// Which step of it.
    pub step: Step,
    /// What the kernel said.
    pub errno: Errno,
    /// What the step says it is.
    pub value: u32,
    /// Further words.
    pub detail: &'static [u8],
}

/// What an op answers.
pub type Done<T = ()> = Result<T, Fail>;

/// Ties an errno to the step that met it.
pub trait At<T> {
    /// The failure of this step.
    fn at(self, step: Step) -> Done<T>;
}

impl<T> At<T> for Sys<T> {
    fn at(self, step: Step) -> Done<T> {
        self.map_err(|errno| Fail::new(step, errno))
    }
}

impl Fail {
    /// A failure without further words.
    pub fn new(step: Step, errno: Errno) -> Fail {
        Fail { step, errno, value: 0, detail: &[] }
    }
}

/// Keeps words for a report, cut at [`Message::DETAIL_MAX`]. Without memory for them the report goes without.
pub fn keep(words: &[u8]) -> &'static [u8] {
    let len = words.len().min(Message::DETAIL_MAX);
    let Ok(memory) = sys::map(len) else { return &[] };
    for (to, from) in memory.iter_mut().zip(words) {
        *to = *from;
    }
    memory
}

/// A buffer for one message's fixed front.
struct Front {
    bytes: [u8; Message::SIZE],
    len: usize,
}

impl Sink for Front {
    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *to = *from;
            self.len += 1;
        }
    }
}

/// Where messages go.
#[derive(Clone, Copy)]
pub enum Channel {
    /// The socket, until CREATED.
    Socket(i32),
    /// The `err` FIFO, from then on. Its reader may be gone: nobody is told then, and nothing else goes wrong.
    Fifo(i32),
}

impl Channel {
    /// Sends one message.
    pub fn send(self, kind: Kind, op: u32, fail: Option<&Fail>, value: u32, detail: &[u8]) -> Sys<()> {
        let message = Message {
            kind: kind as u32,
            op,
            step: fail.map_or(0, |f| f.step as u32),
            errno: fail.map_or(0, |f| f.errno.0 as u32),
            value,
            detail: detail.len() as u32,
        };
        let mut front = Front { bytes: [0; Message::SIZE], len: 0 };
        message.encode(&mut front);
        match self {
            Channel::Socket(fd) => {
                sys::send_all(fd, &front.bytes)?;
                sys::send_all(fd, detail)
            }
            Channel::Fifo(fd) => {
                // Both parts are far below PIPE_BUF; SIGPIPE is ignored while init waits for start.
                sys::write(fd, &front.bytes)?;
                if !detail.is_empty() {
                    sys::write(fd, detail)?;
                }
                Ok(())
            }
        }
    }
}
