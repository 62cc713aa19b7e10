//! The table: for a terminal (at most 100 columns), as Markdown, as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::provenance::{self, Fact, short};
use super::row::{Row, controls, rows};
use crate::model::{RunResults, Verdict};

/// Widest line of a terminal table.
pub const WIDTH: u16 = 100;

/// Whether text may carry colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No control sequence at all.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Paint {
    /// Green for what is right.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }
    /// Red for what fails the run.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31;1", text)
    }
    /// Yellow for what could not be said.
    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }
    /// Dim for what is only detail.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
    fn verdict(self, verdict: Verdict, text: &str) -> String {
        match verdict {
            Verdict::Conformant => self.good(text),
            Verdict::Broken => self.bad(text),
            Verdict::Unsupported | Verdict::NoBtf | Verdict::NoJit => self.warn(text),
            Verdict::Unknown => self.bad(text),
        }
    }
}

pub(super) const HEADER: [&str; 9] =
    ["arch", "kernel", "JIT", "BTF", "kfunc claim", "right/run", "n/a", "trampoline", "verdict"];

fn cells(row: &Row) -> [String; 9] {
    [
        row.arch.clone(),
        row.kernel.clone(),
        row.jit.clone(),
        row.btf.clone(),
        row.claim.clone(),
        format!("{}/{}", row.right, row.run),
        row.not_applicable.to_string(),
        row.trampoline.clone(),
        row.verdict.to_string(),
    ]
}

const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('-').junction('-'))
    .content_lines(ContentLineStyle::none());

/// The table and its notes for people at a terminal. Ends with a line feed.
pub fn terminal(results: &RunResults, paint: Paint) -> String {
    let rows = rows(results);
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(HEADER);
    for row in &rows {
        table.add_row(cells(row));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        // A space between columns is there already.
        column.set_padding((0, if index + 1 == HEADER.len() { 0 } else { 1 }));
        if matches!(index, 5 | 6) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        // The verdict stands last, so it can be painted without the table knowing of colours.
        let painted = rows.iter().find_map(|row| {
            let rest = line.strip_suffix(&row.verdict.to_string())?;
            rest.ends_with("  ").then(|| format!("{rest}{}", paint.verdict(row.verdict, &row.verdict.to_string())))
        });
        out.push_str(painted.as_deref().unwrap_or(line));
        out.push('\n');
    }
    let notes = notes(results, &rows);
    if !notes.is_empty() {
        out.push('\n');
        for note in notes {
            out.push_str(&wrapped(&note));
        }
    }
    out
}

/// A table of texts, the first column's to the left and the others to the right. Ends with a line feed.
pub(super) fn plain_table(header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == header.len() { 0 } else { 2 }));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The table, its notes and its provenance as Markdown. Ends with a line feed.
pub fn markdown(results: &RunResults) -> String {
    let rows = rows(results);
    let mut out = format!("| {} |\n", HEADER.join(" | "));
    out.push_str("|---|---|---|---|---|--:|--:|---|---|\n");
    for row in &rows {
        let cells = cells(row).map(|cell| markdown_text(&cell));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let notes = notes(results, &rows);
    if !notes.is_empty() {
        out.push('\n');
        for note in notes {
            let _ = writeln!(out, "- {}", markdown_text(&note));
        }
    }
    out.push_str(&footnote(results, &rows));
    out
}

/// What the rows were made with, folded away where a reader of Markdown can. Command lines are left out: they are long, and
/// name folders of the machine.
fn footnote(results: &RunResults, rows: &[Row]) -> String {
    let of_run = provenance::of_run(results);
    let value = |facts: &[Fact], name: &str| {
        facts.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut harness = format!("kfunc {}", value(&of_run, "harness"));
    if let Some(commit) = &results.commit {
        let _ = write!(harness, " ({})", short(commit));
    }
    let mut first = vec![harness, value(&of_run, "started"), format!("on {}", value(&of_run, "host"))];
    first.extend(results.abi.map(|abi| format!("seed {}", abi.seed)));
    let mut out = format!("\n<details><summary>Provenance</summary>\n\n- {}\n", markdown_text(&first.join(", ")));
    for (kernel, row) in results.kernels.iter().zip(rows) {
        let facts = provenance::of_kernel(kernel);
        let hash = |name: &str, of: &str| {
            Some(value(&facts, of)).filter(|v| !v.is_empty()).map(|v| format!("{name} {}", short(&v)))
        };
        let parts = [
            Some(value(&facts, "image")),
            hash("kernel", "kernel-sha256"),
            hash("config", "config-sha256"),
            hash("BTF", "btf-sha256"),
            Some(value(&facts, "qemu")),
            Some(value(&facts, "accelerator")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            let _ = writeln!(out, "- {}", markdown_text(&format!("{} {}: {}", row.arch, row.kernel, parts.join(", "))));
        }
    }
    out.push_str("\n</details>\n");
    out
}

/// The rows as JSON, for other programs, with what they were made with. Ends with a line feed.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn json(results: &RunResults) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Rows<'a> {
        schema: u32,
        started: u64,
        provenance: BTreeMap<&'static str, String>,
        rows: Vec<OfKernel<'a>>,
    }
    #[derive(Serialize)]
    struct OfKernel<'a> {
        #[serde(flatten)]
        row: &'a Row,
        provenance: BTreeMap<&'static str, String>,
    }
    let rows = rows(results);
    let rows = rows
        .iter()
        .zip(&results.kernels)
        .map(|(row, kernel)| OfKernel { row, provenance: provenance::of_kernel(kernel).into_iter().collect() });
    let whole = Rows {
        schema: results.schema,
        started: results.started,
        provenance: provenance::of_run(results).into_iter().collect(),
        rows: rows.collect(),
    };
    let mut text = serde_json::to_string_pretty(&whole)?;
    text.push('\n');
    Ok(text)
}

/// What a row cannot say: the kernel's own line where a verdict is not `conformant`, known failures, the controls.
pub(super) fn notes(results: &RunResults, rows: &[Row]) -> Vec<String> {
    let mut out = Vec::new();
    for row in rows {
        // A release names one row; two kernels of one arch need telling apart.
        let same_arch = rows.iter().filter(|other| other.arch == row.arch).count();
        let name = if same_arch > 1 { format!("{} {}", row.arch, row.kernel) } else { row.arch.clone() };
        match (&row.error, row.verdict) {
            (Some(error), verdict) => out.push(format!("{name}: {verdict}: {error}")),
            (None, Verdict::Conformant) => {}
            (None, verdict) if row.reason.is_empty() => out.push(format!("{name}: {verdict}")),
            (None, verdict) => out.push(format!("{name}: {verdict}: {}", row.reason)),
        }
        if row.known_failures > 0 {
            let plural = if row.known_failures == 1 { "" } else { "s" };
            out.push(format!("{name}: {} known failure{plural}", row.known_failures));
        }
    }
    match controls(results) {
        (_, 0) => {}
        (right, all) if right == all => out.push(format!("controls: {right} of {all} came out wrong, as they must")),
        (right, all) => out.push(format!(
            "controls: only {right} of {all} came out wrong: this run cannot tell right from wrong, trust none of it"
        )),
    }
    out
}

/// A note broken at spaces so that it stays within [`WIDTH`], further lines indented.
pub(super) fn wrapped(note: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in note.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > usize::from(WIDTH) {
            out.push_str(&line);
            out.push('\n');
            line = "   ".to_owned();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}

/// Text that means itself in Markdown.
pub(super) fn markdown_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '~' | '#') {
            // `_` inside a word (x86_64) is no emphasis in GitHub's Markdown and reads better bare.
            if c != '_' || out.is_empty() || !out.ends_with(|before: char| before.is_ascii_alphanumeric()) {
                out.push('\\');
            }
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn terminal_table() {
        let expected = "\
arch         kernel                    JIT  BTF  kfunc claim  right/run  n/a  trampoline  verdict
----------------------------------------------------------------------------------------------------
x86_64       7.2.12+deb14-amd64        on   yes  yes                7/7    1  yes         conformant
arm64        stock:testing             -    -    -                  0/0    0  -           unknown
loongarch64  7.2.12+deb14-loongarch64  on   no   no                 4/4    4  no          no BTF
riscv64      7.2.12+deb14-riscv64      on   yes  yes                6/7    1  yes         broken
arm32        7.2.12+deb14-armmp        on   no   no                 4/4    4  no          no BTF

arm64: unknown: no image: the mirror did not answer
loongarch64: no BTF: calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF
riscv64: broken: 1 of 7 calls is wrong
arm32: no BTF: calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF
controls: 1 of 1 came out wrong, as they must
";
        let got = terminal(&fixture::five(), Paint::Plain);
        assert_eq!(got, expected, "\n{got}");
    }

    #[test]
    fn markdown_table() {
        let expected = "\
| arch | kernel | JIT | BTF | kfunc claim | right/run | n/a | trampoline | verdict |
|---|---|---|---|---|--:|--:|---|---|
| x86_64 | 7.2.12+deb14-amd64 | on | yes | yes | 7/7 | 1 | yes | conformant |
| arm64 | stock:testing | - | - | - | 0/0 | 0 | - | unknown |
| loongarch64 | 7.2.12+deb14-loongarch64 | on | no | no | 4/4 | 4 | no | no BTF |
| riscv64 | 7.2.12+deb14-riscv64 | on | yes | yes | 6/7 | 1 | yes | broken |
| arm32 | 7.2.12+deb14-armmp | on | no | no | 4/4 | 4 | no | no BTF |

- arm64: unknown: no image: the mirror did not answer
- loongarch64: no BTF: calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF
- riscv64: broken: 1 of 7 calls is wrong
- arm32: no BTF: calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF
- controls: 1 of 1 came out wrong, as they must

<details><summary>Provenance</summary>

- kfunc 0.1.0 (8a354db), 2025-11-24T03:10:00Z, on 6.18.0 x86_64
- x86_64 7.2.12+deb14-amd64: stock, kernel 111111111111, config 222222222222, BTF 333333333333, QEMU emulator version 10.1.0, tcg
- loongarch64 7.2.12+deb14-loongarch64: stock, kernel 111111111111, config 222222222222, QEMU emulator version 10.1.0, tcg
- riscv64 7.2.12+deb14-riscv64: stock, kernel 111111111111, config 222222222222, BTF 333333333333, QEMU emulator version 10.1.0, tcg
- arm32 7.2.12+deb14-armmp: stock, kernel 111111111111, config 222222222222, QEMU emulator version 10.1.0, tcg

</details>
";
        let got = markdown(&fixture::five());
        assert_eq!(got, expected, "\n{got}");
    }

    #[test]
    fn every_line_fits_whatever_a_kernel_is_called() {
        let mut results = fixture::five();
        for kernel in &mut results.kernels {
            if let Some(guest) = &mut kernel.guest {
                guest.release = format!("7.3.0-rc7-{}-with-a-very-long-local-version", "x".repeat(70));
            }
            kernel.reason = "word ".repeat(60);
        }
        let text = terminal(&results, Paint::Plain);
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(WIDTH), "{} columns: {line}", line.chars().count());
        }
        let together: String = text.split_whitespace().collect();
        assert!(together.contains("conformant") && together.contains("7.3.0-rc7"));
    }

    #[test]
    fn a_control_that_passed_is_said_loudly() {
        let text = terminal(&fixture::control_passed(), Paint::Plain);
        assert!(text.contains("controls: only 0 of 1 came out wrong"), "{text}");
    }

    #[test]
    fn plain_has_no_control_sequence_even_when_the_results_have() {
        let mut results = fixture::five();
        results.kernels[2].reason = "\u{1b}[2Jgone\u{7}".into();
        results.kernels[2].arch = "loong\u{1b}]0;x\u{7}arch64".into();
        let text = terminal(&results, Paint::Plain);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("loongarch64: no BTF: gone"), "{text}");
    }

    #[test]
    fn colour_paints_verdicts_only() {
        let text = terminal(&fixture::five(), Paint::Colour);
        assert!(text.contains("\u{1b}[31;1mbroken\u{1b}[0m\n"), "{text:?}");
        assert!(text.contains("\u{1b}[32mconformant\u{1b}[0m\n"), "{text:?}");
        let plain: String = crate::report::clean::lines(&text).join("\n") + "\n";
        assert_eq!(plain, terminal(&fixture::five(), Paint::Plain));
    }

    #[test]
    fn markdown_means_itself() {
        assert_eq!(markdown_text("a|b <x> `c` x86_64 _em_"), r"a\|b \<x\> \`c\` x86_64 \_em_");
    }

    #[test]
    fn json_has_the_rows() {
        let text = json(&fixture::five()).expect("plain data serialises");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["rows"][3]["arch"], "riscv64");
        assert_eq!(value["rows"][3]["verdict"], "broken");
        assert_eq!(value["rows"][3]["right"], 6);
    }
}
