//! A table whose columns are kernels: too many for one width, so a terminal gets it in blocks. Text in, text out.

use std::fmt::Write as _;

use super::clean;
use super::table::{WIDTH, markdown_text, wrapped};

/// What a cell means, for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to point at.
    Plain,
    /// Not as it should be.
    Bad,
}

/// One row.
#[derive(Debug, Clone)]
pub struct GridRow {
    /// Its names, as many as the grid has corners.
    pub names: Vec<String>,
    /// A text for each column.
    pub cells: Vec<(String, Tone)>,
}

/// One table.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Names of the columns with names of rows.
    pub corner: Vec<String>,
    /// Two lines for each kernel.
    pub columns: Vec<[String; 2]>,
    /// In order.
    pub rows: Vec<GridRow>,
    /// What stands beneath.
    pub notes: Vec<String>,
}

impl Grid {
    /// For a terminal: the first name of a row only. `paint_bad` gets what is not as it should be. Ends with a line feed.
    pub fn terminal(&self, paint_bad: impl Fn(&str) -> String) -> String {
        let width = |text: &str| text.chars().count();
        let first = |row: &GridRow| row.names.first().map_or(0, |name| width(name));
        let names = self.rows.iter().map(first).chain(self.corner.first().map(|name| width(name))).max().unwrap_or(0);
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, head)| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|(text, _)| width(text));
                cells.chain(head.iter().map(|line| width(line))).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        let mut from = 0;
        while from < widths.len() {
            let mut to = from;
            let mut used = names;
            while to < widths.len() && (to == from || used + 2 + widths[to] <= usize::from(WIDTH)) {
                used += 2 + widths[to];
                to += 1;
            }
            if from > 0 {
                out.push('\n');
            }
            let mut line = |name: &str, cells: &mut dyn Iterator<Item = (&str, Tone)>| {
                let mut text = format!("{name:names$}");
                for ((cell, tone), wide) in cells.zip(&widths[from..to]) {
                    let pad = " ".repeat(wide.saturating_sub(width(cell)));
                    let cell = if tone == Tone::Bad { paint_bad(cell) } else { cell.to_owned() };
                    let _ = write!(text, "  {cell}{pad}");
                }
                out.push_str(text.trim_end());
                out.push('\n');
            };
            let corner = self.corner.first().map_or("", String::as_str);
            for (which, name) in [(0, corner), (1, "")] {
                line(name, &mut self.columns[from..to].iter().map(|head| (head[which].as_str(), Tone::Plain)));
            }
            let rule = "-".repeat(used);
            line(&rule, &mut std::iter::empty());
            for GridRow { names, cells } in &self.rows {
                let name = names.first().map_or("", String::as_str);
                line(name, &mut cells[from..to].iter().map(|(text, tone)| (text.as_str(), *tone)));
            }
            from = to;
        }
        if !self.notes.is_empty() {
            out.push('\n');
            self.notes.iter().for_each(|note| out.push_str(&wrapped(note)));
        }
        out
    }

    /// As Markdown. Ends with a line feed.
    pub fn markdown(&self) -> String {
        let heads = self.columns.iter().map(|[first, second]| {
            format!("{}<br>{}", markdown_text(first), markdown_text(second)).trim_end_matches("<br>").to_owned()
        });
        let corners = self.corner.iter().map(|name| markdown_text(name));
        let mut out = format!("| {} |\n", corners.chain(heads).collect::<Vec<_>>().join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(self.corner.len() + self.columns.len()));
        for GridRow { names, cells } in &self.rows {
            let cells = cells.iter().map(|(text, tone)| match tone {
                Tone::Plain => markdown_text(text),
                Tone::Bad => format!("**{}**", markdown_text(text)),
            });
            let names = names.iter().map(|name| markdown_text(name));
            let _ = writeln!(out, "| {} |", names.chain(cells).collect::<Vec<_>>().join(" | "));
        }
        if !self.notes.is_empty() {
            out.push('\n');
            for note in &self.notes {
                let _ = writeln!(out, "- {}", markdown_text(note));
            }
        }
        out
    }
}

/// Reasons, each said once and known by its number after that.
#[derive(Debug, Default)]
pub struct Footnotes(Vec<String>);

impl Footnotes {
    /// The mark of a reason: `[1]`.
    pub fn mark(&mut self, reason: &str) -> String {
        let reason = clean::line(reason);
        let at = self.0.iter().position(|known| *known == reason).unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        });
        format!("[{}]", at + 1)
    }

    /// Each with its mark in front.
    pub fn lines(self) -> Vec<String> {
        (1..).zip(self.0).map(|(number, reason)| format!("[{number}] {reason}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: usize) -> Grid {
        Grid {
            corner: vec!["what".into(), "how".into()],
            columns: (0..columns).map(|at| [format!("arch{at}"), "7.2.12".into()]).collect(),
            rows: vec![GridRow {
                names: vec!["arena".into(), "probe::arena".into()],
                cells: (0..columns)
                    .map(|at| if at == 1 { ("no!".into(), Tone::Bad) } else { ("yes".into(), Tone::Plain) })
                    .collect(),
            }],
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn a_terminal_gets_blocks_that_fit() {
        let text = grid(30).terminal(|bad| bad.to_owned());
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{text}");
        assert_eq!(text.matches("yes").count() + text.matches("no!").count(), 30, "{text}");
        let expected = "\
what   arch0   arch1
       7.2.12  7.2.12
---------------------
arena  yes     <no!>

a note
";
        assert_eq!(grid(2).terminal(|bad| format!("<{bad}>")), expected);
    }

    #[test]
    fn markdown_has_every_name() {
        let expected = "\
| what | how | arch0<br>7.2.12 | arch1<br>7.2.12 |
|---|---|---|---|
| arena | probe::arena | yes | **no!** |

- a note
";
        assert_eq!(grid(2).markdown(), expected);
    }

    #[test]
    fn a_reason_is_said_once() {
        let mut notes = Footnotes::default();
        assert_eq!((notes.mark("a"), notes.mark("b"), notes.mark("a")), ("[1]".into(), "[2]".into(), "[1]".into()));
        assert_eq!(notes.lines(), ["[1] a", "[2] b"]);
    }
}
