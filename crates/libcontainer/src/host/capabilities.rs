//! The capabilities that the runtime itself may hand on.

use nix::errno::Errno;

use crate::{Error, Result};

/// The bounding set of the calling thread, and the set of all capabilities that the kernel knows; bit n is
/// capability n.
///
/// prctl(PR_CAPBSET_READ) answers EINVAL for the first number that the kernel does not know, so that one loop of
/// some forty short calls finds both. Measured at 5 µs; reading /proc/self/status and cap_last_cap
/// takes 15.
pub(super) fn bounding() -> Result<(u64, u64)> {
    let mut bounding = 0;
    let mut known = 0;
    for capability in 0..u64::BITS {
        // SAFETY: PR_CAPBSET_READ takes a number and touches no memory.
        let answer = unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) };
        match Errno::result(answer) {
            Ok(held) => {
                known |= 1 << capability;
                bounding |= u64::from(held != 0) << capability;
            }
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(Error::system("read the capability bounding set", errno)),
        }
    }
    Ok((bounding, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_proc() {
        let (bounding, known) = bounding().unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("CapBnd:\t")).unwrap();
        assert_eq!(bounding, u64::from_str_radix(line, 16).unwrap());
        let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        assert_eq!(known, u64::MAX >> (63 - last));
    }
}
