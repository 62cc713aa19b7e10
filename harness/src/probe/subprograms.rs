//! Whether one function of a program can call another (bpf-to-bpf calls, which callbacks need too).
//!
//! Cases with several functions are not run where the arch file says that the JIT has no such calls; here the claim is
//! held against what the kernel does, so that it cannot outlive its truth.

use super::{Answer, Context, fact, programs, test_run};
use crate::bpf::insn::{Alu, Insn, Reg};
use crate::bpf::{self, LoadResult, RawProgram};
use crate::guest::files;
use crate::judge::{ENOTSUPP, refusal};
use crate::model::{Observation, Outcome, Standing};
use crate::sys::{Sys, SysError};

/// What the main program keeps across the call, and returns.
const KEPT: u32 = 0x1234_5678;

/// The callee calls a kfunc: an interpreter, which can call functions, cannot take the JIT's place then
/// (kernel/bpf/fixups.c, `bpf_fixup_call_args`, `jit_required`).
pub(super) fn ask(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    if context.kernel.vmlinux.is_none() {
        return Ok(Answer::not_run("no kfunc can be named without BTF", &[]));
    }
    if !context.claims.kfunc_call.holds(context.release) {
        return Ok(Answer::not_run("without kfunc support the verifier refuses for that reason first", &[]));
    }
    let Some((callee, kfunc)) = programs(context.kernel).into_iter().next() else {
        return Ok(Answer::not_run("no kfunc that could be called from here is known in this kernel", &[]));
    };
    let program = RawProgram { name: "probe_subprog".into(), insns: calls(&callee.insns), ..callee };
    let mut seen = Observation::default();
    fact(&mut seen, "kfunc", kfunc);
    match bpf::load_program(sys, &program, 1)? {
        LoadResult::Loaded(fd) => {
            seen.load_errno = Some(0);
            let (errno, retval) = test_run(sys, &program, fd)?;
            seen.run_errno = Some(errno);
            seen.retval = (errno == 0).then_some(retval);
            files::close(sys, u64::from(fd.cast_unsigned()))?;
        }
        LoadResult::Refused { errno, log } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
        }
    }
    Ok(judged(seen, context.claims.subprograms.holds(context.release)))
}

/// `r6 = KEPT; return callee() + r6`, where the callee returns 0.
fn calls(callee: &[Insn]) -> Vec<Insn> {
    let mut insns = vec![
        Insn::mov_imm(Reg::R6, KEPT.cast_signed()),
        // What is left here when the callee's result does not arrive.
        Insn::mov_imm(Reg::R0, 77),
        Insn::call_local(2),
        Insn::alu(Alu::Add, Reg::R0, Reg::R6),
        Insn::exit(),
    ];
    insns.extend_from_slice(callee);
    insns
}

fn judged(mut seen: Observation, promised: bool) -> Answer {
    let outcome = match (seen.load_errno, seen.run_errno, seen.retval) {
        (Some(0), Some(0), Some(KEPT)) => Outcome::Pass,
        (Some(0), Some(0), got) => Outcome::WrongValue {
            what: "return value".into(),
            expected: KEPT.to_string(),
            got: got.map_or_else(|| "nothing".into(), |got| got.to_string()),
        },
        (Some(0), errno, _) => {
            Outcome::Rejected { errno: errno.unwrap_or(0), line: "accepted, but it could not be run".into() }
        }
        (errno, ..) => refusal(errno.unwrap_or(0), &seen.verifier_log),
    };
    let accepted = if seen.load_errno == Some(0) { "yes" } else { "no" };
    fact(&mut seen, "subprograms", accepted);
    // A JIT that gives up says so with ENOTSUPP (kernel/bpf/core.c, `__bpf_prog_select_runtime`), or, where the
    // configuration has an interpreter, the verifier does with EINVAL.
    let gave_up = match &outcome {
        Outcome::Rejected { errno: ENOTSUPP, .. } => true,
        Outcome::Rejected { line, .. } => line.contains("program requires BPF JIT compiler but it is not available"),
        _ => false,
    };
    let standing = match (&outcome, promised) {
        (Outcome::Pass, true) => Standing::Right,
        (_, false) if seen.load_errno != Some(0) && gave_up => {
            Standing::NotApplicable { reason: "this JIT has no calls between the functions of a program".into() }
        }
        _ => Standing::Wrong,
    };
    Answer::new(seen, outcome, standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32, log: &str, promised: bool) -> Standing {
        let seen = Observation { load_errno: Some(errno), verifier_log: log.into(), ..Observation::default() };
        judged(seen, promised).standing
    }

    fn ran(retval: u32, promised: bool) -> Standing {
        let seen =
            Observation { load_errno: Some(0), run_errno: Some(0), retval: Some(retval), ..Observation::default() };
        judged(seen, promised).standing
    }

    #[test]
    fn the_claim_is_held_against_what_happened() {
        assert_eq!(ran(KEPT, true), Standing::Right);
        assert_eq!(ran(KEPT + 77, true), Standing::Wrong);
        // The JIT can do more than the arch file says: the claim is stale.
        assert_eq!(ran(KEPT, false), Standing::Wrong);
        assert!(matches!(refused(ENOTSUPP, "processed 9 insns", false), Standing::NotApplicable { .. }));
        assert_eq!(refused(ENOTSUPP, "processed 9 insns", true), Standing::Wrong);
        // Refused for another reason.
        assert_eq!(refused(22, "R0 !read_ok", false), Standing::Wrong);
        let line = "program requires BPF JIT compiler but it is not available";
        assert!(matches!(refused(22, line, false), Standing::NotApplicable { .. }));
    }

    #[test]
    fn the_call_goes_to_the_first_instruction_of_the_callee() {
        let insns = calls(&[Insn::mov_imm(Reg::R0, 0), Insn::exit()]);
        assert!(insns[2].is_pseudo_call());
        assert_eq!(insns[(3 + insns[2].imm) as usize..], [Insn::mov_imm(Reg::R0, 0), Insn::exit()]);
    }
}
