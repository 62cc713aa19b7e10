//! Arenas: whether there are any, and which instructions work in them.
//!
//! With BTF the programs get a page and are run; without, no page can be had (`bpf_arena_alloc_pages()` is a kfunc), and that
//! the JIT accepted the program has to do.

use super::Context;
use super::held::Found;
use super::tools::{self, EACCES, EINVAL, EOPNOTSUPP, MapOf, Refused};
use crate::arch::{Release, WordSize};
use crate::bpf::insn::{Alu, Cond, Insn, Reg, Size, class};
use crate::bpf::{ProgType, RawProgram};
use crate::capability::Capability;
use crate::model::Observation;
use crate::sys::{Sys, SysError};

/// `BPF_MAP_TYPE_ARENA`.
const ARENA: u32 = 33;
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;
/// Where user space is to see it: given, so that nobody has to `mmap()` it.
const USER_ADDRESS: u64 = 0x1000_0000_0000;
/// The first release with arenas (317460317a02).
const ARENA_SINCE: Release = Release(6, 9);
/// The first release with load-acquire (880442305a39).
const LOAD_ACQUIRE_SINCE: Release = Release(6, 15);

/// What every arena is refused with when the JIT has none.
const NO_ARENA: &[(i32, &str)] = &[(EOPNOTSUPP, "JIT doesn't support arena")];
/// What an instruction is refused with when the JIT does not have it in arenas: the verifier's lines in
/// `check_atomic_rmw`, `check_atomic_load` and `bpf_convert_ctx_accesses`.
const NO_INSN: &[(i32, &str)] = &[
    (EACCES, "BPF_ATOMIC stores into R6 arena is not allowed"),
    (EACCES, "BPF_ATOMIC loads from R6 arena is not allowed"),
    (EOPNOTSUPP, "sign extending loads from arena are not supported yet"),
];

/// What was found when there is no arena to ask about instructions.
const NOWHERE: &str = "there is no arena here, and bpf_jit_supports_insn() is asked of nothing else";

/// Asks for arenas, or for an instruction in one.
pub(super) fn ask(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    asked: Capability,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    let map = MapOf { kind: ARENA, flags: MMAPABLE, extra: USER_ADDRESS, ..MapOf::default() };
    let map = match map.create(sys)? {
        Ok(map) => map,
        Err(errno) => {
            seen.load_errno = Some(errno);
            seen.setup = Some("the kernel refused the map".into());
            // arena.c is built for 64 bits only (kernel/bpf/Makefile).
            let unknown = context.release < ARENA_SINCE || sys.target().word == WordSize::Bits32;
            return Ok(match errno {
                EOPNOTSUPP | EINVAL if asked != Capability::Arena && (errno == EOPNOTSUPP || unknown) => {
                    Found::Hidden(NOWHERE.into())
                }
                EOPNOTSUPP => Found::Absent("an arena is refused with EOPNOTSUPP".into()),
                EINVAL if unknown => Found::Absent("the kernel knows no such map".into()),
                _ => Found::Else(crate::judge::without_expectation(seen)),
            });
        }
    };
    let found = ask_with(sys, context, asked, map, seen)?;
    tools::close(sys, map)?;
    Ok(found)
}

fn ask_with(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    asked: Capability,
    map: i32,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    let (body, due) = body(asked);
    let calls = super::no_kfunc_calls(context).is_none();
    let page = context.kernel.func("bpf_arena_alloc_pages").filter(|symbol| calls && symbol.module.is_none());
    let insns = page.map_or_else(|| untouched(map, &body), |page| with_page(map, page.id.cast_signed(), &body));
    let program = RawProgram::new("probe_arena", ProgType::Syscall, insns);
    let refused = match asked {
        Capability::Arena => Refused { due: NO_ARENA, too_old: false },
        Capability::ArenaLoadAcquire => Refused { due: NO_INSN, too_old: context.release < LOAD_ACQUIRE_SINCE },
        _ => Refused { due: NO_INSN, too_old: false },
    };
    let Some(fd) = tools::load(sys, &program, seen)? else {
        return Ok(match (Refused { due: NO_ARENA, too_old: false }.what(seen), asked) {
            (Found::Absent(_), asked) if asked != Capability::Arena => Found::Hidden(NOWHERE.into()),
            _ => refused.what(seen),
        });
    };
    let found = if page.is_some() {
        tools::run(sys, &program, fd, due, seen)?
    } else {
        super::fact(seen, "not_run", "accepted; without bpf_arena_alloc_pages() there is no page to run it on");
        Found::There
    };
    tools::close(sys, fd)?;
    Ok(found)
}

/// What is done at `r6`, and what it leaves in `r0`.
fn body(asked: Capability) -> (Vec<Insn>, u32) {
    /// Where in the page.
    const AT: i16 = 8;
    let put = |value| Insn::store_imm(Size::Dw, Reg::R6, AT, value);
    let get = |into| Insn::load(Size::Dw, into, Reg::R6, AT);
    // BPF_STX | BPF_ATOMIC | BPF_DW; the immediate says what.
    let atomic = |register: Reg, imm| Insn {
        code: class::STX | 0xc0 | Size::Dw as u8,
        dst: Reg::R6 as u8,
        src: register as u8,
        off: AT,
        imm,
    };
    match asked {
        Capability::ArenaAtomics => {
            // BPF_ADD
            (vec![put(40), Insn::mov_imm(Reg::R1, 2), atomic(Reg::R1, 0x00), get(Reg::R0)], 42)
        }
        Capability::ArenaFetchOps => {
            // BPF_AND | BPF_FETCH: 0x3c & 0x0f is 0x0c, and r1 gets the old 0x3c.
            let and = atomic(Reg::R1, 0x51);
            let sum = Insn::alu(Alu::Add, Reg::R0, Reg::R1);
            (vec![put(0x3c), Insn::mov_imm(Reg::R1, 0x0f), and, get(Reg::R0), sum], 0x48)
        }
        Capability::ArenaCmpxchg => {
            // BPF_CMPXCHG: compares with r0, which gets the old value.
            let (expected, new) = (Insn::mov_imm(Reg::R0, 40), Insn::mov_imm(Reg::R1, 2));
            let sum = Insn::alu(Alu::Add, Reg::R0, Reg::R1);
            (vec![put(40), expected, new, atomic(Reg::R1, 0xf1), get(Reg::R1), sum], 42)
        }
        Capability::ArenaLoadAcquire => {
            // BPF_LOAD_ACQ: the address is the source here.
            let load = Insn { dst: Reg::R0 as u8, src: Reg::R6 as u8, ..atomic(Reg::R0, 0x100) };
            (vec![put(42), load], 42)
        }
        Capability::ArenaSignExtend => {
            // BPF_LDX | BPF_MEMSX | BPF_W; only the upper half shows the sign.
            let load = Insn {
                code: class::LDX | 0x80 | Size::W as u8,
                dst: Reg::R0 as u8,
                src: Reg::R6 as u8,
                off: AT,
                imm: 0,
            };
            let put = Insn::store_imm(Size::W, Reg::R6, AT, -2);
            (vec![put, load, Insn::alu_imm(Alu::Rsh, Reg::R0, 32)], u32::MAX)
        }
        _ => (vec![put(42), get(Reg::R0)], 42),
    }
}

/// `dst = addr_space_cast(src, 0, 1)`: an address of the arena as the kernel sees it.
fn cast(dst: Reg, src: Reg) -> Insn {
    Insn { off: 1, imm: 1, ..Insn::mov(dst, src) }
}

/// Gets a page, points `r6` at it, and does `body`.
fn with_page(map: i32, alloc_pages: i32, body: &[Insn]) -> Vec<Insn> {
    let mut insns = Insn::ld_map_fd(Reg::R1, map).to_vec();
    insns.extend([
        Insn::mov_imm(Reg::R2, 0),
        Insn::mov_imm(Reg::R3, 1),
        // NUMA_NO_NODE
        Insn::mov_imm(Reg::R4, -1),
        Insn::mov_imm(Reg::R5, 0),
        Insn::call_kfunc(alloc_pages, 0),
        Insn::jump_if_imm(Cond::Ne, Reg::R0, 0, 2),
        Insn::mov_imm(Reg::R0, 99),
        Insn::exit(),
        cast(Reg::R6, Reg::R0),
    ]);
    insns.extend_from_slice(body);
    insns.push(Insn::exit());
    insns
}

/// `body` at the arena's start, where there is no page.
fn untouched(map: i32, body: &[Insn]) -> Vec<Insn> {
    let mut insns = Insn::ld_map_fd(Reg::R1, map).to_vec();
    insns.extend([Insn::mov_imm(Reg::R6, 0), cast(Reg::R6, Reg::R6)]);
    insns.extend_from_slice(body);
    insns.push(Insn::exit());
    insns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_are_those_that_are_asked_for() {
        let insns = |asked| body(asked).0;
        let has = |asked, code: u8, imm: i32| insns(asked).iter().any(|i| i.code == code && i.imm == imm);
        // include/uapi/linux/bpf.h: BPF_STX | BPF_ATOMIC | BPF_DW is 0xdb, BPF_LDX | BPF_MEMSX | BPF_W is 0x81.
        assert!(has(Capability::ArenaAtomics, 0xdb, 0x00));
        assert!(has(Capability::ArenaFetchOps, 0xdb, 0x51));
        assert!(has(Capability::ArenaCmpxchg, 0xdb, 0xf1));
        assert!(has(Capability::ArenaLoadAcquire, 0xdb, 0x100));
        assert!(has(Capability::ArenaSignExtend, 0x81, 0));
        assert!(!insns(Capability::Arena).iter().any(|i| i.code == 0xdb || i.code == 0x81));
    }

    #[test]
    fn without_a_page_the_jump_over_the_failure_lands_on_the_cast() {
        let insns = with_page(3, 9, &body(Capability::Arena).0);
        let jump = insns.iter().position(|i| i.code == Insn::jump_if_imm(Cond::Ne, Reg::R0, 0, 0).code).unwrap();
        assert_eq!(insns[jump + 1 + insns[jump].off as usize], cast(Reg::R6, Reg::R0));
    }
}
