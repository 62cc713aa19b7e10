//! Cases counted: rows are suites, families of the `abi` suite or kfuncs; columns are kernels.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::line;
use super::{Name, close_table, open_table};
use crate::model::{Cell, RunResults, Standing};
use crate::report::row::CONTROL;

/// How some cells stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub right: usize,
    /// Everything that fails the run, an unexpected pass as well.
    pub wrong: usize,
    pub known: usize,
    pub not_applicable: usize,
}

impl Tally {
    fn add(&mut self, cell: &Cell) {
        *match &cell.standing {
            Standing::Right => &mut self.right,
            Standing::Wrong | Standing::UnexpectedPass { .. } => &mut self.wrong,
            Standing::KnownFailure { .. } => &mut self.known,
            Standing::NotApplicable { .. } => &mut self.not_applicable,
        } += 1;
    }

    pub fn run(&self) -> usize {
        self.right + self.wrong + self.known
    }

    /// A `td`. Symbol and words say what the colour says.
    fn td(&self, out: &mut String) {
        let run = self.run();
        if run == 0 {
            let _ = match self.not_applicable {
                0 => write!(out, "<td class=\"none\"><span class=\"unseen\">no case</span></td>"),
                count => {
                    write!(out, "<td class=\"na\"><span aria-hidden=\"true\">–</span> n/a <small>{count}</small></td>")
                }
            };
            return;
        }
        let (class, symbol) = match (self.wrong, self.known) {
            (0, 0) => ("good", "✓"),
            (0, _) => ("known", "≈"),
            _ => ("bad", "✗"),
        };
        let _ = write!(out, "<td class=\"{class}\"><span aria-hidden=\"true\">{symbol}</span> {}/{run}", self.right);
        for (count, word) in [(self.wrong, "wrong"), (self.known, "known"), (self.not_applicable, "n/a")] {
            if count > 0 {
                let _ = write!(out, " <small>{count} {word}</small>");
            }
        }
        out.push_str("</td>");
    }
}

/// All cells of the run but the controls, as in the table.
pub fn all(results: &RunResults) -> Tally {
    let mut tally = Tally::default();
    results
        .kernels
        .iter()
        .flat_map(|kernel| &kernel.cells)
        .filter(|cell| cell.suite != CONTROL)
        .for_each(|cell| tally.add(cell));
    tally
}

/// Rows by key, each with one tally per kernel.
type Rows<'a> = BTreeMap<&'a str, Vec<Tally>>;

/// Counts cells under the keys that `of` gives for each.
pub fn count<'a, K: IntoIterator<Item = &'a str>>(results: &'a RunResults, of: impl Fn(&'a Cell) -> K) -> Rows<'a> {
    let mut rows = Rows::new();
    for (column, kernel) in results.kernels.iter().enumerate() {
        for cell in &kernel.cells {
            for key in of(cell) {
                rows.entry(key).or_insert_with(|| vec![Tally::default(); results.kernels.len()])[column].add(cell);
            }
        }
    }
    rows
}

/// Suites in the order of a run, and what is to be known of them.
const SUITES: [(&str, &str); 5] =
    [("probe", ""), ("stock", ""), ("own", ""), ("abi", ""), (CONTROL, "right: came out wrong, as it must")];

/// What the families of the `abi` suite ask.
const FAMILIES: [(&str, &str); 16] = [
    ("args", "arguments, type by position"),
    ("dirty", "the same with garbage above narrow ones"),
    ("zext", "arguments of 32-bit instructions"),
    ("returns", "types of results"),
    ("context", "contexts of a call"),
    ("program", "types of programs"),
    ("hardened", "bpf_jit_harden"),
    ("kaslr", "places of the kernel"),
    ("calls", "callees that do more"),
    ("stack", "stack"),
    ("memory", "memory"),
    ("objects", "objects"),
    ("modules", "modules"),
    ("tail_calls", "tail calls"),
    ("exceptions", "exceptions"),
    ("saved", "what a call must leave alone"),
];

/// Counts by suite, and those of the `abi` suite by family. Empty without cells.
pub fn suites(results: &RunResults, names: &[Name]) -> String {
    let suites = count(results, |cell| [cell.suite.as_str()]);
    let families =
        count(results, |cell| (cell.suite == "abi").then(|| cell.case.split("::").next().unwrap_or_default()));
    let mut out = String::new();
    table(&mut out, "Cases by suite: right/run", "suite", names, &suites, &SUITES);
    table(&mut out, "The abi suite by family: right/run", "family", names, &families, &FAMILIES);
    if !out.is_empty() {
        out.push_str(LEGEND);
    }
    out
}

/// Counts of the `stock` suite by the kfuncs that its cases call. Empty without any.
pub fn kfuncs(results: &RunResults, names: &[Name]) -> String {
    let mut out = String::new();
    let caption = "Cases of the stock suite by the kfuncs they call: right/run";
    table(&mut out, caption, "kfunc", names, &by_kfunc(results), &[]);
    if !out.is_empty() {
        out.push_str(LEGEND);
    }
    out
}

/// A case that calls several kfuncs counts for each.
pub fn by_kfunc(results: &RunResults) -> Rows<'_> {
    count(results, |cell| {
        let kfuncs: &[String] = if cell.suite == "stock" { &cell.kfuncs } else { &[] };
        let mut kfuncs: Vec<&str> = kfuncs.iter().map(String::as_str).collect();
        kfuncs.sort_unstable();
        kfuncs.dedup();
        kfuncs
    })
}

const LEGEND: &str = "<p class=\"legend\"><span class=\"good\">✓ all that ran are right</span> \
    <span class=\"bad\">✗ some are wrong</span> <span class=\"known\">≈ some fail as recorded</span> \
    <span class=\"na\">– n/a: the question does not arise</span> empty: no case</p>\n";

/// One table, or nothing without rows. Those of `known` come first, in that order and with what is said there; the others
/// follow by name.
fn table(out: &mut String, caption: &str, what: &str, names: &[Name], rows: &Rows<'_>, known: &[(&str, &str)]) {
    if rows.is_empty() {
        return;
    }
    // With more rows than a window has, the head must stay in sight.
    open_table(out, caption, "matrix", rows.len() > 20);
    let _ = write!(out, "<thead><tr><th scope=\"col\">{what}</th>");
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{} <small>{}</small></th>", name.arch, name.kernel);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let first = known.iter().filter_map(|(name, says)| Some((*name, *says, rows.get(name)?)));
    let others = rows.iter().filter(|(name, _)| known.iter().all(|(of, _)| of != *name));
    for (name, says, tallies) in first.chain(others.map(|(name, tallies)| (*name, "", tallies))) {
        // Long names may be broken between their words.
        let _ = write!(out, "<tr><th scope=\"row\">{}", line(name).replace('_', "_<wbr>"));
        if !says.is_empty() {
            let _ = write!(out, " <small>{says}</small>");
        }
        out.push_str("</th>");
        for tally in tallies {
            tally.td(out);
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
}
