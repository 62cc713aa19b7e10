//! What the `abi` suite reached of each kernel's call path, and what it did not, with the reason; and where architectures
//! differ in what they leave behind. From saved results alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::clean;
use super::table::{Paint, plain_table};
use crate::abi::ctype::TYPES;
use crate::model::{Cell, KernelResults, RunResults, Standing};

/// One part of the call path: what there is of it, and what was reached.
struct Part {
    name: &'static str,
    all: Vec<String>,
    reached: BTreeSet<String>,
    /// Why something was not reached, by what it is.
    reasons: BTreeMap<String, String>,
}

/// Kernels of a run in which the suite was run.
fn kernels(results: &RunResults) -> impl Iterator<Item = &KernelResults> {
    results.kernels.iter().filter(|kernel| kernel.cells.iter().any(|cell| cell.suite == "abi" && !is_declined(cell)))
}

fn is_declined(cell: &Cell) -> bool {
    cell.case == crate::abi::cells::DECLINED
}

/// The table of what was reached, and below it, for each kernel, what was not. Empty when no kernel was asked.
pub fn coverage(results: &RunResults, paint: Paint) -> String {
    let parts: Vec<(&KernelResults, Vec<Part>)> = kernels(results).map(|kernel| (kernel, parts(kernel))).collect();
    let Some((_, first)) = parts.first() else { return String::new() };
    let mut header = vec!["reached of".to_owned()];
    header.extend(parts.iter().map(|(kernel, _)| clean::line(&kernel.arch)));
    let mut rows = Vec::new();
    for index in 0..first.len() {
        let mut row = vec![first[index].name.to_owned()];
        row.extend(parts.iter().map(|(_, parts)| format!("{}/{}", parts[index].reached.len(), parts[index].all.len())));
        rows.push(row);
    }
    let mut row = vec!["comparisons".to_owned()];
    row.extend(parts.iter().map(|(kernel, _)| checks(kernel).to_string()));
    rows.push(row);
    let mut out = plain_table(&header, &rows);
    for (kernel, parts) in &parts {
        let _ = writeln!(out, "\n{} {}", clean::line(&kernel.arch), paint.dim(&clean::line(&kernel.kernel)));
        for part in parts {
            let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for what in part.all.iter().filter(|what| !part.reached.contains(*what)) {
                let reason = part.reasons.get(what).map_or("no cell of this run", String::as_str);
                by_reason.entry(reason).or_default().push(what);
            }
            for (reason, whats) in by_reason {
                let line = format!("not reached, {}: {} ({})", part.name, listed(&whats), clean::line(reason));
                out.push_str(&super::table::wrapped(&line));
            }
        }
        if parts.iter().all(|part| part.reached.len() == part.all.len()) {
            out.push_str("everything was reached\n");
        }
    }
    out
}

/// All of a few, the ends of many.
fn listed(whats: &[&str]) -> String {
    const MOST: usize = 8;
    if whats.len() <= MOST {
        return whats.join(", ");
    }
    format!("{}, … {} ({})", whats[..MOST / 2].join(", "), whats[whats.len() - 1], whats.len())
}

/// Single comparisons that the suite made.
fn checks(kernel: &KernelResults) -> u64 {
    let abi = kernel.cells.iter().filter(|cell| cell.suite == "abi");
    abi.filter_map(|cell| cell.observation.facts.get("checks")?.parse::<u64>().ok()).sum()
}

fn parts(kernel: &KernelResults) -> Vec<Part> {
    let cells: Vec<&Cell> = kernel.cells.iter().filter(|cell| cell.suite == "abi").collect();
    let family = |name: &'static str, family: &'static str| {
        let mut part = Part { name, all: Vec::new(), reached: BTreeSet::new(), reasons: BTreeMap::new() };
        for cell in cells.iter().filter(|cell| cell.case.split("::").next() == Some(family)) {
            let what = cell.case.split("::").nth(1).unwrap_or_default().to_owned();
            match &cell.standing {
                Standing::NotApplicable { reason } => drop(part.reasons.insert(what.clone(), reason.clone())),
                _ => drop(part.reached.insert(what.clone())),
            }
            part.all.push(what);
        }
        part
    };
    let words: BTreeSet<&str> = cells
        .iter()
        .filter_map(|cell| cell.observation.facts.get("reached"))
        .flat_map(|facts| facts.split([' ', ';']).filter(|word| !word.is_empty()))
        .collect();
    let word = |name: &'static str, key: &str, all: &[&str]| {
        let mut part = Part { name, all: Vec::new(), reached: BTreeSet::new(), reasons: BTreeMap::new() };
        for value in all {
            part.all.push((*value).to_owned());
            if words.contains(format!("{key}={value}").as_str()) {
                part.reached.insert((*value).to_owned());
            }
        }
        part
    };
    let mut contexts = family("contexts of a call", "context");
    contexts.all.insert(0, "main".into());
    if words.contains("context=main") {
        contexts.reached.insert("main".into());
    }
    let mut kaslr = word("places of the kernel (KASLR)", "kaslr", &["off", "on"]);
    if let Some(reason) = cells.iter().find_map(|cell| match &cell.standing {
        Standing::NotApplicable { reason } if cell.case.starts_with(crate::abi::cells::RANDOM_PLACE) => Some(reason),
        _ => None,
    }) {
        kaslr.reasons.insert("on".into(), reason.clone());
    }
    let distance = |name, key| {
        let mut part = word(name, key, &["near", "far"]);
        for what in ["near", "far"] {
            part.reasons.insert(what.into(), "no callee lay so where these kernels were".into());
        }
        part
    };
    vec![
        family("arguments, type by position", "args"),
        family("dirty arguments, type by position", "dirty"),
        family("arguments of 32-bit instructions", "zext"),
        family("types of results", "returns"),
        word("widths of arguments", "width", &["8", "16", "32", "64"]),
        contexts,
        word("types of programs", "program", &["syscall", "sched_cls", "xdp", "raw_tracepoint"]),
        word("bpf_jit_harden", "harden", &["0", "2"]),
        distance("distances of a module's kfunc", "module"),
        distance("distances of a kfunc of vmlinux", "vmlinux"),
        kaslr,
        family("callees that do more", "calls"),
        family("stack", "stack"),
        family("memory", "memory"),
        family("objects", "objects"),
        family("modules", "modules"),
        family("tail calls", "tail_calls"),
        family("exceptions", "exceptions"),
        family("what a call must leave alone", "saved"),
    ]
}

/// Cells that came out differently on different architectures, and what stood above narrow results, which is no fault. Empty
/// with fewer than two kernels.
pub fn differences(results: &RunResults) -> String {
    let kernels: Vec<&KernelResults> = kernels(results).collect();
    if kernels.len() < 2 {
        return String::new();
    }
    let names: BTreeSet<&str> =
        kernels.iter().flat_map(|kernel| &kernel.cells).map(|cell| cell.case.as_str()).collect();
    let of = |kernel: &KernelResults, name: &str| -> Option<(String, Option<String>)> {
        let cell = kernel.cells.iter().find(|cell| cell.suite == "abi" && cell.case == name)?;
        let word = match &cell.standing {
            Standing::NotApplicable { .. } => "-",
            Standing::Right | Standing::UnexpectedPass { .. } => "right",
            Standing::Wrong => "WRONG",
            Standing::KnownFailure { .. } => "wrong, known",
        };
        Some((word.to_owned(), cell.observation.facts.get("above").cloned()))
    };
    let mut header = vec!["abi".to_owned()];
    header.extend(kernels.iter().map(|kernel| clean::line(&kernel.arch)));
    let (mut cells, mut above) = (Vec::new(), Vec::new());
    for name in names {
        let seen: Vec<_> = kernels.iter().map(|kernel| of(kernel, name)).collect();
        let words: BTreeSet<&str> =
            seen.iter().flatten().map(|(word, _)| word.as_str()).filter(|word| *word != "-").collect();
        if words.len() > 1 {
            let row = seen.iter().map(|seen| seen.as_ref().map_or("-".to_owned(), |(word, _)| word.clone()));
            cells.push(std::iter::once(name.to_owned()).chain(row).collect::<Vec<_>>());
        }
        let bits: Vec<Option<&String>> = seen.iter().map(|seen| seen.as_ref()?.1.as_ref()).collect();
        if bits.iter().flatten().collect::<BTreeSet<_>>().len() > 1 {
            let row = bits.iter().map(|bits| bits.map_or("-".to_owned(), |bits| clean::line(bits)));
            above.push(std::iter::once(name.to_owned()).chain(row).collect::<Vec<_>>());
        }
    }
    let mut out = String::new();
    if !cells.is_empty() {
        out.push_str("What came out differently:\n\n");
        out.push_str(&plain_table(&header, &folded(cells)));
    }
    if !above.is_empty() {
        out.push_str(
            "\nWhat stood in R0 above narrow results. It means nothing and is no fault; programs that look at it are not portable:\n\n",
        );
        out.push_str(&plain_table(&header, &above));
    }
    if out.is_empty() { "Nothing differs between the architectures.\n".into() } else { out }
}

/// Rows of consecutive positions of one type that say the same, as one row.
fn folded(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let parts = |name: &str| -> Option<(String, u32)> {
        let (front, position) = name.rsplit_once('_')?;
        TYPES.contains(&front.split("::").nth(1)?).then_some(())?;
        Some((front.to_owned(), position.parse().ok()?))
    };
    let mut groups: BTreeMap<(String, Vec<String>), Vec<u32>> = BTreeMap::new();
    let mut out = Vec::new();
    for row in rows {
        match parts(&row[0]) {
            Some((front, position)) => groups.entry((front, row[1..].to_vec())).or_default().push(position),
            None => out.push(row),
        }
    }
    for ((front, rest), mut positions) in groups {
        positions.sort_unstable();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for position in positions {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == position => *last = position,
                _ => runs.push((position, position)),
            }
        }
        for (first, last) in runs {
            let name = if first == last { format!("{front}_{first}") } else { format!("{front}_{first}..{last}") };
            out.push(std::iter::once(name).chain(rest.iter().cloned()).collect());
        }
    }
    out.sort();
    out
}

/// Both, for `kfunc coverage`; a sentence when there is nothing to show.
pub fn report(results: &RunResults, paint: Paint) -> String {
    let mut out = coverage(results, paint);
    if out.is_empty() {
        return "No kernel of this run was asked by the abi suite: kfunc run --suite abi\n".into();
    }
    let differences = differences(results);
    if !differences.is_empty() {
        out.push('\n');
        out.push_str(&differences);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::cell;
    use super::*;
    use crate::model::{Observation, Outcome};

    fn abi(case: &str, facts: &[(&str, &str)]) -> Cell {
        let facts = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Cell { observation: Observation { facts, ..Observation::default() }, ..cell("abi", case) }
    }

    fn kernel(arch: &str, cells: Vec<Cell>) -> KernelResults {
        KernelResults {
            arch: arch.into(),
            kernel: "built".into(),
            cells,
            ..super::super::fixture::five().kernels[0].clone()
        }
    }

    fn run() -> RunResults {
        let reached = "context=main program=syscall harden=0 kaslr=off module=near type=u8 position=1 width=8";
        let wrong = Outcome::WrongValue { what: "a".into(), expected: "1".into(), got: "2".into() };
        let first = vec![
            abi("args::u8_1", &[("checks", "7"), ("reached", reached)]),
            Cell {
                standing: Standing::NotApplicable { reason: "five arguments".into() },
                outcome: Outcome::NotRun { reason: "five arguments".into() },
                ..abi("args::u8_6", &[])
            },
            abi("returns::u8", &[("checks", "3"), ("above", "zero")]),
        ];
        let mut second = first.clone();
        for (cell, position) in [(0, 1), (1, 2)] {
            second[cell] = Cell {
                standing: Standing::Wrong,
                outcome: wrong.clone(),
                ..abi(&format!("args::u8_{position}"), &[("checks", "7"), ("reached", reached)])
            };
        }
        second[2] = abi("returns::u8", &[("checks", "3"), ("above", "poison")]);
        let mut first = first;
        first.push(abi("args::u8_2", &[]));
        RunResults { kernels: vec![kernel("arm64", first), kernel("riscv64", second)], ..super::super::fixture::five() }
    }

    #[test]
    fn what_was_not_reached_is_named_with_its_reason() {
        let text = coverage(&run(), Paint::Plain);
        assert!(text.contains("arguments, type by position"), "{text}");
        assert!(text.contains("2/3"), "{text}");
        assert!(text.contains("u8_6 (five arguments)"), "{text}");
        assert!(text.contains("xdp"), "{text}");
        let wide = usize::from(super::super::table::WIDTH);
        assert!(text.lines().all(|line| line.chars().count() <= wide), "{text}");
    }

    #[test]
    fn differences_are_folded_and_the_bits_above_are_apart() {
        let text = differences(&run());
        assert!(text.contains("args::u8_1..2") && text.contains("WRONG"), "{text}");
        assert!(text.contains("returns::u8") && text.contains("poison"), "{text}");
        let mut one = run();
        one.kernels.truncate(1);
        assert_eq!(differences(&one), "");
    }

    #[test]
    fn without_the_suite_there_is_a_way_to_it() {
        let text = report(&super::super::fixture::five(), Paint::Plain);
        assert!(text.contains("--suite abi"), "{text}");
    }
}
