//! Several results files as one. Pure.
//!
//! Shards must be those of one plan, each there once, and hold together the whole of it. Files that are no shards are joined
//! when no (arch, kernel) is in two of them. All must come from the same harness. A kernel's cells are never taken from
//! two files: its verdict, controls and stale expectations are about all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::judge;
use crate::model::{AbiSettings, Host, KernelResults, RunResults, SCHEMA, Shard, Verdict};

#[cfg(test)]
mod tests;

/// A results file that was read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where from.
    pub path: PathBuf,
    /// What is in it.
    pub results: RunResults,
}

/// Why files do not belong together. The message names the files.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum MergeError {
    #[error("nothing to merge: name results files")]
    Nothing,
    #[error("{} was written by {} and {} by {}; run them with one kfunc", a.display(), of_a, b.display(), of_b)]
    Harness { a: PathBuf, of_a: String, b: PathBuf, of_b: String },
    #[error("{} was run with {of_a} and {} with {of_b}; run both alike", a.display(), b.display())]
    Settings { a: PathBuf, of_a: String, b: PathBuf, of_b: String },
    #[error("{} is shard {part} and {} is no shard; leave one of them out", shard.display(), other.display())]
    Mixed { shard: PathBuf, part: String, other: PathBuf },
    #[error(
        "{} is a shard of plan {} and {} of plan {}: they are not of one run; run all shards with the same matrix, \
         options and checkout",
        a.display(), short(of_a), b.display(), short(of_b)
    )]
    Plan { a: PathBuf, of_a: String, b: PathBuf, of_b: String },
    #[error("{} is one of {of_a} shards and {} one of {of_b}; run all with the same --shard i/n", a.display(), b.display())]
    Count { a: PathBuf, of_a: u32, b: PathBuf, of_b: u32 },
    #[error("{} says that it is shard {index} of {count}, which there is not", path.display())]
    Index { path: PathBuf, index: u32, count: u32 },
    #[error("shard {part} is in {} and in {}; name one of them", a.display(), b.display())]
    Twice { part: String, a: PathBuf, b: PathBuf },
    #[error("{unit} is in {} and in {}: they overlap; leave one out, or cut the plan again", a.display(), b.display())]
    Overlap { unit: String, a: PathBuf, b: PathBuf },
    #[error(
        "{unit} is kernel {of_a} in {} and kernel {of_b} in {}: they come from different kernels; run one of them again",
        a.display(), b.display()
    )]
    Kernels { unit: String, a: PathBuf, of_a: String, b: PathBuf, of_b: String },
    #[error(
        "{missing} of {count} {} missing; add {}, or merge what there is with --partial",
        verb(missing),
        it(missing)
    )]
    Missing { missing: String, count: u32 },
    #[error("{} has {unit}, which its plan has not; run it again", path.display())]
    Stray { path: PathBuf, unit: String },
    #[error("{unit} is in no shard: {why}; run that shard again, or merge what there is with --partial")]
    Lost { unit: String, why: String },
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn verb(missing: &str) -> &'static str {
    if missing.contains(['s', ',']) && missing.starts_with("shards") { "are" } else { "is" }
}

fn it(missing: &str) -> &'static str {
    if verb(missing) == "are" { "them" } else { "it" }
}

/// Joins runs. With `partial`, what is missing becomes kernels with an error that says so: never conformant.
///
/// # Errors
/// [`MergeError`] when they do not belong together.
pub fn merge(inputs: Vec<Input>, partial: bool) -> Result<RunResults, MergeError> {
    let first = inputs.first().ok_or(MergeError::Nothing)?;
    for other in &inputs[1..] {
        same_harness(first, other)?;
    }
    let abi = settings(&inputs)?;
    let kernels = match &first.results.shard {
        Some(shard) => of_shards(&inputs, shard, partial)?,
        None => of_whole_runs(&inputs)?,
    };
    let runs = || inputs.iter().map(|input| &input.results);
    let started = runs().map(|run| run.started).min().unwrap_or(0);
    let ended = runs().map(|run| run.started.saturating_mul(1000).saturating_add(run.duration_ms)).max().unwrap_or(0);
    Ok(RunResults {
        schema: SCHEMA,
        started,
        // From the first start to the last end: what a night took.
        duration_ms: ended.saturating_sub(started.saturating_mul(1000)),
        command: command(&inputs),
        host: host(&inputs),
        abi,
        shard: None,
        kernels,
        ..first.results.clone()
    })
}

fn same_harness(a: &Input, b: &Input) -> Result<(), MergeError> {
    let name = |input: &Input| {
        let commit = input.results.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        format!("kfunc {}{commit}", input.results.harness)
    };
    if name(a) == name(b) {
        return Ok(());
    }
    Err(MergeError::Harness { a: a.path.clone(), of_a: name(a), b: b.path.clone(), of_b: name(b) })
}

/// The settings of the `abi` suite: those of all files that have any of it.
fn settings(inputs: &[Input]) -> Result<Option<AbiSettings>, MergeError> {
    let mut with = inputs.iter().filter_map(|input| input.results.abi.map(|abi| (input, abi)));
    let Some((first, of_first)) = with.next() else { return Ok(None) };
    match with.find(|(_, abi)| *abi != of_first) {
        None => Ok(Some(of_first)),
        Some((other, of_other)) => {
            let shown = |abi: AbiSettings| format!("--seed {} --cases {}", abi.seed, abi.cases);
            let (a, b) = (first.path.clone(), other.path.clone());
            Err(MergeError::Settings { a, of_a: shown(of_first), b, of_b: shown(of_other) })
        }
    }
}

/// The kernels of all shards of a plan, in its order.
fn of_shards(inputs: &[Input], of_first: &Shard, partial: bool) -> Result<Vec<KernelResults>, MergeError> {
    let mut there: BTreeMap<u32, &Path> = BTreeMap::new();
    let first = &inputs[0].path;
    for input in inputs {
        let path = &input.path;
        let Some(shard) = &input.results.shard else {
            return Err(MergeError::Mixed { shard: first.clone(), part: part(of_first), other: path.clone() });
        };
        if shard.plan != of_first.plan || shard.units != of_first.units {
            let (a, b) = (first.clone(), path.clone());
            return Err(MergeError::Plan { a, of_a: of_first.plan.clone(), b, of_b: shard.plan.clone() });
        }
        if shard.count != of_first.count {
            let (a, b) = (first.clone(), path.clone());
            return Err(MergeError::Count { a, of_a: of_first.count, b, of_b: shard.count });
        }
        if shard.index == 0 || shard.index > shard.count {
            return Err(MergeError::Index { path: path.clone(), index: shard.index, count: shard.count });
        }
        if let Some(other) = there.insert(shard.index, path) {
            return Err(MergeError::Twice { part: part(shard), a: other.into(), b: path.clone() });
        }
    }
    let mut kernels = disjoint(inputs)?;
    let missing: Vec<u32> = (1..=of_first.count).filter(|index| !there.contains_key(index)).collect();
    if !missing.is_empty() && !partial {
        return Err(MergeError::Missing { missing: named(&missing), count: of_first.count });
    }
    let mut out = Vec::with_capacity(of_first.units.len());
    for unit in &of_first.units {
        let key = (unit.arch.clone(), unit.kernel.clone());
        if let Some((_, mut kernel)) = kernels.remove(&key) {
            judge_again(&mut kernel, usize::try_from(unit.cases).unwrap_or(usize::MAX), of_first.unfiltered);
            out.push(kernel);
            continue;
        }
        let why = if missing.is_empty() {
            "all shards are here, and none has it".to_owned()
        } else {
            let is = if missing.len() == 1 { "is" } else { "are" };
            format!("{} of {} {is} missing", named(&missing), of_first.count)
        };
        if !partial {
            return Err(MergeError::Lost { unit: unit.name(), why });
        }
        out.push(absent(&unit.arch, &unit.kernel, format!("not run: {why}")));
    }
    if let Some(((arch, kernel), (path, _))) = kernels.into_iter().next() {
        return Err(MergeError::Stray { path: path.into(), unit: format!("{arch}@{kernel}") });
    }
    Ok(out)
}

fn of_whole_runs(inputs: &[Input]) -> Result<Vec<KernelResults>, MergeError> {
    if let Some(shard) = inputs.iter().find(|input| input.results.shard.is_some()) {
        let part = shard.results.shard.as_ref().map(part).unwrap_or_default();
        return Err(MergeError::Mixed { shard: shard.path.clone(), part, other: inputs[0].path.clone() });
    }
    disjoint(inputs)?;
    Ok(inputs.iter().flat_map(|input| input.results.kernels.iter().cloned()).collect())
}

type Kernels<'a> = BTreeMap<(String, String), (&'a Path, KernelResults)>;

/// All kernels of all files by arch and name, if none is there twice.
fn disjoint(inputs: &[Input]) -> Result<Kernels<'_>, MergeError> {
    let mut out = Kernels::new();
    for input in inputs {
        for kernel in &input.results.kernels {
            let key = (kernel.arch.clone(), kernel.kernel.clone());
            let Some((path, other)) = out.insert(key, (&input.path, kernel.clone())) else { continue };
            let unit = format!("{}@{}", kernel.arch, kernel.kernel);
            let (a, b) = (path.to_owned(), input.path.clone());
            return Err(match (&other.image, &kernel.image) {
                (Some(of_a), Some(of_b)) if of_a.key != of_b.key => {
                    MergeError::Kernels { unit, a, of_a: of_a.key.clone(), b, of_b: of_b.key.clone() }
                }
                _ => MergeError::Overlap { unit, a, b },
            });
        }
    }
    Ok(out)
}

/// The verdict from the cells. A kernel that was not got to the end of is at best `unknown`, as in the run itself.
fn judge_again(kernel: &mut KernelResults, planned: usize, unfiltered: bool) {
    let (verdict, reason) = judge::verdict(&kernel.cells, unfiltered);
    if verdict == Verdict::Broken || (kernel.error.is_none() && kernel.cells.len() >= planned) {
        (kernel.verdict, kernel.reason) = (verdict, reason);
    } else {
        kernel.verdict = Verdict::Unknown;
        let got = format!("{} of {planned} cases", kernel.cells.len());
        kernel.reason = kernel.error.as_ref().and_then(|error| error.lines().next().map(str::to_owned)).unwrap_or(got);
    }
}

fn absent(arch: &str, kernel: &str, error: String) -> KernelResults {
    KernelResults {
        arch: arch.into(),
        kernel: kernel.into(),
        image: None,
        guest: None,
        cells: Vec::new(),
        verdict: Verdict::Unknown,
        reason: error.clone(),
        error: Some(error),
        unavailable: false,
    }
}

fn part(shard: &Shard) -> String {
    format!("{} of {}", shard.index, shard.count)
}

/// `shard 3`, `shards 1 and 3`.
fn named(missing: &[u32]) -> String {
    let all: Vec<String> = missing.iter().map(u32::to_string).collect();
    match all.as_slice() {
        [one] => format!("shard {one}"),
        [first @ .., last] => format!("shards {} and {last}", first.join(", ")),
        [] => String::new(),
    }
}

/// The command that would have run it all: the shards' own without what made them shards; `merge` where they differ.
fn command(inputs: &[Input]) -> Vec<String> {
    let commands: Vec<Vec<String>> = inputs.iter().map(|input| without_part(&input.results.command)).collect();
    if commands.windows(2).all(|pair| pair[0] == pair[1]) {
        return commands.into_iter().next().unwrap_or_default();
    }
    let files = inputs.iter().map(|input| input.path.to_string_lossy().into_owned());
    std::iter::once("merge".to_owned()).chain(files).collect()
}

fn without_part(command: &[String]) -> Vec<String> {
    const PART: [&str; 3] = ["--shard", "--unit", "--json"];
    let mut out = Vec::new();
    let mut words = command.iter();
    while let Some(word) = words.next() {
        if PART.contains(&word.as_str()) {
            words.next();
        } else if !PART.iter().any(|flag| word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))) {
            out.push(word.clone());
        }
    }
    out
}

/// All hosts, each once.
fn host(inputs: &[Input]) -> Host {
    let mut kernels: Vec<&str> = Vec::new();
    for input in inputs {
        if !kernels.contains(&input.results.host.kernel.as_str()) {
            kernels.push(&input.results.host.kernel);
        }
    }
    let cpus = inputs.iter().map(|input| input.results.host.cpus).max().unwrap_or(0);
    Host { kernel: kernels.join("; "), cpus }
}
