//! What a failing check is shown with: what was sent and received, the smallest program that still fails, the machine code.

use super::cells::RANDOM_PLACE;
use super::check::{Check, is_clean};
use super::emit::{self, Emitted, Env, Place};
use super::execute::{Executed, execute};
use super::kfuncs::Kfunc;
use super::lab::Lab;
use super::oracle::{Mismatch, compare};
use super::schedule::Calls;
use crate::arch::{Arch, Endian};
use crate::bpf::disasm::disassemble;
use crate::bpf::insn::{Insn, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE};
use crate::bpf::{LoadResult, ProgType};
use crate::guest::files;
use crate::model::Observation;
use crate::sys::{Sys, SysError};

/// Most programs that are run to find a smaller one.
const ATTEMPTS: usize = 40;
/// Most instructions of a listing.
const LISTED: usize = 80;
/// Most instructions of a program that is kept as it is.
const KEPT: usize = 4096;

/// Words for the coverage table: what a batch has in common.
pub(super) fn reach(calls: &Calls, callees: &str) -> String {
    let program = match calls.prog_type {
        ProgType::SchedCls => "sched_cls",
        ProgType::Xdp => "xdp",
        ProgType::RawTracepoint => "raw_tracepoint",
        _ => "syscall",
    };
    let harden = if calls.hardened { 2 } else { 0 };
    let vmlinux = if calls.place == Place::Escorted { callees } else { callees.split(' ').next().unwrap_or_default() };
    let kaslr = if calls.cell.as_ref().is_some_and(|cell| cell.starts_with(RANDOM_PLACE)) { "on" } else { "off" };
    format!("context={} program={program} harden={harden} kaslr={kaslr} {vmlinux}", calls.place.name())
}

/// The same for one argument or result, from its cell's name.
pub fn shape(cell: &str, kfunc: &Kfunc) -> String {
    match cell.split_once("::") {
        Some(("args" | "dirty" | "zext", name)) => {
            let (ty, position) = name.rsplit_once('_').unwrap_or((name, "0"));
            let position_index = position.parse::<usize>().unwrap_or(0);
            let width = position_index.checked_sub(1).and_then(|at| kfunc.params.get(at)).map_or(0, |ty| ty.bits);
            format!("type={ty} position={position} width={width}")
        }
        Some(("returns", ty)) => format!("type={ty} position=result"),
        _ => String::new(),
    }
}

/// Writes what was sent into the observation.
pub fn sent(seen: &mut Observation, check: &Check, kfunc: &Kfunc) {
    seen.facts.insert("prototype".into(), kfunc.prototype.clone());
    let values: Vec<String> = check.registers.iter().map(|value| format!("{value:#x}")).collect();
    seen.facts.insert("sent".into(), values.join(", "));
}

/// Writes a program into the observation, in the kernel's notation and as it is.
pub(super) fn listing(seen: &mut Observation, program: &Emitted, lab: &Lab, endian: Endian) {
    file_program(seen, &numbered(&program.insns), endian, |id, slot| {
        let kfunc = lab.kfuncs.iter().find(|kfunc| kfunc.id as i32 == id && kfunc.slot == slot)?;
        Some(kfunc.name.clone())
    });
}

/// A program whose maps have numbers from 1 instead of fds, which differ from guest to guest.
fn numbered(insns: &[Insn]) -> Vec<Insn> {
    let (mut insns, mut fds) = (insns.to_vec(), Vec::new());
    for insn in insns.iter_mut().filter(|i| i.is_ld_imm64() && matches!(i.src, PSEUDO_MAP_FD | PSEUDO_MAP_VALUE)) {
        let at = fds.iter().position(|fd| *fd == insn.imm).unwrap_or_else(|| {
            fds.push(insn.imm);
            fds.len() - 1
        });
        insn.imm = i32::try_from(at + 1).unwrap_or(i32::MAX);
    }
    insns
}

/// Writes a program into the observation. `name` gives names of kfuncs by BTF id and `fd_array` slot.
pub fn file_program(seen: &mut Observation, insns: &[Insn], endian: Endian, name: impl Fn(i32, i16) -> Option<String>) {
    if insns.len() <= KEPT {
        let bytes = Insn::encode_all(endian, insns);
        seen.program = images::hex(&bytes);
    }
    let text = disassemble(insns, name);
    let lines: Vec<&str> = text.lines().collect();
    let more = lines.len().saturating_sub(LISTED);
    let mut text = lines.into_iter().take(LISTED).collect::<Vec<_>>().join("\n");
    if more > 0 {
        text.push_str(&format!("\n… {more} more"));
    }
    seen.facts.insert("program".into(), text);
}

/// Evidence for a mismatch: the call, made alone, made smaller, and the code that the JIT made of it. With no attempts
/// left (what is known, or much is broken) only the call and its code.
///
/// # Errors
/// When the guest is gone.
pub(super) fn evidence(
    sys: &mut dyn Sys,
    lab: &Lab,
    arch: &Arch,
    calls: &Calls,
    mismatch: &Mismatch,
    attempts: &mut usize,
    seen: &mut Observation,
) -> Result<(), SysError> {
    let Some(check) = calls.checks.get(mismatch.check) else { return Ok(()) };
    let kfunc = &lab.kfuncs[check.kfunc];
    sent(seen, check, kfunc);
    seen.facts.insert("expected".into(), mismatch.expected.clone());
    seen.facts.insert("received".into(), mismatch.got.clone());
    if *attempts == 0 {
        let alone = Calls { checks: vec![check.clone()], ..calls.clone() };
        return machine_code(sys, lab, arch, &alone, kfunc, seen);
    }
    let left = attempts.saturating_sub(ATTEMPTS);
    *attempts -= left;
    let done = smallest(sys, lab, arch, calls, mismatch, attempts, seen);
    *attempts += left;
    done
}

/// Looks for the smallest call that still fails, and files it.
fn smallest(
    sys: &mut dyn Sys,
    lab: &Lab,
    arch: &Arch,
    calls: &Calls,
    mismatch: &Mismatch,
    attempts: &mut usize,
    seen: &mut Observation,
) -> Result<(), SysError> {
    let Some(check) = calls.checks.get(mismatch.check) else { return Ok(()) };
    let mut alone = Calls { checks: vec![check.clone()], ..calls.clone() };
    let kfunc = &lab.kfuncs[check.kfunc];
    if calls.checks.len() > 1 && !still_fails(sys, lab, &alone, mismatch, attempts)? {
        let text = format!("it does not fail when it is the only call; here it was number {}", mismatch.check + 1);
        seen.facts.insert("alone".into(), text);
        return machine_code(sys, lab, arch, calls, kfunc, seen);
    }
    if alone.place != Place::Main {
        let in_main = Calls { place: Place::Main, hardened: false, prog_type: ProgType::Syscall, ..alone.clone() };
        if still_fails(sys, lab, &in_main, mismatch, attempts)? {
            seen.facts.insert("place".into(), "it fails in the main function as well".into());
            alone = in_main;
        }
    }
    smaller(sys, lab, &mut alone, mismatch, attempts)?;
    let smallest = &alone.checks[0];
    if smallest != check {
        let values: Vec<String> = smallest.registers.iter().map(|value| format!("{value:#x}")).collect();
        seen.facts.insert("smallest".into(), format!("fails as well with {}", values.join(", ")));
    }
    machine_code(sys, lab, arch, &alone, kfunc, seen)
}

/// Whether a mismatch of the same kind is seen again.
fn still_fails(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &Calls,
    mismatch: &Mismatch,
    attempts: &mut usize,
) -> Result<bool, SysError> {
    if *attempts == 0 {
        return Ok(false);
    }
    *attempts -= 1;
    let Executed::Ran(seen) = execute(sys, lab, calls, None)? else { return Ok(false) };
    let found = compare(&calls.checks, &lab.kfuncs, calls.place, &seen);
    Ok(found.iter().any(|other| kind(&other.cell) == kind(&mismatch.cell)))
}

/// A cell's name without whether there was dirt, which goes away when a value becomes smaller.
fn kind(cell: &str) -> &str {
    ["dirty::", "args::", "zext::"].iter().find_map(|family| cell.strip_prefix(family)).unwrap_or(cell)
}

/// Makes the values of a call smaller as long as it fails: arguments that do not matter become 0, and of the dirt a single
/// bit is left.
fn smaller(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &mut Calls,
    mismatch: &Mismatch,
    attempts: &mut usize,
) -> Result<(), SysError> {
    let params = &lab.kfuncs[calls.checks[0].kfunc].params;
    for (index, ty) in params.iter().enumerate() {
        let value = calls.checks[0].registers[index];
        let mut candidates = vec![0, ty.widen(value)];
        if !is_clean(ty, value) {
            candidates.extend([ty.bits, 31, 32].map(|bit| ty.widen(value) | 1u64.checked_shl(bit).unwrap_or(0)));
            candidates.extend([ty.bits, 32].map(|bit| 1u64.checked_shl(bit).unwrap_or(0)));
        }
        candidates.extend([1, 1 << (ty.bits - 1)]);
        let room = if calls.checks[0].halves { u64::from(u32::MAX) } else { u64::MAX };
        for candidate in candidates.into_iter().filter(|candidate| *candidate != value && *candidate <= room) {
            let mut check = calls.checks[0].clone();
            check.registers[index] = candidate;
            let attempt = Calls { checks: vec![check], ..calls.clone() };
            if still_fails(sys, lab, &attempt, mismatch, attempts)? {
                *calls = attempt;
                break;
            }
        }
    }
    Ok(())
}

/// Loads the smallest program that shows it and files its instructions and machine code.
fn machine_code(
    sys: &mut dyn Sys,
    lab: &Lab,
    arch: &Arch,
    calls: &Calls,
    kfunc: &Kfunc,
    seen: &mut Observation,
) -> Result<(), SysError> {
    let env = Env { deep_stack: true, ..lab.env };
    let bare = calls.place == Place::Main && calls.checks.len() == 1 && !calls.hardened;
    let program = if bare {
        emit::emit_bare(&calls.checks[0], kfunc, kfunc.result.is_some(), &env)
    } else {
        emit::emit(&calls.checks, &lab.kfuncs, calls.place, &env)
    };
    listing(seen, &program, lab, arch.endian);
    if let LoadResult::Loaded(fd) = lab.load(sys, &program, calls.prog_type)? {
        let code = super::machine::around_call(sys, arch, fd)?;
        files::close(sys, fd as u64)?;
        if let Some(code) = code {
            seen.facts.insert("machine code".into(), code);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::insn::{LD_IMM64, Reg};

    #[test]
    fn fds_of_maps_are_numbered_and_nothing_else() {
        let map = |src, fd| Insn { code: LD_IMM64, dst: 1, src, off: 0, imm: fd };
        let number = Insn::ld_imm64(Reg::R1, 9);
        let insns = [map(2, 9), number[1], map(1, 12), number[1], map(2, 9), number[1], number[0], number[1]];
        let imms: Vec<i32> = numbered(&insns).iter().step_by(2).map(|insn| insn.imm).collect();
        assert_eq!(imms, [1, 2, 1, 9]);
    }
}
