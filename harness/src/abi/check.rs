//! One call and what it is meant to show; and the cells that calls are counted in.

use super::ctype::CType;
use super::generate::REGISTERS;
use super::kfuncs::Kfunc;

/// One call of a kfunc with these registers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    /// Index in the list of kfuncs.
    pub kfunc: usize,
    /// What stands in the register (or stack slot) of each argument.
    pub registers: Vec<u64>,
    /// Seed of the values that must survive the call: R6 to R9, stack slots, and what stands in R0 before it.
    pub salt: u64,
    /// The first five arguments are made by 32-bit instructions, of which BPF says that they clear the upper half, in
    /// registers whose upper halves were dirty. Values have 32 bits then.
    pub halves: bool,
}

/// A value to be kept across a call: where, by number. Every one differs in all its bytes, and from check to check.
pub fn canary(salt: u64, place: u64) -> u64 {
    super::rng::mix(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (place + 1))
}

/// Number of R0 among the canaries: what stands there before the call.
pub const POISON: u64 = 0;

impl Check {
    /// What the call must return; `None` where the prototype promises nothing, or where the result is made of arguments that
    /// have dirt above their bits, or had: how those arrive is judged on its own, and a fault is to be counted once.
    pub fn expected_result(&self, kfunc: &Kfunc) -> Option<u64> {
        let is_clean = |(ty, value): (&CType, &u64)| is_clean(ty, *value);
        let clean = !self.halves && kfunc.params.iter().zip(&self.registers).all(is_clean);
        kfunc.expected_result(&self.registers).filter(|_| clean)
    }

    /// What stands in R0 before the call.
    pub fn poison(&self) -> u64 {
        canary(self.salt, POISON)
    }
}

/// Whether a register holds a value the way a compiler leaves it: widened to 64 bits, or to 32 with zeros above, as
/// instructions on 32-bit registers do.
pub fn is_clean(ty: &CType, register: u64) -> bool {
    let widened = ty.widen(register);
    register == widened || (ty.bits <= 32 && register == widened & 0xffff_ffff)
}

/// Name of the cell that an argument counts in: its type, its position from 1, whether there was dirt above it, or whether
/// a 32-bit instruction made it.
pub fn argument_cell(ty: &CType, position: usize, check: &Check) -> String {
    let family = match check.registers.get(position - 1) {
        Some(_) if check.halves && position <= REGISTERS => "zext",
        Some(register) if !is_clean(ty, *register) => "dirty",
        _ => "args",
    };
    format!("{family}::{}_{position}", ty.name)
}

/// Name of the cell that a result counts in.
pub fn result_cell(ty: &CType) -> String {
    format!("returns::{}", ty.name)
}

/// All cells that a check's own arguments and result count in.
pub fn cells(check: &Check, kfunc: &Kfunc) -> Vec<String> {
    let mut cells: Vec<String> = kfunc.params.iter().zip(1..).map(|(ty, at)| argument_cell(ty, at, check)).collect();
    if check.expected_result(kfunc).is_some() {
        cells.extend(kfunc.result.as_ref().map(result_cell));
    }
    cells.dedup();
    cells
}
