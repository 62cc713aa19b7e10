//! Capabilities whose absence nobody is told of: the verifier does something else instead. What it did is read from the
//! program as it left it (`BPF_OBJ_GET_INFO_BY_FD`).

use super::held::Found;
use super::kptr;
use super::tools::{self, MapOf, Refused};
use super::{Context, programs};
use crate::arch::Release;
use crate::bpf::insn::{Alu, CALL, Cond, Insn, PSEUDO_KFUNC_CALL, Reg, Size};
use crate::bpf::{ProgType, RawProgram};
use crate::model::Observation;
use crate::sys::{Sys, SysError};

/// Said when `BPF_OBJ_GET_INFO_BY_FD` gives no instructions.
pub(super) const NOT_GIVEN_AWAY: &str = "the kernel does not give away the program as the verifier left it";

/// Loads a program, runs it and has a look at what the verifier made of it.
pub(super) fn look(
    sys: &mut dyn Sys,
    program: &RawProgram,
    due: u32,
    seen: &mut Observation,
    refused: &Refused<'_>,
    judge: impl FnOnce(&[Insn]) -> Found,
) -> Result<Found, SysError> {
    let Some(fd) = tools::load(sys, program, seen)? else { return Ok(refused.what(seen)) };
    let ran = tools::run(sys, program, fd, due, seen)?;
    let insns = tools::translated(sys, fd)?;
    tools::close(sys, fd)?;
    Ok(match (ran, insns) {
        (Found::There, Some(insns)) => judge(&insns),
        (Found::There, None) => Found::Hidden(NOT_GIVEN_AWAY.into()),
        (wrong, _) => wrong,
    })
}

/// `bpf_jit_supports_far_kfunc_call()`: a JIT that has it finds the callee by its BTF id, which then stays in the call; for
/// another the id is replaced by a distance (kernel/bpf/verifier.c, `bpf_fixup_kfunc_call`).
pub(super) fn far_kfunc_call(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    if let Some(why) = super::no_kfunc_calls(context) {
        return Ok(Found::Hidden(why.into()));
    }
    let Some((program, _)) = programs(context.kernel).into_iter().next() else {
        return Ok(Found::Hidden("no kfunc that could be called from here is known in this kernel".into()));
    };
    let Some(call) = program.insns.iter().find(|insn| is_kfunc_call(insn)).copied() else {
        return Ok(Found::Hidden("the program calls no kfunc".into()));
    };
    look(sys, &program, 0, seen, &Refused::default(), |insns| far_or_near(insns, call.imm))
}

fn is_kfunc_call(insn: &Insn) -> bool {
    insn.code == CALL && insn.src == PSEUDO_KFUNC_CALL
}

fn far_or_near(insns: &[Insn], id: i32) -> Found {
    match insns.iter().find(|insn| is_kfunc_call(insn)).map(|insn| insn.imm) {
        Some(imm) if imm == id => Found::There,
        // All immediates of calls are cleared for those who may not see addresses.
        Some(0) => Found::Hidden(NOT_GIVEN_AWAY.into()),
        Some(_) => Found::Absent("the call has a distance in it, not the kfunc's number".into()),
        None => Found::Hidden("the verifier left no call in the program".into()),
    }
}

/// `BPF_MAP_TYPE_PERCPU_ARRAY`.
const PERCPU_ARRAY: u32 = 6;
/// `bpf_map_lookup_elem()`.
const MAP_LOOKUP_ELEM: i32 = 1;

/// `bpf_jit_supports_percpu_insn()`: with it, looking up a per-CPU array becomes an address calculation
/// (kernel/bpf/arraymap.c, `percpu_array_map_gen_lookup`); without it stays a call.
pub(super) fn percpu_insn(sys: &mut dyn Sys, seen: &mut Observation) -> Result<Found, SysError> {
    let map = match (MapOf { kind: PERCPU_ARRAY, key: 4, value: 8, ..MapOf::default() }).create(sys)? {
        Ok(map) => map,
        Err(errno) => return Ok(no_map(seen, errno)),
    };
    let mut insns = lookup(map);
    insns.extend([
        Insn::jump_if_imm(Cond::Ne, Reg::R0, 0, 2),
        Insn::mov_imm(Reg::R0, 77),
        Insn::exit(),
        Insn::store_imm(Size::Dw, Reg::R0, 0, 42),
        Insn::load(Size::Dw, Reg::R0, Reg::R0, 0),
        Insn::exit(),
    ]);
    let program = RawProgram::new("probe_percpu", ProgType::SchedCls, insns);
    let found = look(sys, &program, 42, seen, &Refused::default(), per_cpu_or_call)?;
    tools::close(sys, map)?;
    Ok(found)
}

/// `r0 = bpf_map_lookup_elem(map, &(int){0})`.
pub(super) fn lookup(map: i32) -> Vec<Insn> {
    let mut insns = vec![Insn::store_imm(Size::W, Reg::R10, -4, 0)];
    insns.extend(Insn::ld_map_fd(Reg::R1, map));
    insns.extend([
        Insn::mov(Reg::R2, Reg::R10),
        Insn::alu_imm(Alu::Add, Reg::R2, -4),
        Insn::call_helper(MAP_LOOKUP_ELEM),
    ]);
    insns
}

/// A map without which nothing can be asked was refused.
pub(super) fn no_map(seen: &mut Observation, errno: i32) -> Found {
    seen.load_errno = Some(errno);
    seen.setup = Some("the kernel refused the map".into());
    Found::Else(crate::judge::without_expectation(seen))
}

fn per_cpu_or_call(insns: &[Insn]) -> Found {
    /// `BPF_ADDR_PERCPU`: `dst = src + this CPU's offset` (include/linux/filter.h, `BPF_MOV64_PERCPU_REG`).
    const ADDR_PERCPU: i16 = -1;
    let mov = Insn::mov(Reg::R0, Reg::R0).code;
    if insns.iter().any(|insn| insn.code == mov && insn.off == ADDR_PERCPU) {
        Found::There
    } else if insns.iter().any(|insn| insn.code == CALL) {
        Found::Absent("looking up a per-CPU array stays a call of the helper".into())
    } else {
        Found::Hidden("the lookup is neither a call nor made with the instruction".into())
    }
}

/// The first release that knows `may_goto` (011832b97b31).
const MAY_GOTO_SINCE: Release = Release(6, 9);

/// `bpf_jit_supports_timed_may_goto()`: a loop that may end is cut off by the clock, looked at every 65535 rounds; without
/// it after 8 Mi rounds (kernel/bpf/fixups.c). Which number the verifier starts to count from is in the program.
pub(super) fn timed_may_goto(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    let insns = vec![
        Insn::mov_imm(Reg::R6, 0),
        may_goto(3),
        Insn::alu_imm(Alu::Add, Reg::R6, 1),
        Insn::jump_if_imm(Cond::Gt, Reg::R6, 9, 1),
        Insn::jump(-4),
        Insn::mov(Reg::R0, Reg::R6),
        Insn::exit(),
    ];
    let program = RawProgram::new("probe_may_goto", ProgType::SchedCls, insns);
    let refused = Refused { due: &[], too_old: context.release < MAY_GOTO_SINCE };
    look(sys, &program, 10, seen, &refused, timed_or_counted)
}

/// `may_goto +off`: `BPF_JMP | BPF_JCOND`, source 0.
fn may_goto(off: i16) -> Insn {
    Insn { code: 0xe5, off, ..Insn::default() }
}

fn timed_or_counted(insns: &[Insn]) -> Found {
    /// `BPF_MAX_TIMED_LOOPS`.
    const TIMED: i32 = 0xffff;
    /// `BPF_MAX_LOOPS`.
    const COUNTED: i32 = 8 << 20;
    let store = Insn::store_imm(Size::Dw, Reg::R10, 0, 0);
    let starts_at = |number: i32| insns.iter().any(|i| i.code == store.code && i.dst == store.dst && i.imm == number);
    match (starts_at(TIMED), starts_at(COUNTED)) {
        (true, false) => Found::There,
        (false, true) => Found::Absent(format!("may_goto counts down from {COUNTED} and has no clock")),
        _ => Found::Hidden("what may_goto counts from is not in the program".into()),
    }
}

/// The first release that swaps kptrs inline anywhere (7c05e7f3e74e).
const PTR_XCHG_SINCE: Release = Release(6, 9);

/// `bpf_jit_supports_ptr_xchg()`: `bpf_kptr_xchg()` becomes an exchange; without it stays a call.
pub(super) fn ptr_xchg(sys: &mut dyn Sys, context: &Context<'_>, seen: &mut Observation) -> Result<Found, SysError> {
    if context.release < PTR_XCHG_SINCE {
        return Ok(Found::Hidden(format!("before Linux {PTR_XCHG_SINCE} the helper is called everywhere")));
    }
    // What is taken out of the map has to be given back, by a kfunc.
    if let Some(why) = super::no_kfunc_calls(context) {
        return Ok(Found::Hidden(why.into()));
    }
    let Some(release) = context.kernel.func("bpf_task_release").filter(|symbol| symbol.module.is_none()) else {
        return Ok(Found::Hidden("this kernel has no bpf_task_release()".into()));
    };
    let map = match kptr::map(sys)? {
        Ok(map) => map,
        Err(errno) => return Ok(no_map(seen, errno)),
    };
    let program = RawProgram::new("probe_kptr", ProgType::SchedCls, kptr::swap(map, release.id.cast_signed()));
    let found = look(sys, &program, 42, seen, &Refused::default(), exchange_or_call)?;
    tools::close(sys, map)?;
    Ok(found)
}

fn exchange_or_call(insns: &[Insn]) -> Found {
    /// `BPF_STX | BPF_ATOMIC | BPF_DW` and, as immediate, `BPF_XCHG`.
    const EXCHANGE: (u8, i32) = (0xdb, 0xe1);
    if insns.iter().any(|insn| (insn.code, insn.imm) == EXCHANGE) {
        Found::There
    } else {
        Found::Absent("bpf_kptr_xchg() stays a call of the helper".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_call_keeps_the_number() {
        let call = |imm| [Insn::call_kfunc(imm, 0), Insn::exit()];
        assert_eq!(far_or_near(&call(1234), 1234), Found::There);
        assert!(matches!(far_or_near(&call(-5_000_000), 1234), Found::Absent(_)));
        assert!(matches!(far_or_near(&call(0), 1234), Found::Hidden(_)));
        assert!(matches!(far_or_near(&[Insn::call_helper(1234)], 1234), Found::Hidden(_)));
    }

    #[test]
    fn what_the_verifier_wrote_tells() {
        let per_cpu = Insn { off: -1, ..Insn::mov(Reg::R0, Reg::R0) };
        assert_eq!(per_cpu_or_call(&[per_cpu]), Found::There);
        assert!(matches!(per_cpu_or_call(&[Insn::mov(Reg::R2, Reg::R10), Insn::call_helper(99)]), Found::Absent(_)));
        let start = |imm| Insn::store_imm(Size::Dw, Reg::R10, -16, imm);
        assert_eq!(timed_or_counted(&[start(0xffff), start(0)]), Found::There);
        assert!(matches!(timed_or_counted(&[start(8 << 20)]), Found::Absent(_)));
        assert!(matches!(timed_or_counted(&[start(1)]), Found::Hidden(_)));
        let exchange = Insn { code: 0xdb, dst: 1, src: 0, off: 0, imm: 0xe1 };
        assert_eq!(exchange_or_call(&[exchange]), Found::There);
        let add = Insn { imm: 0, ..exchange };
        assert!(matches!(exchange_or_call(&[add, Insn::call_helper(194)]), Found::Absent(_)));
    }
}
