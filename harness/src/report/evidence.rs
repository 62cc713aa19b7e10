//! Failing cells with their evidence: what was expected, what came back, what the kernel said, how to run it again.

use std::fmt::Write as _;

use super::table::Paint;
use super::{clean, quote};
use crate::model::{Cell, GuestEnd, KernelResults, Outcome, RunResults, Standing};

/// Lines of the verifier log and of the console that are shown.
const LOG_LINES: usize = 12;
/// Failing cells that are shown in full; the rest by name.
const IN_FULL: usize = 25;

/// Every failing cell, in the order of the run; empty when none fails. Ends with a line feed.
pub fn failures(results: &RunResults, paint: Paint) -> String {
    let failing: Vec<(&KernelResults, &Cell)> = results
        .kernels
        .iter()
        .flat_map(|kernel| kernel.cells.iter().map(move |cell| (kernel, cell)))
        .filter(|(_, cell)| cell.standing.fails())
        .collect();
    let mut out = String::new();
    for (kernel, cell) in failing.iter().take(IN_FULL) {
        out.push('\n');
        let _ = writeln!(out, "{} {}", paint.bad("WRONG"), title(kernel, cell));
        for line in evidence(&results.command, &kernel.arch, &kernel.kernel, cell) {
            let _ = writeln!(out, "  {line}");
        }
    }
    if failing.len() > IN_FULL {
        let _ = writeln!(out, "\nand {} more, in the saved results:", failing.len() - IN_FULL);
        for (kernel, cell) in &failing[IN_FULL..] {
            let _ = writeln!(out, "  {}: {}", title(kernel, cell), headline(cell));
        }
    }
    out
}

fn title(kernel: &KernelResults, cell: &Cell) -> String {
    let release = kernel.guest.as_ref().map_or(kernel.kernel.as_str(), |guest| guest.release.as_str());
    clean::line(&format!("{}::{} ({release})", kernel.arch, cell.name()))
}

/// The judgement in one line.
pub fn headline(cell: &Cell) -> String {
    let outcome = outcome(&cell.outcome);
    let text = match &cell.standing {
        Standing::UnexpectedPass { reason } => {
            format!("passed, but the expectations record it as failing ({reason}); take the entry out")
        }
        Standing::Wrong if cell.suite == super::row::CONTROL => {
            format!("a control must come out wrong in the way it says, and did not: {outcome}")
        }
        Standing::NotApplicable { reason } => format!("not applicable: {reason}"),
        Standing::KnownFailure { reason, link } => format!("known failure: {outcome} ({reason}, {link})"),
        Standing::Wrong => against_the_claim(cell).unwrap_or(outcome),
        Standing::Right => outcome,
    };
    clean::line(&text)
}

/// What is wrong where a capability was found, or found absent, and the arch file says otherwise.
fn against_the_claim(cell: &Cell) -> Option<String> {
    let claim = cell.observation.facts.get("arch_file").filter(|_| cell.suite == "probe")?;
    match &cell.outcome {
        Outcome::Pass => Some(format!("it works, but the arch file claims it `{claim}`: that claim is stale")),
        Outcome::Unsupported { line } => Some(format!("the arch file claims it `{claim}`, but there is none: {line}")),
        _ => None,
    }
}

/// The outcome in words, not cleaned.
pub fn outcome(outcome: &Outcome) -> String {
    let with = |what: &str, line: &str| {
        if line.is_empty() { what.to_owned() } else { format!("{what}: {line}") }
    };
    match outcome {
        Outcome::Pass => "everything expected was observed".into(),
        Outcome::WrongValue { what, expected, got } => format!("{what}: expected {expected}, got {got}"),
        Outcome::Rejected { errno: 0, line } => with("the kernel accepted what it should have refused", line),
        Outcome::Rejected { errno, line } => with(&format!("the kernel refused with {}", errno_name(*errno)), line),
        Outcome::Unsupported { line } => with("the JIT declines kfunc calls", line),
        Outcome::NoBtf { line } => with("the kernel has no BTF", line),
        Outcome::NoJit { line } => with("there is no JIT, or it is off", line),
        Outcome::KfuncAbsent { kfunc } => format!("kfunc {kfunc} is neither in vmlinux nor in a loaded module"),
        Outcome::Splat { line } => format!("the kernel complained: {line}"),
        Outcome::Hang { after_ms } => format!("no end after {after_ms} ms, the guest is alive"),
        Outcome::GuestLost { how } => format!("the guest was lost: {how}"),
        Outcome::Infrastructure { error } => format!("infrastructure: {error}"),
        Outcome::NotRun { reason } => format!("not run: {reason}"),
    }
}

/// The lines beneath the headline, and the headline as the first.
pub fn evidence(command: &[String], arch: &str, kernel: &str, cell: &Cell) -> Vec<String> {
    let seen = &cell.observation;
    let mut out = vec![headline(cell)];
    let mut place = String::new();
    if let Some(at) = &cell.location {
        let _ = write!(place, "at {}:{}", at.file, at.line);
    }
    if !cell.kfuncs.is_empty() {
        let _ = write!(place, "{}calls {}", if place.is_empty() { "" } else { ", " }, cell.kfuncs.join(", "));
    }
    if !place.is_empty() {
        out.push(clean::line(&place));
    }
    let mut facts = Vec::new();
    match seen.load_errno {
        Some(0) => facts.push("loaded".to_owned()),
        Some(errno) => facts.push(format!("load: {}", errno_name(errno))),
        None => {}
    }
    if let Some(errno) = seen.run_errno.filter(|errno| *errno != 0) {
        facts.push(format!("run: {}", errno_name(errno)));
    }
    if let Some(retval) = seen.retval {
        facts.push(format!("returned {retval:#x}"));
    }
    facts.extend(seen.observed.iter().map(|(index, value)| format!("observed[{index}] = {value:#x}")));
    let (blocks, words): (Vec<_>, Vec<_>) = seen.facts.iter().partition(|(_, value)| value.contains('\n'));
    facts.extend(words.iter().filter(|(name, _)| *name != "reached").map(|(name, value)| format!("{name} = {value}")));
    if !facts.is_empty() {
        out.push(clean::line(&format!("seen: {}", facts.join(", "))));
    }
    if let Some(end) = &seen.guest_end {
        out.push(clean::line(&ended(end)));
    }
    for (name, text) in blocks {
        out.push(format!("{}:", clean::line(name)));
        out.extend(text.lines().map(|line| format!("  {}", clean::shorten(&clean::line(line), 160))));
    }
    block(&mut out, "verifier log", &clean::lines(&seen.verifier_log));
    let console: Vec<String> = seen.console.iter().map(|line| clean::line(line)).collect();
    block(&mut out, "console", &console);
    out.push(format!("again: {}", again(command, arch, kernel, cell)));
    out
}

/// How the guest ended, in words, not cleaned.
pub fn ended(end: &GuestEnd) -> String {
    match end {
        GuestEnd::Panic { line } => format!("the guest panicked: {line}"),
        GuestEnd::Silent { after_ms } => format!("the guest was silent for {after_ms} ms"),
        GuestEnd::Exit { status, .. } => format!("QEMU ended: {status}"),
    }
}

fn block(out: &mut Vec<String>, name: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let from = lines.len().saturating_sub(LOG_LINES);
    out.push(if from == 0 {
        format!("{name}:")
    } else {
        format!("{name}, last {LOG_LINES} of {} lines:", lines.len())
    });
    out.extend(lines[from..].iter().map(|line| format!("  {}", clean::shorten(line, 160))));
}

/// Options of the run that a single cell's run needs too, because they say where kernels come from or how guests run.
const KEPT_WITH_VALUE: [&str; 7] = ["--arch-file", "--mirror", "--cache-dir", "--accel", "--qemu", "--seed", "--cases"];
const KEPT: [&str; 1] = ["--offline"];

/// The command that runs this cell alone.
pub fn again(command: &[String], arch: &str, kernel: &str, cell: &Cell) -> String {
    let mut words: Vec<&str> = vec!["cargo", "kfunc", "run", "--arch", arch, "--kernel", kernel];
    let mut typed = command.iter();
    while let Some(word) = typed.next() {
        let name = word.split('=').next().unwrap_or(word);
        if KEPT.contains(&word.as_str()) {
            words.push(word);
        } else if KEPT_WITH_VALUE.contains(&name) {
            words.push(word);
            if name == word {
                words.extend(typed.next().map(String::as_str));
            }
        }
    }
    let name = cell.name();
    words.extend(["--suite", &cell.suite, "--exact", &name]);
    clean::line(&quote::words(words))
}

/// `EINVAL (22)`. ENOTSUPP (524) is the kernel's own and not in libc.
pub fn errno_name(errno: i32) -> String {
    if errno == 524 {
        return "ENOTSUPP (524)".into();
    }
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => format!("errno {errno}"),
        // The variant's name is the errno's name.
        known => format!("{known:?} ({errno})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observation;
    use crate::report::fixture;

    #[test]
    fn a_failing_cell_shows_its_evidence() {
        let expected = "
WRONG riscv64::stock::strings::strchr (7.2.12+deb14-riscv64)
  observed[0] as s32: expected 1, got -1
  at testcases/stock/strings.bpf.c:42, calls bpf_strchr
  seen: loaded, returned 0x0, observed[0] = 0xffffffff
  verifier log:
    0: r1 = 0
    1: call bpf_strchr
    processed 2 insns
  console:
    [ 1.000000] a line
  again: cargo kfunc run --arch riscv64 --kernel stock:testing --suite stock --exact stock::strings::strchr
";
        let got = failures(&fixture::five(), Paint::Plain);
        assert_eq!(got, expected, "\n{got}");
        assert_eq!(failures(&fixture::clean(), Paint::Plain), "");
    }

    #[test]
    fn the_command_keeps_where_kernels_come_from() {
        let typed = ["run", "--mirror", "http://mirror.example/debian", "--jobs", "2", "--accel=tcg", "--offline", "x"];
        let typed: Vec<String> = typed.map(str::to_owned).to_vec();
        assert_eq!(
            again(&typed, "riscv64", "stock:testing", &fixture::wrong()),
            "cargo kfunc run --arch riscv64 --kernel stock:testing --mirror http://mirror.example/debian --accel=tcg \
             --offline --suite stock --exact stock::strings::strchr"
        );
    }

    #[test]
    fn every_outcome_reads_as_a_line() {
        let rejected = Outcome::Rejected { errno: 22, line: "R1 is not a scalar".into() };
        assert_eq!(outcome(&rejected), "the kernel refused with EINVAL (22): R1 is not a scalar");
        let accepted = Outcome::Rejected { errno: 0, line: String::new() };
        assert_eq!(outcome(&accepted), "the kernel accepted what it should have refused");
        assert_eq!(errno_name(524), "ENOTSUPP (524)");
        assert_eq!(errno_name(9999), "errno 9999");
    }

    #[test]
    fn an_unexpected_pass_says_what_to_do() {
        let cell = Cell { standing: Standing::UnexpectedPass { reason: "s8".into() }, ..fixture::cell("stock", "a") };
        assert!(headline(&cell).contains("take the entry out"));
    }

    #[test]
    fn long_logs_show_their_end() {
        let mut cell = fixture::wrong();
        cell.observation.verifier_log = (0..100).map(|n| format!("line {n}\n")).collect();
        let lines = evidence(&[], "riscv64", "stock:testing", &cell);
        assert!(lines.iter().any(|line| line == "verifier log, last 12 of 100 lines:"));
        assert!(lines.iter().any(|line| line == "  line 99") && !lines.iter().any(|line| line == "  line 87"));
    }

    #[test]
    fn many_failures_are_not_a_flood() {
        let mut results = fixture::five();
        results.kernels[3].cells = (0..40).map(|_| fixture::wrong()).collect();
        let text = failures(&results, Paint::Plain);
        assert_eq!(text.matches("WRONG ").count(), 25);
        assert!(text.contains("and 15 more, in the saved results:"));
    }

    #[test]
    fn a_claim_that_does_not_hold_is_said_in_both_directions() {
        let facts = [("arch_file".to_owned(), "since 6.9".to_owned())].into();
        let observation = Observation { facts, ..Observation::default() };
        let mut cell = Cell { standing: Standing::Wrong, observation, ..fixture::cell("probe", "arena") };
        assert_eq!(headline(&cell), "it works, but the arch file claims it `since 6.9`: that claim is stale");
        cell.outcome = Outcome::Unsupported { line: "the line".into() };
        assert_eq!(headline(&cell), "the arch file claims it `since 6.9`, but there is none: the line");
        cell.outcome = Outcome::Rejected { errno: 22, line: "R0 !read_ok".into() };
        assert!(headline(&cell).contains("R0 !read_ok"));
    }
}
