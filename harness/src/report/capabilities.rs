//! The capability table: what each kernel can do, and how that is known. A view of the probe suite's cells; the main table
//! ([`super::table`]) is another.

use serde::Serialize;

use super::clean;
use super::grid::{Footnotes, Grid, GridRow, Tone};
use super::row::{Row, row};
use crate::capability::Capability;
use crate::model::{Cell, KernelResults, Outcome, RunResults, Standing, probe};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Known {
    /// A program was loaded for it.
    Measured {
        /// The case: `probe::arena`.
        case: String,
        /// What was seen, where the value alone does not say it: the kernel's line, as a rule.
        seen: Option<String>,
    },
    /// It cannot be seen on this kernel.
    NotObservable {
        /// Why.
        why: String,
    },
    /// The run has no such case.
    NotAsked {
        /// Why.
        why: String,
    },
    /// It follows from other cases.
    AddedUp {
        /// From which.
        from: String,
    },
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value {
    /// `yes`, `no`, `not observable`, `unknown`, `-`; other words where a row says so.
    pub value: String,
    /// How it is known.
    #[serde(flatten)]
    pub known: Known,
    /// Whether the probe's answer counts as right, which for a capability is: as the arch file claims. Absent where nothing
    /// was held against anything.
    pub right: Option<bool>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What people call it.
    pub title: String,
    /// Name of the probe, of the claim in arch files; `verdict` and `right/run` have neither.
    pub name: String,
    /// The kernel's function that says so in its source.
    pub hook: Option<&'static str>,
    /// In the order of the kernels.
    pub cells: Vec<Value>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Arch name.
    pub arch: String,
    /// Release; the kernel as asked for when nothing was booted.
    pub kernel: String,
    /// The kernel as asked for.
    pub asked: String,
    /// The release as short as it is unmistakable among its arch's.
    #[serde(skip)]
    pub short: String,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Columns: the kernels that cases were run on.
    pub kernels: Vec<Kernel>,
    /// Rows.
    pub capabilities: Vec<Line>,
    /// Kernels of which there is nothing to show, and why: `x86_32 stock:testing: …`.
    pub left_out: Vec<String>,
}

/// Reads the table from the cells of a run.
pub fn table(results: &RunResults) -> Table {
    let (shown, without): (Vec<&KernelResults>, Vec<&KernelResults>) =
        results.kernels.iter().partition(|kernel| !kernel.cells.is_empty());
    let rows: Vec<Row> = shown.iter().map(|kernel| row(kernel)).collect();
    let line = |title: &str, name: &str, hook, value: &dyn Fn(&KernelResults, &Row) -> Value| Line {
        title: title.into(),
        name: name.into(),
        hook,
        cells: shown.iter().zip(&rows).map(|(kernel, row)| value(kernel, row)).collect(),
    };
    let mut capabilities = vec![
        line("JIT", probe::JIT, None, &|kernel, _| asked(kernel, probe::JIT, "jit")),
        line("BTF", probe::BTF, None, &|kernel, _| asked(kernel, probe::BTF, "btf")),
    ];
    let add_up = |value: String, from: &str| Value { value, known: Known::AddedUp { from: from.into() }, right: None };
    for capability in Capability::ALL {
        let (name, fact) = (capability.name(), capability.fact());
        capabilities.push(line(capability.title(), name, capability.hook(), &|kernel, _| asked(kernel, name, fact)));
        if capability == Capability::KfuncCall {
            capabilities.push(line("verdict", "verdict", None, &|_, row| {
                add_up(row.verdict.to_string(), "every cell of the kernel")
            }));
            capabilities.push(line("right of run", "right/run", None, &|_, row| {
                add_up(format!("{}/{}", row.right, row.run), "every cell of the kernel but controls")
            }));
        }
    }
    let left_out = without.iter().map(|kernel| {
        let why = kernel.error.as_deref().and_then(|error| error.lines().next()).unwrap_or("no case was run");
        clean::line(&format!("{} {}: {why}", kernel.arch, kernel.kernel))
    });
    Table { kernels: kernels(&shown, &rows), capabilities, left_out: left_out.collect() }
}

fn kernels(shown: &[&KernelResults], rows: &[Row]) -> Vec<Kernel> {
    // `7.2.12+deb14-amd64`: what a distribution calls its flavour says no more than the arch.
    let without_flavour = |at: usize| {
        let stock = shown[at].image.as_ref().is_some_and(|image| image.provider == "stock");
        rows[at].kernel.rsplit_once('-').filter(|_| stock).map_or(rows[at].kernel.as_str(), |(short, _)| short)
    };
    let short = |at: usize| {
        let twins = (0..rows.len()).filter(|&other| rows[other].arch == rows[at].arch);
        let alone = twins.filter(|&other| without_flavour(other) == without_flavour(at)).count() == 1;
        if alone { without_flavour(at).to_owned() } else { rows[at].kernel.clone() }
    };
    let kernel = |(at, row): (usize, &Row)| Kernel {
        arch: row.arch.clone(),
        kernel: row.kernel.clone(),
        asked: row.asked.clone(),
        short: short(at),
    };
    rows.iter().enumerate().map(kernel).collect()
}

/// What the probe `case` of a kernel left in its fact.
fn asked(kernel: &KernelResults, case: &str, fact: &str) -> Value {
    let Some(cell) = kernel.cells.iter().find(|cell| cell.suite == "probe" && cell.case == case) else {
        let why = format!("probe::{case} was not run");
        return Value { value: "-".into(), known: Known::NotAsked { why }, right: None };
    };
    let said = cell.observation.facts.get(fact).map(|value| clean::shorten(&clean::line(value), 20));
    let right = match &cell.standing {
        Standing::Right => Some(true),
        Standing::NotApplicable { .. } => None,
        Standing::Wrong | Standing::KnownFailure { .. } | Standing::UnexpectedPass { .. } => Some(false),
    };
    match (&cell.outcome, said) {
        (Outcome::NotRun { reason }, said) => Value {
            value: said.unwrap_or_else(|| "not observable".into()),
            known: Known::NotObservable { why: clean::line(reason) },
            right,
        },
        (outcome, said) => Value {
            value: said.unwrap_or_else(|| "unknown".into()),
            known: Known::Measured { case: clean::line(&cell.name()), seen: seen(cell, outcome) },
            right,
        },
    }
}

/// The kernel's line, or what a `yes` does not say.
fn seen(cell: &Cell, outcome: &Outcome) -> Option<String> {
    let text = match outcome {
        Outcome::Pass => cell.observation.facts.get("not_run")?.clone(),
        Outcome::Unsupported { line } | Outcome::NoBtf { line } | Outcome::NoJit { line } => line.clone(),
        other => super::evidence::outcome(other),
    };
    Some(clean::shorten(&clean::line(&text), 200)).filter(|text| !text.is_empty())
}

impl Value {
    /// The whole of how it is known, in words.
    pub fn how(&self) -> String {
        match &self.known {
            Known::Measured { case, seen: None } => format!("measured ({case})"),
            Known::Measured { case, seen: Some(seen) } => format!("measured ({case}): {seen}"),
            Known::NotObservable { why } => format!("not observable: {why}"),
            Known::NotAsked { why } => format!("not asked: {why}"),
            Known::AddedUp { from } => format!("from {from}"),
        }
    }

    /// Whether it is a `yes` or `no` that a program was loaded for.
    pub fn measured(&self) -> Option<bool> {
        match (&self.known, self.value.as_str()) {
            (Known::Measured { .. }, "yes") => Some(true),
            (Known::Measured { .. }, "no") => Some(false),
            _ => None,
        }
    }
}

/// The table as text with footnotes.
pub fn grid(table: &Table) -> Grid {
    let mut footnotes = Footnotes::default();
    let mut any_wrong = false;
    let mut rows = Vec::new();
    for line in &table.capabilities {
        let cells = line.cells.iter().map(|cell| {
            let mut text = match (&cell.known, cell.value.as_str()) {
                (Known::NotObservable { why }, "not observable") => format!("? {}", footnotes.mark(why)),
                (Known::NotObservable { why } | Known::NotAsked { why }, value) => {
                    format!("{value} {}", footnotes.mark(why))
                }
                (Known::Measured { seen: Some(seen), .. }, "yes") => format!("yes {}", footnotes.mark(seen)),
                (_, value) => value.to_owned(),
            };
            let tone = if cell.right == Some(false) { Tone::Bad } else { Tone::Plain };
            if tone == Tone::Bad {
                any_wrong = true;
                text.push_str(" !");
            }
            (text, tone)
        });
        let how = if matches!(line.name.as_str(), "verdict" | "right/run") {
            "all cells".to_owned()
        } else {
            format!("probe::{}", line.name)
        };
        let cells = cells.collect();
        rows.push(GridRow { names: vec![line.name.clone(), line.title.clone(), how], cells });
    }
    let mut notes = vec![
        "A yes or no without a mark is measured, by the probe of the row's name; ? cannot be observed on that kernel: see \
         the mark."
            .to_owned(),
    ];
    if any_wrong {
        notes.push("! is not as it must be, or not as the arch file claims: kfunc table --failures".into());
    }
    notes.extend(footnotes.lines());
    notes.extend(table.left_out.iter().map(|kernel| format!("left out: {kernel}")));
    Grid {
        corner: vec!["probe".into(), "capability".into(), "measured by".into()],
        columns: table.kernels.iter().map(|kernel| [kernel.arch.clone(), kernel.short.clone()]).collect(),
        rows,
        notes,
    }
}

/// As Markdown, with titles. Ends with a line feed.
pub fn markdown(table: &Table) -> String {
    let mut grid = grid(table);
    grid.corner.remove(0);
    grid.rows.iter_mut().for_each(|row| {
        row.names.remove(0);
    });
    grid.markdown()
}

/// As JSON. Ends with a line feed.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn json(results: &RunResults, table: &Table) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: u32,
        started: u64,
        #[serde(flatten)]
        table: &'a Table,
    }
    let whole = Whole { schema: results.schema, started: results.started, table };
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

#[cfg(test)]
#[path = "capabilities_tests.rs"]
mod tests;
