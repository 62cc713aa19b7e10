//! The judge: from (expectation, observation) to an outcome, from outcome to what it means for the run, from cells to
//! a verdict. Pure functions of their inputs, tested without a guest.
//!
//! The oracle is the C meaning of the kfunc's prototype: a result is compared in the bits of its type.

use crate::arch::{Release, WordSize};
use crate::bpf::{Annotations, Expect};
use crate::expectations::{Known, kind};
use crate::model::{Cell, GuestEnd, Observation, Outcome, Standing, Verdict, probe};

/// `ENOTSUPP` of the kernel (include/linux/errno.h); not in any libc.
pub const ENOTSUPP: i32 = 524;

/// The verifier's refusals of kfunc calls as such (kernel/bpf/verifier.c, `add_kfunc_call`).
pub const LINE_NO_BTF: &str = "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF";
/// See [`LINE_NO_BTF`].
pub const LINE_NO_JIT: &str = "JIT is required for calling kernel function";
/// See [`LINE_NO_BTF`].
pub const LINE_UNSUPPORTED: &str = "JIT does not support calling kernel function";

/// Fact under which the runner files the first splat of a case.
pub const FACT_SPLAT: &str = "splat";

/// Judges one observation on a kernel with words of this size.
pub fn judge(expected: &Annotations, seen: &Observation, word: WordSize) -> Outcome {
    if let Some(outcome) = out_of_order(seen) {
        return outcome;
    }
    let outcome = match (expected.expect, seen.load_errno) {
        (Expect::Failure, Some(0)) => {
            Outcome::Rejected { errno: 0, line: "the kernel accepted a program that it must refuse".into() }
        }
        (Expect::Failure, Some(errno)) => refused_as_expected(expected, errno, &seen.verifier_log),
        (_, Some(0)) => judge_run(expected, seen, word),
        (_, Some(errno)) => refusal(errno, &seen.verifier_log),
        (_, None) => Outcome::Infrastructure { error: "the program was never loaded".into() },
    };
    match seen.facts.get(FACT_SPLAT) {
        Some(line) => Outcome::Splat { line: line.clone() },
        None => outcome,
    }
}

/// The outcome of a case that has no annotations and did not get as far as an answer.
pub fn without_expectation(seen: &Observation) -> Outcome {
    out_of_order(seen).unwrap_or_else(|| Outcome::Infrastructure { error: "nothing was observed".into() })
}

/// The outcome of something done to a guest on purpose. That nothing was noticed is a pass, which no control may come to.
pub fn of_control(seen: &Observation) -> Outcome {
    out_of_order(seen).unwrap_or(Outcome::Pass)
}

/// What leaves nothing to compare: the harness failed, the guest died, a kfunc is missing.
fn out_of_order(seen: &Observation) -> Option<Outcome> {
    if let Some(error) = &seen.infrastructure {
        return Some(Outcome::Infrastructure { error: error.clone() });
    }
    match &seen.guest_end {
        Some(GuestEnd::Panic { line }) => return Some(Outcome::GuestLost { how: format!("panic: {line}") }),
        Some(GuestEnd::Exit { status, by_guest: true }) => {
            return Some(Outcome::GuestLost { how: format!("QEMU ended: {status}") });
        }
        // The out-of-memory killer, say: no kernel is to blame.
        Some(GuestEnd::Exit { status, by_guest: false }) => {
            return Some(Outcome::Infrastructure { error: format!("QEMU ended: {status}") });
        }
        Some(GuestEnd::Silent { after_ms }) => return Some(Outcome::Hang { after_ms: *after_ms }),
        None => {}
    }
    if let Some(setup) = &seen.setup {
        // Whatever was expected of the program, it was never asked.
        return Some(Outcome::Rejected { errno: seen.load_errno.unwrap_or(0), line: setup.clone() });
    }
    seen.absent_kfunc.as_ref().map(|kfunc| Outcome::KfuncAbsent { kfunc: kfunc.clone() })
}

/// A refusal that nobody expected, told apart by errno and line.
pub fn refusal(errno: i32, log: &str) -> Outcome {
    let has = |text: &str| log.lines().find(|line| line.contains(text)).map(str::to_owned);
    if errno == ENOTSUPP {
        if let Some(line) = has(LINE_UNSUPPORTED) {
            return Outcome::Unsupported { line };
        }
        if let Some(line) = has(LINE_NO_BTF) {
            return Outcome::NoBtf { line };
        }
        if let Some(line) = has(LINE_NO_JIT) {
            return Outcome::NoJit { line };
        }
    }
    Outcome::Rejected { errno, line: telling_line(log) }
}

/// The log line that says why: the last one that is no statistics and no state dump.
fn telling_line(log: &str) -> String {
    let idle = ["processed ", "verification time", "stack depth", "mark_precise", "from ", "insns_total", "max_states"];
    log.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !idle.iter().any(|word| line.starts_with(word)))
        .unwrap_or_default()
        .to_owned()
}

/// A refusal was expected: errno and texts must match, the texts in order.
fn refused_as_expected(expected: &Annotations, errno: i32, log: &str) -> Outcome {
    if expected.errno.is_some_and(|wanted| wanted != errno) {
        return refusal(errno, log);
    }
    let mut rest = log;
    for msg in &expected.msgs {
        match rest.find(msg.as_str()) {
            Some(at) => rest = &rest[at + msg.len()..],
            None => return refusal(errno, log),
        }
    }
    Outcome::Pass
}

fn judge_run(expected: &Annotations, seen: &Observation, word: WordSize) -> Outcome {
    if let Some(errno) = seen.run_errno.filter(|errno| *errno != 0) {
        return Outcome::Rejected { errno, line: format!("BPF_PROG_TEST_RUN failed with errno {errno}") };
    }
    if let Some(wanted) = expected.retval {
        match seen.retval {
            Some(got) if got == wanted => {}
            Some(got) => return wrong("return value", number(wanted), number(got)),
            None => return Outcome::Infrastructure { error: "the program was not run".into() },
        }
    }
    for observe in &expected.observes {
        let what = format!("observed[{}] as {}", observe.index, observe.ty.name());
        let Some(slot) = seen.observed.get(&observe.index).copied() else {
            return Outcome::Infrastructure { error: format!("observed[{}] was not read", observe.index) };
        };
        // The kernel's memory never looks like this (kfunc_case.h, KFUNC_UNSET): the program did not get that far.
        if slot == UNSET {
            return wrong(&what, observe.expected(word), "nothing: the program did not store to it".into());
        }
        if !observe.holds(slot, word) {
            let got = format!("{} (all 64 bits: {slot:#018x})", observe.ty.show(slot, word));
            return wrong(&what, observe.expected(word), got);
        }
    }
    Outcome::Pass
}

/// `KFUNC_UNSET` of `testcases/include/kfunc_case.h`.
const UNSET: u64 = 0xa5a5_a5a5_a5a5_a5a5;

fn wrong(what: &str, expected: String, got: String) -> Outcome {
    Outcome::WrongValue { what: what.into(), expected, got }
}

fn number(value: u32) -> String {
    let signed = value.cast_signed();
    if signed < 0 || value > 0xffff { format!("{signed} ({value:#x})") } else { value.to_string() }
}

/// What an outcome means on this kernel.
///
/// `config` tells whether a Kconfig symbol is set, `None` when the kernel's configuration is not known.
pub fn standing(
    expected: &Annotations,
    outcome: &Outcome,
    release: Release,
    config: &dyn Fn(&str) -> Option<bool>,
    known: Option<&Known>,
) -> Standing {
    if let Some(must) = &expected.must {
        let said = expected.must_say.as_ref().is_none_or(|text| in_words(outcome).contains(text.as_str()));
        return if kind(outcome) == must && said { Standing::Right } else { Standing::Wrong };
    }
    if let Outcome::NotRun { reason } = outcome {
        return Standing::NotApplicable { reason: reason.clone() };
    }
    if let Outcome::KfuncAbsent { .. } | Outcome::Rejected { .. } = outcome {
        if let Some(reason) = out_of_range(expected, release) {
            return Standing::NotApplicable { reason };
        }
        if let Some(symbol) = expected.configs.iter().find(|symbol| config(symbol) == Some(false)) {
            return Standing::NotApplicable {
                reason: format!("needs CONFIG_{symbol}, which this kernel is built without"),
            };
        }
    }
    standing_of(outcome, known)
}

/// What an outcome means where only what is known to fail decides.
pub fn standing_of(outcome: &Outcome, known: Option<&Known>) -> Standing {
    match (known, outcome) {
        (_, Outcome::NotRun { reason }) => Standing::NotApplicable { reason: reason.clone() },
        (Some(known), Outcome::Pass) => Standing::UnexpectedPass { reason: known.reason.clone() },
        (Some(known), outcome) if known.excuses(outcome) => {
            Standing::KnownFailure { reason: known.reason.clone(), link: known.link.clone() }
        }
        (_, Outcome::Pass) => Standing::Right,
        _ => Standing::Wrong,
    }
}

/// Takes a case that was left out without a word for what it is: a fault of ours, which fails the run.
pub fn explained(outcome: Outcome, standing: Standing) -> (Outcome, Standing) {
    let is_empty = |text: &str| text.trim().is_empty();
    let left_out = matches!(&standing, Standing::NotApplicable { reason } if is_empty(reason))
        || matches!(&outcome, Outcome::NotRun { reason } if is_empty(reason));
    // Whoever was not run has no standing but this one.
    let passed_over = matches!(outcome, Outcome::NotRun { .. }) && !matches!(standing, Standing::NotApplicable { .. });
    if left_out || passed_over {
        let error = "the case was left out, and nothing says why".to_owned();
        return (Outcome::Infrastructure { error }, Standing::Wrong);
    }
    (outcome, standing)
}

/// Why a case is not about kernels of this release: its kfuncs came later, or had another prototype.
pub fn out_of_range(expected: &Annotations, release: Release) -> Option<String> {
    let first = expected.since.map(|(version, patch_level)| Release(version, patch_level));
    let last = expected.until.map(|(version, patch_level)| Release(version, patch_level));
    if let Some(first) = first.filter(|first| release < *first) {
        return Some(format!("needs Linux {first}, this is {release}"));
    }
    let last = last.filter(|last| release > *last)?;
    Some(format!("is for Linux up to {last}, this is {release}"))
}

/// An outcome's parts in one line, for `__must_say`.
fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pass => "pass".into(),
        Outcome::WrongValue { what, expected, got } => format!("{what}: expected {expected}, got {got}"),
        Outcome::Rejected { errno, line } => format!("errno {errno}: {line}"),
        Outcome::Unsupported { line } | Outcome::NoBtf { line } | Outcome::NoJit { line } | Outcome::Splat { line } => {
            line.clone()
        }
        Outcome::KfuncAbsent { kfunc } => kfunc.clone(),
        Outcome::Hang { after_ms } => format!("{after_ms} ms"),
        Outcome::GuestLost { how } => how.clone(),
        Outcome::Infrastructure { error } => error.clone(),
        Outcome::NotRun { reason } => reason.clone(),
    }
}

/// What the cells of one (arch, kernel) add up to, and why. `unfiltered`: no case was left out by name; a
/// part of the suite shows a fault, but not the absence of faults.
pub fn verdict(cells: &[Cell], unfiltered: bool) -> (Verdict, String) {
    if let Some(control) = cells.iter().find(|cell| cell.suite == "control" && cell.standing.fails()) {
        return (
            Verdict::Unknown,
            format!("{} did not come out as it must: nothing here can be trusted", control.name()),
        );
    }
    let judged: Vec<&Cell> = cells.iter().filter(|c| c.suite != "probe" && c.suite != "control").collect();
    let faults: Vec<&Cell> = cells.iter().filter(|cell| is_fault(cell)).collect();
    if let Some(first) = faults.first() {
        let run = judged.iter().filter(|cell| cell.standing.was_run()).count();
        return (Verdict::Broken, format!("{} of {run} cases wrong, the first: {}", faults.len(), first.name()));
    }
    match claim(cells) {
        Claim::Yes => {}
        Claim::NoBtf(line) => return (Verdict::NoBtf, line),
        Claim::NoJit(line) => return (Verdict::NoJit, line),
        Claim::No(line) => return (Verdict::Unsupported, line),
        Claim::Unknown => return (Verdict::Unknown, "whether kfunc calls are accepted was not found out".into()),
    }
    let right = judged.iter().filter(|cell| cell.standing.was_run() && cell.outcome == Outcome::Pass).count();
    match (right, run_of(&judged)) {
        (0, _) => (Verdict::Unknown, "kfunc calls are accepted; no case was run to see whether they are right".into()),
        (right, run) if right == run && unfiltered => (Verdict::Conformant, format!("all {run} cases right")),
        (right, run) if right == run => (Verdict::Unknown, format!("{run} cases right, which is a part of the suite")),
        (right, run) => (Verdict::Unknown, format!("{} of {run} cases could not be judged", run - right)),
    }
}

/// Whether a cell shows a kernel that accepts kfunc calls to be wrong. A known failure is still wrong.
fn is_fault(cell: &Cell) -> bool {
    if matches!(cell.standing, Standing::Right | Standing::NotApplicable { .. } | Standing::UnexpectedPass { .. }) {
        return false;
    }
    match (&cell.outcome, cell.suite.as_str()) {
        (_, "control") => false,
        (Outcome::Splat { .. } | Outcome::Hang { .. } | Outcome::GuestLost { .. }, _) => true,
        // That a probe found something else than the arch file says is a fault only when a call went through.
        (Outcome::WrongValue { .. } | Outcome::Rejected { .. }, "probe") => cell.observation.load_errno == Some(0),
        (Outcome::WrongValue { .. } | Outcome::Rejected { .. }, _) => true,
        _ => false,
    }
}

/// Whether kfunc calls are accepted, with the kernel's line where they are not.
enum Claim {
    Yes,
    NoBtf(String),
    NoJit(String),
    No(String),
    Unknown,
}

/// From the probe suite; from the other cases, which ask before they run, when no probe was selected.
fn claim(cells: &[Cell]) -> Claim {
    let probe = cells.iter().find(|cell| cell.suite == "probe" && cell.case == probe::KFUNC_CALL);
    if let Some(probe) = probe {
        let line = || probe.observation.facts.get("line").cloned().unwrap_or_default();
        return match probe.observation.facts.get("claim").map(String::as_str) {
            Some("yes") => Claim::Yes,
            Some("no") => Claim::No(line()),
            Some("no BTF") => Claim::NoBtf(line()),
            Some("no JIT") => Claim::NoJit(line()),
            _ => Claim::Unknown,
        };
    }
    for cell in cells.iter().filter(|cell| !cell.kfuncs.is_empty() || cell.suite == "abi") {
        match &cell.outcome {
            Outcome::NoBtf { line } => return Claim::NoBtf(line.clone()),
            Outcome::NoJit { line } => return Claim::NoJit(line.clone()),
            Outcome::Unsupported { line } => return Claim::No(line.clone()),
            _ if cell.observation.load_errno == Some(0) => return Claim::Yes,
            _ => {}
        }
    }
    Claim::Unknown
}

fn run_of(cells: &[&Cell]) -> usize {
    cells.iter().filter(|cell| cell.standing.was_run()).count()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
