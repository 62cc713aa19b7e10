//! BPF instructions: encoding and decoding in either byte order, and constructors for programs written by hand.
//!
//! Names and meanings are those of `Documentation/bpf/standardization/instruction-set.rst` and the macros of
//! `include/linux/filter.h`. [`super::disasm`] prints them the way the verifier does.

use crate::arch::Endian;
use crate::btf::{at_u16, at_u32, put_u16, put_u32};

/// Bytes of one instruction. `ld_imm64` takes two.
pub const INSN_BYTES: usize = 8;

/// Classes (low three bits of the code).
#[allow(missing_docs)]
pub mod class {
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// Code of `ld_imm64`: `BPF_LD | BPF_IMM | BPF_DW`.
pub const LD_IMM64: u8 = 0x18;
/// Code of a call: `BPF_JMP | BPF_CALL`.
pub const CALL: u8 = 0x85;
/// Code of `exit`.
pub const EXIT: u8 = 0x95;
/// `src_reg` of `ld_imm64`: the immediate is a map's fd.
pub const PSEUDO_MAP_FD: u8 = 1;
/// `src_reg` of `ld_imm64`: fd of an array map, and an offset in its value.
pub const PSEUDO_MAP_VALUE: u8 = 2;
/// `src_reg` of `ld_imm64`: a BTF id of a kernel variable or function.
pub const PSEUDO_BTF_ID: u8 = 3;
/// `src_reg` of `ld_imm64`: distance to a function of the program, for callbacks.
pub const PSEUDO_FUNC: u8 = 4;
/// `src_reg` of a call: distance to a function of the program.
pub const PSEUDO_CALL: u8 = 1;
/// `src_reg` of a call: BTF id of a kfunc.
pub const PSEUDO_KFUNC_CALL: u8 = 2;

/// A register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    /// `BPF_REG_PARAMS`: base of the outgoing stack arguments (arguments 6 and up), from 7.2 on.
    R11,
}

/// Width of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Size {
    W = 0x00,
    H = 0x08,
    B = 0x10,
    Dw = 0x18,
}

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
    Arsh = 0xc0,
}

/// The condition of a jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Set = 0x40,
    Ne = 0x50,
    Sgt = 0x60,
    Sge = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    Slt = 0xc0,
    Sle = 0xd0,
}

/// One instruction as the kernel has it; registers are raw since objects may hold anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination register, 4 bits.
    pub dst: u8,
    /// Source register, 4 bits.
    pub src: u8,
    /// Offset: jump distance, displacement, or `fd_array` slot of a kfunc.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Insn {
    /// Decodes the eight bytes at `at`.
    pub fn decode(endian: Endian, bytes: &[u8], at: usize) -> Option<Self> {
        let b = bytes.get(at..at.checked_add(INSN_BYTES)?)?;
        // struct bpf_insn has dst and src as bit fields: the first is low on little endian, high on big endian.
        let (dst, src) = match endian {
            Endian::Little => (b[1] & 0xf, b[1] >> 4),
            Endian::Big => (b[1] >> 4, b[1] & 0xf),
        };
        Some(Self { code: b[0], dst, src, off: at_u16(endian, b, 2)? as i16, imm: at_u32(endian, b, 4)? as i32 })
    }

    /// Appends the encoding.
    pub fn encode(&self, endian: Endian, out: &mut Vec<u8>) {
        out.push(self.code);
        out.push(match endian {
            Endian::Little => (self.src << 4) | (self.dst & 0xf),
            Endian::Big => (self.dst << 4) | (self.src & 0xf),
        });
        put_u16(endian, out, self.off as u16);
        put_u32(endian, out, self.imm as u32);
    }

    /// Encodes a program.
    pub fn encode_all(endian: Endian, insns: &[Self]) -> Vec<u8> {
        let mut out = Vec::with_capacity(insns.len() * INSN_BYTES);
        insns.iter().for_each(|insn| insn.encode(endian, &mut out));
        out
    }

    /// The class bits.
    pub fn class(&self) -> u8 {
        self.code & 7
    }

    /// First half of an `ld_imm64`.
    pub fn is_ld_imm64(&self) -> bool {
        self.code == LD_IMM64
    }

    /// A call to a function of the same program.
    pub fn is_pseudo_call(&self) -> bool {
        self.code == CALL && self.src == PSEUDO_CALL
    }

    /// Takes the address of a function of the same program.
    pub fn is_pseudo_func(&self) -> bool {
        self.code == LD_IMM64 && self.src == PSEUDO_FUNC
    }

    const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        Self { code, dst, src, off, imm }
    }

    /// `dst = src` (64 bits).
    pub fn mov(dst: Reg, src: Reg) -> Self {
        Self::alu(Alu::Mov, dst, src)
    }

    /// `dst = imm`, sign-extended to 64 bits.
    pub fn mov_imm(dst: Reg, imm: i32) -> Self {
        Self::alu_imm(Alu::Mov, dst, imm)
    }

    /// `wdst = wsrc`: the upper half becomes zero.
    pub fn mov32(dst: Reg, src: Reg) -> Self {
        Self::new(class::ALU | 0x08 | Alu::Mov as u8, dst as u8, src as u8, 0, 0)
    }

    /// `wdst = imm`: the upper half becomes zero.
    pub fn mov32_imm(dst: Reg, imm: i32) -> Self {
        Self::new(class::ALU | Alu::Mov as u8, dst as u8, 0, 0, imm)
    }

    /// `dst op= src` (64 bits).
    pub fn alu(op: Alu, dst: Reg, src: Reg) -> Self {
        Self::new(class::ALU64 | 0x08 | op as u8, dst as u8, src as u8, 0, 0)
    }

    /// `dst op= imm` (64 bits).
    pub fn alu_imm(op: Alu, dst: Reg, imm: i32) -> Self {
        Self::new(class::ALU64 | op as u8, dst as u8, 0, 0, imm)
    }

    /// `dst = value ll`: two instructions.
    pub fn ld_imm64(dst: Reg, value: u64) -> [Self; 2] {
        Self::ld_imm64_raw(dst, 0, value as u32 as i32, (value >> 32) as u32 as i32)
    }

    /// `dst = &map`.
    pub fn ld_map_fd(dst: Reg, fd: i32) -> [Self; 2] {
        Self::ld_imm64_raw(dst, PSEUDO_MAP_FD, fd, 0)
    }

    /// `dst = &map->value[0] + offset`, of an array with one element.
    pub fn ld_map_value(dst: Reg, fd: i32, offset: u32) -> [Self; 2] {
        Self::ld_imm64_raw(dst, PSEUDO_MAP_VALUE, fd, offset as i32)
    }

    /// `dst = &function` of this program, `distance` instructions after the next one: for callbacks.
    pub fn ld_func(dst: Reg, distance: i32) -> [Self; 2] {
        Self::ld_imm64_raw(dst, PSEUDO_FUNC, distance, 0)
    }

    fn ld_imm64_raw(dst: Reg, src: u8, low: i32, high: i32) -> [Self; 2] {
        [Self::new(LD_IMM64, dst as u8, src, 0, low), Self::new(0, 0, 0, 0, high)]
    }

    /// `dst = *(size *)(src + off)`.
    pub fn load(size: Size, dst: Reg, src: Reg, off: i16) -> Self {
        Self::new(class::LDX | 0x60 | size as u8, dst as u8, src as u8, off, 0)
    }

    /// `*(size *)(dst + off) = src`.
    pub fn store(size: Size, dst: Reg, off: i16, src: Reg) -> Self {
        Self::new(class::STX | 0x60 | size as u8, dst as u8, src as u8, off, 0)
    }

    /// `*(size *)(dst + off) = imm`.
    pub fn store_imm(size: Size, dst: Reg, off: i16, imm: i32) -> Self {
        Self::new(class::ST | 0x60 | size as u8, dst as u8, 0, off, imm)
    }

    /// `if dst cond src goto +off` (64 bits).
    pub fn jump_if(cond: Cond, dst: Reg, src: Reg, off: i16) -> Self {
        Self::new(class::JMP | 0x08 | cond as u8, dst as u8, src as u8, off, 0)
    }

    /// `if dst cond imm goto +off` (64 bits).
    pub fn jump_if_imm(cond: Cond, dst: Reg, imm: i32, off: i16) -> Self {
        Self::new(class::JMP | cond as u8, dst as u8, 0, off, imm)
    }

    /// `goto +off`.
    pub fn jump(off: i16) -> Self {
        Self::new(class::JMP, 0, 0, off, 0)
    }

    /// Call of a helper by its number (`enum bpf_func_id`).
    pub fn call_helper(number: i32) -> Self {
        Self::new(CALL, 0, 0, 0, number)
    }

    /// Call of a kfunc: its BTF id, and 0 for vmlinux or the slot of its module in `fd_array`.
    pub fn call_kfunc(btf_id: i32, slot: i16) -> Self {
        Self::new(CALL, 0, PSEUDO_KFUNC_CALL, slot, btf_id)
    }

    /// Call of a function of this program, `distance` instructions after the next one.
    pub fn call_local(distance: i32) -> Self {
        Self::new(CALL, 0, PSEUDO_CALL, 0, distance)
    }

    /// `exit`.
    pub fn exit() -> Self {
        Self::new(EXIT, 0, 0, 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_as_the_kernel_has_them() {
        // r2 = *(u64 *)(r10 -8): struct bpf_insn, whose register fields swap nibbles on big endian.
        let insn = Insn::load(Size::Dw, Reg::R2, Reg::R10, -8);
        let mut little = Vec::new();
        insn.encode(Endian::Little, &mut little);
        assert_eq!(little, [0x79, 0xa2, 0xf8, 0xff, 0, 0, 0, 0]);
        let mut big = Vec::new();
        insn.encode(Endian::Big, &mut big);
        assert_eq!(big, [0x79, 0x2a, 0xff, 0xf8, 0, 0, 0, 0]);
        for (endian, bytes) in [(Endian::Little, little), (Endian::Big, big)] {
            assert_eq!(Insn::decode(endian, &bytes, 0), Some(insn));
            assert_eq!(Insn::decode(endian, &bytes, 1), None);
        }
    }

    #[test]
    fn wide_immediates_take_two() {
        let [low, high] = Insn::ld_imm64(Reg::R3, 0xdead_beef_8000_0001);
        assert_eq!((low.code, low.dst, low.imm), (LD_IMM64, 3, 0x8000_0001u32 as i32));
        assert_eq!((high.code, high.imm), (0, 0xdead_beefu32 as i32));
    }
}
