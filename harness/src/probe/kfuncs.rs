//! Capabilities that take a kfunc call: exceptions, and kfuncs that live in a module.

use super::Context;
use super::held::Found;
use super::tools::{self, EINVAL, Refused};
use crate::arch::Release;
use crate::bpf::attr::{Attr, cmd, result, submit};
use crate::bpf::insn::{Alu, Cond, Insn, Reg, Size};
use crate::bpf::{ProgType, RawProgram};
use crate::judge::ENOTSUPP;
use crate::model::{Observation, Outcome};
use crate::sys::{Batch, Sys, SysError};

/// The first release with `bpf_throw()` (f18b03fabaa9).
const THROW_SINCE: Release = Release(6, 7);

/// `bpf_jit_supports_exceptions()`: what is thrown is what the program returns.
pub(super) fn exceptions(sys: &mut dyn Sys, context: &Context<'_>, seen: &mut Observation) -> Result<Found, SysError> {
    if let Some(why) = super::no_kfunc_calls(context) {
        return Ok(Found::Hidden(why.into()));
    }
    let Some(throw) = context.kernel.func("bpf_throw").filter(|symbol| symbol.module.is_none()) else {
        return Ok(absent("bpf_throw", context.release < THROW_SINCE));
    };
    let insns = vec![
        Insn::mov_imm(Reg::R1, 42),
        Insn::call_kfunc(throw.id.cast_signed(), 0),
        Insn::mov_imm(Reg::R0, 77),
        Insn::exit(),
    ];
    let program = RawProgram::new("probe_throw", ProgType::SchedCls, insns);
    let refused = Refused { due: &[(ENOTSUPP, "JIT does not support calling kfunc bpf_throw")], too_old: false };
    tools::try_program(sys, &program, 42, seen, &refused)
}

/// A kfunc that the kernel's BTF does not have.
fn absent(kfunc: &str, too_old: bool) -> Found {
    if too_old {
        Found::Absent(format!("the kernel is older than this: it has no {kfunc}()"))
    } else {
        Found::Else(Outcome::KfuncAbsent { kfunc: kfunc.into() })
    }
}

/// The module that is asked, which every distribution's kernel has and those built here too.
pub const MODULE: &str = "nf_conntrack";

/// A connection that nobody has: `bpf_skb_ct_lookup()` gives NULL and the reason, `-ENOENT`, in memory that it was passed.
pub(super) fn module_kfuncs(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    const NOT_FOUND: u32 = (-2i32).cast_unsigned();
    if let Some(why) = super::no_kfunc_calls(context) {
        return Ok(Found::Hidden(why.into()));
    }
    if let Err(why) = &context.module {
        return Ok(Found::Hidden(why.clone()));
    }
    let find =
        |name: &str| context.kernel.func(name).and_then(|symbol| Some((symbol.id.cast_signed(), symbol.module?)));
    let (Some((lookup, module)), Some((release, _))) = (find("bpf_skb_ct_lookup"), find("bpf_ct_release")) else {
        return Ok(Found::Hidden(format!("module {MODULE} has no kfuncs in this kernel")));
    };
    let btf = context.kernel.modules.get(module).map_or(0, |module| module.id);
    let fd = match btf_fd(sys, btf)? {
        Ok(fd) => fd,
        Err(errno) => {
            let line = format!("the BTF of {MODULE} could not be had");
            return Ok(Found::Else(Outcome::Rejected { errno, line }));
        }
    };
    let program = RawProgram {
        fd_array: vec![0, fd],
        ..RawProgram::new("probe_module", ProgType::SchedCls, lookup_of(lookup, release))
    };
    let refused = Refused { due: &[(EINVAL, "address of kernel func_id")], too_old: false };
    let found = tools::try_program(sys, &program, NOT_FOUND, seen, &refused)?;
    tools::close(sys, fd)?;
    Ok(found)
}

/// `BPF_BTF_GET_FD_BY_ID`.
fn btf_fd(sys: &mut dyn Sys, id: u32) -> Result<Result<i32, i32>, SysError> {
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    Attr::new(target.endian, 12).u32(0, id).call(&mut batch, target.syscalls.bpf, cmd::BTF_GET_FD_BY_ID);
    result(&submit(sys, &batch)?, 0)
}

/// `bpf_skb_ct_lookup(ctx, &tuple, 12, &opts, 12)`: an empty `struct bpf_sock_tuple` at -16 and a `struct bpf_ct_opts` at
/// -32, whose members are `netns_id`, `error` and, at 8, `l4proto`. Gives `opts.error`.
fn lookup_of(lookup: i32, release: i32) -> Vec<Insn> {
    const TUPLE: i16 = -16;
    const OPTS: i16 = -32;
    const UDP: i32 = 17;
    let address = |register, at: i16| [Insn::mov(register, Reg::R10), Insn::alu_imm(Alu::Add, register, i32::from(at))];
    let mut insns = vec![
        Insn::store_imm(Size::Dw, Reg::R10, TUPLE, 0),
        Insn::store_imm(Size::Dw, Reg::R10, TUPLE + 8, 0),
        Insn::store_imm(Size::Dw, Reg::R10, OPTS, 0),
        Insn::store_imm(Size::Dw, Reg::R10, OPTS + 8, 0),
        // BPF_F_CURRENT_NETNS
        Insn::store_imm(Size::W, Reg::R10, OPTS, -1),
        Insn::store_imm(Size::B, Reg::R10, OPTS + 8, UDP),
    ];
    insns.extend(address(Reg::R2, TUPLE));
    insns.push(Insn::mov_imm(Reg::R3, 12));
    insns.extend(address(Reg::R4, OPTS));
    insns.extend([
        Insn::mov_imm(Reg::R5, 12),
        Insn::call_kfunc(lookup, 1),
        Insn::jump_if_imm(Cond::Eq, Reg::R0, 0, 2),
        Insn::mov(Reg::R1, Reg::R0),
        Insn::call_kfunc(release, 1),
        Insn::load(Size::W, Reg::R0, Reg::R10, OPTS + 4),
        Insn::exit(),
    ]);
    insns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kfunc_is_absence_in_old_kernels_only() {
        assert!(matches!(absent("bpf_throw", true), Found::Absent(_)));
        assert!(matches!(absent("bpf_throw", false), Found::Else(Outcome::KfuncAbsent { .. })));
    }
}
