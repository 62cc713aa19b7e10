//! A run as KTAP version 1 (Documentation/dev-tools/ktap.rst), for the kernel's tools: a test per kernel, a subtest per cell.
//!
//! Not applicable is `ok … # SKIP`; a known failure `not ok … # SKIP`; infrastructure `not ok … # ERROR`.

use std::fmt::Write as _;

use super::suites::{Case, Counts, End, Suite, suites};
use crate::model::RunResults;

/// The run as KTAP. Ends with a line feed.
pub fn ktap(results: &RunResults) -> String {
    let suites = suites(results);
    let mut out = format!("KTAP version 1\n1..{}\n", suites.len());
    for (index, one) in suites.iter().enumerate() {
        suite(&mut out, index + 1, one);
    }
    out
}

fn suite(out: &mut String, number: usize, suite: &Suite) {
    let name = description(&suite.name);
    let _ = writeln!(out, "  KTAP version 1\n  # Subtest: {name}\n  1..{}", suite.cases.len());
    for (name, value) in &suite.properties {
        let _ = writeln!(out, "  # {name}: {}", harmless(value));
    }
    for (index, one) in suite.cases.iter().enumerate() {
        case(out, index + 1, one);
    }
    let counts = suite.counts();
    let Counts { right, wrong, known, not_applicable, infrastructure } = counts;
    let _ = writeln!(
        out,
        "# {name}: right:{right} wrong:{wrong} known:{known} n/a:{not_applicable} infrastructure:{infrastructure}"
    );
    let result = if wrong + infrastructure > 0 { "not ok" } else { "ok" };
    let skip = if right + wrong + infrastructure == 0 { " # SKIP nothing was judged" } else { "" };
    let _ = writeln!(out, "{result} {number} {name}{skip}");
}

fn case(out: &mut String, number: usize, case: &Case) {
    for line in &case.evidence {
        // More than one space: a line of a guest must not read as `# Subtest: …`.
        let _ = writeln!(out, "  #   {}", harmless(line));
    }
    let (result, directive, reason) = match &case.end {
        End::Right => ("ok", "", String::new()),
        End::Wrong { kind: kind @ "hang", message } => ("not ok", "TIMEOUT ", format!("{kind}: {message}")),
        End::Wrong { kind, message } => ("not ok", "", format!("{kind}: {message}")),
        End::UnexpectedPass { message, .. } => ("not ok", "", format!("unexpected_pass: {message}")),
        End::Infrastructure { error } => ("not ok", "ERROR ", error.clone()),
        End::NotApplicable { reason } => ("ok", "SKIP ", format!("not applicable: {reason}")),
        End::KnownFailure { reason, link, .. } => ("not ok", "SKIP ", format!("known failure: {reason} ({link})")),
    };
    let _ = write!(out, "  {result} {number} {}", description(&case.name));
    if !reason.is_empty() {
        // Only the first hash sign of a result line begins a directive.
        let _ = write!(out, " # {directive}{}", harmless(&reason.replace("# ", "#")));
    }
    out.push('\n');
}

/// A test's description may be anything but a hash sign and a line feed.
fn description(name: &str) -> String {
    harmless(&name.replace('#', "_"))
}

/// Text that ends neither its line nor the output. Some readers take U+2028 and U+2029 for ends of lines; the kernel's own
/// (tools/testing/kunit/kunit_parser.py, `KTAP_END`) takes three texts for the end of all, wherever in a line they stand.
fn harmless(text: &str) -> String {
    let mut text = text.replace(['\u{2028}', '\u{2029}'], " ");
    for end in ["List of all partitions:", "Kernel panic - not syncing: VFS:", "reboot: System halted"] {
        if text.contains(end) {
            text = text.replace(end, &end.replacen(':', " :", 1));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::suites::tests::{every_end, hostile};
    use super::*;
    use crate::report::fixture;

    /// Suites and their counts as a strict reader of the format finds them.
    pub fn read(text: &str) -> Vec<(String, Counts)> {
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let plan = |line: Option<&str>, indent: &str| -> usize {
            line.and_then(|line| line.strip_prefix(indent)?.strip_prefix("1..")?.parse().ok()).expect("a plan")
        };
        assert_eq!(lines.next(), Some("KTAP version 1"));
        let suites = plan(lines.next(), "");
        let mut out = Vec::new();
        for number in 1..=suites {
            assert_eq!(lines.next(), Some("  KTAP version 1"));
            let cases = plan(lines.next(), "  ");
            let mut counts = Counts::default();
            for number in 1..=cases {
                let line = lines.next().and_then(|line| line.strip_prefix("  ")).expect("an indented line");
                let (failed, rest) = match line.strip_prefix("not ok ") {
                    Some(rest) => (true, rest),
                    None => (false, line.strip_prefix("ok ").expect("a result")),
                };
                let rest = rest.strip_prefix(&format!("{number} ")).unwrap_or_else(|| panic!("{number}: {line}"));
                let directive = rest.split_once(" # ").map_or("", |(_, after)| after);
                *match (failed, directive.split(' ').next()) {
                    (false, Some("SKIP")) => &mut counts.not_applicable,
                    (true, Some("SKIP")) => &mut counts.known,
                    (true, Some("ERROR")) => &mut counts.infrastructure,
                    (true, _) => &mut counts.wrong,
                    (false, _) => &mut counts.right,
                } += 1;
            }
            let line = lines.next().expect("the suite's own result");
            let failed = counts.wrong + counts.infrastructure > 0;
            let start = format!("{} {number} ", if failed { "not ok" } else { "ok" });
            let name = line.strip_prefix(&start).unwrap_or_else(|| panic!("{start}: {line}"));
            out.push((name.split(" # ").next().unwrap_or_default().to_owned(), counts));
        }
        assert_eq!(lines.next(), None, "nothing after the plan");
        out
    }

    #[test]
    fn kernels_are_tests_and_cells_their_subtests() {
        let mut results = fixture::five();
        results.kernels.drain(..3);
        results.kernels.pop();
        results.kernels[0].cells.drain(..4);
        let expected = "\
KTAP version 1
1..1
  KTAP version 1
  # Subtest: riscv64 stock:testing (7.2.12+deb14-riscv64)
  1..4
  # arch: riscv64
  # kernel: stock:testing
  # release: 7.2.12+deb14-riscv64
  # verdict: broken
  # reason: 1 of 7 calls is wrong
  # image: stock
  # image-key: stock-riscv64
  # kernel-sha256: 1111111111111111111111111111111111111111111111111111111111111111
  # config-sha256: 2222222222222222222222222222222222222222222222222222222222222222
  # image-from: suite=testing
  # btf-sha256: 3333333333333333333333333333333333333333333333333333333333333333
  # qemu: QEMU emulator version 10.1.0
  # accelerator: tcg
  # qemu-command: qemu-system-riscv64 -m 512 -append 'console=ttyS0 quiet'
  # harness: 0.1.0
  # commit: 8a354db
  # started: 2025-11-24T03:10:00Z
  # command: kfunc run
  # host: 6.18.0 x86_64
  # host-cpus: 2
  #   observed[0] as s32: expected 1, got -1
  #   at testcases/stock/strings.bpf.c:42, calls bpf_strchr
  #   seen: loaded, returned 0x0, observed[0] = 0xffffffff
  #   verifier log:
  #     0: r1 = 0
  #     1: call bpf_strchr
  #     processed 2 insns
  #   console:
  #     [ 1.000000] a line
  #   again: cargo kfunc run --arch riscv64 --kernel stock:testing --suite stock --exact stock::strings::strchr
  not ok 1 stock::strings::strchr # wrong_value: observed[0] as s32: expected 1, got -1
  ok 2 stock::strings::strlen
  ok 3 stock::iter::num
  ok 4 stock::xdp::hash # SKIP not applicable: no BTF
# riscv64 stock:testing (7.2.12+deb14-riscv64): right:2 wrong:1 known:0 n/a:1 infrastructure:0
not ok 1 riscv64 stock:testing (7.2.12+deb14-riscv64)
";
        let got = ktap(&results);
        assert_eq!(got, expected, "\n{got}");
    }

    #[test]
    fn a_kernel_without_cells_is_an_error_or_skipped() {
        let text = ktap(&every_end());
        assert!(text.contains("\n  not ok 1 guest # ERROR no image: the mirror did not answer\n"), "{text}");
        assert!(text.contains("\n  ok 1 guest # SKIP not applicable: no image: the mirror did not answer\n"), "{text}");
        assert!(text.contains("ok 7 s390x stock:testing # SKIP nothing was judged\n"), "{text}");
        assert!(text.contains(" # SKIP known failure: s8 #SKIP (https://example.org/?a&b)\n"), "{text}");
    }

    #[test]
    fn a_guest_cannot_forge_results() {
        let text = ktap(&hostile());
        let ends_a_line = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!text.contains(ends_a_line), "{text:?}");
        assert!(!text.contains("reboot: System halted") && !text.contains("Kernel panic - not syncing: VFS:"));
        let results = |text: &str| text.lines().filter(|line| !line.trim_start().starts_with('#')).count();
        assert_eq!(results(&text), results(&ktap(&every_end())));
    }
}
