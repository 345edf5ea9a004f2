//! The loop: read the plan, do one op after the other, report.

use crate::message::{GO, Kind, Step};
use crate::op::Op;
use crate::report::{At, Channel, Done, Fail};
use crate::sys::consts::*;
use crate::sys::{self, Fd, Sys};
use crate::wire::{Header, Reader, Slot};
use crate::{mounts, nodes, process, program};

/// What the ops share.
pub struct Init {
    /// The socket to the parent; -1 once it has been closed.
    pub socket: i32,
    /// Where messages go.
    pub channel: Channel,
    /// Index of the current op.
    pub index: u32,
    /// Descriptor numbers by slot; -1 for an empty one.
    slots: &'static mut [i32],
    /// First and last descriptor of the parent's table.
    pub table: (i32, i32),
    /// The container's root, once opened.
    pub root: i32,
    /// The null device and the empty directory of the masks hang in the mount tree already.
    pub null_attached: bool,
    /// See `null_attached`.
    pub empty_attached: bool,
    /// What `FindProgram` and `Home` found.
    pub program: program::Found,
    /// Time stamps of the ops begun so far, when the plan asks for them: one more than there are ops.
    stamps: &'static mut [u64],
}

/// Executes the plan that comes over the socket `base`; inputs are at `base + 1` and on.
pub fn run(base: i32) -> ! {
    process::set_name();
    // The masks of whoever called the runtime must not shape what is made in the container; Umask sets the real one.
    sys::umask(0);
    let (mut init, ops) = match receive(base) {
        Ok(received) => received,
        Err(errno) => {
            let fail = Fail::new(Step::Plan, errno);
            let _ = Channel::Socket(base).send(Kind::Failed, 0, Some(&fail), 0, &[]);
            sys::exit(1)
        }
    };
    match init.execute(ops) {
        Ok(never) => match never {},
        Err(fail) => {
            init.send_stamps();
            // Nobody may be listening any more, and there is no one else to tell.
            let _ = init.channel.send(Kind::Failed, init.index, Some(&fail), fail.value, fail.detail);
            sys::exit(1)
        }
    }
}

/// Reads header and records, and lays out slots and stamps behind them in the same memory.
fn receive(base: i32) -> Sys<(Init, Reader<'static>)> {
    let mut front = [0u8; Header::SIZE];
    sys::read_exact(base, &mut front)?;
    let header = Header::decode(&front).ok_or(EINVAL)?;
    let inputs = i32::try_from(header.inputs).map_err(|_| EINVAL)?;
    if header.inputs > header.slots || header.slots > 1 << 20 || header.ops > 1 << 20 {
        return Err(EINVAL);
    }
    let traced = header.flags & Header::TRACE != 0;
    let length = header.length as usize;
    let stamps = if traced { header.ops as usize + 1 } else { 0 };
    let memory = sys::map(length + 16 + stamps * 8 + header.slots as usize * 4)?;
    let (records, rest) = memory.split_at_mut_checked(length).ok_or(EINVAL)?;
    sys::read_exact(base, records)?;
    // SAFETY: any zeroed bytes are valid numbers; align_to_mut keeps to the alignment.
    let (_, words, _) = unsafe { rest.align_to_mut::<u64>() };
    let (stamps, rest) = words.split_at_mut_checked(stamps).ok_or(EINVAL)?;
    // SAFETY: as above.
    let (_, slots, _) = unsafe { rest.align_to_mut::<i32>() };
    let slots = slots.get_mut(..header.slots as usize).ok_or(EINVAL)?;
    for (index, slot) in slots.iter_mut().enumerate() {
        *slot = if index < inputs as usize { base + 1 + index as i32 } else { -1 };
    }
    let init = Init {
        socket: base,
        channel: Channel::Socket(base),
        index: 0,
        slots,
        table: (base, base + inputs),
        root: -1,
        null_attached: false,
        empty_attached: false,
        program: program::Found::new(),
        stamps,
    };
    Ok((init, Reader::new(records)))
}

/// What `execute` answers when it succeeds: it doesn't.
pub enum Never {}

impl Init {
    fn execute(&mut self, mut ops: Reader<'static>) -> Done<Never> {
        loop {
            self.stamp();
            let op = Op::decode(&mut ops).ok_or(EINVAL).at(Step::Plan)?;
            match op {
                Op::Created {} => {
                    self.index += 1;
                    self.stamp();
                    self.send_stamps();
                    self.index -= 1;
                    self.tell(Kind::Created, 0)?;
                    sys::close(self.socket);
                    self.socket = -1;
                }
                Op::Exec { args, env } => return program::execute(self, args, env),
                op => self.step(op)?,
            }
            self.index += 1;
        }
    }

    fn step(&mut self, op: Op<'static>) -> Done {
        match op {
            Op::CloseInherited { keep } => process::close_inherited(self.table, keep),
            Op::ResetSignals {} => sys::process::reset_signals().at(Step::Whole),
            Op::ParentDeath { signal } => sys::process::prctl(PR_SET_PDEATHSIG, signal as usize, 0).at(Step::Whole),
            Op::WriteHost { host, data } => process::write_host(host, data),
            Op::NotDumpable {} => sys::process::prctl(PR_SET_DUMPABLE, 0, 0).at(Step::Whole),
            Op::JoinNamespace { namespace, kind } => {
                let fd = self.take(namespace)?;
                sys::process::join_namespace(fd.raw(), kind).at(Step::Whole)
            }
            Op::Unshare { flags } => sys::process::unshare(flags).at(Step::Whole),
            Op::AwaitIdMaps {} => self.tell(Kind::IdMaps, 0),
            Op::BecomeRoot {} => process::become_root(),
            Op::Clone { flags } => self.continue_in_clone(flags),
            Op::NewSession {} => sys::process::new_session().at(Step::Whole),
            Op::LoopbackUp {} => sys::loopback_up().at(Step::Whole),
            Op::StdioOwner { uid } => process::own_stdio(uid),
            Op::RaiseFileLimit {} => process::raise_file_limit(),
            Op::Propagation { .. }
            | Op::TakeTree { .. }
            | Op::OpenRoot { .. }
            | Op::MountFs { .. }
            | Op::AttachTree { .. }
            | Op::SetMountAttr { .. }
            | Op::Mask { .. }
            | Op::ReadonlyPath { .. }
            | Op::PivotRoot { .. } => mounts::execute(self, op),
            Op::Device { .. } | Op::Symlink { .. } | Op::OpenProc { .. } | Op::Sysctl { .. } => {
                nodes::execute(self, op)
            }
            Op::RuntimeHooks {} => self.tell(Kind::Hooks, 0),
            Op::RunHook { path, args, env, timeout, state, output } => {
                program::run_hook(self, path, args, env, timeout, state, output)
            }
            Op::Hostname { name } => sys::process::set_hostname(name.as_bytes()).at(Step::Whole),
            Op::Domainname { name } => sys::process::set_domainname(name.as_bytes()).at(Step::Whole),
            Op::Rlimit { resource, soft, hard } => sys::process::set_limit(resource, soft, hard).at(Step::Whole),
            Op::Umask { mask } => {
                sys::umask(mask);
                Ok(())
            }
            Op::WorkingDirectory { path } => nodes::change_directory(self, path),
            Op::FindProgram { name, search } => program::find(self, name, search),
            Op::Home { uid } => program::find_home(self, uid),
            Op::BoundingSet { keep } => process::limit_bounding_set(keep),
            Op::SetIds { uid, gid, groups } => process::set_ids(uid, gid, groups),
            Op::Capabilities { effective, permitted, inheritable, ambient } => {
                process::set_capabilities(effective, permitted, inheritable, ambient)
            }
            Op::NoNewPrivileges {} => sys::process::prctl(PR_SET_NO_NEW_PRIVS, 1, 0).at(Step::Whole),
            Op::AwaitStart { go, err } => self.await_start(go, err),
            // The loop has these two.
            Op::Created {} | Op::Exec { .. } => Err(Fail::new(Step::Plan, EINVAL)),
        }
    }

    /// The descriptor in a slot.
    pub fn slot(&self, slot: Slot) -> Done<i32> {
        match self.slots.get(slot.0 as usize) {
            Some(&fd) if fd >= 0 => Ok(fd),
            _ => Err(Fail::new(Step::EmptySlot, EBADF)),
        }
    }

    /// The descriptor in a slot, which is empty afterwards.
    pub fn take(&mut self, slot: Slot) -> Done<Fd> {
        let fd = self.slot(slot)?;
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = -1;
        }
        Ok(Fd::from_raw(fd))
    }

    /// Fills a slot; one that is none lets the descriptor go.
    pub fn fill(&mut self, slot: Slot, fd: Fd) -> Done {
        if slot == Slot::NONE {
            return Ok(());
        }
        let place = self.slots.get_mut(slot.0 as usize).ok_or(EBADF).at(Step::EmptySlot)?;
        *place = fd.into_raw();
        Ok(())
    }

    /// Sends a message and waits for the parent's word to go on. A parent that is gone ends init.
    fn tell(&mut self, kind: Kind, value: u32) -> Done {
        self.channel.send(kind, self.index, None, value, &[]).at(Step::Parent)?;
        let mut answer = [0u8; 1];
        sys::read_exact(self.socket, &mut answer).at(Step::Parent)?;
        if answer == [GO] { Ok(()) } else { Err(Fail::new(Step::Parent, EINVAL)) }
    }

    /// The parent reaps this process and goes on with its sibling; both are its children.
    fn continue_in_clone(&mut self, flags: u64) -> Done {
        match sys::process::fork(flags | CLONE_PARENT, 0).at(Step::Whole)? {
            None => Ok(()),
            Some((pid, _pidfd)) => {
                let sent = self.channel.send(Kind::Forked, self.index, None, pid as u32, &[]);
                sys::exit(if sent.is_ok() { 0 } else { 1 })
            }
        }
    }

    fn await_start(&mut self, go: Slot, err: Slot) -> Done {
        process::ignore_broken_pipes();
        let go = self.slot(go)?;
        self.channel = Channel::Fifo(self.slot(err)?);
        let mut word = [0u8; 1];
        sys::read_exact(go, &mut word).at(Step::Whole)
    }

    fn stamp(&mut self) {
        if let Some(stamp) = self.stamps.get_mut(self.index as usize) {
            *stamp = sys::now();
        }
    }

    fn send_stamps(&mut self) {
        let Channel::Socket(_) = self.channel else { return };
        let count = self.stamps.len().min(self.index as usize + 1);
        let Some(stamps) = self.stamps.get(..count).filter(|s| !s.is_empty()) else { return };
        // SAFETY: numbers may be read as bytes.
        let (_, bytes, _) = unsafe { stamps.align_to::<u8>() };
        // A trace that cannot be sent is no reason to fail: what follows meets the same socket and reports.
        let _ = self.channel.send(Kind::Trace, self.index, None, 0, bytes);
    }
}
