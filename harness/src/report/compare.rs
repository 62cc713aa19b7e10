//! Two runs compared, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::clean;
use super::table::{Paint, wrapped};
use crate::compare::{Change, Comparison, Kernel, Named, Renewed};
use crate::results::timestamp;

/// Names that a short list shows; JSON has all.
const SHORT: usize = 8;

/// How a line is painted.
type Colour = fn(Paint, &str) -> String;

/// Counts, then what is worse with its evidence, then the rest in short. Ends with a line feed.
pub fn text(comparison: &Comparison, paint: Paint) -> String {
    let [old, new] = comparison.started;
    let mut out = format!("{} (new) against {} (old), ", timestamp(new), timestamp(old));
    let _ = writeln!(out, "{}\n", counted(comparison.earlier_runs, "earlier run"));
    if old > new {
        out.push_str("note: OLD began after NEW\n\n");
    }
    let counts = &comparison.counts;
    let lines: [(&str, usize, Colour); 9] = [
        ("regressions", counts.regressions, Paint::bad),
        ("first failures", counts.first_failures, Paint::bad),
        ("flaky", counts.flaky, Paint::warn),
        ("fixes", counts.fixes, Paint::good),
        ("other changes", counts.other_changes, Paint::warn),
        ("unchanged", counts.unchanged, Paint::dim),
        ("not judged", counts.not_judged, Paint::warn),
        ("new cells", counts.new_cells, Paint::dim),
        ("gone cells", counts.gone_cells, Paint::warn),
    ];
    for (name, count, colour) in lines {
        let line = format!("{name:<15}{count:>6}");
        let _ = writeln!(out, "{}", if count > 0 { colour(paint, &line) } else { line });
    }
    for change in &comparison.regressions {
        worse(&mut out, &paint.bad("REGRESSION"), change);
    }
    for change in &comparison.first_failures {
        worse(&mut out, &paint.bad("FIRST FAILURE"), change);
    }
    let mut rest = String::new();
    for change in &comparison.flaky {
        let moved = match change.was {
            Some(was) if was != change.now => format!("{was} -> {}", change.now),
            _ => format!("{} as before", change.now),
        };
        let line = format!("flaky: {}: {moved}; {} of one kernel", title(change), counted(change.flips, "change"));
        rest.push_str(&wrapped(&line));
        if change.now.fails() {
            rest.push_str(&wrapped(&format!("   {}", change.headline)));
        }
    }
    moves(&mut rest, "fixed", &comparison.fixes);
    moves(&mut rest, "changed", &comparison.other_changes);
    names(&mut rest, "not judged", &comparison.not_judged);
    names(&mut rest, "new", &comparison.new_cells);
    names(&mut rest, "gone", &comparison.gone_cells);
    kernels(&mut rest, "old", &comparison.kernels_gone);
    kernels(&mut rest, "new", &comparison.kernels_new);
    for kernel in &comparison.kernels_changed {
        rest.push_str(&wrapped(&renewed(kernel)));
    }
    if !rest.is_empty() {
        out.push('\n');
        out.push_str(&rest);
    }
    out
}

/// Everything, for other programs. Ends with a line feed.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn json(comparison: &Comparison) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(comparison)?;
    text.push('\n');
    Ok(text)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn title(change: &Change) -> String {
    format!("{}::{} ({}, {})", change.arch, change.cell, change.kernel, change.release)
}

fn worse(out: &mut String, name: &str, change: &Change) {
    let _ = writeln!(out, "\n{name} {}", title(change));
    let was = change.was.map_or_else(|| "never judged".to_owned(), |was| was.to_string());
    let _ = writeln!(out, "  was:      {was}");
    let _ = writeln!(out, "  now:      {}", change.now);
    match (&change.what, &change.expected, &change.got) {
        (Some(what), Some(expected), Some(got)) => {
            let _ = writeln!(out, "  what:     {what}\n  expected: {expected}\n  got:      {got}");
        }
        _ => {
            let _ = writeln!(out, "  because:  {}", change.headline);
        }
    }
    let _ = writeln!(out, "  again:    {}", change.again);
}

/// Cells that moved alike, by kernel.
fn moves(out: &mut String, name: &str, changes: &[Change]) {
    let mut groups: BTreeMap<(&str, &str, String), Vec<&str>> = BTreeMap::new();
    for change in changes {
        let was = change.was.map_or_else(|| "never judged".to_owned(), |was| was.to_string());
        let how = format!("{was} -> {}", change.now);
        groups.entry((&change.arch, &change.kernel, how)).or_default().push(&change.cell);
    }
    for ((arch, kernel, how), cells) in groups {
        out.push_str(&wrapped(&format!("{name}: {arch} {kernel}: {how}: {}", listed(&cells))));
    }
}

fn names(out: &mut String, name: &str, cells: &[Named]) {
    let mut groups: BTreeMap<(&str, &str, String), Vec<&str>> = BTreeMap::new();
    for cell in cells {
        let why = if cell.reason.is_empty() { cell.state.to_string() } else { clean::shorten(&cell.reason, 160) };
        groups.entry((&cell.arch, &cell.kernel, why)).or_default().push(&cell.cell);
    }
    for ((arch, kernel, why), cells) in groups {
        out.push_str(&wrapped(&format!("{name}: {arch} {kernel}: {why}: {}", listed(&cells))));
    }
}

fn listed(cells: &[&str]) -> String {
    let more = cells.len().saturating_sub(SHORT);
    let shown = cells[..cells.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn kernels(out: &mut String, run: &str, kernels: &[Kernel]) {
    for kernel in kernels {
        let Kernel { arch, kernel, cells, failing } = kernel;
        let line = format!("only in the {run} run: {arch} {kernel}: {}, {failing} failing", counted(*cells, "cell"));
        out.push_str(&wrapped(&line));
    }
}

fn renewed(kernel: &Renewed) -> String {
    let mut line = format!("kernel: {} {}:", kernel.arch, kernel.kernel);
    let [before, now] = kernel.release.each_ref().map(|release| release.as_deref().unwrap_or("nothing booted"));
    if before != now {
        let _ = write!(line, " {before} -> {now}");
    }
    let [before, now] = &kernel.verdict;
    if before != now {
        let _ = write!(line, "{} {before} -> {now}", if line.ends_with(':') { "" } else { "," });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{History, compare};
    use crate::report::fixture;

    #[test]
    fn counts_then_regressions_then_the_rest() {
        let mut old = fixture::five();
        old.started -= 86_400;
        old.kernels[3].cells[4] = fixture::cell("stock", "strings::strchr");
        let expected = "\
20251124T031000Z (new) against 20251123T031000Z (old), 1 earlier run

regressions         1
first failures      0
flaky               0
fixes               0
other changes       0
unchanged          32
not judged          0
new cells           0
gone cells          0

REGRESSION riscv64::stock::strings::strchr (stock:testing, 7.2.12+deb14-riscv64)
  was:      right
  now:      wrong (wrong value)
  what:     observed[0] as s32
  expected: 1
  got:      -1
  again:    cargo kfunc run --arch riscv64 --kernel stock:testing --suite stock --exact stock::strings::strchr
";
        let got = text(&compare(&old, &fixture::five(), &History::default()), Paint::Plain);
        assert_eq!(got, expected, "\n{got}");
    }

    #[test]
    fn nothing_from_a_guest_acts_on_the_terminal() {
        let old = fixture::clean();
        let mut new = fixture::five();
        new.kernels[0].cells[4].standing = crate::model::Standing::Wrong;
        new.kernels[0].cells[4].outcome = crate::model::Outcome::Splat { line: "\u{1b}[2Jgone\u{7}".into() };
        new.kernels[0].cells[4].case = "a\u{1b}]0;x\u{7}b".into();
        new.kernels[2].kernel = "x\u{1b}[1m".into();
        let comparison = compare(&old, &new, &History::default());
        let text = text(&comparison, Paint::Plain);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("FIRST FAILURE x86_64::stock::ab"), "{text}");
        assert!(!json(&comparison).expect("plain data serialises").contains("\\u001b"));
    }

    #[test]
    fn json_has_states_and_counts() {
        let comparison = compare(&fixture::clean(), &fixture::five(), &History::default());
        let value: serde_json::Value = serde_json::from_str(&json(&comparison).expect("JSON")).expect("JSON");
        assert_eq!(value["counts"]["unchanged"], 9);
        assert_eq!(value["kernels_new"][2]["failing"], 1);
        assert_eq!(value["regressions"].as_array().map(Vec::len), Some(0));
    }
}
