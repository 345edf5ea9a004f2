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

#[cfg(test)]
mod tests {
    use super::super::{Filter, Rule, default_rules};
    use super::*;

    /// What the kernel does with a program, as far as ours go; panics on anything that its verifier would refuse.
    fn interpret(program: &[u64], context: [u32; 3]) -> u64 {
        let mut registers = [None::<u64>; 11];
        let mut at = 0;
        for _ in 0..program.len() {
            let [code, regs, o0, o1, i0, i1, i2, i3] = program[at].to_ne_bytes();
            let (dst, src) =
                if cfg!(target_endian = "little") { (regs & 15, regs >> 4) } else { (regs >> 4, regs & 15) };
            let (dst, src) = (usize::from(dst), usize::from(src));
            let offset = i16::from_ne_bytes([o0, o1]);
            let immediate = u32::from_ne_bytes([i0, i1, i2, i3]);
            let low = |registers: &[Option<u64>; 11], r: usize| registers[r].expect("an unset register") as u32;
            at += 1;
            match code {
                code::LOAD => {
                    assert!(src == 1 && offset >= 0 && offset % 4 == 0, "a load from outside the context");
                    registers[dst] = Some(context[offset as usize / 4].into());
                }
                code::MOVE => registers[dst] = Some(immediate.into()),
                code::MOVE_REG => registers[dst] = Some(low(&registers, src).into()),
                code::AND => registers[dst] = Some((low(&registers, dst) & immediate).into()),
                code::SHIFT_RIGHT => registers[dst] = Some((low(&registers, dst) >> immediate).into()),
                code::JUMP_NOT if low(&registers, dst) != immediate => at += usize::try_from(offset).unwrap(),
                code::JUMP_IF if low(&registers, dst) == immediate => at += usize::try_from(offset).unwrap(),
                code::JUMP_NOT | code::JUMP_IF => {}
                code::EXIT => return registers[0].expect("no answer"),
                other => panic!("unknown instruction {other:#x}"),
            }
        }
        panic!("the program does not end");
    }

    /// xorshift64: the tests want variety, the same every time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }

        /// Few different ones, so that rules and requests meet; one that sign extension would spoil among them.
        fn number(&mut self) -> u32 {
            [0, 1, 3, 5, 136, u32::MAX - 1][self.below(6) as usize]
        }

        fn access(&mut self) -> Access {
            let bits = self.below(8);
            [Access::MKNOD, Access::READ, Access::WRITE]
                .into_iter()
                .filter(|bit| u64::from(bit.bits()) & bits != 0)
                .fold(Access::NONE, Access::union)
        }

        fn kind(&mut self) -> Kind {
            if self.below(2) == 0 { Kind::Char } else { Kind::Block }
        }

        fn rule(&mut self) -> Rule {
            Rule {
                allow: self.below(2) == 0,
                kind: if self.below(6) == 0 { Kind::All } else { self.kind() },
                major: (self.below(4) != 0).then(|| self.number()),
                minor: (self.below(4) != 0).then(|| self.number()),
                access: self.access(),
            }
        }
    }

    #[test]
    fn the_program_decides_as_the_filter_does() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut compiled, mut allowed, mut denied) = (0, 0, 0);
        for _ in 0..4000 {
            let rules: Vec<Rule> = (0..random.below(10)).map(|_| random.rule()).collect();
            let defaults = default_rules(|_| false).filter(|_| rules.len() % 2 == 0);
            let Ok(filter) = Filter::new(&rules, defaults) else { continue };
            let program = filter.program();
            compiled += 1;
            for _ in 0..40 {
                let (kind, major, minor, access) = (random.kind(), random.number(), random.number(), random.access());
                let context = [u32::from(access.bits()) << 16 | kernel_type(kind), major, minor];
                let expected = filter.permits(kind, major, minor, access);
                assert_eq!(interpret(&program, context), u64::from(expected), "{rules:?} {context:x?}");
                *if expected { &mut allowed } else { &mut denied } += 1;
            }
        }
        assert!(compiled > 1000 && allowed > 10_000 && denied > 10_000, "{compiled} {allowed} {denied}");
    }

    #[test]
    fn a_default_alone_is_two_instructions() {
        assert_eq!(assemble(true, &[]).len(), 2);
        assert_eq!(interpret(&assemble(false, &[]), [0; 3]), 0);
        assert_eq!(interpret(&assemble(true, &[]), [0; 3]), 1);
    }
}
