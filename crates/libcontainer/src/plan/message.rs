//! What init and its parent say to each other over the sync socket, and what init writes to the `err` FIFO.
//!
//! Compiled into both, like the ops.

use super::wire::{Field, Reader, Sink};

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $code:literal $text:literal ),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_doc])* $variant = $code ),* }

        impl $name {
            /// The value with this number.
            pub fn from_code(code: u32) -> Option<Self> {
                match code { $( $code => Some($name::$variant), )* _ => None }
            }

            /// What it means, in words that fit into an error line.
            pub fn text(self) -> &'static str {
                match self { $( $name::$variant => $text ),* }
            }
        }
    };
}

codes! {
    /// What a message from init says.
    Kind {
        /// An op failed; init exits.
        Failed = 1 "failed",
        /// A user namespace was made: write the id maps, then answer.
        IdMaps = 2 "waits for id maps",
        /// init goes on as the process whose pid is `value`.
        Forked = 3 "forked",
        /// The mounts stand: run the runtime's hooks, then answer.
        Hooks = 4 "waits for hooks",
        /// Everything is done; record it, then answer.
        Created = 5 "created",
        /// `detail` holds the time stamps of the ops so far: u64 nanoseconds of CLOCK_MONOTONIC each.
        Trace = 6 "trace",
        /// The program is about to be executed (`err` FIFO only).
        Exec = 7 "executes",
    }
}

codes! {
    /// The step inside an op that failed, for ops that have several.
    Step {
        /// The op as a whole.
        Whole = 0 "",
        /// The plan could not be read.
        Plan = 1 "read the plan",
        /// The mount target was opened.
        Target = 2 "open the mount target",
        /// The mount target was made.
        MakeTarget = 3 "create the mount target",
        /// fsopen.
        FsOpen = 4 "open the file system",
        /// fsconfig: `value` is the option's index; `detail` is what the kernel says.
        FsOption = 5 "set option",
        /// fsconfig(CMD_CREATE).
        FsCreate = 6 "create the file system",
        /// fsmount.
        FsMount = 7 "make the mount",
        /// mount_setattr.
        Attributes = 8 "set mount attributes",
        /// mount_setattr with a propagation.
        Propagation = 9 "set propagation",
        /// move_mount.
        Attach = 10 "attach",
        /// open_tree.
        Clone = 11 "clone the mount",
        /// mknodat.
        MakeNode = 12 "create the node",
        /// What was found is not what was asked for.
        Verify = 13 "verify what is there",
        /// fchownat.
        Owner = 14 "set the owner",
        /// fchmodat.
        Mode = 15 "set the mode",
        /// open.
        Open = 16 "open",
        /// write.
        Write = 17 "write",
        /// The hook ended with a status other than 0: `value` is the wait status.
        HookStatus = 18 "hook failed",
        /// The hook took too long.
        HookTimeout = 19 "hook timed out",
        /// execve of a hook.
        HookExec = 20 "execute the hook",
        /// The parent went away.
        Parent = 21 "wait for the parent",
        /// setgroups.
        Groups = 22 "set supplementary groups",
        /// setresgid.
        Gid = 23 "set the group id",
        /// setresuid.
        Uid = 24 "set the user id",
        /// capset.
        CapSet = 25 "set capabilities",
        /// PR_CAP_AMBIENT.
        Ambient = 26 "set ambient capabilities",
        /// Nothing on $PATH bears the name.
        NotFound = 27 "look up in $PATH",
        /// The program was found, but it is a directory or not executable.
        NotExecutable = 28 "check the program",
        /// `detail` names the ELF loader or shebang interpreter that is missing.
        Interpreter = 29 "find the interpreter",
        /// A slot was read that nothing had filled: a fault of the compiler.
        EmptySlot = 30 "use an empty slot",
        /// pivot_root.
        Pivot = 31 "pivot_root",
        /// umount2 of the old root.
        DetachOld = 32 "detach the old root",
    }
}

/// One message from init: a fixed front, then `detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// [`Kind`].
    pub kind: u32,
    /// The op's index in the plan.
    pub op: u32,
    /// [`Step`].
    pub step: u32,
    /// The errno, or 0.
    pub errno: u32,
    /// What the kind or step says it is.
    pub value: u32,
    /// Bytes that follow.
    pub detail: u32,
}

impl Message {
    /// Encoded size in bytes, without the detail.
    pub const SIZE: usize = 24;
    /// The longest detail besides a trace's, in bytes.
    pub const DETAIL_MAX: usize = 256;

    /// Appends the message.
    pub fn encode<S: Sink>(&self, sink: &mut S) {
        for word in [self.kind, self.op, self.step, self.errno, self.value, self.detail] {
            word.encode(sink);
        }
    }

    /// Reads the fixed front.
    pub fn decode(bytes: &[u8]) -> Option<Message> {
        let mut reader = Reader::new(bytes);
        Some(Message {
            kind: reader.u32()?,
            op: reader.u32()?,
            step: reader.u32()?,
            errno: reader.u32()?,
            value: reader.u32()?,
            detail: reader.u32()?,
        })
    }
}

/// The parent's answer: go on.
pub const GO: u8 = b'g';
