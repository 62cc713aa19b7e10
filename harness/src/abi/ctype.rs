//! What a C type means for a value that stands in a 64-bit BPF register: the oracle's arithmetic.
//!
//! An argument must reach the callee as `(T)value`, whatever stands above the type's bits; a result counts in the bits of
//! its type. Everything here follows from the prototype alone and is the same on every architecture, but for the size
//! of a pointer.

use crate::arch::WordSize;
use crate::btf::{Btf, INT_BOOL, INT_SIGNED, Kind};

/// How a type's bits are widened to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Widening {
    /// With copies of the top bit.
    Sign,
    /// With zeros.
    Zero,
}

/// A scalar or pointer type of a parameter or result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CType {
    /// Short name: `s8`, `u8`, `bool`, `char`, … `senum`, `uenum`, `ptr`.
    pub name: &'static str,
    /// Bits it has.
    pub bits: u32,
    /// How C widens it.
    pub widening: Widening,
}

/// The types of which every position is tried, in the order of tables.
pub const TYPES: [&str; 13] =
    ["s8", "u8", "bool", "char", "s16", "u16", "s32", "u32", "s64", "u64", "senum", "uenum", "ptr"];

impl CType {
    /// The type behind a BTF id; `None` for `void` and for what cannot stand in a register.
    pub fn of(btf: &Btf, id: u32, word: WordSize) -> Option<Self> {
        let ty = btf.resolve(id)?;
        let of = |name, bits, widening| Some(Self { name, bits, widening });
        match ty.kind {
            Kind::Ptr => of("ptr", word.bytes() as u32 * 8, Widening::Zero),
            Kind::Enum if ty.flag() => of("senum", ty.size() * 8, Widening::Sign),
            Kind::Enum => of("uenum", ty.size() * 8, Widening::Zero),
            Kind::Int if ty.int_encoding() & INT_BOOL != 0 => of("bool", 8, Widening::Zero),
            // `char` is unsigned in the kernel (-funsigned-char); its name is what tells it from `unsigned char`.
            Kind::Int if btf.name(&ty) == "char" => of("char", 8, Widening::Zero),
            Kind::Int => {
                let signed = ty.int_encoding() & INT_SIGNED != 0;
                let name = match (ty.size(), signed) {
                    (1, true) => "s8",
                    (1, false) => "u8",
                    (2, true) => "s16",
                    (2, false) => "u16",
                    (4, true) => "s32",
                    (4, false) => "u32",
                    (8, true) => "s64",
                    (8, false) => "u64",
                    _ => return None,
                };
                of(name, ty.size() * 8, if signed { Widening::Sign } else { Widening::Zero })
            }
            _ => None,
        }
    }

    /// The bits of the type.
    pub fn mask(&self) -> u64 {
        if self.bits >= 64 { u64::MAX } else { (1 << self.bits) - 1 }
    }

    /// `(T)value`, widened to 64 bits as C widens a `T`.
    pub fn widen(&self, value: u64) -> u64 {
        let low = value & self.mask();
        match self.widening {
            Widening::Sign if self.bits < 64 && low >> (self.bits - 1) != 0 => low | !self.mask(),
            _ => low,
        }
    }

    /// Whether a register can hold more than the type has.
    pub fn is_narrow(&self) -> bool {
        self.bits < 64
    }

    /// Values of the type at which implementations differ, widened: zero, one, the largest, the smallest, all ones, and
    /// patterns in which each byte is another one.
    pub fn edges(&self) -> Vec<u64> {
        if self.name == "bool" {
            return vec![0, 1];
        }
        let top = 1u64 << (self.bits - 1);
        let mut values: Vec<u64> =
            [0, 1, top - 1, top, u64::MAX, top + 1, 0x0123_4567_89ab_cd5a, 0xfedc_ba98_7654_32a5, top >> 1, 2]
                .into_iter()
                .map(|value| self.widen(value))
                .collect();
        if self.bits == 64 {
            // Where an extension from 32 bits would show.
            values.extend([0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0xffff_ffff_8000_0000]);
        }
        let mut seen = std::collections::HashSet::new();
        values.retain(|value| seen.insert(*value));
        values
    }

    /// What may stand above the type's bits and must not matter: a register for the value, and which bits are dirty. Empty
    /// for a type that fills the register.
    pub fn dirt(&self) -> Vec<u64> {
        if !self.is_narrow() {
            return Vec::new();
        }
        let above = !self.mask();
        // Ones and a pattern everywhere above; then single bits at the type's edge and at 16, 31, 32 and 63, which an
        // extension from another width would take or leave.
        let mut masks = vec![above, 0xdead_beef_cafe_b0a5 & above, 1 << self.bits];
        for bit in [15, 16, 31, 32, 63] {
            if bit > self.bits {
                masks.push(1 << bit);
            }
        }
        masks.push(0xffff_ffff_0000_0000 & above);
        masks.push(0xffff_0000 & above);
        masks.push(0xff00 & above);
        masks.retain(|mask| *mask != 0);
        let mut seen = std::collections::HashSet::new();
        masks.retain(|mask| seen.insert(*mask));
        masks
    }

    /// What stands above the type's bits of a result, in a word: `zero`, `ones`, `poison` (what stood there before the
    /// call) or `other`. `None` for a type that fills the register.
    pub fn above(&self, result: u64, poison: u64) -> Option<&'static str> {
        if !self.is_narrow() {
            return None;
        }
        let above = result & !self.mask();
        Some(match above {
            0 => "zero",
            _ if above == !self.mask() => "ones",
            _ if above == poison & !self.mask() => "poison",
            _ => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(name: &'static str, bits: u32, widening: Widening) -> CType {
        CType { name, bits, widening }
    }

    #[test]
    fn widened_as_c_does() {
        let s8 = ty("s8", 8, Widening::Sign);
        assert_eq!(s8.widen(0x1_80), 0xffff_ffff_ffff_ff80);
        assert_eq!(s8.widen(0xffff_ff7f), 0x7f);
        assert_eq!(ty("u16", 16, Widening::Zero).widen(u64::MAX), 0xffff);
        assert_eq!(ty("u64", 64, Widening::Zero).widen(u64::MAX), u64::MAX);
        assert_eq!(ty("s64", 64, Widening::Sign).widen(1 << 63), 1 << 63);
    }

    #[test]
    fn dirt_lies_above_the_type_and_nowhere_else() {
        for (bits, widening) in [(8, Widening::Sign), (16, Widening::Zero), (32, Widening::Sign)] {
            let ty = ty("t", bits, widening);
            let dirt = ty.dirt();
            assert!(dirt.len() >= 3);
            assert!(dirt.iter().all(|mask| mask & ty.mask() == 0 && *mask != 0), "{dirt:x?}");
            for (value, mask) in ty.edges().into_iter().zip(dirt.iter().cycle()) {
                assert_eq!(ty.widen(value ^ mask), value);
            }
        }
        assert!(ty("u64", 64, Widening::Zero).dirt().is_empty());
    }

    #[test]
    fn what_stands_above_a_result() {
        let u8 = ty("u8", 8, Widening::Zero);
        assert_eq!(u8.above(0x7f, 0x5500), Some("zero"));
        assert_eq!(u8.above(0xffff_ffff_ffff_ff7f, 0x5500), Some("ones"));
        assert_eq!(u8.above(0x557f, 0x5500), Some("poison"));
        assert_eq!(u8.above(0x17f, 0x5500), Some("other"));
        assert_eq!(ty("u64", 64, Widening::Zero).above(1, 2), None);
    }
}
