//! Two runs side by side: what got worse, what got better, what cannot be said. A pure function of results.
//!
//! Cells are matched by (arch, kernel as asked for, `suite::case`). What a cell was before is its latest judgement: OLD's,
//! or that of an earlier run when OLD could not judge it, so that a night without a guest hides nothing.

mod history;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod year;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use history::History;
use history::{Key, keys};

use crate::expectations::kind;
use crate::model::{Cell, KernelResults, Outcome, RunResults, Standing};
use crate::report::clean;
use crate::report::evidence::{again, headline};

/// Version of the serialised form.
pub const SCHEMA: u32 = 1;

/// What a cell came to, as far as two runs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "outcome")]
pub enum State {
    /// As it should be.
    Right,
    /// Not as it should be, with the outcome's kind.
    Wrong(&'static str),
    /// Fails as recorded, with the outcome's kind.
    KnownFailure(&'static str),
    /// Recorded as failing, but it passed.
    UnexpectedPass,
    /// The question does not arise.
    NotApplicable,
    /// Infrastructure failed: says nothing.
    NotJudged,
}

impl State {
    /// The state of a cell.
    pub fn of(cell: &Cell) -> Self {
        match (&cell.standing, &cell.outcome) {
            (Standing::NotApplicable { .. }, _) => Self::NotApplicable,
            // A control may ask for infrastructure that fails, and is right then.
            (Standing::Right, _) => Self::Right,
            (_, Outcome::Infrastructure { .. }) => Self::NotJudged,
            (Standing::Wrong, outcome) => Self::Wrong(kind(outcome)),
            (Standing::KnownFailure { .. }, outcome) => Self::KnownFailure(kind(outcome)),
            (Standing::UnexpectedPass { .. }, _) => Self::UnexpectedPass,
        }
    }

    /// Whether it fails its run.
    pub fn fails(self) -> bool {
        matches!(self, Self::Wrong(_) | Self::UnexpectedPass)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Right => f.write_str("right"),
            Self::Wrong(kind) => write!(f, "wrong ({})", kind.replace('_', " ")),
            Self::KnownFailure(kind) => write!(f, "known failure ({})", kind.replace('_', " ")),
            Self::UnexpectedPass => f.write_str("passed unexpectedly"),
            Self::NotApplicable => f.write_str("not applicable"),
            Self::NotJudged => f.write_str("not judged"),
        }
    }
}

/// What became of a cell that was judged before and now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Unchanged,
    Regression,
    Fix,
    /// Neither better nor worse, or a question that came or went.
    Other,
}

fn class(was: State, now: State) -> Class {
    use State::{KnownFailure, NotApplicable, Right, UnexpectedPass, Wrong};
    match (was, now) {
        (was, now) if was == now => Class::Unchanged,
        (_, UnexpectedPass) | (Right | NotApplicable, Wrong(_)) => Class::Regression,
        (KnownFailure(was), Wrong(now)) if was != now => Class::Regression,
        (Wrong(_) | KnownFailure(_) | UnexpectedPass, Right) => Class::Fix,
        _ => Class::Other,
    }
}

/// One cell in both runs, or in NEW alone. All text is clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Arch name.
    pub arch: String,
    /// The kernel as asked for.
    pub kernel: String,
    /// `suite::case`.
    pub cell: String,
    /// The kernel's release now.
    pub release: String,
    /// Its latest judgement before; absent where there is none.
    pub was: Option<State>,
    /// What it is in NEW.
    pub now: State,
    /// The judgement in NEW in one line.
    pub headline: String,
    /// What was compared; absent where no value was.
    pub what: Option<String>,
    /// Expected, printed.
    pub expected: Option<String>,
    /// Got, printed.
    pub got: Option<String>,
    /// How often its outcome changed under an unchanged kernel; of flaky cells.
    pub flips: usize,
    /// The command that runs it alone.
    pub again: String,
}

/// One cell that there is nothing more to say of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Arch name.
    pub arch: String,
    /// The kernel as asked for.
    pub kernel: String,
    /// `suite::case`.
    pub cell: String,
    /// What it is where it is.
    pub state: State,
    /// Why it was not judged; otherwise empty.
    pub reason: String,
}

/// A kernel of one run or of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Arch name.
    pub arch: String,
    /// As asked for.
    pub kernel: String,
    /// Its cells.
    pub cells: usize,
    /// Those that fail.
    pub failing: usize,
}

/// A kernel of both runs that is not the same any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renewed {
    /// Arch name.
    pub arch: String,
    /// As asked for.
    pub kernel: String,
    /// Release in OLD and NEW; absent where nothing was booted.
    pub release: [Option<String>; 2],
    /// Verdict in OLD and NEW.
    pub verdict: [String; 2],
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub regressions: usize,
    pub first_failures: usize,
    pub flaky: usize,
    pub fixes: usize,
    pub other_changes: usize,
    pub unchanged: usize,
    pub not_judged: usize,
    pub new_cells: usize,
    pub gone_cells: usize,
}

/// NEW against OLD. Every cell is in one list, or among the unchanged.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// Start of OLD and NEW, seconds since 1970.
    pub started: [u64; 2],
    /// Runs before NEW that were looked at, OLD among them.
    pub earlier_runs: usize,
    /// How many of each.
    pub counts: Counts,
    /// Worse than before.
    pub regressions: Vec<Change>,
    /// Failing, and never judged before on a kernel that both runs have.
    pub first_failures: Vec<Change>,
    /// Changed back and forth in earlier runs of one kernel. Says nothing by itself, whatever it is now.
    pub flaky: Vec<Change>,
    /// Right, and was not.
    pub fixes: Vec<Change>,
    /// Changed in any other way.
    pub other_changes: Vec<Change>,
    /// What infrastructure kept from being judged in NEW.
    pub not_judged: Vec<Named>,
    /// In NEW alone, on a kernel that both runs have, and not failing.
    pub new_cells: Vec<Named>,
    /// In OLD alone, on a kernel that both runs have.
    pub gone_cells: Vec<Named>,
    /// In OLD alone.
    pub kernels_gone: Vec<Kernel>,
    /// In NEW alone.
    pub kernels_new: Vec<Kernel>,
    /// In both, with another release or verdict.
    pub kernels_changed: Vec<Renewed>,
}

impl Comparison {
    /// Whether there is something to wake somebody for.
    pub fn wakes(&self) -> bool {
        !self.regressions.is_empty() || !self.first_failures.is_empty()
    }
}

/// Compares two runs. Of `history`, runs that are NEW itself or began after it are left out; OLD is added.
pub fn compare(old: &RunResults, new: &RunResults, history: &History) -> Comparison {
    let before = history.before(old, new);
    let kernels = |results: &RunResults| -> BTreeSet<(String, String)> {
        results.kernels.iter().map(|kernel| (kernel.arch.clone(), kernel.kernel.clone())).collect()
    };
    let (old_kernels, new_kernels) = (kernels(old), kernels(new));
    let mut old_cells: BTreeMap<Key, &Cell> = keys(old).map(|(key, _, cell)| (key, cell)).collect();
    let mut out = Comparison {
        schema: SCHEMA,
        started: [old.started, new.started],
        earlier_runs: before.runs(),
        counts: Counts::default(),
        regressions: Vec::new(),
        first_failures: Vec::new(),
        flaky: Vec::new(),
        fixes: Vec::new(),
        other_changes: Vec::new(),
        not_judged: Vec::new(),
        new_cells: Vec::new(),
        gone_cells: Vec::new(),
        kernels_gone: only_in(old, &new_kernels),
        kernels_new: only_in(new, &old_kernels),
        kernels_changed: renewed(old, new),
    };
    for (key, kernel, cell) in keys(new) {
        if !old_kernels.contains(&(key.arch.clone(), key.kernel.clone())) {
            continue;
        }
        let in_old = old_cells.remove(&key).is_some();
        let now = State::of(cell);
        if now == State::NotJudged {
            out.not_judged.push(named(&key, now, &headline(cell)));
            continue;
        }
        let flips = before.flips(&key);
        let was = before.latest(&key);
        let change = || change(new, kernel, cell, was, now, flips);
        match was {
            Some(_) if flips >= 2 => out.flaky.push(change()),
            Some(was) => match class(was, now) {
                Class::Unchanged => out.counts.unchanged += 1,
                Class::Regression => out.regressions.push(change()),
                Class::Fix => out.fixes.push(change()),
                Class::Other => out.other_changes.push(change()),
            },
            None if now.fails() => out.first_failures.push(change()),
            None if in_old => out.other_changes.push(change()),
            None => out.new_cells.push(named(&key, now, "")),
        }
    }
    let errors: BTreeMap<(&str, &str), &str> = new
        .kernels
        .iter()
        .filter_map(|kernel| Some(((kernel.arch.as_str(), kernel.kernel.as_str()), kernel.error.as_deref()?)))
        .collect();
    for (key, cell) in old_cells {
        if !new_kernels.contains(&(key.arch.clone(), key.kernel.clone())) {
            continue;
        }
        match errors.get(&(key.arch.as_str(), key.kernel.as_str())) {
            Some(error) => out.not_judged.push(named(&key, State::NotJudged, error)),
            None => out.gone_cells.push(named(&key, State::of(cell), "")),
        }
    }
    // Those that changed this time first.
    out.flaky.sort_by_key(|change| change.was == Some(change.now));
    out.counts = Counts {
        regressions: out.regressions.len(),
        first_failures: out.first_failures.len(),
        flaky: out.flaky.len(),
        fixes: out.fixes.len(),
        other_changes: out.other_changes.len(),
        unchanged: out.counts.unchanged,
        not_judged: out.not_judged.len(),
        new_cells: out.new_cells.len(),
        gone_cells: out.gone_cells.len(),
    };
    out
}

fn change(
    new: &RunResults,
    kernel: &KernelResults,
    cell: &Cell,
    was: Option<State>,
    now: State,
    flips: usize,
) -> Change {
    let values = match &cell.outcome {
        Outcome::WrongValue { what, expected, got } => [what, expected, got].map(|text| Some(clean::line(text))),
        _ => [None, None, None],
    };
    let [what, expected, got] = values;
    Change {
        arch: clean::line(&kernel.arch),
        kernel: clean::line(&kernel.kernel),
        cell: clean::line(&cell.name()),
        release: release(kernel).unwrap_or_else(|| "-".into()),
        was,
        now,
        headline: headline(cell),
        what,
        expected,
        got,
        flips,
        again: again(&new.command, &kernel.arch, &kernel.kernel, cell),
    }
}

fn named(key: &Key, state: State, reason: &str) -> Named {
    Named {
        arch: clean::line(&key.arch),
        kernel: clean::line(&key.kernel),
        cell: clean::line(&key.cell),
        state,
        reason: clean::line(reason),
    }
}

fn release(kernel: &KernelResults) -> Option<String> {
    let guest = kernel.guest.as_ref().map(|guest| &guest.release).filter(|release| !release.is_empty());
    guest.or(kernel.image.as_ref().map(|image| &image.release)).map(|release| clean::line(release))
}

fn only_in(results: &RunResults, others: &BTreeSet<(String, String)>) -> Vec<Kernel> {
    let alone = |kernel: &&KernelResults| !others.contains(&(kernel.arch.clone(), kernel.kernel.clone()));
    let one = |kernel: &KernelResults| Kernel {
        arch: clean::line(&kernel.arch),
        kernel: clean::line(&kernel.kernel),
        cells: kernel.cells.len(),
        failing: kernel.cells.iter().filter(|cell| State::of(cell).fails()).count(),
    };
    results.kernels.iter().filter(alone).map(one).collect()
}

fn renewed(old: &RunResults, new: &RunResults) -> Vec<Renewed> {
    let mut out = Vec::new();
    for kernel in &new.kernels {
        let same = |other: &&KernelResults| other.arch == kernel.arch && other.kernel == kernel.kernel;
        let Some(before) = old.kernels.iter().find(same) else { continue };
        let one = Renewed {
            arch: clean::line(&kernel.arch),
            kernel: clean::line(&kernel.kernel),
            release: [release(before), release(kernel)],
            verdict: [before.verdict.to_string(), kernel.verdict.to_string()],
        };
        if one.release[0] != one.release[1] || one.verdict[0] != one.verdict[1] {
            out.push(one);
        }
    }
    out
}
