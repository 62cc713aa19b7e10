//! The comparison of a capability table with a kernel source tree, as text.

use super::grid::{Footnotes, Grid, GridRow, Tone};
use crate::against::{Comparison, Standing};

/// The comparison as a table: one word where measured and source are the same, `measured/source` where not.
pub fn grid(comparison: &Comparison) -> Grid {
    let mut footnotes = Footnotes::default();
    let mut rows = Vec::new();
    for line in &comparison.capabilities {
        let cells = line.cells.iter().map(|cell| {
            let value = if cell.value == "not observable" { "?" } else { &cell.value };
            match &cell.standing {
                Standing::Agrees => (value.to_owned(), Tone::Plain),
                Standing::Disagrees => (format!("{value}/{} !", cell.source.unwrap_or("?")), Tone::Bad),
                Standing::Depends { expression } => {
                    (format!("{value}/{}", footnotes.mark(&format!("depends: {expression}"))), Tone::Plain)
                }
                Standing::NotMeasured => (format!("{value}/{}", cell.source.unwrap_or("*")), Tone::Plain),
                Standing::NotInSource { why } => (format!("{value}/{}", footnotes.mark(why)), Tone::Plain),
            }
        });
        let cells = cells.collect();
        rows.push(GridRow { names: vec![line.name.to_owned(), line.hook.to_owned()], cells });
    }
    let (definite, wrong) = comparison.counts();
    let mut notes = vec![
        "Measured/source where they are not one word: - was not asked, ? is not observable, * depends. \
         What was not measured is not compared."
            .to_owned(),
        format!(
            "source {}: {} of {definite} cells of which both say something agree",
            comparison.source,
            definite - wrong
        ),
    ];
    notes.extend(footnotes.lines());
    if !comparison.other_release.is_empty() {
        let others = comparison.other_release.join(", ");
        notes.push(format!("The source is {}, and these kernels are of another release: {others}", comparison.source));
    }
    for hook in &comparison.not_probed {
        notes.push(format!("no probe asks for {hook}"));
    }
    notes.extend(comparison.disagreements().iter().map(|line| format!("DISAGREES {line}")));
    Grid {
        corner: vec!["probe".into(), "function".into()],
        columns: comparison.kernels.iter().map(|kernel| [kernel.arch.clone(), kernel.short.clone()]).collect(),
        rows,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::against::{Compared, Line};
    use crate::report::capabilities::Kernel;

    #[test]
    fn each_standing_looks_its_own() {
        let kernel = |arch: &str| Kernel {
            arch: arch.into(),
            kernel: "7.2.12".into(),
            asked: "stock".into(),
            short: "7.2.12".into(),
        };
        let cell = |value: &str, source, standing| Compared {
            value: value.into(),
            source,
            at: Some("a.c:7".into()),
            standing,
        };
        let comparison = Comparison {
            source: "7.3.0".into(),
            kernels: ["a", "b", "c", "d", "e"].map(kernel).to_vec(),
            other_release: vec!["a 7.2.12".into()],
            capabilities: vec![Line {
                name: "arena",
                hook: "bpf_jit_supports_arena",
                cells: vec![
                    cell("yes", Some("yes"), Standing::Agrees),
                    cell("no", Some("yes"), Standing::Disagrees),
                    cell("yes", None, Standing::Depends { expression: "x()".into() }),
                    cell("not observable", Some("no"), Standing::NotMeasured),
                    cell("-", None, Standing::NotInSource { why: "no file".into() }),
                ],
            }],
            not_probed: vec!["bpf_jit_supports_new (core.c:1)".into()],
        };
        let expected = "\
probe  a       b         c        d       e
       7.2.12  7.2.12    7.2.12   7.2.12  7.2.12
------------------------------------------------
arena  yes     no/yes !  yes/[1]  ?/no    -/[2]

Measured/source where they are not one word: - was not asked, ? is not observable, * depends. What
    was not measured is not compared.
source 7.3.0: 1 of 2 cells of which both say something agree
[1] depends: x()
[2] no file
The source is 7.3.0, and these kernels are of another release: a 7.2.12
no probe asks for bpf_jit_supports_new (core.c:1)
DISAGREES a.c:7: b 7.2.12: measured no (probe::arena), but bpf_jit_supports_arena() says yes
";
        let text = grid(&comparison).terminal(str::to_owned);
        assert_eq!(text, expected, "\n{text}");
    }
}
