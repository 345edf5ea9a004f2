//! Ops about the process itself: descriptors, ids, capabilities, limits.

use crate::message::Step;
use crate::report::{At, Done};
use crate::sys::consts::*;
use crate::sys::{self, process};
use crate::wire::{Bytes, Numbers, Text};

/// The name in `ps`, instead of the descriptor's number.
pub fn set_name() {
    process::set_name(c"gantry-init");
}

/// Closes everything but stdio, the parent's table and the descriptors that are handed through.
pub fn close_inherited((first, last): (i32, i32), keep: u32) -> Done {
    let (first, last) = (first as u32, last as u32);
    let begin = keep.checked_add(3).filter(|b| *b <= first).ok_or(EINVAL).at(Step::Whole)?;
    sys::close_range(begin, first - 1, 0).at(Step::Whole)?;
    sys::close_range(last + 1, u32::MAX, 0).at(Step::Whole)?;
    sys::close_range(first, last, CLOSE_RANGE_CLOEXEC).at(Step::Whole)
}

/// One write into a file of the host.
pub fn write_host(host: Text<'_>, data: Bytes<'_>) -> Done {
    let path = host.as_cstr().ok_or(EINVAL).at(Step::Plan)?;
    let file = sys::openat(AT_FDCWD, path, O_WRONLY, 0).at(Step::Open)?;
    sys::write(file.raw(), data.0).at(Step::Write).map(|_| ())
}

/// Root of the user namespace just entered; its capabilities stay, because no exec happens.
pub fn become_root() -> Done {
    process::set_gid(0).at(Step::Gid)?;
    process::set_uid(0).at(Step::Uid)
}

/// The container gets the limit that its config names, later; until then init may need many descriptors.
pub fn raise_file_limit() -> Done {
    let (_, hard) = process::limit(RLIMIT_NOFILE).at(Step::Whole)?;
    process::set_limit(RLIMIT_NOFILE, hard, hard).at(Step::Whole)
}

/// Drops what is not kept, up to the last capability that the kernel knows.
pub fn limit_bounding_set(keep: u64) -> Done {
    for capability in (0..64).filter(|c| keep & (1 << c) == 0) {
        match process::prctl(PR_CAPBSET_DROP, capability, 0) {
            // Past the last one.
            Err(EINVAL) => break,
            result => result.at(Step::Whole)?,
        }
    }
    Ok(())
}

/// Groups first, user last: each step needs what the next gives up. Permitted capabilities stay for `Capabilities`.
pub fn set_ids(uid: u32, gid: u32, groups: Numbers<'_>) -> Done {
    process::prctl(PR_SET_KEEPCAPS, 1, 0).at(Step::Whole)?;
    let ids = sys::map(groups.len() * 4).at(Step::Groups)?;
    // SAFETY: any bytes are valid numbers, and a mapping is aligned.
    let (_, ids, _) = unsafe { ids.align_to_mut::<u32>() };
    for (to, from) in ids.iter_mut().zip(groups.iter()) {
        *to = from;
    }
    process::set_groups(ids).at(Step::Groups)?;
    process::set_gid(gid).at(Step::Gid)?;
    process::set_uid(uid).at(Step::Uid)
}

/// Lets the user open /dev/stdout and its like, which takes owning what is behind it. The null device and its like
/// stay: they may be the host's own inodes, whose owner could change their mode for everybody. What cannot be given
/// away still works through the descriptor.
pub fn own_stdio(uid: u32) -> Done {
    for fd in 0..3 {
        let stat = match sys::stat_fd(fd) {
            // Not even open: there is nothing to give.
            Err(EBADF) => continue,
            result => result.at(Step::Verify)?,
        };
        let memory = stat.kind() == S_IFCHR && stat.major == 1;
        if memory || stat.uid == uid {
            continue;
        }
        match sys::chown_fd(fd, uid, u32::MAX) {
            Ok(()) | Err(EPERM | EROFS | EINVAL) => {}
            Err(errno) => return Err(errno).at(Step::Owner),
        }
    }
    Ok(())
}

/// The three sets at once, then the ambient set, which the kernel confines to permitted and inheritable (R6).
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Done {
    process::set_capabilities(effective, permitted, inheritable).at(Step::CapSet)?;
    process::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0).at(Step::Ambient)?;
    for capability in (0..64).filter(|c| ambient & (1 << c) != 0) {
        process::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability).at(Step::Ambient)?;
    }
    Ok(())
}

/// While init waits for `start`, a reader of `err` may come and go. `execute` undoes it.
pub fn ignore_broken_pipes() {
    process::set_broken_pipes(true);
}
