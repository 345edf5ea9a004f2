//! bpf(2), as much of it as a device filter needs.
//!
//! The kernel is given what it copies and nothing that it keeps. RLIMIT_MEMLOCK is left alone: since Linux 5.11
//! programs are accounted to the memory cgroup. Needs CAP_SYS_ADMIN, or CAP_BPF with CAP_NET_ADMIN.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::filter::Filter;
use crate::{Error, Result};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_DETACH: u32 = 9;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_PROG_QUERY: u32 = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

/// Programs attached further up are asked as well, and nested cgroups may have their own. Linux 4.15.
const BPF_F_ALLOW_MULTI: u32 = 2;
/// In place of the program given. Linux 5.6.
const BPF_F_REPLACE: u32 = 4;

/// How many programs a cgroup can have: BPF_CGROUP_MAX_PROGS.
const PROGRAMS_MAX: usize = 64;

/// How often a load that a signal has interrupted is tried again, as in libbpf.
const LOAD_TRIES: usize = 5;

/// The part of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// For BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// For BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    /// What follows the last field that a kernel knows must be 0.
    end: u32,
}

/// For BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct GetFd {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Attaches the filter's program to the cgroup. Programs that a cgroup used before has are replaced: a single one at
/// one stroke, so that the cgroup is never without.
pub(super) fn enforce(cgroup: BorrowedFd<'_>, filter: &Filter, is_new: bool) -> Result<()> {
    let failed = |operation| move |errno| Error::system(operation, errno);
    let program = load(&filter.program()).map_err(failed("load the device filter of"))?;
    let old = match is_new {
        true => Vec::new(),
        false => attached(cgroup).map_err(failed("list the device filters of"))?,
    };
    let mut request = Attach {
        target_fd: number(cgroup.as_raw_fd()),
        attach_bpf_fd: number(program.as_raw_fd()),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    if let [only] = &old[..] {
        request.attach_flags |= BPF_F_REPLACE;
        request.replace_bpf_fd = number(only.as_raw_fd());
    }
    call(BPF_PROG_ATTACH, &mut request).map_err(failed("attach the device filter to"))?;
    if old.len() > 1 {
        for old in &old {
            let mut request = Attach { attach_bpf_fd: number(old.as_raw_fd()), attach_flags: 0, ..request };
            call(BPF_PROG_DETACH, &mut request).map_err(failed("detach an old device filter from"))?;
        }
    }
    Ok(())
}

/// Loads a program; the cgroup that it is attached to keeps it alive.
fn load(instructions: &[u64]) -> Result<OwnedFd, Errno> {
    let mut request = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"gantry_devices\0\0",
    };
    let mut tries = LOAD_TRIES;
    loop {
        match call(BPF_PROG_LOAD, &mut request) {
            Err(Errno::EAGAIN) if tries > 0 => tries -= 1,
            // SAFETY: the kernel has just made this descriptor for us.
            answer => return answer.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

/// The device programs attached to the cgroup itself. One that a security module keeps from us stays attached: it can
/// only forbid more.
fn attached(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0_u32; PROGRAMS_MAX];
    let mut query = Query {
        target_fd: number(cgroup.as_raw_fd()),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: PROGRAMS_MAX as u32,
        end: 0,
    };
    call(BPF_PROG_QUERY, &mut query)?;
    let mut programs = Vec::new();
    for id in ids.iter().take(query.prog_cnt as usize) {
        match call(BPF_PROG_GET_FD_BY_ID, &mut GetFd { prog_id: *id, next_id: 0, open_flags: 0 }) {
            // SAFETY: as above.
            Ok(fd) => programs.push(unsafe { OwnedFd::from_raw_fd(fd) }),
            // ENOENT: detached meanwhile.
            Err(Errno::ENOENT | Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(programs)
}

/// A descriptor as bpf_attr has it.
fn number(fd: i32) -> u32 {
    fd as u32
}

fn call<T>(command: u32, request: &mut T) -> Result<i32, Errno> {
    // SAFETY: the request types are prefixes of union bpf_attr without padding. Their size is given, and what they point
    // to (instructions, licence, ids) outlives the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>()) };
    Errno::result(answer).map(|answer| answer as i32)
}
