//! The probe suite: questions to a kernel whose answers are the table's columns.
//!
//! A probe makes an [`Observation`] with facts, and says what was wrong with it given what the arch file and the
//! kernel's configuration promise. Programs are hand-written, because their exact instructions are the question; only
//! the trampoline has a C program (`testcases/probe`).

mod arena;
mod fallbacks;
mod fsession;
mod functions;
mod held;
mod kfuncs;
mod kptr;
mod stack_args;
mod subprograms;
mod tools;

pub use kfuncs::MODULE;

use std::sync::Arc;

use crate::arch::{Claims, Release};
use crate::bpf::insn::{Insn, Reg, Size};
use crate::bpf::{self, KernelTypes, LoadError, LoadOptions, LoadResult, Object, ProgType, RawProgram, RunOptions};
use crate::capability::Capability;
use crate::guest::files;
use crate::judge::{ENOTSUPP, LINE_NO_BTF, LINE_NO_JIT, LINE_UNSUPPORTED, judge, refusal};
use crate::model::{Observation, Outcome, Standing, probe};
use crate::sys::{Batch, Sys, SysError, one_call};

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // described by `description`
pub enum Probe {
    Jit,
    Btf,
    KfuncCall,
    Trampoline,
    JitOff,
    NonGpl,
    UnknownId,
    Subprograms,
    StackArgs,
    /// One of the capabilities that have no variant of their own.
    Can(Capability),
}

impl Probe {
    /// All, in running order.
    pub const ALL: [Self; 24] = [
        Self::Jit,
        Self::Btf,
        Self::KfuncCall,
        Self::Trampoline,
        Self::JitOff,
        Self::NonGpl,
        Self::UnknownId,
        Self::Subprograms,
        Self::StackArgs,
        Self::Can(Capability::FarKfuncCall),
        Self::Can(Capability::ModuleKfuncs),
        Self::Can(Capability::SubprogramTailCalls),
        Self::Can(Capability::Exceptions),
        Self::Can(Capability::Arena),
        Self::Can(Capability::ArenaAtomics),
        Self::Can(Capability::ArenaFetchOps),
        Self::Can(Capability::ArenaCmpxchg),
        Self::Can(Capability::ArenaLoadAcquire),
        Self::Can(Capability::ArenaSignExtend),
        Self::Can(Capability::PrivateStack),
        Self::Can(Capability::PercpuInsn),
        Self::Can(Capability::PtrXchg),
        Self::Can(Capability::TimedMayGoto),
        Self::Can(Capability::Fsession),
    ];

    /// Name of the case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jit => probe::JIT,
            Self::Btf => probe::BTF,
            Self::KfuncCall => probe::KFUNC_CALL,
            Self::Trampoline => probe::TRAMPOLINE,
            Self::JitOff => probe::JIT_OFF,
            Self::NonGpl => probe::NON_GPL,
            Self::UnknownId => probe::UNKNOWN_ID,
            Self::Subprograms => probe::SUBPROGRAMS,
            Self::StackArgs => probe::STACK_ARGS,
            Self::Can(capability) => capability.name(),
        }
    }

    /// One line for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Jit => "there is a JIT and it is on",
            Self::Btf => "the kernel has BTF",
            Self::KfuncCall => "a kfunc call is accepted and made, or refused with the verifier's line",
            Self::Trampoline => "a BPF trampoline can be attached to a kernel function, and fires",
            Self::JitOff => "with the JIT off a kfunc call is refused, in the verifier's words",
            Self::NonGpl => "a program that is not GPL compatible may not call kfuncs",
            Self::UnknownId => "a call to a BTF id that is no function is refused",
            Self::Subprograms => "a program's function can call another one, which calls a kfunc",
            Self::StackArgs => "a function with more than five arguments can be called",
            Self::Can(capability) => description(capability),
        }
    }
}

fn description(capability: Capability) -> &'static str {
    match capability {
        Capability::FarKfuncCall => "the JIT finds a kfunc by its number, however far away it is",
        Capability::ModuleKfuncs => "a kfunc that lives in a module can be called",
        Capability::SubprogramTailCalls => "a program's function can make a tail call",
        Capability::Exceptions => "a program can throw, and what it throws is what it returns",
        Capability::Arena => "memory shared with user space (an arena) can be used",
        Capability::ArenaAtomics => "an atomic addition works in an arena",
        Capability::ArenaFetchOps => "an atomic operation that gives the old value works in an arena",
        Capability::ArenaCmpxchg => "compare-and-exchange works in an arena",
        Capability::ArenaLoadAcquire => "a load with acquire semantics works in an arena",
        Capability::ArenaSignExtend => "a sign-extending load works in an arena",
        Capability::PrivateStack => {
            "a program whose functions need more than 512 bytes together has a stack of its own"
        }
        Capability::PercpuInsn => "looking up a per-CPU map is done without a call",
        Capability::PtrXchg => "exchanging a pointer in a map is done without a call",
        Capability::TimedMayGoto => "a may_goto loop is cut off by the clock",
        Capability::Fsession => "one program can be called when a function begins and when it ends",
        // These have probes of their own.
        Capability::KfuncCall | Capability::Trampoline | Capability::StackArgs | Capability::Subprograms => "",
    }
}

/// What a probe knows of the kernel it asks.
pub struct Context<'a> {
    /// What the arch's JIT claims, by release.
    pub claims: &'a Claims,
    /// The kernel's release.
    pub release: Release,
    /// Its types.
    pub kernel: &'a KernelTypes,
    /// Bytes of vmlinux BTF, 0 for none.
    pub btf_bytes: usize,
    /// Whether a Kconfig symbol is set; `None` when the configuration is not known.
    pub config: &'a dyn Fn(&str) -> Option<bool>,
    /// `net.core.bpf_jit_enable` at boot, absent without the file.
    pub jit_default: Option<String>,
    /// The compiled `testcases/probe/trampoline.bpf.c`.
    pub trampoline: &'a Arc<Object>,
    /// Whether [`MODULE`] is loaded and its types are in `kernel`; why it is not.
    pub module: Result<(), String>,
}

/// Where the JIT is switched.
pub const JIT_ENABLE: &str = "/proc/sys/net/core/bpf_jit_enable";

/// What a probe found.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What happened.
    pub observation: Observation,
    /// Its judgement.
    pub outcome: Outcome,
    /// What that means.
    pub standing: Standing,
}

impl Answer {
    fn new(observation: Observation, outcome: Outcome, standing: Standing) -> Self {
        Self { observation, outcome, standing }
    }

    fn judged(observation: Observation, outcome: Outcome) -> Self {
        let standing = if outcome == Outcome::Pass { Standing::Right } else { Standing::Wrong };
        Self { observation, outcome, standing }
    }

    fn not_run(reason: &str, facts: &[(&str, &str)]) -> Self {
        let mut observation = Observation::default();
        for (key, value) in facts {
            fact(&mut observation, key, value);
        }
        let reason = reason.to_owned();
        Self::new(observation, Outcome::NotRun { reason: reason.clone() }, Standing::NotApplicable { reason })
    }
}

fn fact(observation: &mut Observation, key: &str, value: &str) {
    observation.facts.insert(key.into(), value.into());
}

/// Asks one question.
///
/// # Errors
/// [`SysError`] when the guest is gone.
pub fn ask(probe: Probe, sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    match probe {
        Probe::Jit => jit(sys, context),
        Probe::Btf => Ok(btf(context)),
        Probe::KfuncCall => kfunc_call(sys, context),
        Probe::Trampoline => trampoline(sys, context),
        Probe::JitOff => jit_off(sys, context),
        Probe::NonGpl => refused_call(sys, context, Refusal::NonGpl),
        Probe::UnknownId => refused_call(sys, context, Refusal::UnknownId),
        Probe::Subprograms => subprograms::ask(sys, context),
        Probe::StackArgs => stack_args::ask(sys, context),
        Probe::Can(capability) => can(sys, context, capability),
    }
}

fn can(sys: &mut dyn Sys, context: &Context<'_>, asked: Capability) -> Result<Answer, SysError> {
    let mut seen = Observation::default();
    let found = match asked {
        Capability::FarKfuncCall => fallbacks::far_kfunc_call(sys, context, &mut seen)?,
        Capability::ModuleKfuncs => kfuncs::module_kfuncs(sys, context, &mut seen)?,
        Capability::SubprogramTailCalls => functions::tail_calls(sys, &mut seen)?,
        Capability::Exceptions => kfuncs::exceptions(sys, context, &mut seen)?,
        Capability::Arena
        | Capability::ArenaAtomics
        | Capability::ArenaFetchOps
        | Capability::ArenaCmpxchg
        | Capability::ArenaLoadAcquire
        | Capability::ArenaSignExtend => arena::ask(sys, context, asked, &mut seen)?,
        Capability::PrivateStack => functions::private_stack(sys, &mut seen)?,
        Capability::PercpuInsn => fallbacks::percpu_insn(sys, &mut seen)?,
        Capability::PtrXchg => fallbacks::ptr_xchg(sys, context, &mut seen)?,
        Capability::TimedMayGoto => fallbacks::timed_may_goto(sys, context, &mut seen)?,
        Capability::Fsession => fsession::ask(sys, context, &mut seen)?,
        Capability::KfuncCall => return kfunc_call(sys, context),
        Capability::Trampoline => return trampoline(sys, context),
        Capability::Subprograms => return subprograms::ask(sys, context),
        Capability::StackArgs => return stack_args::ask(sys, context),
    };
    Ok(held::answer(asked, seen, found, context))
}

/// Why no kfunc can be called here, when none can.
fn no_kfunc_calls(context: &Context<'_>) -> Option<&'static str> {
    if context.kernel.vmlinux.is_none() {
        Some("no kfunc can be named without BTF")
    } else if !context.claims.kfunc_call.holds(context.release) {
        Some("without kfunc support the verifier refuses for that reason first")
    } else {
        None
    }
}

fn jit(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    let mut seen = Observation::default();
    let Some(default) = &context.jit_default else {
        fact(&mut seen, "jit", "absent");
        let line = format!("{JIT_ENABLE} does not exist");
        return Ok(Answer::judged(seen, Outcome::NoJit { line }));
    };
    let now = files::read_text(sys, JIT_ENABLE)?.unwrap_or_default();
    fact(&mut seen, "jit_default", default);
    fact(&mut seen, "jit", if now == "0" { "off" } else { "on" });
    let outcome = if now == "0" { Outcome::NoJit { line: format!("{JIT_ENABLE} stays 0") } } else { Outcome::Pass };
    Ok(Answer::judged(seen, outcome))
}

fn btf(context: &Context<'_>) -> Answer {
    let mut seen = Observation::default();
    if context.kernel.vmlinux.is_some() {
        fact(&mut seen, "btf", "yes");
        fact(&mut seen, "btf_bytes", &context.btf_bytes.to_string());
        return Answer::judged(seen, Outcome::Pass);
    }
    fact(&mut seen, "btf", "no");
    let outcome = Outcome::NoBtf { line: format!("{} does not exist", bpf::kernel::VMLINUX_PATH) };
    match (context.config)("DEBUG_INFO_BTF") {
        Some(false) => {
            let reason = "the kernel is built without CONFIG_DEBUG_INFO_BTF".into();
            Answer::new(seen, outcome, Standing::NotApplicable { reason })
        }
        _ => Answer::judged(seen, outcome),
    }
}

/// A program that calls a kfunc which every kernel of some age has, by name and program type.
struct Candidate {
    prog_type: ProgType,
    kfuncs: &'static [&'static str],
    build: fn(&[i32]) -> Vec<Insn>,
}

/// `bpf_rcu_read_lock()`, `bpf_rcu_read_unlock()`: 6.2 and later, no argument, no result.
fn lock_unlock(ids: &[i32]) -> Vec<Insn> {
    vec![Insn::call_kfunc(ids[0], 0), Insn::call_kfunc(ids[1], 0), Insn::mov_imm(Reg::R0, 0), Insn::exit()]
}

/// `bpf_kfunc_call_test_mem_len_pass1(void *mem, int mem__sz)`: in vmlinux up to 6.4 (net/bpf/test_run.c).
fn mem_len(ids: &[i32]) -> Vec<Insn> {
    vec![
        Insn::store_imm(Size::Dw, Reg::R10, -8, 0),
        Insn::mov(Reg::R1, Reg::R10),
        Insn::alu_imm(bpf::insn::Alu::Add, Reg::R1, -8),
        Insn::mov_imm(Reg::R2, 8),
        Insn::call_kfunc(ids[0], 0),
        Insn::mov_imm(Reg::R0, 0),
        Insn::exit(),
    ]
}

const CANDIDATES: [Candidate; 3] = [
    Candidate {
        prog_type: ProgType::Syscall,
        kfuncs: &["bpf_rcu_read_lock", "bpf_rcu_read_unlock"],
        build: lock_unlock,
    },
    Candidate {
        prog_type: ProgType::SchedCls,
        kfuncs: &["bpf_rcu_read_lock", "bpf_rcu_read_unlock"],
        build: lock_unlock,
    },
    Candidate { prog_type: ProgType::SchedCls, kfuncs: &["bpf_kfunc_call_test_mem_len_pass1"], build: mem_len },
];

/// The candidates' programs that this kernel's BTF can name.
fn programs(kernel: &KernelTypes) -> Vec<(RawProgram, &'static str)> {
    let ids = |names: &[&str]| -> Option<Vec<i32>> {
        names.iter().map(|name| kernel.func(name).map(|symbol| symbol.id.cast_signed())).collect()
    };
    let build = |candidate: &Candidate| {
        let insns = (candidate.build)(&ids(candidate.kfuncs)?);
        Some((RawProgram::new("probe_kfunc", candidate.prog_type, insns), candidate.kfuncs[0]))
    };
    CANDIDATES.iter().filter_map(build).collect()
}

/// Without BTF no id can be known: any will do to hear the verifier's answer.
fn blind_program() -> RawProgram {
    RawProgram::new("probe_kfunc", ProgType::Syscall, lock_unlock(&[1, 1]))
}

/// Loads the first program that is accepted, or gives the first refusal. The fd is closed again after a test run.
fn try_call(sys: &mut dyn Sys, context: &Context<'_>, seen: &mut Observation) -> Result<(), SysError> {
    let mut tries = programs(context.kernel);
    if tries.is_empty() {
        tries.push((blind_program(), ""));
    }
    let mut first = true;
    for (program, kfunc) in tries {
        match bpf::load_program(sys, &program, 1)? {
            LoadResult::Loaded(fd) => {
                seen.load_errno = Some(0);
                seen.verifier_log.clear();
                fact(seen, "kfunc", kfunc);
                let (errno, _) = test_run(sys, &program, fd)?;
                seen.run_errno = Some(errno);
                files::close(sys, u64::from(fd.cast_unsigned()))?;
                return Ok(());
            }
            LoadResult::Refused { errno, log } if first => {
                seen.load_errno = Some(errno);
                seen.verifier_log = log;
                fact(seen, "kfunc", kfunc);
                first = false;
            }
            LoadResult::Refused { .. } => {}
        }
    }
    Ok(())
}

/// Runs a hand-written program once: errno (positive) and what it returned.
fn test_run(sys: &mut dyn Sys, program: &RawProgram, fd: i32) -> Result<(i32, u32), SysError> {
    /// `BPF_PROG_TEST_RUN`; `test` in `union bpf_attr` ends at 80 bytes, and its second word is `retval`.
    const TEST_RUN: u64 = 10;
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    let mut attr = bpf::attr::Attr::new(target.endian, 80).fd(0, fd);
    if program.prog_type == ProgType::SchedCls {
        let packet = bpf::test_packet();
        let len = u32::try_from(packet.len()).unwrap_or(0);
        let data = batch.bytes(packet);
        attr = attr.u32(8, len).u64(16, data);
    }
    let at = attr.call(&mut batch, target.syscalls.bpf, TEST_RUN);
    batch.peek(at + 4, 4);
    let replies = sys.submit(&batch)?;
    let result = one_call(&replies)?;
    let retval = replies.peeks.first().and_then(|bytes| crate::btf::at_u32(target.endian, bytes, 0)).unwrap_or(0);
    Ok((i32::try_from(-result.min(0)).unwrap_or(i32::MAX), retval))
}

fn kfunc_call(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    let mut seen = Observation::default();
    try_call(sys, context, &mut seen)?;
    let promised = context.claims.kfunc_call.holds(context.release);
    let outcome = match (seen.load_errno, seen.run_errno) {
        (Some(0), Some(0)) => Outcome::Pass,
        (Some(0), Some(errno)) => Outcome::Rejected { errno, line: "accepted, but it could not be run".into() },
        (Some(errno), _) => refusal(errno, &seen.verifier_log),
        (None, _) => Outcome::Infrastructure { error: "no program was loaded".into() },
    };
    let has = Has { btf: context.kernel.vmlinux.is_some(), jit: context.jit_default.is_some(), promised };
    let (claim, line, right) = claim(&outcome, has);
    fact(&mut seen, "claim", claim);
    if let Some(line) = line {
        fact(&mut seen, "line", line);
    }
    let standing = if right { Standing::Right } else { Standing::Wrong };
    Ok(Answer::new(seen, outcome, standing))
}

/// What decides whether a kfunc call may be refused, and how.
#[derive(Debug, Clone, Copy)]
struct Has {
    btf: bool,
    jit: bool,
    /// The arch file says that the JIT supports kfunc calls in this release.
    promised: bool,
}

/// What a kernel that answered so claims, its line if it refused, and whether that is as it must be: the three refusals of
/// kernel/bpf/verifier.c `add_kfunc_call()`, to the letter, and each only where it belongs.
fn claim(outcome: &Outcome, has: Has) -> (&'static str, Option<&str>, bool) {
    match outcome {
        Outcome::Pass => ("yes", None, has.promised),
        Outcome::Unsupported { line } => ("no", Some(line), !has.promised && line == LINE_UNSUPPORTED),
        Outcome::NoBtf { line } => ("no BTF", Some(line), !has.btf && line == LINE_NO_BTF),
        Outcome::NoJit { line } => ("no JIT", Some(line), !has.jit && line == LINE_NO_JIT),
        Outcome::Rejected { line, .. } => ("unknown", Some(line), false),
        _ => ("unknown", None, false),
    }
}

fn trampoline(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    if context.kernel.vmlinux.is_none() {
        let reason = "a trampoline's target is named by a BTF id, and there is no BTF";
        return Ok(Answer::not_run(reason, &[("trampoline", "not observable")]));
    }
    let mut seen = Observation::default();
    let program = context.trampoline.programs().into_iter().next();
    let Some((name, annotations)) = program.and_then(|p| Some((p.name, p.annotations.ok()?))) else {
        seen.infrastructure = Some("testcases/probe/trampoline.bpf.c has no program".into());
        return Ok(Answer::judged(seen.clone(), judge_infrastructure(&seen)));
    };
    match bpf::load(sys, context.trampoline, &name, context.kernel, &LoadOptions::default()) {
        Ok(loaded) => {
            let result = loaded.run(sys, &RunOptions::default())?;
            loaded.close(sys)?;
            seen.load_errno = Some(0);
            seen.run_errno = Some(result.errno);
            seen.retval = Some(result.retval);
            seen.observed = (0u32..).zip(result.observed).take(1).collect();
        }
        Err(error) => refused_load(error, &mut seen)?,
    }
    let outcome = judge(&annotations, &seen, sys.target().word);
    let there = outcome == Outcome::Pass;
    fact(&mut seen, "trampoline", if there { "yes" } else { "no" });
    let promised = context.claims.trampoline.holds(context.release);
    let standing = match (there, promised) {
        (true, true) => Standing::Right,
        (false, false) => {
            Standing::NotApplicable { reason: "this architecture has no BPF trampoline in this release".into() }
        }
        _ => Standing::Wrong,
    };
    Ok(Answer::new(seen, outcome, standing))
}

fn judge_infrastructure(seen: &Observation) -> Outcome {
    Outcome::Infrastructure { error: seen.infrastructure.clone().unwrap_or_default() }
}

/// Files how a load failed.
///
/// # Errors
/// [`SysError`] when it was the guest that failed.
pub fn refused_load(error: LoadError, seen: &mut Observation) -> Result<(), SysError> {
    match error {
        LoadError::Sys(error) => return Err(error),
        LoadError::KfuncAbsent(name) | LoadError::NoAttachTarget { target: name, .. } => seen.absent_kfunc = Some(name),
        LoadError::Refused { errno, log, .. } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
        }
        LoadError::Setup { what, errno, log } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
            seen.setup = Some(format!("the kernel refused {what}"));
        }
        other => seen.infrastructure = Some(other.to_string()),
    }
    Ok(())
}

fn jit_off(sys: &mut dyn Sys, context: &Context<'_>) -> Result<Answer, SysError> {
    if context.kernel.vmlinux.is_none() {
        return Ok(Answer::not_run("without BTF the verifier refuses for that reason first", &[]));
    }
    if context.jit_default.is_none() {
        return Ok(Answer::not_run("there is no JIT to switch off", &[]));
    }
    if files::write(sys, JIT_ENABLE, "0")?.is_err() || files::read_text(sys, JIT_ENABLE)?.as_deref() != Ok("0") {
        return Ok(Answer::not_run("the JIT cannot be switched off (CONFIG_BPF_JIT_ALWAYS_ON)", &[]));
    }
    let mut seen = Observation::default();
    let tried = try_call(sys, context, &mut seen);
    // A guest that died of it has nothing to restore, and its end is the answer.
    tried?;
    let restored = files::write(sys, JIT_ENABLE, "1")?;
    if let Err(errno) = restored {
        seen.infrastructure = Some(format!("the JIT could not be switched on again (errno {errno})"));
        return Ok(Answer::judged(seen.clone(), judge_infrastructure(&seen)));
    }
    Ok(refused_with(seen, ENOTSUPP, LINE_NO_JIT))
}

/// A refusal was due: errno and line must be these, to the letter.
fn refused_with(seen: Observation, errno: i32, line: &str) -> Answer {
    let outcome = match seen.load_errno {
        Some(got) if got == errno && seen.verifier_log.lines().any(|l| l.trim() == line) => Outcome::Pass,
        Some(0) => Outcome::Rejected { errno: 0, line: format!("accepted, but must be refused with `{line}`") },
        Some(got) => refusal(got, &seen.verifier_log),
        None => Outcome::Infrastructure { error: "no program was loaded".into() },
    };
    Answer::judged(seen, outcome)
}

#[derive(Clone, Copy)]
enum Refusal {
    NonGpl,
    UnknownId,
}

/// A BTF id beyond every kernel's last type.
const NO_SUCH_ID: i32 = 0x7fff_fff0;

fn refused_call(sys: &mut dyn Sys, context: &Context<'_>, which: Refusal) -> Result<Answer, SysError> {
    if context.kernel.vmlinux.is_none() {
        return Ok(Answer::not_run("without BTF the verifier refuses for that reason first", &[]));
    }
    if !context.claims.kfunc_call.holds(context.release) {
        return Ok(Answer::not_run("without kfunc support the verifier refuses for that reason first", &[]));
    }
    let program = programs(context.kernel).into_iter().next();
    let (program, line) = match which {
        Refusal::UnknownId => {
            let insns = lock_unlock(&[NO_SUCH_ID, NO_SUCH_ID]);
            (
                RawProgram::new("probe_id", ProgType::Syscall, insns),
                format!("kernel btf_id {NO_SUCH_ID} is not a function"),
            )
        }
        Refusal::NonGpl => match program {
            Some((program, _)) => {
                let program = RawProgram { license: "Proprietary".into(), ..program };
                (program, "cannot call kernel function from non-GPL compatible program".into())
            }
            None => return Ok(Answer::not_run("no kfunc that could be called from here is known in this kernel", &[])),
        },
    };
    let mut seen = Observation::default();
    match bpf::load_program(sys, &program, 1)? {
        LoadResult::Loaded(fd) => {
            seen.load_errno = Some(0);
            files::close(sys, u64::from(fd.cast_unsigned()))?;
        }
        LoadResult::Refused { errno, log } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
        }
    }
    const EINVAL: i32 = 22;
    Ok(refused_with(seen, EINVAL, &line))
}

#[cfg(test)]
mod tests;
