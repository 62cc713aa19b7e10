//! Programs of several functions: tail calls out of one, and stacks that are too much for one.

use super::held::Found;
use super::stack_args::{blob, func_info, load_btf};
use super::tools::{self, EACCES, EINVAL, MapOf, Refused};
use crate::arch::Endian;
use crate::bpf::insn::{Alu, Insn, Reg, Size};
use crate::bpf::{ProgType, RawProgram};
use crate::model::{Observation, Outcome};
use crate::sys::{Sys, SysError};

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;
/// `bpf_tail_call()`.
const TAIL_CALL: i32 = 12;

/// `bpf_jit_supports_subprog_tailcalls()`. A tail call in a function replaces that function: what is jumped to returns to
/// the function's caller.
pub(super) fn tail_calls(sys: &mut dyn Sys, seen: &mut Observation) -> Result<Found, SysError> {
    let map = match (MapOf { kind: PROG_ARRAY, key: 4, value: 4, ..MapOf::default() }).create(sys)? {
        Ok(map) => map,
        Err(errno) => return Ok(super::fallbacks::no_map(seen, errno)),
    };
    let found = tail_calls_with(sys, map, seen)?;
    tools::close(sys, map)?;
    Ok(found)
}

fn tail_calls_with(sys: &mut dyn Sys, map: i32, seen: &mut Observation) -> Result<Found, SysError> {
    let refused = Refused {
        due: &[
            // Up to 7.0 or so, and since.
            (EINVAL, "tail_calls are not allowed in non-JITed programs with bpf-to-bpf calls"),
            (EINVAL, "mixing of tail_calls and bpf-to-bpf calls is not supported"),
        ],
        too_old: false,
    };
    let endian = sys.target().endian;
    let btf = match load_btf(sys, &btf(endian))? {
        Ok(fd) => fd,
        Err(errno) => {
            let line = "the program's BTF was refused".into();
            return Ok(Found::Else(Outcome::Rejected { errno, line }));
        }
    };
    let jumps = RawProgram {
        btf_fd: Some(btf),
        func_info: func_info(endian, &[(0, MAIN_ID), (SUB, SUB_ID)]),
        ..RawProgram::new("probe_jumps", ProgType::SchedCls, jumps(map))
    };
    let loaded = tools::load(sys, &jumps, seen)?;
    tools::close(sys, btf)?;
    let Some(fd) = loaded else { return Ok(refused.what(seen)) };
    let target = vec![Insn::mov_imm(Reg::R0, 41), Insn::exit()];
    let target = RawProgram::new("probe_target", ProgType::SchedCls, target);
    let found = match tools::load(sys, &target, seen)? {
        None => Found::Else(crate::judge::refusal(seen.load_errno.unwrap_or(0), &seen.verifier_log)),
        Some(target) => {
            let errno = tools::set(sys, map, target)?;
            tools::close(sys, target)?;
            match errno {
                0 => tools::run(sys, &jumps, fd, 42, seen)?,
                errno => {
                    Found::Else(Outcome::Rejected { errno, line: "the program array did not take the target".into() })
                }
            }
        }
    };
    tools::close(sys, fd)?;
    Ok(found)
}

/// `return jumps_away(ctx) + 1`, where the callee returns 6 should it not.
fn jumps(map: i32) -> Vec<Insn> {
    let mut insns = vec![Insn::call_local(2), Insn::alu_imm(Alu::Add, Reg::R0, 1), Insn::exit()];
    insns.extend(Insn::ld_map_fd(Reg::R2, map));
    insns.extend([Insn::mov_imm(Reg::R3, 0), Insn::call_helper(TAIL_CALL), Insn::mov_imm(Reg::R0, 6), Insn::exit()]);
    insns
}

/// Instruction at which the callee begins.
const SUB: u32 = 3;
/// BTF ids of the two functions.
const MAIN_ID: u32 = 4;
/// See [`MAIN_ID`].
const SUB_ID: u32 = 5;

/// `int jumps(void *ctx)` and `static int away(void *ctx)`, in the format of Documentation/bpf/btf.rst: a function that
/// makes a tail call must be known to return an int.
fn btf(endian: Endian) -> Vec<u8> {
    const INT: u32 = 1 << 24;
    const PTR: u32 = 2 << 24;
    const FUNC: u32 = 12 << 24;
    const FUNC_PROTO: u32 = 13 << 24;
    const SIGNED_32: u32 = (1 << 24) | 32;
    let strings = b"\0int\0ctx\0jumps\0away\0";
    let (int, ctx, jumps, away) = (1, 5, 9, 15);
    let types = [
        [int, INT, 4, SIGNED_32].as_slice(),
        &[0, PTR, 0],
        &[0, FUNC_PROTO | 1, 1, ctx, 2],
        // Linkage: 1 global, 0 static.
        &[jumps, FUNC | 1, 3],
        &[away, FUNC, 3],
    ]
    .concat();
    blob(endian, &types, strings)
}

/// What each of two functions takes of the stack: together more than the 512 bytes that a program has.
const STACK: i16 = 400;

/// `bpf_jit_supports_private_stack()`: with it a program that cannot be entered twice has a stack of its own, and each of its
/// functions may use all of it (kernel/bpf/verifier.c, `check_max_stack_depth_subprog`); without it they share one.
pub(super) fn private_stack(sys: &mut dyn Sys, seen: &mut Observation) -> Result<Found, SysError> {
    let insns = vec![
        Insn::store_imm(Size::Dw, Reg::R10, -STACK, 30),
        Insn::call_local(3),
        Insn::load(Size::Dw, Reg::R1, Reg::R10, -STACK),
        Insn::alu(Alu::Add, Reg::R0, Reg::R1),
        Insn::exit(),
        Insn::store_imm(Size::Dw, Reg::R10, -STACK, 12),
        Insn::load(Size::Dw, Reg::R0, Reg::R10, -STACK),
        Insn::exit(),
    ];
    let program = RawProgram::new("probe_stack", ProgType::RawTracepoint, insns);
    let refused = Refused { due: &[(EACCES, "combined stack size of 2 calls is")], too_old: false };
    tools::try_program(sys, &program, 42, seen, &refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_goes_to_the_callee() {
        let insns = jumps(3);
        assert!(insns[0].is_pseudo_call() && insns[1 + insns[0].imm as usize].is_ld_imm64());
        assert_eq!(1 + insns[0].imm, SUB.cast_signed());
        for endian in [Endian::Little, Endian::Big] {
            let btf = crate::btf::Btf::parse(&btf(endian)).unwrap();
            assert_eq!((btf.func("jumps"), btf.func("away")), (Some(MAIN_ID), Some(SUB_ID)));
            assert_eq!(btf.prototype(SUB_ID).unwrap(), "int away(void *ctx)");
        }
    }
}
