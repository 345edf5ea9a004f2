//! Assembles the eBPF program of a device filter.
//!
//! A program of type BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15) gets a `struct bpf_cgroup_dev_ctx { u32 access_type,
//! major, minor }` and returns 1 to allow. Each exception is a block that jumps to the next one as soon as something
//! does not match:
//!
//! ```text
//!     r2 = type, r3 = access, r4 = major, r5 = minor
//!     if type != T goto next
//!     if access is not in A goto next        (deny by default; left out for rwm)
//!     if access has nothing of A goto next   (allow by default)
//!     if major != M goto next                (left out for *)
//!     if minor != N goto next
//!     return !default
//! next:
//! ```
//!
//! Comparisons are the 32-bit ones (Linux 5.1): a 64-bit one would sign-extend the number it compares with.

use super::filter::Devices;
use super::rule::{Access, Kind};

/// The registers of the program. r1 comes in with the context.
const R0: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Operation codes, in the terms of linux/bpf.h.
pub(super) mod code {
    /// BPF_LDX | BPF_MEM | BPF_W
    pub const LOAD: u8 = 0x61;
    /// BPF_ALU | BPF_MOV | BPF_K
    pub const MOVE: u8 = 0xb4;
    /// BPF_ALU | BPF_MOV | BPF_X
    pub const MOVE_REG: u8 = 0xbc;
    /// BPF_ALU | BPF_AND | BPF_K
    pub const AND: u8 = 0x54;
    /// BPF_ALU | BPF_RSH | BPF_K
    pub const SHIFT_RIGHT: u8 = 0x74;
    /// BPF_JMP32 | BPF_JNE | BPF_K
    pub const JUMP_NOT: u8 = 0x56;
    /// BPF_JMP32 | BPF_JEQ | BPF_K
    pub const JUMP_IF: u8 = 0x16;
    /// BPF_JMP | BPF_EXIT
    pub const EXIT: u8 = 0x95;
}

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
pub(super) fn kernel_type(kind: Kind) -> u32 {
    match kind {
        Kind::Block => 1,
        Kind::Char | Kind::All => 2,
    }
}

/// A `struct bpf_insn` as the word that it is on a little-endian or big-endian machine.
fn instruction(code: u8, dst: u8, src: u8, offset: i16, immediate: u32) -> u64 {
    // The registers are bit fields, whose order follows the byte order.
    let registers = if cfg!(target_endian = "little") { src << 4 | dst } else { dst << 4 | src };
    let [o0, o1] = offset.to_ne_bytes();
    let [i0, i1, i2, i3] = immediate.to_ne_bytes();
    u64::from_ne_bytes([code, registers, o0, o1, i0, i1, i2, i3])
}

/// The program for these exceptions to this default.
pub(super) fn assemble(allow_by_default: bool, exceptions: &[(Devices, Access)]) -> Vec<u64> {
    let mut program = Vec::with_capacity(8 + 8 * exceptions.len());
    if !exceptions.is_empty() {
        program.extend([
            instruction(code::LOAD, TYPE, CONTEXT, 0, 0),
            instruction(code::MOVE_REG, ACCESS, TYPE, 0, 0),
            instruction(code::AND, TYPE, 0, 0, 0xffff),
            instruction(code::SHIFT_RIGHT, ACCESS, 0, 0, 16),
            instruction(code::LOAD, MAJOR, CONTEXT, 4, 0),
            instruction(code::LOAD, MINOR, CONTEXT, 8, 0),
        ]);
    }
    for (devices, access) in exceptions {
        exception(&mut program, allow_by_default, *devices, *access);
    }
    answer(&mut program, allow_by_default);
    program
}

/// How many instructions an answer has.
const ANSWER: i16 = 2;

fn answer(program: &mut Vec<u64>, allow: bool) {
    program.push(instruction(code::MOVE, R0, 0, 0, u32::from(allow)));
    program.push(instruction(code::EXIT, 0, 0, 0, 0));
}

fn exception(program: &mut Vec<u64>, allow_by_default: bool, devices: Devices, access: Access) {
    // (code, register, source, number); a jump leads behind the block, whose length is known at its end.
    let mut block = Vec::with_capacity(6);
    block.push((code::JUMP_NOT, TYPE, 0, kernel_type(devices.kind)));
    if allow_by_default {
        block.push((code::MOVE_REG, SCRATCH, ACCESS, 0));
        block.push((code::AND, SCRATCH, 0, u32::from(access.bits())));
        block.push((code::JUMP_IF, SCRATCH, 0, 0));
    } else if access != Access::ALL {
        block.push((code::MOVE_REG, SCRATCH, ACCESS, 0));
        block.push((code::AND, SCRATCH, 0, !u32::from(access.bits())));
        block.push((code::JUMP_NOT, SCRATCH, 0, 0));
    }
    block.extend(devices.major.map(|major| (code::JUMP_NOT, MAJOR, 0, major)));
    block.extend(devices.minor.map(|minor| (code::JUMP_NOT, MINOR, 0, minor)));
    let mut left = block.len() as i16;
    for (code, register, source, number) in block {
        left -= 1;
        let jumps = matches!(code, code::JUMP_NOT | code::JUMP_IF);
        let offset = if jumps { left + ANSWER } else { 0 };
        program.push(instruction(code, register, source, offset, number));
    }
    answer(program, !allow_by_default);
}
