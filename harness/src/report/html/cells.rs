//! Every cell that fails or is known to, each a `details` that opens to its evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{escape_into, line};
use super::{Name, link, preformatted, term};
use crate::model::{Cell, KernelResults, Outcome, RunResults, Standing};
use crate::report::clean;
use crate::report::evidence::{again, ended, errno_name, headline, outcome};

/// Bytes of one section with evidence; the cells after that are named with their headline only.
pub const EVIDENCE: usize = 2 << 20;
/// Bytes of one section with names; the cells after that are counted by their topic. A browser shows pages of ten megabytes
/// at once, and nobody reads more.
pub const NAMED: usize = 4 << 20;
/// Topics that are counted by name where cells are left out, for each kernel.
const TOPICS: usize = 30;
/// Lines of one block, and characters of one line.
const LINES: usize = 400;
const WIDTH: usize = 400;
/// Characters of a headline, and of one where the evidence is left out.
const HEADLINE: usize = 300;
const SHORT: usize = 100;

/// Cells that fail the run, by kernel.
pub fn wrong(results: &RunResults, names: &[Name]) -> String {
    let mut out = String::new();
    for (kernel, name) in results.kernels.iter().zip(names) {
        let failing: Vec<&Cell> = kernel.cells.iter().filter(|cell| cell.standing.fails()).collect();
        if failing.is_empty() {
            continue;
        }
        heading(&mut out, name, failing.len(), "wrong");
        let mut left_out = LeftOut::default();
        for cell in failing {
            if out.len() > NAMED {
                left_out.add(cell);
                continue;
            }
            let label = match (&cell.standing, &cell.outcome) {
                (Standing::UnexpectedPass { .. }, _) => "passed",
                (_, Outcome::Infrastructure { .. }) => "failed",
                _ => "wrong",
            };
            one(&mut out, results, kernel, cell, &format!("<b class=\"bad\">✗ {label}</b> "), &headline(cell));
        }
        left_out.say(&mut out, "wrong");
    }
    if out.is_empty() { "<p>No cell is wrong.</p>\n".into() } else { out }
}

/// Cells that fail as recorded, by kernel and reason. Empty when there are none.
pub fn known(results: &RunResults, names: &[Name]) -> String {
    let mut out = String::new();
    for (kernel, name) in results.kernels.iter().zip(names) {
        let mut reasons: Vec<((&str, &str), Vec<&Cell>)> = Vec::new();
        for cell in &kernel.cells {
            let Standing::KnownFailure { reason, link } = &cell.standing else { continue };
            let key = (reason.as_str(), link.as_str());
            // The cells of one reason mostly follow one another.
            match reasons.iter_mut().rev().find(|(of, _)| *of == key) {
                Some((_, cells)) => cells.push(cell),
                None => reasons.push((key, vec![cell])),
            }
        }
        let all = reasons.iter().map(|(_, cells)| cells.len()).sum();
        if all == 0 {
            continue;
        }
        heading(&mut out, name, all, "known");
        for ((reason, at), cells) in reasons {
            let _ = writeln!(
                out,
                "<details class=\"group\"><summary><b class=\"known\">≈ {} known</b> {}</summary>",
                cells.len(),
                line(reason)
            );
            if !at.is_empty() {
                let _ = writeln!(out, "<p>Recorded with {}</p>", link(at));
            }
            let mut left_out = LeftOut::default();
            for cell in cells {
                if out.len() > NAMED {
                    left_out.add(cell);
                } else {
                    one(&mut out, results, kernel, cell, "", &outcome(&cell.outcome));
                }
            }
            left_out.say(&mut out, "known");
            out.push_str("</details>\n");
        }
    }
    out
}

/// Cells that are not named, counted by suite and topic.
#[derive(Default)]
struct LeftOut<'a>(BTreeMap<(&'a str, &'a str), usize>);

impl<'a> LeftOut<'a> {
    fn add(&mut self, cell: &'a Cell) {
        let topic = cell.case.split("::").next().unwrap_or_default();
        *self.0.entry((&cell.suite, topic)).or_default() += 1;
    }

    fn say(&self, out: &mut String, word: &str) {
        let all: usize = self.0.values().sum();
        if all == 0 {
            return;
        }
        let mut by: Vec<String> =
            self.0.iter().take(TOPICS).map(|((suite, topic), count)| format!("{count} {suite}::{topic}")).collect();
        if self.0.len() > TOPICS {
            by.push(format!("and {} topics more", self.0.len() - TOPICS));
        }
        let _ = writeln!(
            out,
            "<p class=\"cell\"><b>{all} more {word}</b>, left out of this page and in the saved results: {}</p>",
            line(&by.join(", "))
        );
    }
}

fn heading(out: &mut String, name: &Name, count: usize, word: &str) {
    let _ = writeln!(out, "<h3>{} <small>{}: {count} {word}</small></h3>", name.arch, name.kernel);
}

/// One cell. `label` is HTML, `headline` is not.
fn one(out: &mut String, results: &RunResults, kernel: &KernelResults, cell: &Cell, label: &str, headline: &str) {
    let name = line(&cell.name());
    let short = |max| line(&clean::shorten(headline, max));
    if out.len() > EVIDENCE {
        let _ = writeln!(
            out,
            "<p class=\"cell\">{label}<code>{name}</code> {} <small>evidence in the saved results</small></p>",
            short(SHORT)
        );
        return;
    }
    let _ = writeln!(out, "<details class=\"cell\"><summary>{label}<code>{name}</code> {}</summary>", short(HEADLINE));
    evidence(out, &results.command, kernel, cell);
    out.push_str("</details>\n");
}

fn evidence(out: &mut String, command: &[String], kernel: &KernelResults, cell: &Cell) {
    let seen = &cell.observation;
    let code = |text: &str| format!("<code>{}</code>", line(&clean::shorten(text, WIDTH)));
    out.push_str("<dl>\n");
    if let Outcome::WrongValue { what, expected, got } = &cell.outcome {
        term(out, "What", &line(&clean::shorten(what, WIDTH)));
        term(out, "Expected", &code(expected));
        term(out, "Got", &code(got));
    } else {
        term(out, "What", &line(&clean::shorten(&outcome(&cell.outcome), WIDTH)));
    }
    if let Some(at) = &cell.location {
        term(out, "At", &line(&format!("{}:{}", at.file, at.line)));
    }
    if !cell.kfuncs.is_empty() {
        term(out, "Calls", &code(&cell.kfuncs.join(", ")));
    }
    if let Some(setup) = &seen.setup {
        term(out, "Setup", &line(&clean::shorten(setup, WIDTH)));
    }
    match seen.load_errno {
        Some(0) => term(out, "Load", "loaded"),
        Some(errno) => term(out, "Load", &errno_name(errno)),
        None => {}
    }
    if let Some(errno) = seen.run_errno.filter(|errno| *errno != 0) {
        term(out, "Run", &errno_name(errno));
    }
    if let Some(retval) = seen.retval {
        term(out, "Returned", &format!("<code>{retval:#x}</code>"));
    }
    for (index, value) in seen.observed.iter().take(LINES) {
        term(out, &format!("observed[{index}]"), &format!("<code>{value:#x}</code>"));
    }
    // What was expected and received is said above, unless it reads otherwise.
    let said = |name: &str, value: &str| match &cell.outcome {
        Outcome::WrongValue { expected, got, .. } => {
            name == "expected" && value == expected || name == "received" && value == got
        }
        _ => false,
    };
    let words =
        seen.facts.iter().filter(|(name, value)| *name != "reached" && !value.contains('\n') && !said(name, value));
    for (name, value) in words.take(LINES) {
        term(out, &line(&clean::shorten(name, WIDTH)), &code(value));
    }
    if let Some(end) = &seen.guest_end {
        term(out, "Guest", &line(&clean::shorten(&ended(end), WIDTH)));
    }
    out.push_str("</dl>\n");
    for (name, text) in seen.facts.iter().filter(|(_, value)| value.contains('\n')).take(LINES) {
        block(out, name, &clean::lines(text), false);
    }
    block(out, "Verifier log", &clean::lines(&seen.verifier_log), true);
    let console: Vec<String> = seen.console.iter().map(|text| clean::line(text)).collect();
    block(out, "Console", &console, true);
    out.push_str("<h4>Again</h4>\n<pre class=\"wrap\" tabindex=\"0\">");
    escape_into(out, &again(command, &kernel.arch, &kernel.kernel, cell));
    out.push_str("</pre>\n");
}

/// The end of a log, or the beginning of anything else.
fn block(out: &mut String, name: &str, lines: &[String], log: bool) {
    if lines.is_empty() {
        return;
    }
    let mut title = line(&clean::shorten(name, WIDTH));
    let few = if lines.len() <= LINES {
        lines
    } else {
        let _ = write!(title, ", {} {LINES} of {} lines", if log { "last" } else { "first" }, lines.len());
        if log { &lines[lines.len() - LINES..] } else { &lines[..LINES] }
    };
    let few: Vec<String> = few.iter().map(|text| clean::shorten(text, WIDTH)).collect();
    preformatted(out, &title, &few);
}
