//! Cells that are wrong and that no entry covers, as entries to be filled in.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seen, file, names};
use crate::arch::Release;
use crate::expectations::{EXCUSABLE, Expectations, kind};
use crate::model::{Cell, Outcome, Standing};
use crate::report::clean;
use crate::report::evidence::outcome;

/// An entry that the file lacks.
pub struct New {
    /// Its arch.
    pub arch: String,
    /// Its text, comment included; ends with a line feed.
    pub text: String,
    /// What it is about, in one line.
    pub about: String,
}

/// What entries have in common that differ in their cases only.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    arch: String,
    kernels: String,
    config: Option<String>,
    outcomes: Vec<&'static str>,
}

/// A case, and where it fails.
type Failing<'a> = (String, Vec<(&'a Seen<'a>, &'a Cell)>);

/// One case of one arch, on all its kernels.
#[derive(Default)]
struct Case<'a> {
    fails: Vec<(&'a Seen<'a>, &'a Cell)>,
    passes: Vec<&'a Seen<'a>>,
}

/// Entries for everything that is wrong and may be excused. What may not be, or is excused in part, becomes a remark.
pub fn entries(known: &Expectations, seen: &[Seen<'_>], remarks: &mut Vec<String>) -> Vec<New> {
    let mut cases: BTreeMap<(&str, String), Case<'_>> = BTreeMap::new();
    for kernel in seen {
        let arch = kernel.kernel.arch.as_str();
        for cell in kernel.cells() {
            let name = cell.name();
            match kernel.with(|on| known.find(on, &name).cloned()) {
                Some(entry) if entry.excuses(&cell.outcome) || cell.outcome == Outcome::Pass => {}
                Some(entry) => remarks.push(format!(
                    "line {}: `{name}` is recorded as {}, and came out as {} on {arch} {}: another fault, or chance; if it is \
                     chance, name both in `outcome`",
                    entry.line,
                    entry.outcomes.join(" or "),
                    kind(&cell.outcome),
                    clean::line(kernel.release_text()),
                )),
                None if cell.outcome == Outcome::Pass => {
                    cases.entry((arch, name)).or_default().passes.push(kernel);
                }
                None if !matches!(cell.standing, Standing::Right) => {
                    cases.entry((arch, name)).or_default().fails.push((kernel, cell));
                }
                None => {}
            }
        }
        for probe in kernel.kernel.cells.iter().filter(|cell| cell.suite == "probe" && cell.standing.fails()) {
            let (name, release) = (probe.name(), clean::line(kernel.release_text()));
            remarks.push(format!(
                "{arch} {release}: {name} is wrong, and what probes find is recorded in harness/arch/{arch}.toml"
            ));
        }
    }
    let mut found: BTreeMap<Key, Vec<Failing<'_>>> = BTreeMap::new();
    for ((arch, name), case) in cases.into_iter().filter(|(_, case)| !case.fails.is_empty()) {
        let kinds: BTreeSet<&'static str> = case.fails.iter().map(|(_, cell)| kind(&cell.outcome)).collect();
        if let Some(never) = kinds.iter().find(|kind| !EXCUSABLE.contains(kind)) {
            remarks.push(format!("{arch}: `{name}` came out as {never}, which no entry may excuse"));
            continue;
        }
        for (kernels, config) in ranges(&case) {
            let outcomes = kinds.iter().copied().collect();
            let key = Key { arch: arch.to_owned(), kernels, config, outcomes };
            found.entry(key).or_default().push((name.clone(), case.fails.clone()));
        }
    }
    found.into_iter().map(|(key, cases)| entry(&key, &cases)).collect()
}

/// For which kernels the case is to be recorded: from the oldest release on which it was seen to fail, up to the first
/// later one on which it was right. Where kernels of one release differ, by the symbol in which they do.
fn ranges(case: &Case<'_>) -> Vec<(String, Option<String>)> {
    let fails: BTreeSet<Release> = case.fails.iter().map(|(kernel, _)| kernel.release).collect();
    let mut passes: BTreeSet<Release> = case.passes.iter().map(|kernel| kernel.release).collect();
    let mut config = None;
    if fails.intersection(&passes).next().is_some() {
        config = deciding(case);
        if config.is_some() {
            passes.clear();
        }
    }
    let (Some(first), Some(last)) = (fails.first().copied(), fails.last().copied()) else { return Vec::new() };
    let within = passes.range(first..=last).next().is_some();
    if within {
        return fails.iter().map(|release| (format!("={release}"), config.clone())).collect();
    }
    let end = passes.range(last..).next().map(|release| format!(", <{release}")).unwrap_or_default();
    vec![(format!(">={first}{end}"), config)]
}

/// A Kconfig symbol that is set where the case fails and not where it passes.
fn deciding(case: &Case<'_>) -> Option<String> {
    let (kernel, _) = case.fails.first()?;
    let symbols = &kernel.kernel.image.as_ref()?.kconfig;
    let decides = |symbol: &&String| {
        case.fails.iter().all(|(kernel, _)| kernel.config(symbol) == Some(true))
            && case.passes.iter().all(|kernel| kernel.config(symbol) == Some(false))
    };
    symbols.keys().find(decides).cloned()
}

fn entry(key: &Key, cases: &[Failing<'_>]) -> New {
    let merged = names::merged(cases.iter().map(|(name, _)| name.as_str()));
    let releases: BTreeSet<String> =
        cases.iter().flat_map(|(_, fails)| fails).map(|(kernel, _)| clean::line(kernel.release_text())).collect();
    let releases = releases.into_iter().collect::<Vec<_>>().join(", ");
    let first = cases.first().and_then(|(name, fails)| Some((name, clean::line(&outcome(&fails.first()?.1.outcome)))));
    let mut text = format!("# Seen on {releases}.");
    if let Some((name, outcome)) = first {
        text.push_str(&format!("\n# {name}: {}", clean::shorten(&outcome, 110)));
    }
    text.push_str(&format!("\n[[known]]\narch = {}\n", file::quoted(&key.arch)));
    text.push_str(&format!("kernels = {}\n", file::quoted(&key.kernels)));
    if let Some(config) = &key.config {
        text.push_str(&format!("config = {}\n", file::quoted(config)));
    }
    text.push_str(&format!("case = {}\n", file::case_value(&merged)));
    let outcomes: Vec<String> = key.outcomes.iter().map(|kind| file::quoted(kind)).collect();
    let outcome = if let [one] = outcomes.as_slice() { one.clone() } else { format!("[{}]", outcomes.join(", ")) };
    text.push_str(&format!("outcome = {outcome}\nreason = \"\"\nlink = \"\"\n"));
    let count = cases.len();
    let about = format!(
        "new: {} {}: {count} case{} wrong and not recorded: {}",
        key.arch,
        releases,
        if count == 1 { "" } else { "s" },
        merged.join(", ")
    );
    New { arch: key.arch.clone(), text, about }
}
