//! A run as other tools see tests: suites of cases with five ends. [`super::junit`], [`super::ktap`] and [`super::kcidb`] write it
//! down.

use super::row::CONTROL;
use super::{clean, evidence, provenance};
use crate::compare::State;
use crate::model::{KernelResults, Outcome, RunResults, Standing};

/// One (arch, kernel); its controls are a suite of their own, as the table counts them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Arch, kernel as asked for, release; unique in the run unless the run has the same kernel twice.
    pub name: String,
    /// Its kernel's place in [`RunResults::kernels`].
    pub kernel: usize,
    /// Arch name.
    pub arch: String,
    /// Facts about the kernel and the run, by name: what it was and made with ([`provenance`]).
    pub properties: Vec<(&'static str, String)>,
    /// In the order of the run; never empty.
    pub cases: Vec<Case>,
}

/// One cell, or what kept a kernel from having any. All text is clean, and of one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// `suite::case`; [`GUEST`] for what befell the kernel as a whole.
    pub name: String,
    /// How it ended.
    pub end: End,
    /// The judgement in one line, and what belongs to it; empty for what is right or not applicable.
    pub evidence: Vec<String>,
    /// Where it is written, `file:line`.
    pub location: Option<String>,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// Name of the case that says that a kernel as a whole could not be looked at.
pub const GUEST: &str = "guest";

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum End {
    Right,
    /// The outcome's kind, and what was found.
    Wrong {
        kind: &'static str,
        message: String,
    },
    /// Recorded as failing for this reason, and passed.
    UnexpectedPass {
        reason: String,
        message: String,
    },
    KnownFailure {
        kind: &'static str,
        reason: String,
        link: String,
    },
    NotApplicable {
        reason: String,
    },
    Infrastructure {
        error: String,
    },
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub right: usize,
    pub wrong: usize,
    pub known: usize,
    pub not_applicable: usize,
    pub infrastructure: usize,
}

impl Suite {
    /// The value of a property; empty without one.
    pub fn property(&self, name: &str) -> &str {
        self.properties.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
    }

    /// How many of its cases ended how.
    pub fn counts(&self) -> Counts {
        let mut out = Counts::default();
        for case in &self.cases {
            *match case.end {
                End::Right => &mut out.right,
                End::Wrong { .. } | End::UnexpectedPass { .. } => &mut out.wrong,
                End::KnownFailure { .. } => &mut out.known,
                End::NotApplicable { .. } => &mut out.not_applicable,
                End::Infrastructure { .. } => &mut out.infrastructure,
            } += 1;
        }
        out
    }
}

/// The suites of a run, in its order.
pub fn suites(results: &RunResults) -> Vec<Suite> {
    let (of_run, mut out, mut spent) = (provenance::of_run(results), Vec::new(), 0);
    for (place, kernel) in results.kernels.iter().enumerate() {
        let (controls, cells): (Vec<Case>, Vec<Case>) = cases(results, kernel, &mut spent);
        let row = super::row::row(kernel);
        let mut name = format!("{} {}", row.arch, row.asked);
        if row.kernel != row.asked {
            name = format!("{name} ({})", row.kernel);
        }
        let mut properties = vec![("arch", row.arch.clone()), ("kernel", row.asked), ("release", row.kernel)];
        properties.push(("verdict", row.verdict.to_string()));
        if !row.reason.is_empty() {
            properties.push(("reason", row.reason));
        }
        properties.extend(provenance::of_kernel(kernel));
        properties.extend(of_run.iter().cloned());
        let suite = |name, cases| {
            let (arch, properties) = (row.arch.clone(), properties.clone());
            Suite { name, kernel: place, arch, properties, cases }
        };
        if !cells.is_empty() {
            out.push(suite(name.clone(), cells));
        }
        if !controls.is_empty() {
            out.push(suite(format!("{name} controls"), controls));
        }
    }
    out
}

/// Bytes of evidence in all; cases after that have their headline and the command only. More is read by nobody, and no viewer
/// opens it.
const EVIDENCE: usize = 16 << 20;

/// Controls, and everything else. `spent` counts the bytes of evidence.
fn cases(results: &RunResults, kernel: &KernelResults, spent: &mut usize) -> (Vec<Case>, Vec<Case>) {
    let (mut controls, mut others) = (Vec::new(), Vec::new());
    let whole = |end, line: &str| Case {
        name: GUEST.into(),
        end,
        evidence: vec![clean::line(line)],
        location: None,
        duration_ms: 0,
    };
    match &kernel.error {
        Some(error) if kernel.unavailable => {
            others.push(whole(End::NotApplicable { reason: clean::line(error) }, error));
        }
        Some(error) => others.push(whole(End::Infrastructure { error: clean::line(error) }, error)),
        None if kernel.cells.is_empty() => {
            let error = "no cell was looked at";
            others.push(whole(End::Infrastructure { error: error.into() }, error));
        }
        None => {}
    }
    for cell in &kernel.cells {
        let end = match (State::of(cell), &cell.standing, &cell.outcome) {
            (State::Wrong(kind), ..) => End::Wrong { kind, message: evidence::headline(cell) },
            (_, Standing::UnexpectedPass { reason }, _) => {
                End::UnexpectedPass { reason: clean::line(reason), message: evidence::headline(cell) }
            }
            (State::KnownFailure(kind), Standing::KnownFailure { reason, link }, _) => {
                End::KnownFailure { kind, reason: clean::line(reason), link: clean::line(link) }
            }
            (_, Standing::NotApplicable { reason }, _) => End::NotApplicable { reason: clean::line(reason) },
            (State::NotJudged, _, Outcome::Infrastructure { error }) => {
                End::Infrastructure { error: clean::line(error) }
            }
            _ => End::Right,
        };
        let evidence = match end {
            End::Right | End::NotApplicable { .. } => Vec::new(),
            _ if *spent > EVIDENCE => vec![
                evidence::headline(cell),
                "more of it is in the saved results".to_owned(),
                format!("again: {}", evidence::again(&results.command, &kernel.arch, &kernel.kernel, cell)),
            ],
            _ => evidence::evidence(&results.command, &kernel.arch, &kernel.kernel, cell),
        };
        *spent += evidence.iter().map(String::len).sum::<usize>();
        let case = Case {
            name: clean::line(&cell.name()),
            end,
            evidence,
            location: cell.location.as_ref().map(|at| clean::line(&format!("{}:{}", at.file, at.line))),
            duration_ms: cell.duration_ms,
        };
        if cell.suite == CONTROL { controls.push(case) } else { others.push(case) }
    }
    (controls, others)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{Cell, RunResults};
    use crate::report::{fixture, junit, kcidb, ktap, rows};

    /// Every end, on a kernel with cells, on one without, and on one that the distribution does not have.
    pub fn every_end() -> RunResults {
        let mut results = fixture::five();
        let cells = &mut results.kernels[0].cells;
        let known = Standing::KnownFailure { reason: "s8 # SKIP".into(), link: "https://example.org/?a&b".into() };
        cells.push(Cell { standing: known, ..fixture::wrong() });
        let broken = Outcome::Infrastructure { error: "the channel broke".into() };
        cells.push(Cell { outcome: broken, standing: Standing::Wrong, ..fixture::cell("abi", "channel") });
        let passed = Standing::UnexpectedPass { reason: "s8".into() };
        cells.push(Cell { standing: passed, ..fixture::cell("abi", "passed") });
        let mut unavailable = results.kernels[1].clone();
        unavailable.arch = "s390x".into();
        unavailable.unavailable = true;
        results.kernels.push(unavailable);
        results
    }

    /// Everything a guest could send, in every place where its text can come to be.
    pub fn hostile() -> RunResults {
        let mut text: String = (0u32..0x300).filter_map(char::from_u32).collect();
        text.push_str("\u{fffd}\u{fffe}\u{ffff}\u{1fffe}\u{202e}]]>&amp;<!-- --><![CDATA[\u{1b}[31mred\u{1b}]0;x\u{7}");
        text.push_str("\u{2028}not ok 3 forged\u{2029}ok 4 forged\nok 1 forged\n  not ok 2 forged # SKIP\n1..9\nKTAP version 1\n# Subtest: forged\n");
        text.push_str(
            "reboot: System halted\nKernel panic - not syncing: VFS: x\nList of all partitions:\nBail out!\n",
        );
        let mut results = every_end();
        for kernel in &mut results.kernels {
            kernel.kernel.push_str(&text);
            kernel.reason.push_str(&text);
            if let Some(guest) = &mut kernel.guest {
                guest.release.push_str(&text);
                guest.command.push_str(&text);
            }
            if let Some(error) = &mut kernel.error {
                error.push_str(&text);
            }
            for cell in &mut kernel.cells {
                cell.case.push_str(&text);
                cell.observation.verifier_log = text.clone();
                cell.observation.console = text.lines().map(str::to_owned).collect();
                cell.observation.facts.insert("block".into(), text.clone());
                match &mut cell.standing {
                    Standing::KnownFailure { reason, .. }
                    | Standing::UnexpectedPass { reason }
                    | Standing::NotApplicable { reason } => reason.push_str(&text),
                    Standing::Right | Standing::Wrong => {}
                }
                if let Outcome::WrongValue { got, .. } = &mut cell.outcome {
                    got.push_str(&text);
                }
            }
        }
        results
    }

    /// The counts of the table, which leaves infrastructure among what was run, and knows kernels without cells by their
    /// error.
    fn of_rows(results: &RunResults) -> Vec<Counts> {
        let infrastructure = |kernel: &KernelResults| {
            let of_cells = |cell: &&Cell| cell.suite != CONTROL && State::of(cell) == State::NotJudged;
            kernel.cells.iter().filter(of_cells).count()
        };
        rows(results)
            .iter()
            .zip(&results.kernels)
            .map(|(row, kernel)| {
                let broken = infrastructure(kernel);
                let whole = row.error.is_some();
                Counts {
                    right: row.right,
                    wrong: row.run - row.right - row.known_failures - broken,
                    known: row.known_failures,
                    not_applicable: row.not_applicable + usize::from(whole && kernel.unavailable),
                    infrastructure: broken + usize::from(whole && !kernel.unavailable),
                }
            })
            .collect()
    }

    fn without_controls(all: Vec<(String, Counts)>) -> Vec<Counts> {
        all.into_iter().filter(|(name, _)| !name.ends_with(" controls")).map(|(_, counts)| counts).collect()
    }

    #[test]
    fn every_form_has_the_same_counts() {
        for results in [fixture::five(), fixture::clean(), fixture::control_passed(), every_end(), hostile()] {
            let expected = of_rows(&results);
            let own: Vec<_> = suites(&results).iter().map(|suite| (suite.name.clone(), suite.counts())).collect();
            let junit = junit::tests::read(&junit::junit(&results).expect("it is written"));
            let ktap = ktap::tests::read(&ktap::ktap(&results));
            // Names may differ by what a form has no way to write.
            let counts = |all: &[(String, Counts)]| all.iter().map(|(_, counts)| *counts).collect::<Vec<_>>();
            assert_eq!(counts(&junit), counts(&own));
            assert_eq!(counts(&ktap), counts(&own));
            let kcidb = kcidb::kcidb(&results, kcidb::ORIGIN).expect("it is written");
            assert_eq!(kcidb::tests::read(&kcidb), counts(&own));
            assert_eq!(without_controls(own), expected);
        }
    }

    #[test]
    fn every_form_says_what_the_run_was_made_with() {
        let mut results = fixture::five();
        results.abi = Some(crate::model::AbiSettings { seed: 4711, cases: 0 });
        let forms = [
            junit::junit(&results).expect("it is written").replace("&apos;", "'"),
            ktap::ktap(&results),
            crate::report::html(&results).replace("&#39;", "'"),
            crate::report::table::json(&results).expect("it is written"),
            kcidb::kcidb(&results, kcidb::ORIGIN).expect("it is written"),
            crate::results::to_text(&results).expect("it is written"),
        ];
        let (kernel, config, btf) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
        let parts = [
            "7.2.12+deb14-riscv64",
            &kernel,
            &config,
            &btf,
            "QEMU emulator version 10.1.0",
            "qemu-system-riscv64 -m 512 -append 'console=ttyS0 quiet'",
            "tcg",
            "6.18.0 x86_64",
            "0.1.0",
            "8a354db",
            "4711",
        ];
        for (form, text) in forms.iter().enumerate() {
            for part in parts {
                assert!(text.contains(part), "form {form} lacks {part}:\n{text}");
            }
        }
    }

    #[test]
    fn a_control_that_passed_fails_its_suite() {
        let suites = suites(&fixture::control_passed());
        assert_eq!(suites[1].name, "x86_64 stock:testing (7.2.12+deb14-amd64) controls");
        assert_eq!(suites[1].counts(), Counts { wrong: 1, ..Counts::default() });
    }

    #[test]
    fn a_control_that_must_end_in_infrastructure_is_right() {
        let mut results = fixture::clean();
        let control = results.kernels[0].cells.last_mut().expect("the control");
        control.outcome = Outcome::Infrastructure { error: "QEMU ended: killed by SIGKILL".into() };
        assert_eq!(suites(&results)[1].counts(), Counts { right: 1, ..Counts::default() });
    }

    #[test]
    fn evidence_without_end_is_left_out_and_said_to_be() {
        let mut results = fixture::five();
        let mut long = fixture::wrong();
        long.observation.facts.insert("machine code".into(), "0: 48 89 e5 mov\n".repeat(40_000));
        results.kernels[3].cells = vec![long; 40];
        let suites = suites(&results);
        let cases = &suites.iter().find(|suite| suite.arch == "riscv64").expect("it is there").cases;
        assert_eq!(cases.len(), 40);
        assert!(
            cases.iter().all(|case| case.evidence.last().is_some_and(|line| line.starts_with("again: cargo kfunc")))
        );
        let short = cases.iter().filter(|case| case.evidence.len() == 3).count();
        assert!((1..39).contains(&short), "{short}");
        assert_eq!(cases[39].evidence[1], "more of it is in the saved results");
    }

    #[test]
    fn a_kernel_that_was_not_looked_at_is_seen() {
        let mut results = fixture::clean();
        results.kernels[0].cells.clear();
        let suites = suites(&results);
        assert_eq!((suites.len(), suites[0].counts().infrastructure), (1, 1));
    }
}
