//! From calls to BPF instructions. Pure: the same calls give the same bytes.
//!
//! Around each call everything that must survive it is put in place with `ld_imm64` (R6 to R9, two stack slots, and
//! poison in R0), and afterwards stored to a map as it is found. The program compares nothing: the verifier knows the
//! constants and would decide comparisons itself, so judging is the host's.

use super::check::{Check, canary};
use super::kfuncs::Kfunc;
use crate::bpf::insn::{Alu, Cond, Insn, Reg, Size};

/// Words a call leaves in the map: R0, R6 to R9, the two stack slots, and a mark that it was come to.
pub const ROW: usize = 8;
/// What stands in each word of a row but the first and last, and the canary's number.
pub const KEPT: [(usize, &str, u64); 6] = [
    (1, "r6", 6),
    (2, "r7", 7),
    (3, "r8", 8),
    (4, "r9", 9),
    (5, "the stack near the frame pointer", 10),
    (6, "the far end of the stack", 11),
];
/// Index of the mark in a row.
pub const MARK: usize = 7;
/// Salt of the canaries that the main function keeps across the calls of its functions.
pub const OUTER_SALT: u64 = 0x006f_7574_6572;

/// `BPF_FUNC_tail_call`, `BPF_FUNC_loop` (include/uapi/linux/bpf.h).
const TAIL_CALL: i32 = 12;
/// See [`TAIL_CALL`].
const LOOP: i32 = 181;
/// How often the calls of a loop are made.
pub const ROUNDS: usize = 3;
/// Instructions between the program's start and the first call where the distance is the point. Even one-byte
/// instructions put it beyond short jumps, and riscv64's conditional branches reach 4 KiB.
const DISTANCE: usize = 3000;
/// What a program returns that throws, and one that does not.
pub const COOKIE: u32 = 0x7e57;
/// Distance of the near slot from the frame pointer.
const NEAR: i16 = -16;

/// Where in a program the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In the main function.
    Main,
    /// In a function that it calls.
    Subprogram,
    /// In a function called by a function.
    Nested,
    /// In a callback of `bpf_loop()`.
    Callback,
    /// In a loop.
    Loop,
    /// In a program that was reached by a tail call.
    TailCalled,
    /// In a program that is reached by a tail call out of a function.
    TailCalledFromSubprogram,
    /// Thousands of instructions after the program's start.
    Far,
    /// In a function that throws an exception afterwards.
    Throwing,
    /// In a function that could throw one and does not.
    NotThrowing,
    /// Each call between two calls of kfuncs of vmlinux.
    Escorted,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Main,
        Self::Subprogram,
        Self::Nested,
        Self::Callback,
        Self::Loop,
        Self::TailCalled,
        Self::TailCalledFromSubprogram,
        Self::Far,
        Self::Throwing,
        Self::NotThrowing,
        Self::Escorted,
    ];

    /// For names of cells.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Subprogram => "subprogram",
            Self::Nested => "nested_subprogram",
            Self::Callback => "callback",
            Self::Loop => "loop",
            Self::TailCalled => "after_tail_call",
            Self::TailCalledFromSubprogram => "after_tail_call_from_subprogram",
            Self::Far => "far_from_start",
            Self::Throwing => "before_exception",
            Self::NotThrowing => "without_exception",
            Self::Escorted => "between_vmlinux_kfuncs",
        }
    }

    /// Whether the program consists of several functions.
    pub fn has_functions(self) -> bool {
        matches!(
            self,
            Self::Subprogram
                | Self::Nested
                | Self::Callback
                | Self::TailCalledFromSubprogram
                | Self::Throwing
                | Self::NotThrowing
        )
    }

    /// Whether the program calls `bpf_throw()`, be it never come to.
    pub fn may_throw(self) -> bool {
        matches!(self, Self::Throwing | Self::NotThrowing)
    }

    /// How often each call is made.
    pub fn repeats(self) -> usize {
        if matches!(self, Self::Loop | Self::Callback) { ROUNDS } else { 1 }
    }

    /// What the program returns.
    pub fn retval(self) -> u32 {
        if self == Self::Throwing { COOKIE } else { 0 }
    }

    /// Whether a row of what the main function kept follows those of the calls.
    pub fn has_outer_row(self) -> bool {
        matches!(self, Self::Subprogram | Self::Nested | Self::Callback)
    }
}

/// What a program needs of the kernel: ids and fds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Env {
    /// fd of the array map with the rows.
    pub rows: i32,
    /// fd of the map of programs for tail calls.
    pub programs: i32,
    /// BTF ids of `bpf_rcu_read_lock()` and `bpf_rcu_read_unlock()`.
    pub escort: Option<(i32, i32)>,
    /// BTF id of `bpf_throw()`.
    pub throw: Option<i32>,
    /// Whether stack slots may be as far from the frame pointer as they go.
    pub deep_stack: bool,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Instructions.
    pub insns: Vec<Insn>,
    /// Where its functions begin, the main one first.
    pub starts: Vec<usize>,
}

/// A program that makes these calls.
pub fn emit(checks: &[Check], kfuncs: &[Kfunc], place: Place, env: &Env) -> Emitted {
    let mut asm = Asm::default();
    let body = |asm: &mut Asm, own_frame: bool| {
        let far = far_slot(env.deep_stack && own_frame && place == Place::Main);
        for (row, check) in checks.iter().enumerate() {
            if let (Place::Escorted, Some((lock, _))) = (place, env.escort) {
                asm.one(Insn::call_kfunc(lock, 0));
            }
            call(asm, check, &kfuncs[check.kfunc], row, far, env);
            if let (Place::Escorted, Some((_, unlock))) = (place, env.escort) {
                asm.one(Insn::call_kfunc(unlock, 0));
            }
        }
    };
    match place {
        Place::Main | Place::TailCalled | Place::TailCalledFromSubprogram | Place::Escorted => {
            body(&mut asm, true);
            asm.finish(0);
        }
        Place::Far => {
            // Not folded away: the verifier removes only what cannot be reached.
            asm.one(Insn::mov_imm(Reg::R3, 1));
            (0..DISTANCE).for_each(|n| asm.one(Insn::alu_imm(Alu::Add, Reg::R3, n as i32 + 0x10_0000)));
            body(&mut asm, true);
            asm.finish(0);
        }
        Place::Loop => {
            asm.one(Insn::store_imm(Size::Dw, Reg::R10, -8, ROUNDS as i32));
            let top = asm.insns.len();
            body(&mut asm, true);
            asm.one(Insn::load(Size::Dw, Reg::R1, Reg::R10, -8));
            asm.one(Insn::alu_imm(Alu::Sub, Reg::R1, 1));
            asm.one(Insn::store(Size::Dw, Reg::R10, -8, Reg::R1));
            let back = top as i64 - (asm.insns.len() as i64 + 1);
            asm.one(Insn::jump_if_imm(Cond::Ne, Reg::R1, 0, back as i16));
            asm.finish(0);
        }
        Place::Subprogram | Place::Nested | Place::Callback | Place::Throwing | Place::NotThrowing => {
            if place.has_outer_row() {
                keep(&mut asm, OUTER_SALT, far_slot(false));
            }
            if place == Place::Callback {
                asm.one(Insn::mov_imm(Reg::R1, ROUNDS as i32));
                let at = asm.insns.len();
                asm.two(Insn::ld_func(Reg::R2, 0));
                asm.one(Insn::mov_imm(Reg::R3, 0));
                asm.one(Insn::mov_imm(Reg::R4, 0));
                asm.one(Insn::call_helper(LOOP));
                asm.patch_later(at);
            } else {
                let at = asm.insns.len();
                asm.one(Insn::call_local(0));
                asm.patch_later(at);
            }
            if place.has_outer_row() {
                found(&mut asm, checks.len(), OUTER_SALT, far_slot(false), false, env);
            }
            asm.finish(0);
            if place == Place::Nested {
                asm.begin_function();
                let at = asm.insns.len();
                asm.one(Insn::call_local(0));
                asm.finish(0);
                asm.patch_later(at);
            }
            asm.begin_function();
            body(&mut asm, false);
            if place == Place::NotThrowing {
                // A word that is 0, which the verifier does not know: passes over the two instructions below.
                asm.two(Insn::ld_map_value(Reg::R1, env.rows, ((checks.len() + 1) * ROW * 8 - 8) as u32));
                asm.one(Insn::load(Size::Dw, Reg::R1, Reg::R1, 0));
                asm.one(Insn::jump_if_imm(Cond::Eq, Reg::R1, 0, 2));
            }
            if let (true, Some(throw)) = (place.may_throw(), env.throw) {
                asm.one(Insn::mov_imm(Reg::R1, COOKIE as i32));
                asm.one(Insn::call_kfunc(throw, 0));
            }
            asm.finish(0);
        }
    }
    asm.end()
}

/// The program from which a tail call is made, in its main function or out of another.
pub fn emit_tail_call(from_function: bool, before: Option<&Kfunc>, env: &Env) -> Emitted {
    let mut asm = Asm::default();
    let jump = |asm: &mut Asm| {
        if let Some(kfunc) = before {
            asm.one(Insn::mov(Reg::R6, Reg::R1));
            asm.two(Insn::ld_imm64(Reg::R1, canary(OUTER_SALT, 1)));
            asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
            asm.one(Insn::mov(Reg::R1, Reg::R6));
        }
        asm.two(Insn::ld_map_fd(Reg::R2, env.programs));
        asm.one(Insn::mov_imm(Reg::R3, 0));
        asm.one(Insn::call_helper(TAIL_CALL));
        // Only a failed tail call comes here.
        asm.finish(COOKIE as i32);
    };
    if from_function {
        let at = asm.insns.len();
        asm.one(Insn::call_local(0));
        asm.one(Insn::exit());
        asm.patch_later(at);
        asm.begin_function();
    }
    jump(&mut asm);
    asm.end()
}

/// A program that counts its runs in the first row, calls a kfunc and then itself, by a tail call, until the kernel says no.
/// `from_function`: the main function calls the kfunc as well, and then a function that does all this.
pub fn emit_counting(from_function: bool, kfunc: &Kfunc, env: &Env) -> Emitted {
    let mut asm = Asm::default();
    let body = |asm: &mut Asm| {
        asm.one(Insn::mov(Reg::R6, Reg::R1));
        asm.two(Insn::ld_map_value(Reg::R1, env.rows, 0));
        asm.one(Insn::load(Size::Dw, Reg::R2, Reg::R1, 0));
        asm.one(Insn::alu_imm(Alu::Add, Reg::R2, 1));
        asm.one(Insn::store(Size::Dw, Reg::R1, 0, Reg::R2));
        asm.two(Insn::ld_imm64(Reg::R1, canary(OUTER_SALT, 2)));
        asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
        asm.one(Insn::mov(Reg::R1, Reg::R6));
        asm.two(Insn::ld_map_fd(Reg::R2, env.programs));
        asm.one(Insn::mov_imm(Reg::R3, 0));
        asm.one(Insn::call_helper(TAIL_CALL));
        asm.finish(0);
    };
    if from_function {
        // What the JIT keeps for tail calls must survive this call, too, and reach the function.
        asm.one(Insn::mov(Reg::R6, Reg::R1));
        asm.two(Insn::ld_imm64(Reg::R1, canary(OUTER_SALT, 3)));
        asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
        asm.one(Insn::mov(Reg::R1, Reg::R6));
        let at = asm.insns.len();
        asm.one(Insn::call_local(0));
        asm.finish(0);
        asm.patch_later(at);
        asm.begin_function();
    }
    body(&mut asm);
    asm.end()
}

/// The call and nothing else; its result, if that is the point, goes to the first word of the first row.
pub fn emit_bare(check: &Check, kfunc: &Kfunc, with_result: bool, env: &Env) -> Emitted {
    let mut asm = Asm::default();
    arguments(&mut asm, check);
    asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
    if with_result {
        asm.two(Insn::ld_map_value(Reg::R1, env.rows, 0));
        asm.one(Insn::store(Size::Dw, Reg::R1, 0, Reg::R0));
    }
    asm.finish(0);
    asm.end()
}

/// A program whose very first instruction is the call.
pub fn emit_first(kfunc: &Kfunc) -> Emitted {
    let mut asm = Asm::default();
    asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
    asm.finish(0);
    asm.end()
}

/// A program that ends with the call: the result is what it returns.
pub fn emit_last(check: &Check, kfunc: &Kfunc) -> Emitted {
    let mut asm = Asm::default();
    arguments(&mut asm, check);
    asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
    asm.one(Insn::exit());
    asm.end()
}

/// Distance of the other slot.
fn far_slot(deep: bool) -> i16 {
    if deep { -512 } else { -120 }
}

/// Puts canaries where they must survive.
pub fn keep(asm: &mut Asm, salt: u64, far: i16) {
    for (register, (_, _, place)) in [Reg::R6, Reg::R7, Reg::R8, Reg::R9].into_iter().zip(KEPT) {
        asm.two(Insn::ld_imm64(register, canary(salt, place)));
    }
    for (slot, (_, _, place)) in [NEAR, far].into_iter().zip(&KEPT[4..]) {
        asm.two(Insn::ld_imm64(Reg::R0, canary(salt, *place)));
        asm.one(Insn::store(Size::Dw, Reg::R10, slot, Reg::R0));
    }
}

/// Stores to a row what is found afterwards.
pub fn found(asm: &mut Asm, row: usize, salt: u64, far: i16, has_result: bool, env: &Env) {
    asm.two(Insn::ld_map_value(Reg::R1, env.rows, (row * ROW * 8) as u32));
    if has_result {
        asm.one(Insn::store(Size::Dw, Reg::R1, 0, Reg::R0));
    }
    for (register, (word, _, _)) in [Reg::R6, Reg::R7, Reg::R8, Reg::R9].into_iter().zip(KEPT) {
        asm.one(Insn::store(Size::Dw, Reg::R1, 8 * word as i16, register));
    }
    for (slot, (word, _, _)) in [NEAR, far].into_iter().zip(&KEPT[4..]) {
        asm.one(Insn::load(Size::Dw, Reg::R2, Reg::R10, slot));
        asm.one(Insn::store(Size::Dw, Reg::R1, 8 * *word as i16, Reg::R2));
    }
    asm.two(Insn::ld_imm64(Reg::R2, mark(salt)));
    asm.one(Insn::store(Size::Dw, Reg::R1, 8 * MARK as i16, Reg::R2));
}

/// What the last word of a row holds when the call was come back from.
pub fn mark(salt: u64) -> u64 {
    canary(salt, 12)
}

fn call(asm: &mut Asm, check: &Check, kfunc: &Kfunc, row: usize, far: i16, env: &Env) {
    keep(asm, check.salt, far);
    arguments(asm, check);
    asm.two(Insn::ld_imm64(Reg::R0, check.poison()));
    asm.one(Insn::call_kfunc(kfunc.id as i32, kfunc.slot));
    found(asm, row, check.salt, far, kfunc.result.is_some(), env);
}

/// Loads arguments: five registers, and the rest below R11 (include/linux/filter.h, `BPF_REG_PARAMS`). Each in one of the ways
/// that compilers know for its value.
pub fn arguments(asm: &mut Asm, check: &Check) {
    let registers = &check.registers;
    for (index, value) in registers.iter().skip(5).enumerate() {
        let slot = -8 * (index as i16 + 1);
        match i32::try_from(value.cast_signed()) {
            Ok(short) if index % 2 == 0 => asm.one(Insn::store_imm(Size::Dw, Reg::R11, slot, short)),
            _ => {
                asm.two(Insn::ld_imm64(Reg::R0, *value));
                asm.one(Insn::store(Size::Dw, Reg::R11, slot, Reg::R0));
            }
        }
    }
    for (index, (register, value)) in
        [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5].into_iter().zip(registers).enumerate()
    {
        match i32::try_from(value.cast_signed()) {
            _ if check.halves => {
                let dirt = canary(check.salt, 20 + index as u64) << 32;
                asm.two(Insn::ld_imm64(register, dirt | value & 0xffff_ffff));
                asm.one(Insn::mov32(register, register));
            }
            Ok(short) if index % 2 == 1 => asm.one(Insn::mov_imm(register, short)),
            _ => asm.two(Insn::ld_imm64(register, *value)),
        }
    }
}

/// Instructions being put together.
#[derive(Debug, Default)]
pub struct Asm {
    /// So far.
    pub insns: Vec<Insn>,
    starts: Vec<usize>,
    /// Calls of the function that begins next.
    pending: Vec<usize>,
}

impl Asm {
    /// Adds an instruction.
    pub fn one(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    /// Adds one that takes two places.
    pub fn two(&mut self, insns: [Insn; 2]) {
        self.insns.extend(insns);
    }

    /// `return value`.
    pub fn finish(&mut self, value: i32) {
        self.one(Insn::mov_imm(Reg::R0, value));
        self.one(Insn::exit());
    }

    /// The instruction at this index refers to the function that begins next.
    fn patch_later(&mut self, at: usize) {
        self.pending.push(at);
    }

    fn begin_function(&mut self) {
        let start = self.insns.len();
        for at in self.pending.drain(..) {
            // Distances count from the next instruction, also those of the two-place `ld_imm64`
            // (kernel/bpf/verifier.c: `i + insn->imm + 1`).
            self.insns[at].imm = (start as i64 - at as i64 - 1) as i32;
        }
        self.starts.push(start);
    }

    /// The program.
    pub fn end(mut self) -> Emitted {
        self.starts.insert(0, 0);
        Emitted { insns: self.insns, starts: self.starts }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ctype::{CType, Widening};
    use super::super::kfuncs::Role;
    use super::*;
    use crate::arch::Endian;

    fn kfunc(params: usize) -> Kfunc {
        let u32 = CType { name: "u32", bits: 32, widening: Widening::Zero };
        Kfunc {
            name: "kfc_mix_u32".into(),
            id: 4711,
            slot: 1,
            role: Role::Mixes,
            params: vec![u32.clone(); params],
            result: Some(u32),
            prototype: String::new(),
        }
    }

    fn check(params: usize) -> Check {
        Check { kfunc: 0, registers: vec![7; params], salt: 99, halves: false }
    }

    #[test]
    fn functions_are_called_where_they_begin() {
        let env = Env { throw: Some(1), ..Env::default() };
        for place in Place::ALL.into_iter().filter(|place| place.has_functions()) {
            let program = if place == Place::TailCalledFromSubprogram {
                emit_tail_call(true, None, &env)
            } else {
                emit(&[check(2)], &[kfunc(2)], place, &env)
            };
            assert!(program.starts.len() > 1);
            let mut targets: Vec<usize> = Vec::new();
            for (at, insn) in program.insns.iter().enumerate() {
                if insn.is_pseudo_call() || insn.is_pseudo_func() {
                    targets.push((at as i64 + 1 + i64::from(insn.imm)) as usize);
                }
            }
            assert_eq!(targets, program.starts[1..], "{place:?}");
            assert_eq!(program.insns.last(), Some(&Insn::exit()));
        }
    }

    #[test]
    fn the_sixth_argument_goes_below_r11() {
        let program = emit(&[check(7)], &[kfunc(7)], Place::Main, &Env::default());
        let stores: Vec<i16> = program.insns.iter().filter(|i| i.dst == 11).map(|i| i.off).collect();
        assert_eq!(stores, [-8, -16]);
        let codes: Vec<u8> = program.insns.iter().filter(|i| i.dst == 11).map(|i| i.code).collect();
        assert_eq!(codes, [0x7a, 0x7b], "an immediate and a register");
        let call = program.insns.iter().position(|i| i.code == 0x85).unwrap();
        let poison = canary(99, super::super::check::POISON);
        assert_eq!(program.insns[call - 2].imm, poison as u32 as i32);
    }

    #[test]
    fn the_same_calls_give_the_same_bytes() {
        let bytes = || {
            let program = emit(&[check(3), check(3)], &[kfunc(3)], Place::Loop, &Env::default());
            Insn::encode_all(Endian::Little, &program.insns)
        };
        assert_eq!(bytes(), bytes());
    }
}
