//! Whether a function with more than five arguments can be called: a program and its BTF, written by hand.

use super::{Answer, Context, fact, judge_infrastructure, test_run};
use crate::arch::{Endian, Release};
use crate::bpf::insn::{Insn, Reg, Size};
use crate::bpf::{self, LoadResult, ProgType, RawProgram};
use crate::guest::files;
use crate::judge::refusal;
use crate::model::{Observation, Outcome, Standing};
use crate::sys::{Batch, Sys, SysError, one_call};

/// The first release whose verifier knows calls with more than five arguments.
const STACK_ARGS_SINCE: Release = Release(7, 2);

/// No stock kernel has a kfunc with more than five arguments; a function of the program itself goes through the same
/// `bpf_jit_supports_stack_args()` (kernel/bpf/btf.c, `btf_prepare_func_args`) and the same code in the JIT.
pub(super) fn ask(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    if context.release < STACK_ARGS_SINCE {
        let reason = format!("before Linux {STACK_ARGS_SINCE} no function has more than five arguments");
        return Ok(Answer::not_run(&reason, &[("stack_args", "no")]));
    }
    let mut seen = Observation::default();
    let endian = sys.target().endian;
    let btf_fd = match load_btf(sys, &six_argument_btf(endian))? {
        Ok(fd) => fd,
        Err(errno) => {
            seen.infrastructure = Some(format!("the program's BTF was refused (errno {errno})"));
            return Ok(Answer::judged(seen.clone(), judge_infrastructure(&seen)));
        }
    };
    let mut program = RawProgram::new("probe_args", ProgType::Syscall, six_argument_call());
    program.btf_fd = Some(btf_fd);
    program.func_info = func_info(endian, &[(0, MAIN_ID), (SUB, SUB_ID)]);
    match bpf::load_program(sys, &program, 1)? {
        LoadResult::Loaded(fd) => {
            seen.load_errno = Some(0);
            let (errno, retval) = test_run(sys, &program, fd)?;
            seen.run_errno = Some(errno);
            seen.retval = Some(retval);
            files::close(sys, u64::from(fd.cast_unsigned()))?;
        }
        LoadResult::Refused { errno, log } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
        }
    }
    files::close(sys, u64::from(btf_fd.cast_unsigned()))?;
    let outcome = match (seen.load_errno, seen.run_errno, seen.retval) {
        (Some(0), Some(0), Some(SIXTH)) => Outcome::Pass,
        (Some(0), Some(0), got) => Outcome::WrongValue {
            what: "sixth argument".into(),
            expected: SIXTH.to_string(),
            got: got.map_or_else(|| "nothing".into(), |got| got.to_string()),
        },
        (Some(0), errno, _) => {
            Outcome::Rejected { errno: errno.unwrap_or(0), line: "accepted, but it could not be run".into() }
        }
        (errno, ..) => refusal(errno.unwrap_or(0), &seen.verifier_log),
    };
    fact(&mut seen, "stack_args", if outcome == Outcome::Pass { "yes" } else { "no" });
    let promised = context.claims.stack_args.holds(context.release);
    let refused = matches!(&outcome, Outcome::Rejected { line, .. } if line.contains("JIT does not support function"));
    let standing = match (&outcome, promised) {
        (Outcome::Pass, true) => Standing::Right,
        (_, false) if refused => {
            Standing::NotApplicable { reason: "this JIT takes five arguments, and says so".into() }
        }
        _ => Standing::Wrong,
    };
    Ok(Answer::new(seen, outcome, standing))
}

/// What the sixth argument is, and what the callee returns.
const SIXTH: u32 = 0x1234_5678;

/// `return sub(1, 2, 3, 4, 5, SIXTH)`, where `sub` returns its sixth argument: passed at `r11 - 8`, received at `r11 + 8`
/// (include/linux/filter.h, `is_stack_arg_st`, `is_stack_arg_ldx`).
fn six_argument_call() -> Vec<Insn> {
    let argument = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
    let mut insns: Vec<Insn> = (1..).zip(argument).map(|(value, register)| Insn::mov_imm(register, value)).collect();
    insns.push(Insn::store_imm(Size::Dw, Reg::R11, -8, SIXTH.cast_signed()));
    insns.push(Insn::call_local(1));
    insns.push(Insn::exit());
    insns.push(Insn::load(Size::Dw, Reg::R0, Reg::R11, 8));
    insns.push(Insn::exit());
    insns
}

/// Instruction at which `sub` begins.
const SUB: u32 = 8;
/// BTF ids of the two functions below.
const MAIN_ID: u32 = 4;
/// See [`MAIN_ID`].
const SUB_ID: u32 = 5;

/// `struct bpf_func_info[]`: where functions begin, and their BTF ids.
pub(super) fn func_info(endian: Endian, functions: &[(u32, u32)]) -> (Vec<u8>, u32) {
    let mut info = Vec::new();
    for word in functions.iter().flat_map(|(at, id)| [*at, *id]) {
        crate::btf::put_u32(endian, &mut info, word);
    }
    (info, functions.len() as u32)
}

/// `long probe_args(long)` and `static long sub(long, long, long, long, long, long)`, in the format of
/// Documentation/bpf/btf.rst.
fn six_argument_btf(endian: Endian) -> Vec<u8> {
    const INT: u32 = 1 << 24;
    const FUNC: u32 = 12 << 24;
    const FUNC_PROTO: u32 = 13 << 24;
    const SIGNED_64: u32 = (1 << 24) | 64;
    let strings = b"\0long\0probe_args\0sub\0a\0";
    let (long, main, sub, a) = (1, 6, 17, 21);
    let mut types = vec![long, INT, 8, SIGNED_64];
    types.extend([0, FUNC_PROTO | 1, 1, a, 1]);
    types.extend([0, FUNC_PROTO | 6, 1]);
    types.extend([a, 1].repeat(6));
    // Static functions: linkage 0. A main program must be global (1).
    types.extend([main, FUNC | 1, 2, sub, FUNC, 3]);
    blob(endian, &types, strings)
}

/// Types and strings with the header in front of them.
pub(super) fn blob(endian: Endian, types: &[u32], strings: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The magic and two single bytes, version and flags, then lengths.
    bytes.extend(match endian {
        Endian::Little => [0x9f, 0xeb, 1, 0],
        Endian::Big => [0xeb, 0x9f, 1, 0],
    });
    let type_len = u32::try_from(types.len() * 4).unwrap_or(0);
    for word in [24, 0, type_len, type_len, strings.len() as u32] {
        crate::btf::put_u32(endian, &mut bytes, word);
    }
    types.iter().for_each(|word| crate::btf::put_u32(endian, &mut bytes, *word));
    bytes.extend(strings);
    bytes
}

/// `BPF_BTF_LOAD`.
pub(super) fn load_btf(sys: &mut dyn Sys, bytes: &[u8]) -> Result<Result<i32, i32>, SysError> {
    const BTF_LOAD: u64 = 18;
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    let at = batch.bytes(bytes);
    let len = u32::try_from(bytes.len()).unwrap_or(0);
    bpf::attr::Attr::new(target.endian, 28).u64(0, at).u32(16, len).call(&mut batch, target.syscalls.bpf, BTF_LOAD);
    let result = one_call(&sys.submit(&batch)?)?;
    Ok(i32::try_from(result).map_err(|_| -1).and_then(|fd| if fd < 0 { Err(-fd) } else { Ok(fd) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_written_btf_is_what_it_claims() {
        for endian in [Endian::Little, Endian::Big] {
            let btf = crate::btf::Btf::parse(&six_argument_btf(endian)).unwrap();
            assert_eq!(btf.func("probe_args"), Some(MAIN_ID));
            assert_eq!(btf.func("sub"), Some(SUB_ID));
            assert_eq!(btf.prototype(SUB_ID).unwrap(), "long sub(long a, long a, long a, long a, long a, long a)");
        }
        let insns = six_argument_call();
        assert!(insns[6].is_pseudo_call() && insns[7] == Insn::exit());
        assert_eq!(6 + 1 + insns[6].imm, SUB.cast_signed());
    }
}
