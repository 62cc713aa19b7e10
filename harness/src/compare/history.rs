//! What earlier runs say of each cell.

use std::collections::BTreeMap;

use super::State;
use crate::expectations::kind;
use crate::model::{Cell, KernelResults, RunResults};

/// What two cells of different runs have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub arch: String,
    pub kernel: String,
    pub cell: String,
    /// 0, and more where a run has the same cell several times.
    nth: usize,
}

/// The cells of a run with their keys, in the order of the run.
pub(super) fn keys(results: &RunResults) -> impl Iterator<Item = (Key, &KernelResults, &Cell)> {
    let mut seen: BTreeMap<Key, usize> = BTreeMap::new();
    results.kernels.iter().flat_map(|kernel| kernel.cells.iter().map(move |cell| (kernel, cell))).map(
        move |(kernel, cell)| {
            let mut key = Key { arch: kernel.arch.clone(), kernel: kernel.kernel.clone(), cell: cell.name(), nth: 0 };
            let count = seen.entry(key.clone()).or_default();
            key.nth = *count;
            *count += 1;
            (key, kernel, cell)
        },
    )
}

/// Tells one run from another.
type Run = (u64, u64, Vec<String>);

fn run(results: &RunResults) -> Run {
    (results.started, results.duration_ms, results.command.clone())
}

/// One judged cell of one run.
#[derive(Debug, Clone)]
struct Seen {
    run: usize,
    started: u64,
    /// Which kernel it was: an index into [`History::booted`].
    booted: usize,
    state: State,
    outcome: &'static str,
}

/// Earlier runs, as far as a comparison needs them. Runs may be added in any order.
#[derive(Debug, Clone, Default)]
pub struct History {
    runs: Vec<Run>,
    /// Release and image key of what was booted. A rebuilt kernel is another one, though its release may be the same.
    booted: BTreeMap<(String, String), usize>,
    cells: BTreeMap<Key, Vec<Seen>>,
}

impl History {
    /// Adds a run; one that is there already is not counted twice.
    pub fn add(&mut self, results: &RunResults) {
        let this = run(results);
        if self.runs.contains(&this) {
            return;
        }
        let index = self.runs.len();
        self.runs.push(this);
        for (key, kernel, cell) in keys(results) {
            let state = State::of(cell);
            if state == State::NotJudged {
                continue;
            }
            let release = kernel.guest.as_ref().map(|guest| guest.release.clone()).unwrap_or_default();
            let image = kernel.image.as_ref().map(|image| image.key.clone()).unwrap_or_default();
            let next = self.booted.len();
            let booted = *self.booted.entry((release, image)).or_insert(next);
            let outcome = kind(&cell.outcome);
            let seen = Seen { run: index, started: results.started, booted, state, outcome };
            self.cells.entry(key).or_default().push(seen);
        }
    }

    /// What there is to know before NEW, OLD included.
    pub(super) fn before<'a>(&'a self, old: &RunResults, new: &RunResults) -> Before<'a> {
        let mut extra = History { booted: self.booted.clone(), ..History::default() };
        let there = self.runs.contains(&run(old));
        if !there {
            extra.add(old);
        }
        let this = run(new);
        let used: Vec<bool> = self.runs.iter().map(|run| run.0 <= new.started && *run != this).collect();
        Before { history: self, extra, used, old: self.runs.iter().position(|one| *one == run(old)) }
    }
}

/// A history without what is not earlier than NEW. OLD always counts, and as the latest.
pub(super) struct Before<'a> {
    history: &'a History,
    /// OLD, when the history does not have it.
    extra: History,
    used: Vec<bool>,
    /// OLD in the history.
    old: Option<usize>,
}

impl Before<'_> {
    /// How many runs.
    pub fn runs(&self) -> usize {
        let of_history = self.used.iter().enumerate().filter(|(index, used)| **used || Some(*index) == self.old);
        of_history.count() + self.extra.runs.len()
    }

    /// The latest judgement of a cell: OLD's, or the newest of the others.
    pub fn latest(&self, key: &Key) -> Option<State> {
        let in_old = self.extra.cells.get(key).and_then(|seen| seen.first());
        let all = self.history.cells.get(key).map_or(&[][..], Vec::as_slice);
        let of_old = || all.iter().find(|seen| Some(seen.run) == self.old);
        let others = || all.iter().filter(|seen| self.used[seen.run]).max_by_key(|seen| seen.started);
        in_old.or_else(of_old).or_else(others).map(|seen| seen.state)
    }

    /// The most changes of a cell's outcome from run to run under one kernel. Runs where the question did not arise do not
    /// count.
    pub fn flips(&self, key: &Key) -> usize {
        let own = self.history.cells.get(key).map_or(&[][..], Vec::as_slice);
        let extra = self.extra.cells.get(key).map_or(&[][..], Vec::as_slice);
        let mut all: Vec<&Seen> = own
            .iter()
            .filter(|seen| self.used[seen.run] || Some(seen.run) == self.old)
            .chain(extra)
            .filter(|seen| seen.state != State::NotApplicable)
            .collect();
        all.sort_by_key(|seen| seen.started);
        let mut last: BTreeMap<usize, (&str, usize)> = BTreeMap::new();
        for seen in all {
            let (outcome, flips) = last.entry(seen.booted).or_insert((seen.outcome, 0));
            if *outcome != seen.outcome {
                *outcome = seen.outcome;
                *flips += 1;
            }
        }
        last.values().map(|(_, flips)| *flips).max().unwrap_or(0)
    }
}
