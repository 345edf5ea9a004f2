//! The operations that init knows, one variant each.
//!
//! Compiled into the library (which writes them) and into init (which executes them), so `core` alone is used.
//! An op is a decision already taken: it holds no choice that the config could have settled. What can only be
//! known at run time (descriptors, the console's number, pids) lives in [`Slot`]s.
//!
//! Paths called `dest` or `path` are resolved inside the container's root by
//! `openat2(root, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)`; paths called `host` are resolved in the host's view
//! and may only be used before [`Op::OpenRoot`].

use super::wire::{Bytes, Field, Numbers, Reader, Sink, Slot, Text, TextList};

macro_rules! ops {
    ($( $(#[$doc:meta])* $name:ident = $tag:literal { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } )*) => {
        /// One step of a container's creation. See the module's documentation for what paths mean.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Op<'a> {
            $( $(#[$doc])* $name { $( $(#[$field_doc])* $field: $type ),* } ),*
        }

        impl<'a> Op<'a> {
            /// The op's number on the wire.
            pub fn tag(&self) -> u32 {
                match self { $( Op::$name { .. } => $tag ),* }
            }

            /// The op's name, as in the source.
            pub fn name(&self) -> &'static str {
                match self { $( Op::$name { .. } => stringify!($name) ),* }
            }

            /// Appends the op: its tag, then its fields in order.
            pub fn encode<S: Sink>(&self, sink: &mut S) {
                self.tag().encode(sink);
                match self { $( Op::$name { $( $field ),* } => { $( $field.encode(sink); )* } ),* }
            }

            /// Reads the next op.
            pub fn decode(reader: &mut Reader<'a>) -> Option<Op<'a>> {
                match reader.u32()? {
                    $( $tag => Some(Op::$name { $( $field: <$type as Field>::decode(reader)? ),* }), )*
                    _ => None,
                }
            }
        }
    };
}

/// The attributes of a mount, in the terms of mount_setattr(2) (Linux 5.12).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MountFlags<'a> {
    /// `MOUNT_ATTR_*` to set on the mount itself.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount itself.
    pub clear: u64,
    /// `MOUNT_ATTR_*` to set on the mount and everything below it (the spec's `r*` options).
    pub rec_set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount and everything below it.
    pub rec_clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`, each with or without `MS_REC`, in order.
    pub propagation: Numbers<'a>,
}

impl MountFlags<'_> {
    /// Nothing to change.
    pub const NONE: MountFlags<'static> =
        MountFlags { set: 0, clear: 0, rec_set: 0, rec_clear: 0, propagation: Numbers::new(&[]) };
}

impl<'a> Field<'a> for MountFlags<'a> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        for word in [self.set, self.clear, self.rec_set, self.rec_clear] {
            word.encode(sink);
        }
        self.propagation.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(MountFlags {
            set: reader.u64()?,
            clear: reader.u64()?,
            rec_set: reader.u64()?,
            rec_clear: reader.u64()?,
            propagation: Numbers::decode(reader)?,
        })
    }
}

ops! {
    /// Closes every inherited descriptor but stdio, the parent's slots and `keep` descriptors from 3 on
    /// (--preserve-fds), and marks the slots close-on-exec. close_range(2), Linux 5.11. First of all: CVE-2024-21626.
    CloseInherited = 1 {
        /// How many descriptors from 3 on the container's process inherits.
        keep: u32,
    }

    /// Sets every signal to its default and empties the mask. Rust's runtime ignores SIGPIPE, and both survive execve(2).
    ResetSignals = 2 {}

    /// Asks for `signal` when the parent thread dies. Only for a caller whose thread is its process.
    ParentDeath = 3 {
        /// The signal's number; 0 for none any more.
        signal: u32,
    }

    /// Writes `data` to a host file in one write(2): oom_score_adj, a v1 cgroup's `tasks`.
    WriteHost = 4 {
        /// The file.
        host: Text<'a>,
        /// What to write.
        data: Bytes<'a>,
    }

    /// prctl(PR_SET_DUMPABLE, 0): nobody but the host's root may ptrace init or look into its /proc/PID. CVE-2016-9962.
    NotDumpable = 5 {}

    /// Joins an existing namespace. setns(2).
    JoinNamespace = 6 {
        /// The namespace's file.
        namespace: Slot,
        /// `CLONE_NEW*`: which kind it must be.
        kind: u64,
    }

    /// Makes namespaces of init's own. unshare(2).
    Unshare = 7 {
        /// `CLONE_NEW*` flags.
        flags: u64,
    }

    /// Waits until the parent has written the id maps of the user namespace just made.
    AwaitIdMaps = 8 {}

    /// Becomes the user namespace's root, keeping all capabilities: setresgid(0), setresuid(0), without an exec in between.
    BecomeRoot = 9 {}

    /// Goes on in a new process, sibling of this one (`CLONE_PARENT`), in new namespaces; the parent is told its pid.
    /// Needed where a pid namespace must belong to a user namespace, or where one is joined.
    Clone = 10 {
        /// `CLONE_NEW*` flags; may be 0.
        flags: u64,
    }

    /// Leads a new session. setsid(2).
    NewSession = 11 {}

    /// Sets the propagation of every mount in the new mount namespace, so that nothing made there reaches the host.
    Propagation = 12 {
        /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`, perhaps with `MS_REC`.
        flags: u64,
    }

    /// Takes a copy of a host mount tree, unattached. open_tree(2) with `OPEN_TREE_CLONE`.
    TakeTree = 13 {
        /// Where the tree's descriptor goes.
        tree: Slot,
        /// The source on the host; a link at its end is followed.
        host: Text<'a>,
        /// 1 for the mounts below it too (rbind).
        recursive: u32,
    }

    /// Opens the rootfs as a mount of its own in this mount namespace: the base of every later path.
    OpenRoot = 14 {
        /// Where the root's descriptor goes.
        root: Slot,
        /// The rootfs on the host.
        host: Text<'a>,
    }

    /// Mounts a new file system. fsopen(2), fsconfig(2), fsmount(2), move_mount(2).
    ///
    /// A `proc` or `sysfs` goes onto a directory reached without following any link (CVE-2019-19921, CVE-2023-27561);
    /// anything else may not land on a procfs unless `dest` itself lies below /proc (CVE-2025-52881).
    MountFs = 15 {
        /// Where, in the container; created as a directory if missing.
        dest: Text<'a>,
        /// The file system's type.
        fstype: Text<'a>,
        /// Its `source`; may be empty.
        source: Text<'a>,
        /// `key=value` or `key`: its own options.
        options: TextList<'a>,
        /// The mount's attributes: to set, and propagation. A new mount has nothing to clear, and nothing below it.
        flags: MountFlags<'a>,
        /// Keeps the mount's descriptor for later ops, or [`Slot::NONE`].
        keep: Slot,
        /// 1 to give the new root the permission bits of the directory that it covers, if that was there before
        /// (`mode=` ahead of the options): a tmpfs on /tmp stays 1777.
        inherit_mode: u32,
    }

    /// Attaches a tree taken earlier. The target is created, as a file or directory like the tree's root, if missing;
    /// it may not land on a procfs unless `dest` itself lies below /proc (CVE-2025-52881).
    AttachTree = 16 {
        /// The tree; its slot is closed afterwards.
        tree: Slot,
        /// Where, in the container.
        dest: Text<'a>,
        /// The attributes of the mount.
        flags: MountFlags<'a>,
    }

    /// Changes the attributes of the mount at `dest`: `remount`, or read-only once its content is made.
    SetMountAttr = 17 {
        /// Where, in the container.
        dest: Text<'a>,
        /// What to change.
        flags: MountFlags<'a>,
    }

    /// Makes a device node, FIFO or link-free file; one that exists must be the same device.
    Device = 18 {
        /// Where, in the container.
        path: Text<'a>,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, and permission bits.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    }

    /// Makes a symbolic link; one that exists with the same target will do.
    Symlink = 19 {
        /// Where, in the container.
        path: Text<'a>,
        /// What it says.
        target: Text<'a>,
        /// 1 to take away what is there first (/dev/ptmx).
        replace: u32,
    }

    /// Tells the parent that the mounts stand, and waits while it runs prestart and createRuntime hooks.
    RuntimeHooks = 20 {}

    /// Runs a hook in the container's namespaces and waits for it.
    RunHook = 21 {
        /// The program. Before [`Op::PivotRoot`] a path of the runtime's view, afterwards of the container's.
        path: Text<'a>,
        /// Its arguments, args[0] first.
        args: TextList<'a>,
        /// Its whole environment.
        env: TextList<'a>,
        /// Seconds until it is killed; 0 for no limit.
        timeout: u32,
        /// The state JSON, its standard input.
        state: Slot,
        /// What it writes to stdout and stderr.
        output: Slot,
    }

    /// Makes the root the root, and lets go of the host's mounts: pivot_root(".", "."), umount2(".", MNT_DETACH).
    PivotRoot = 22 {
        /// The root.
        root: Slot,
    }

    /// Opens a procfs of init's own that nothing can be mounted over. CVE-2025-52881, CVE-2019-16884.
    OpenProc = 23 {
        /// Where its descriptor goes.
        proc: Slot,
    }

    /// Writes a kernel parameter below `sys` of a procfs that init itself has mounted.
    Sysctl = 24 {
        /// That procfs.
        proc: Slot,
        /// The path from its root, as in `sys/net/ipv4/ip_forward`.
        path: Text<'a>,
        /// The value.
        value: Text<'a>,
    }

    /// Hides a path: a file under the host's /dev/null, a directory under an empty read-only tmpfs. A missing path is fine.
    /// The null device was taken from the host, never from the image: CVE-2025-31133.
    Mask = 25 {
        /// The path.
        path: Text<'a>,
        /// A tree of the host's /dev/null.
        null: Slot,
        /// The empty directory; made when first needed and shared from then on.
        empty: Slot,
    }

    /// Makes a path read-only by a read-only bind mount of itself. A missing path is fine.
    ReadonlyPath = 26 {
        /// The path.
        path: Text<'a>,
    }

    /// sethostname(2).
    Hostname = 27 {
        /// The name.
        name: Text<'a>,
    }

    /// setdomainname(2).
    Domainname = 28 {
        /// The name.
        name: Text<'a>,
    }

    /// prlimit(2) on init itself.
    Rlimit = 29 {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    }

    /// umask(2).
    Umask = 30 {
        /// The mask.
        mask: u32,
    }

    /// Changes into a directory of the container; it is created if missing.
    WorkingDirectory = 31 {
        /// The directory.
        path: Text<'a>,
    }

    /// Finds the program, by $PATH if its name has no slash; fails here, before CREATED, if there is none.
    FindProgram = 32 {
        /// args[0].
        name: Text<'a>,
        /// The value of $PATH.
        search: Text<'a>,
    }

    /// Sets HOME from the container's /etc/passwd, `/` if it has no such user.
    Home = 33 {
        /// The user.
        uid: u32,
    }

    /// Drops every capability but these from the bounding set. prctl(PR_CAPBSET_DROP).
    BoundingSet = 34 {
        /// Bit n is capability n.
        keep: u64,
    }

    /// Takes on the user's ids, keeping permitted capabilities: setgroups, setresgid, setresuid.
    SetIds = 35 {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Supplementary groups.
        groups: Numbers<'a>,
    }

    /// capset(2), then the ambient set.
    Capabilities = 36 {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
        /// Ambient set; must be in both permitted and inheritable.
        ambient: u64,
    }

    /// prctl(PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges = 37 {}

    /// Reports that the container is created, and waits for the parent's word that it has been recorded.
    Created = 38 {}

    /// Waits for `start`: one byte on the `go` FIFO.
    AwaitStart = 39 {
        /// The FIFO, open for reading and writing.
        go: Slot,
        /// From now on errors are reported here.
        err: Slot,
    }

    /// execve(2) of the program found.
    Exec = 40 {
        /// Arguments, args[0] first.
        args: TextList<'a>,
        /// Environment.
        env: TextList<'a>,
    }

    /// Raises the soft limit of open files to the hard one, for plans that hold many trees at once.
    RaiseFileLimit = 41 {}

    /// Brings the loopback device of a new network namespace up. ioctl(2) `SIOCSIFFLAGS`.
    LoopbackUp = 42 {}

    /// Gives stdin, stdout and stderr to the user, so that /dev/stdout can be opened; not those that are a null device
    /// (which may be the host's) and those that cannot be given away (a read-only file system). fchown(2).
    StdioOwner = 43 {
        /// The user.
        uid: u32,
    }
}
