//! What a run says of `testcases/expectations.toml`: which entries it lacks, which are to be narrowed and which are stale.
//!
//! A pure function of (results, text of the file): it gives the edited text and what a person must decide. Judged against
//! the file as it is now, not as it was when the run was made. It never invents a reason: those of new entries are empty,
//! and the harness refuses the file until somebody filled them in.

mod file;
mod names;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};

use crate::arch::Release;
use crate::expectations::{ExpectationError, Expectations, Known, Range, STALE, Subject, braces, glob};
use crate::model::{Cell, KernelResults, Outcome, RunResults};
use crate::report::row::CONTROL;
use file::Entry;

/// What is to be done about the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The file's text as proposed; the same as now when nothing is.
    pub text: String,
    /// What the edits are, one a line.
    pub edits: Vec<String>,
    /// What no edit of the file can settle, one a line.
    pub remarks: Vec<String>,
}

impl Proposal {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.remarks.is_empty()
    }
}

/// A kernel that was looked at.
struct Seen<'a> {
    kernel: &'a KernelResults,
    release: Release,
}

impl<'a> Seen<'a> {
    fn of(kernel: &'a KernelResults) -> Option<Self> {
        let release = kernel.guest.as_ref()?.release.parse().ok()?;
        Some(Self { kernel, release })
    }

    fn config(&self, symbol: &str) -> Option<bool> {
        self.kernel.image.as_ref()?.kconfig.get(symbol).copied()
    }

    fn with<T>(&self, what: impl FnOnce(&Subject<'_>) -> T) -> T {
        what(&Subject { arch: &self.kernel.arch, release: self.release, config: &|symbol| self.config(symbol) })
    }

    fn release_text(&self) -> &'a str {
        self.kernel.guest.as_ref().map_or("", |guest| guest.release.as_str())
    }

    /// Cells that an expectation may be about, and that were judged.
    fn cells(&self) -> impl Iterator<Item = &'a Cell> + use<'a> {
        let judged = |cell: &&Cell| {
            let wanted = cell.suite != CONTROL && cell.suite != "probe" && cell.standing.was_run();
            wanted && !matches!(cell.outcome, Outcome::Infrastructure { .. } | Outcome::NotRun { .. })
        };
        self.kernel.cells.iter().filter(judged)
    }
}

/// How the cells of one written pattern came out.
#[derive(Default)]
struct Fate<'a> {
    /// Releases on which a cell failed as recorded, by name.
    fails: BTreeMap<String, BTreeSet<Release>>,
    /// Releases on which a cell passed, by name.
    passes: BTreeMap<String, BTreeSet<Release>>,
    /// Names after expansion that matched no cell of a kernel whose run called them stale.
    stale: BTreeSet<&'a str>,
}

/// Proposes. `path` is for messages.
///
/// # Errors
/// When the file is not one that the harness takes.
pub fn propose(results: &RunResults, path: &str, text: &str, arches: &[String]) -> Result<Proposal, ExpectationError> {
    let known = Expectations::parse(path, text, arches)?;
    let fail = |error: toml::de::Error| ExpectationError { file: path.into(), what: error.to_string() };
    let entries = file::entries(text).map_err(fail)?;
    let seen: Vec<Seen<'_>> = results.kernels.iter().filter_map(Seen::of).collect();
    let mut out = Proposal::default();
    let mut splices = Vec::new();
    for entry in &entries {
        narrow(entry, text, &known, &seen, &mut splices, &mut out);
    }
    let after = entries.last().map_or(text.len(), |entry| entry.whole.end);
    for new in wrong::entries(&known, &seen, &mut out.remarks) {
        out.edits.push(new.about);
        // After the last entry of its arch: those about one arch are read together.
        let at = entries.iter().rev().find(|entry| entry.arch == new.arch).map_or(after, |entry| entry.whole.end);
        let gap = if at > 0 && !text[..at].ends_with('\n') { "\n" } else { "" };
        splices.push((at..at, format!("{gap}\n{}", new.text)));
    }
    out.text = joined(text, splices);
    Ok(out)
}

/// Several insertions at one place stay in their order.
fn joined(text: &str, splices: Vec<(std::ops::Range<usize>, String)>) -> String {
    let mut by_place: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for (range, new) in splices {
        match by_place.iter_mut().find(|(other, _)| *other == range && range.is_empty()) {
            Some((_, text)) => text.push_str(&new),
            None => by_place.push((range, new)),
        }
    }
    file::splice(text, by_place)
}

/// What the run says of one entry: names that passed and names that match nothing are taken out, and what passed from some
/// release on keeps an entry for the releases before it.
fn narrow(
    entry: &Entry,
    text: &str,
    known: &Expectations,
    seen: &[Seen<'_>],
    splices: &mut Vec<(std::ops::Range<usize>, String)>,
    out: &mut Proposal,
) {
    let mine: Vec<&Known> = known.entries().iter().filter(|one| one.line == entry.line).collect();
    let (mut kept, mut ended): (Vec<String>, BTreeMap<Release, Vec<String>>) = (Vec::new(), BTreeMap::new());
    let (mut passed, mut stale): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    for pattern in &entry.cases {
        let expanded = braces(pattern).unwrap_or_else(|_| vec![pattern.clone()]);
        let mine: Vec<&Known> = mine.iter().copied().filter(|one| expanded.contains(&one.case)).collect();
        let fate = fate(&mine, known, seen);
        if fate.passes.is_empty() && fate.stale.is_empty() {
            kept.push(pattern.clone());
            continue;
        }
        stale.extend(fate.stale.iter().map(|name| (*name).to_owned()));
        let all_of = |one: &Known| fate.passes.iter().filter(|(name, _)| glob(&one.case, name)).collect::<Vec<_>>();
        let starts: BTreeSet<Option<Release>> = fate.passes.values().map(|on| on.first().copied()).collect();
        if let (Some(Some(since)), 1) = (starts.first(), starts.len())
            && fate.fails.is_empty()
            && fate.stale.is_empty()
            && mine.iter().all(|one| !all_of(one).is_empty())
        {
            // The pattern as a whole passes, and is kept for the releases before.
            passed.extend(fate.passes.keys().cloned());
            ended.entry(*since).or_default().push(pattern.clone());
            continue;
        }
        // Names that stay as they are: those of which this run shows nothing new.
        let mut stay: BTreeSet<String> = BTreeSet::new();
        let mut is_settled = !fate.stale.is_empty();
        for one in &mine {
            if fate.stale.contains(one.case.as_str()) {
                continue;
            }
            let passes = all_of(one);
            if passes.is_empty() {
                stay.insert(one.case.clone());
                continue;
            }
            // What the pattern stood for is now said name by name.
            let fails = fate.fails.keys().filter(|name| glob(&one.case, name) && !fate.passes.contains_key(*name));
            stay.extend(fails.cloned());
            for (name, on) in passes {
                let since = on.first().copied().unwrap_or(Release(0, 0));
                if fate.fails.get(name).is_some_and(|on| on.iter().any(|release| *release >= since)) {
                    out.remarks.push(format!(
                        "line {}: `{name}` passes on {since} and fails on that release or a later one: nothing is proposed; \
                         what differs between the kernels belongs in `config` or `kernels`",
                        entry.line
                    ));
                    stay.insert(name.clone());
                } else {
                    is_settled = true;
                    passed.insert(name.clone());
                    ended.entry(since).or_default().push(name.clone());
                }
            }
        }
        if is_settled {
            kept.extend(names::merged(stay.iter().map(String::as_str)));
        } else {
            kept.push(pattern.clone());
        }
    }
    if passed.is_empty() && stale.is_empty() {
        return;
    }
    describe(entry, &passed, &stale, &mut out.edits);
    let mut is_narrowed = false;
    for (since, names) in &ended {
        // What is left of the range is what this run says nothing of.
        let Some(range) = before(&entry.range, *since) else { continue };
        let cases = file::case_value(&names::merged(names.iter().map(String::as_str)));
        if kept.is_empty() && !is_narrowed {
            // The entry itself is narrowed, and keeps its comment.
            splices.push((entry.kernels.clone(), file::quoted(&range)));
            if names != &entry.cases {
                splices.push((entry.case.clone(), cases));
            }
            is_narrowed = true;
            continue;
        }
        let body = &text[entry.body.clone()];
        let at = |range: &std::ops::Range<usize>| range.start - entry.body.start..range.end - entry.body.start;
        let copy = file::splice(body, vec![(at(&entry.kernels), file::quoted(&range)), (at(&entry.case), cases)]);
        splices.push((entry.whole.end..entry.whole.end, format!("\n{copy}")));
    }
    if !kept.is_empty() {
        splices.push((entry.case.clone(), file::case_value(&kept)));
    } else if !is_narrowed {
        // With the empty line above it, so that no two are left.
        let start = if text[..entry.whole.start].ends_with("\n\n") { entry.whole.start - 1 } else { entry.whole.start };
        splices.push((start..entry.whole.end, String::new()));
    }
}

fn describe(entry: &Entry, passed: &BTreeSet<String>, stale: &BTreeSet<String>, edits: &mut Vec<String>) {
    let few = |names: &BTreeSet<String>| names::merged(names.iter().map(String::as_str)).join(", ");
    if !passed.is_empty() {
        edits.push(format!("line {}: passed on {}, recorded as failing: {}", entry.line, entry.arch, few(passed)));
    }
    if !stale.is_empty() {
        edits.push(format!("line {}: stale, no case of {} matches: {}", entry.line, entry.arch, few(stale)));
    }
}

/// How the cells came out that these expectations are the ones for.
fn fate<'a>(mine: &[&'a Known], known: &Expectations, seen: &[Seen<'_>]) -> Fate<'a> {
    let mut out = Fate::default();
    for kernel in seen {
        for cell in kernel.cells() {
            let found = kernel.with(|on| known.find(on, &cell.name()));
            let Some(found) = found.filter(|found| mine.iter().any(|one| std::ptr::eq(*one, *found))) else { continue };
            match &cell.outcome {
                Outcome::Pass => drop(out.passes.entry(cell.name()).or_default().insert(kernel.release)),
                outcome if found.excuses(outcome) => {
                    out.fails.entry(cell.name()).or_default().insert(kernel.release);
                }
                _ => {}
            }
        }
    }
    for one in mine {
        let about: Vec<&Seen<'_>> = seen.iter().filter(|kernel| kernel.with(|on| one.is_about(on))).collect();
        let said = |kernel: &&Seen<'_>| {
            let error = format!("no case matches `{}`", one.case);
            let says = |cell: &&Cell| {
                cell.case == STALE
                    && matches!(&cell.outcome, Outcome::Infrastructure { error: said } if said.ends_with(&error))
            };
            kernel.kernel.cells.iter().any(|cell| says(&cell))
        };
        let matches = |kernel: &&Seen<'_>| kernel.kernel.cells.iter().any(|cell| glob(&one.case, &cell.name()));
        if about.iter().any(said) && !about.iter().any(matches) {
            out.stale.insert(one.case.as_str());
        }
    }
    out
}

/// A range, ended before `since`; `None` when nothing is left of it.
fn before(range: &str, since: Release) -> Option<String> {
    let ended = match range.trim() {
        "*" => format!("<{since}"),
        range => format!("{range}, <{since}"),
    };
    // What holds no release is no range.
    ended.parse::<Range>().ok().map(|_| simplest(&ended))
}

/// Of several upper bounds the lowest is enough.
fn simplest(range: &str) -> String {
    let parts: Vec<&str> = range.split(',').map(str::trim).collect();
    let (upper, mut rest): (Vec<&str>, Vec<&str>) =
        parts.iter().partition(|part| part.starts_with('<') && !part.starts_with("<="));
    let lowest = upper.iter().min_by_key(|part| part[1..].trim().parse::<Release>().ok());
    rest.extend(lowest);
    rest.join(", ")
}

#[cfg(test)]
mod tests;
