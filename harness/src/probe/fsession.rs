//! Whether one program can be called when a function begins and again when it ends.

use super::Context;
use super::held::Found;
use super::test_run;
use super::tools::{self, EOPNOTSUPP, MapOf, Refused};
use crate::arch::Release;
use crate::bpf::attr::{Attr, cmd, result, submit};
use crate::bpf::insn::{Alu, Insn, Reg, Size};
use crate::bpf::{ProgType, RawProgram};
use crate::model::{Observation, Outcome};
use crate::sys::{Batch, Sys, SysError};

/// `BPF_TRACE_FSESSION`.
const TRACE_FSESSION: u32 = 58;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// The first release that knows such programs (merged for 7.0).
const FSESSION_SINCE: Release = Release(7, 0);
/// What `BPF_PROG_TEST_RUN` of a tracing program calls, once.
const TARGET: &str = "bpf_fentry_test1";

/// `bpf_jit_supports_fsession()`: the program counts how often it is called.
pub(super) fn ask(sys: &mut dyn Sys, context: &Context<'_>, seen: &mut Observation) -> Result<Found, SysError> {
    if context.kernel.vmlinux.is_none() {
        return Ok(Found::Hidden(
            "what a tracing program is attached to is named by a BTF id, and there is no BTF".into(),
        ));
    }
    let Some(target) = context.kernel.func(TARGET) else {
        return Ok(Found::Hidden(format!("this kernel has no {TARGET}()")));
    };
    let map = match (MapOf { kind: ARRAY, key: 4, value: 8, ..MapOf::default() }).create(sys)? {
        Ok(map) => map,
        Err(errno) => return Ok(super::fallbacks::no_map(seen, errno)),
    };
    let mut insns = Insn::ld_map_value(Reg::R1, map, 0).to_vec();
    insns.extend([
        Insn::load(Size::Dw, Reg::R2, Reg::R1, 0),
        Insn::alu_imm(Alu::Add, Reg::R2, 1),
        Insn::store(Size::Dw, Reg::R1, 0, Reg::R2),
        Insn::mov_imm(Reg::R0, 0),
        Insn::exit(),
    ]);
    let program = RawProgram {
        attach_type: TRACE_FSESSION,
        attach_btf_id: target.id,
        ..RawProgram::new("probe_fsession", ProgType::Tracing, insns)
    };
    let found = attach_and_run(sys, context, &program, map, seen)?;
    tools::close(sys, map)?;
    Ok(found)
}

fn attach_and_run(
    sys: &mut dyn Sys,
    context: &Context<'_>,
    program: &RawProgram,
    map: i32,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    let refused =
        Refused { due: &[(EOPNOTSUPP, "JIT does not support fsession")], too_old: context.release < FSESSION_SINCE };
    let Some(fd) = tools::load(sys, program, seen)? else { return Ok(refused.what(seen)) };
    let found = match attach(sys, fd)? {
        Err(errno) => Found::Else(Outcome::Rejected { errno, line: "accepted, but it could not be attached".into() }),
        Ok(link) => {
            let (errno, _) = test_run(sys, program, fd)?;
            seen.run_errno = Some(errno);
            let calls = tools::get(sys, map)?;
            tools::close(sys, link)?;
            match (errno, calls) {
                (0, Ok(2)) => Found::There,
                (0, Ok(calls)) => Found::Else(Outcome::WrongValue {
                    what: "calls of the program".into(),
                    expected: "2, when the function begins and when it ends".into(),
                    got: calls.to_string(),
                }),
                (0, Err(errno)) => Found::Else(Outcome::Rejected { errno, line: "the map could not be read".into() }),
                (errno, _) => {
                    Found::Else(Outcome::Rejected { errno, line: "attached, but it could not be run".into() })
                }
            }
        }
    };
    tools::close(sys, fd)?;
    Ok(found)
}

/// Attaches a tracing program to what it was loaded for.
fn attach(sys: &mut dyn Sys, program: i32) -> Result<Result<i32, i32>, SysError> {
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    Attr::new(target.endian, 16).fd(8, program).call(&mut batch, target.syscalls.bpf, cmd::RAW_TRACEPOINT_OPEN);
    result(&submit(sys, &batch)?, 0)
}
