//! Experiments that are no batch of like calls: each a program of its own, and what must come of it.

use super::check::{Check, canary};
use super::emit::{self, Asm, Emitted, Place};
use super::kfuncs::Kfunc;
use super::lab::Lab;
use super::oracle::{Seen, hex};
use super::suite::Suite;
use super::{explain, generate};
use crate::bpf::insn::{Alu, Cond, Insn, Reg, Size};
use crate::bpf::{LoadResult, ProgType};
use crate::guest::files;
use crate::judge;
use crate::model::{Observation, Outcome};
use crate::sys::{Sys, SysError};

/// One experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// What the program does to its caller's registers.
    Watched,
    /// The same when it throws.
    WatchedThrow,
    /// The call as the first instruction.
    First,
    /// The call as the last one.
    Last,
    /// Runs until the limit of tail calls.
    TailCalls,
    /// The same out of a function.
    TailCallsFromFunction,
    /// Throws from the main function.
    ThrowFromMain,
    /// Memory on the stack, pointer and size first.
    Memory,
    /// The same as arguments 4 and 5.
    MemoryLate,
    /// The same as arguments 1 and 2, on a private stack.
    MemoryPrivate,
    /// A pointer is acquired, used and released.
    Pointer,
    /// NULL is acquired.
    Null,
}

/// `MAX_TAIL_CALL_CNT` (include/linux/bpf.h), and the first run.
const TAIL_CALL_RUNS: u64 = 33 + 1;
/// What the module answers where it does not know the registers.
const EOPNOTSUPP: i32 = 95;
/// Bytes handed over by reference.
const BYTES: usize = 16;

impl Special {
    /// All of them, the one first that must be known before a fault of that kind corrupts the kernel.
    pub(super) const ALL: [Self; 12] = [
        Self::Watched,
        Self::WatchedThrow,
        Self::First,
        Self::Last,
        Self::TailCalls,
        Self::TailCallsFromFunction,
        Self::ThrowFromMain,
        Self::Memory,
        Self::MemoryLate,
        Self::MemoryPrivate,
        Self::Pointer,
        Self::Null,
    ];

    /// The cells it fills.
    pub(super) fn cells(self) -> &'static [&'static str] {
        match self {
            Self::Watched => &["saved::kernel_registers"],
            Self::WatchedThrow => &["saved::kernel_registers_after_exception"],
            Self::First => &["calls::first_instruction"],
            Self::Last => &["calls::last_instruction"],
            Self::TailCalls => &["tail_calls::limit"],
            Self::TailCallsFromFunction => &["tail_calls::limit_from_subprogram"],
            Self::ThrowFromMain => &["exceptions::from_main"],
            Self::Memory => &["memory::on_stack"],
            Self::MemoryLate => &["memory::late_position"],
            Self::MemoryPrivate => &["memory::on_private_stack"],
            Self::Pointer => &["objects::pointer"],
            Self::Null => &["objects::null"],
        }
    }
}

/// What went wrong, in the words of [`Outcome::WrongValue`].
struct Wrong(String, String, String);

fn differs(what: &str, expected: u64, got: u64) -> Option<Wrong> {
    (expected != got).then(|| Wrong(what.into(), hex(expected), hex(got)))
}

impl Suite {
    pub(super) fn run_special(&mut self, sys: &mut dyn Sys, special: Special) -> Result<(), SysError> {
        let Some(lab) = self.lab.clone() else { return Ok(()) };
        let cell = special.cells()[0];
        if let Some(reason) = self.not_for(special, &lab) {
            self.not_run(cell, &reason);
            return Ok(());
        }
        match special {
            Special::Watched => self.watched(sys, &lab, cell, Place::Main),
            Special::WatchedThrow => self.watched(sys, &lab, cell, Place::Throwing),
            Special::TailCalls => self.tail_calls(sys, &lab, cell, false),
            Special::TailCallsFromFunction => self.tail_calls(sys, &lab, cell, true),
            _ => self.one_program(sys, &lab, cell, special),
        }
    }

    fn not_for(&self, special: Special, lab: &Lab) -> Option<String> {
        let needs_functions = matches!(special, Special::TailCallsFromFunction | Special::WatchedThrow);
        let throws = matches!(special, Special::WatchedThrow | Special::ThrowFromMain);
        if needs_functions && !self.arch.claims.subprograms.holds(self.release) {
            return Some("this JIT has no calls from BPF function to BPF function".into());
        }
        if special == Special::TailCallsFromFunction && !self.arch.claims.subprogram_tail_calls.holds(self.release) {
            return Some("this JIT makes no tail calls out of a function".into());
        }
        if throws && (!self.arch.claims.exceptions.holds(self.release) || lab.env.throw.is_none()) {
            return Some("this JIT does not unwind, so bpf_throw() cannot be called".into());
        }
        None
    }

    fn judge(&mut self, cell: &str, checks: u64, wrong: Option<Wrong>, program: &Emitted, lab: &Lab) {
        match wrong {
            None => self.pass(cell, checks, "program=syscall"),
            Some(Wrong(what, expected, got)) => {
                let mut seen = Observation { load_errno: Some(0), ..Observation::default() };
                explain::listing(&mut seen, program, lab, self.arch.endian);
                self.fail(cell, Outcome::WrongValue { what, expected, got }, seen);
            }
        }
    }

    fn refused(&mut self, cell: &str, errno: i32, log: String, program: &Emitted, lab: &Lab) {
        let mut seen = Observation { load_errno: Some(errno), verifier_log: log, ..Observation::default() };
        explain::listing(&mut seen, program, lab, self.arch.endian);
        self.fail(cell, judge::refusal(errno, &seen.verifier_log.clone()), seen);
    }

    fn not_runnable(&mut self, cell: &str, errno: i32) {
        let seen = Observation { load_errno: Some(0), run_errno: Some(errno), ..Observation::default() };
        let line = format!("the program could not be run (errno {errno})");
        self.fail(cell, Outcome::Rejected { errno, line }, seen);
    }

    fn watched(&mut self, sys: &mut dyn Sys, lab: &Lab, cell: &str, place: Place) -> Result<(), SysError> {
        let mut checks = generate::sample(&lab.kfuncs, generate::REGISTERS, 3, 8);
        if let Some(kfunc) = lab.kfuncs.iter().position(|kfunc| kfunc.name.starts_with("kfc_clobber")) {
            checks.push(Check { kfunc, registers: vec![0x1234_5678_9abc_def0], salt: 5, halves: false });
        }
        let second = if place == Place::Main { Place::Subprogram } else { Place::NotThrowing };
        for place in [place, second] {
            if place.has_functions() && !self.arch.claims.subprograms.holds(self.release) {
                continue;
            }
            let env = emit::Env { deep_stack: true, ..lab.env };
            let program = emit::emit(&checks, &lab.kfuncs, place, &env);
            let fd = match lab.load(sys, &program, ProgType::Syscall)? {
                LoadResult::Loaded(fd) => fd,
                LoadResult::Refused { errno, log } => {
                    self.refused(cell, errno, log, &program, lab);
                    return Ok(());
                }
            };
            let ran = lab.run_watched(sys, fd)?;
            files::close(sys, fd as u64)?;
            match ran {
                Ok(outside) => {
                    let wrong = differs("callee-saved registers that came back changed", 0, outside.clobbered)
                        .or_else(|| differs("bytes by which the stack pointer moved", 0, outside.sp_moved))
                        .or_else(|| {
                            let low = outside.r0 & 0xffff_ffff;
                            differs("what the program returned", u64::from(place.retval()), low)
                        });
                    self.judge(cell, 12, wrong, &program, lab);
                }
                Err(EOPNOTSUPP) => {
                    self.not_run(cell, "the conformance module has no code for this on this architecture");
                }
                Err(errno) => self.not_runnable(cell, errno),
            }
        }
        Ok(())
    }

    fn tail_calls(&mut self, sys: &mut dyn Sys, lab: &Lab, cell: &str, from_function: bool) -> Result<(), SysError> {
        let Some(kfunc) = lab.kfunc("kfc_clobber") else { return Ok(()) };
        let program = emit::emit_counting(from_function, kfunc, &lab.env);
        let fd = match lab.load(sys, &program, ProgType::Syscall)? {
            LoadResult::Loaded(fd) => fd,
            LoadResult::Refused { errno, log } => {
                self.refused(cell, errno, log, &program, lab);
                return Ok(());
            }
        };
        if let Err(errno) = lab.aim_tail_call(sys, fd)? {
            self.refused(cell, errno, "it cannot be put into a map of programs".into(), &program, lab);
            return Ok(());
        }
        let ran = lab.run(sys, fd, ProgType::Syscall, 1, 2 * TAIL_CALL_RUNS as usize + 4)?;
        files::close(sys, fd as u64)?;
        match ran {
            Ok(seen) => {
                let runs = seen.rows.first().copied().unwrap_or(0);
                let calls = seen.records.iter().filter(|record| record.name == kfunc.name).count() as u64;
                let per_run = if from_function { 2 } else { 1 };
                let wrong = differs("runs of the program", TAIL_CALL_RUNS, runs)
                    .or_else(|| differs("calls of the kfunc", per_run * TAIL_CALL_RUNS, calls))
                    .or_else(|| differs("what the program returned", 0, seen.retval.into()));
                self.judge(cell, 3, wrong, &program, lab);
            }
            Err(errno) => self.not_runnable(cell, errno),
        }
        Ok(())
    }

    /// Experiments of one program under `BPF_PROG_TEST_RUN`.
    fn one_program(&mut self, sys: &mut dyn Sys, lab: &Lab, cell: &str, special: Special) -> Result<(), SysError> {
        let Some(program) = program(special, lab) else {
            self.not_run(cell, "the module has no function for it");
            return Ok(());
        };
        // Programs of this type have a private stack when they use enough of it (kernel/bpf/verifier.c
        // `bpf_enable_priv_stack()`, `BPF_PRIV_STACK_MIN_SIZE`) and the JIT has any.
        let prog_type = if special == Special::MemoryPrivate { ProgType::RawTracepoint } else { ProgType::Syscall };
        let fd = match lab.load(sys, &program, prog_type)? {
            LoadResult::Loaded(fd) => fd,
            LoadResult::Refused { errno, log } => {
                self.refused(cell, errno, log, &program, lab);
                return Ok(());
            }
        };
        let ran = lab.run(sys, fd, prog_type, 2, 8)?;
        files::close(sys, fd as u64)?;
        match ran {
            Ok(seen) => {
                let (checks, wrong) = outcome(special, &seen);
                self.judge(cell, checks, wrong, &program, lab);
            }
            Err(errno) => self.not_runnable(cell, errno),
        }
        Ok(())
    }
}

/// The value that [`Special::Last`] returns.
const LAST: u64 = 0x1122_3344_5566_7788;
/// The id that is acquired: even for an object.
const EVEN: u64 = 0x1_0000_0004;
/// Odd: NULL.
const ODD: u64 = 0x1_0000_0005;

fn program(special: Special, lab: &Lab) -> Option<Emitted> {
    let mut asm = Asm::default();
    let call = |kfunc: &Kfunc| Insn::call_kfunc(kfunc.id as i32, kfunc.slot);
    let to_row = |asm: &mut Asm, word: i16, register: Reg| {
        asm.two(Insn::ld_map_value(Reg::R5, lab.env.rows, 0));
        asm.one(Insn::store(Size::Dw, Reg::R5, 8 * word, register));
    };
    match special {
        Special::First => return lab.kfunc("kfc_rec_0").map(emit::emit_first),
        Special::Last => {
            let kfunc = lab.kfunc("kfc_ret_u64")?;
            return Some(emit::emit_last(&Check { kfunc: 0, registers: vec![LAST], salt: 0, halves: false }, kfunc));
        }
        Special::ThrowFromMain => {
            asm.two(Insn::ld_imm64(Reg::R1, canary(1, 1)));
            asm.one(call(lab.kfunc("kfc_clobber")?));
            asm.one(Insn::mov_imm(Reg::R1, emit::COOKIE as i32));
            asm.one(Insn::call_kfunc(lab.env.throw?, 0));
            asm.finish(1);
        }
        Special::Memory | Special::MemoryLate | Special::MemoryPrivate => {
            asm.one(Insn::store_imm(Size::Dw, Reg::R10, -256, 1));
            for word in 0..BYTES / 8 {
                asm.two(Insn::ld_imm64(Reg::R1, canary(2, word as u64)));
                asm.one(Insn::store(Size::Dw, Reg::R10, -32 + 8 * word as i16, Reg::R1));
            }
            let late = special == Special::MemoryLate;
            let (pointer, size) = if late { (Reg::R4, Reg::R5) } else { (Reg::R1, Reg::R2) };
            if late {
                for (register, place) in [Reg::R1, Reg::R2, Reg::R3].into_iter().zip(20..) {
                    asm.two(Insn::ld_imm64(register, canary(2, place)));
                }
            }
            asm.one(Insn::mov(pointer, Reg::R10));
            asm.one(Insn::alu_imm(Alu::Add, pointer, -32));
            asm.one(Insn::mov_imm(size, BYTES as i32));
            asm.one(call(lab.kfunc(if late { "kfc_mem_last" } else { "kfc_mem" })?));
            asm.one(Insn::mov(Reg::R1, Reg::R0));
            to_row(&mut asm, 0, Reg::R1);
            for word in 0..BYTES / 8 {
                asm.one(Insn::load(Size::Dw, Reg::R1, Reg::R10, -32 + 8 * word as i16));
                to_row(&mut asm, 1 + word as i16, Reg::R1);
            }
            asm.finish(0);
        }
        Special::Pointer | Special::Null => {
            let id = if special == Special::Pointer { EVEN } else { ODD };
            asm.two(Insn::ld_imm64(Reg::R1, id));
            asm.two(Insn::ld_imm64(Reg::R0, canary(3, 0)));
            asm.one(call(lab.kfunc("kfc_acquire")?));
            to_row(&mut asm, 0, Reg::R0);
            // Seven instructions are passed over when it is NULL.
            asm.one(Insn::mov(Reg::R6, Reg::R0));
            let (object_id, release) = (lab.kfunc("kfc_object_id")?, lab.kfunc("kfc_release")?);
            let mut there = Asm::default();
            if special == Special::Pointer {
                there.one(Insn::mov(Reg::R1, Reg::R6));
                there.one(call(object_id));
                there.two(Insn::ld_map_value(Reg::R5, lab.env.rows, 0));
                there.one(Insn::store(Size::Dw, Reg::R5, 8, Reg::R0));
            }
            there.one(Insn::mov(Reg::R1, Reg::R6));
            there.one(call(release));
            there.one(Insn::mov_imm(Reg::R0, 1));
            there.one(Insn::exit());
            asm.one(Insn::jump_if_imm(Cond::Eq, Reg::R6, 0, there.insns.len() as i16));
            there.insns.into_iter().for_each(|insn| asm.one(insn));
            asm.finish(0);
        }
        Special::Watched | Special::WatchedThrow | Special::TailCalls | Special::TailCallsFromFunction => return None,
    }
    Some(asm.end())
}

/// How many things were compared, and the first that is wrong.
fn outcome(special: Special, seen: &Seen) -> (u64, Option<Wrong>) {
    let row = |word: usize| seen.rows.get(word).copied().unwrap_or(0);
    let calls = |expected: &[&str]| {
        let names: Vec<&str> = seen.records.iter().map(|record| record.name.as_str()).collect();
        (names != expected).then(|| Wrong("functions called".into(), expected.join(", "), names.join(", ")))
    };
    let retval = |expected: u32| differs("what the program returned", expected.into(), seen.retval.into());
    match special {
        Special::First => (2, calls(&["kfc_rec_0"]).or_else(|| retval(0))),
        Special::Last => (2, calls(&["kfc_ret_u64"]).or_else(|| retval(LAST as u32))),
        Special::ThrowFromMain => (2, calls(&["kfc_clobber"]).or_else(|| retval(emit::COOKIE))),
        Special::Memory | Special::MemoryLate | Special::MemoryPrivate => {
            let words: Vec<u64> = (0..BYTES as u64 / 8).map(|word| canary(2, word)).collect();
            let sum: u64 = words.iter().flat_map(|word| word.to_le_bytes()).map(u64::from).sum();
            let name = if special == Special::MemoryLate { "kfc_mem_last" } else { "kfc_mem" };
            let mut wrong = calls(&[name]).or_else(|| differs("sum of the bytes", sum, row(0)));
            for (index, word) in words.iter().enumerate() {
                wrong = wrong.or_else(|| differs("bytes inverted by the callee", !word, row(1 + index)));
            }
            (4, wrong.or_else(|| retval(0)))
        }
        Special::Pointer => {
            let made = seen.records.first().map_or(0, |record| record.result);
            let arrived =
                |index: usize| seen.records.get(index).and_then(|record| record.args.first().copied()).unwrap_or(0);
            let wrong = calls(&["kfc_acquire", "kfc_object_id", "kfc_release"])
                .or_else(|| differs("pointer in R0", made, row(0)))
                .or_else(|| differs("pointer in the second call", made, arrived(1)))
                .or_else(|| differs("pointer in the third call", made, arrived(2)))
                .or_else(|| differs("id of the object", EVEN, row(1)))
                .or_else(|| retval(1));
            (6, wrong)
        }
        Special::Null => {
            let wrong = differs("NULL in R0", 0, row(0)).or_else(|| calls(&["kfc_acquire"])).or_else(|| retval(0));
            (3, wrong)
        }
        Special::Watched | Special::WatchedThrow | Special::TailCalls | Special::TailCallsFromFunction => {
            (0, Some(Wrong("which experiment this is".into(), "one of a single program".into(), "another".into())))
        }
    }
}
