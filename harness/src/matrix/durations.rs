//! How long an (arch, kernel) takes, from what earlier runs took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{KernelResults, RunResults};
use crate::plan::PlannedKernel;

/// Milliseconds that guests of a kernel take to come up where no earlier run says: three of them, emulated, two at a time on
/// two cores without KVM. The controls cost a guest or two.
pub const BOOT_MS: u64 = 20_000;

/// Milliseconds of one case, by suite, where no earlier run has any. Measured like [`BOOT_MS`], and rounded: what counts is
/// that a kernel with the `abi` suite takes several times as long as one without.
pub const CASE_MS: [(&str, u64); 4] = [("probe", 30), ("stock", 60), ("abi", 200), ("control", 60)];

/// Milliseconds of a case of a suite that is not in [`CASE_MS`].
pub const OTHER_CASE_MS: u64 = 60;

/// Where an estimate comes from: the weakest of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// This arch and kernel took so long.
    Recorded,
    /// Another kernel of the arch did.
    SameArch,
    /// No earlier run says; [`BOOT_MS`] and [`CASE_MS`].
    Default,
}

/// How long a unit is thought to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Milliseconds.
    pub ms: u64,
    /// From where.
    pub from: Basis,
}

/// What one part of one kernel took: a suite's cases together, or its guests' coming up.
#[derive(Debug, Clone, Copy)]
struct Seen {
    started: u64,
    ms: u64,
    cases: u64,
}

/// Earlier runs, as far as durations go. Runs may be added in any order; the newest counts.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// By arch, kernel and part: a suite, or [`BOOT`].
    seen: BTreeMap<(String, String, String), Seen>,
}

/// The boot among the suites.
const BOOT: &str = "";

impl Durations {
    /// Adds what a run took. Kernels that it did not get to the end of say nothing.
    pub fn add(&mut self, results: &RunResults) {
        for kernel in results.kernels.iter().filter(|kernel| kernel.error.is_none() && !kernel.cells.is_empty()) {
            self.add_kernel(kernel, results.started);
        }
    }

    fn add_kernel(&mut self, kernel: &KernelResults, started: u64) {
        let mut parts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        if let Some(guest) = &kernel.guest {
            parts.insert(BOOT, (guest.boot_ms.saturating_mul(u64::from(guest.guests.max(1))), 1));
        }
        for cell in &kernel.cells {
            let (ms, cases) = parts.entry(&cell.suite).or_default();
            *ms = ms.saturating_add(cell.duration_ms);
            *cases += 1;
        }
        for (part, (ms, cases)) in parts {
            let key = (kernel.arch.clone(), kernel.kernel.clone(), part.to_owned());
            let newer = self.seen.get(&key).is_none_or(|seen| {
                // A run of a whole suite says more than one of a single case, however new.
                (cases, started) >= (seen.cases, seen.started) || (started > seen.started && cases * 2 > seen.cases)
            });
            if newer {
                self.seen.insert(key, Seen { started, ms, cases });
            }
        }
    }

    /// How long a unit will take: boot and every suite, each as it was recorded for this arch and kernel, else for another
    /// kernel of the arch, else by default. A part of a suite takes a part of its time.
    pub fn estimate(&self, planned: &PlannedKernel) -> Estimate {
        let (arch, kernel) = (planned.arch.name.as_str(), planned.kernel.to_string());
        let mut parts: BTreeMap<&str, u64> = BTreeMap::from([(BOOT, 1)]);
        for case in &planned.cases {
            *parts.entry(case.suite).or_default() += 1;
        }
        let mut out = Estimate { ms: 0, from: Basis::Recorded };
        for (part, cases) in parts {
            let (ms, from) = self.part(arch, &kernel, part, cases);
            out.ms = out.ms.saturating_add(ms);
            out.from = out.from.max(from);
        }
        out
    }

    fn part(&self, arch: &str, kernel: &str, part: &str, cases: u64) -> (u64, Basis) {
        let scaled = |seen: &Seen| seen.ms.saturating_mul(cases) / seen.cases.max(1);
        if let Some(seen) = self.seen.get(&(arch.to_owned(), kernel.to_owned(), part.to_owned())) {
            return (scaled(seen), Basis::Recorded);
        }
        let of_arch = self.seen.iter().filter(|((a, _, p), _)| a == arch && p == part);
        if let Some((_, seen)) = of_arch.max_by_key(|(key, seen)| (seen.started, *key)) {
            return (scaled(seen), Basis::SameArch);
        }
        if part == BOOT {
            return (BOOT_MS, Basis::Default);
        }
        let each = CASE_MS.iter().find(|(suite, _)| *suite == part).map_or(OTHER_CASE_MS, |(_, ms)| *ms);
        (each.saturating_mul(cases), Basis::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::file::tests::{NIGHTLY, catalog, read};
    use crate::report::fixture;

    fn planned(name: &str) -> PlannedKernel {
        let plan = read(NIGHTLY).unwrap().plan(&catalog(), crate::abi::Settings::default()).unwrap();
        let is = |planned: &PlannedKernel| format!("{}@{}", planned.arch.name, planned.kernel) == name;
        plan.kernels.into_iter().find(is).unwrap()
    }

    /// A run of riscv64@stock:testing in which each of the suites took so long.
    fn run(started: u64, boot: u64, suites: &[(&str, u64, u64)]) -> RunResults {
        let mut results = fixture::five();
        results.started = started;
        results.kernels.retain(|kernel| kernel.arch == "riscv64");
        let kernel = &mut results.kernels[0];
        kernel.guest.as_mut().unwrap().boot_ms = boot;
        kernel.cells.clear();
        for (suite, cases, ms) in suites {
            for nth in 0..*cases {
                let mut cell = fixture::cell(suite, &format!("c{nth}"));
                cell.duration_ms = *ms;
                kernel.cells.push(cell);
            }
        }
        results
    }

    #[test]
    fn without_history_it_is_the_defaults() {
        let unit = planned("riscv64@stock:testing");
        let count = |suite| unit.cases.iter().filter(|case| case.suite == suite).count() as u64;
        let estimate = Durations::default().estimate(&unit);
        let expected = BOOT_MS + count("probe") * 30 + count("stock") * 60 + count("control") * 60;
        assert_eq!(estimate, Estimate { ms: expected, from: Basis::Default });
        let built = planned("riscv64@built:testing");
        assert!(Durations::default().estimate(&built).ms > 2 * estimate.ms, "the abi suite is what takes long");
    }

    #[test]
    fn what_was_recorded_counts_and_the_newest_of_it() {
        let unit = planned("riscv64@stock:testing");
        let count = |suite| unit.cases.iter().filter(|case| case.suite == suite).count() as u64;
        let whole = [("probe", count("probe"), 10), ("stock", count("stock"), 20), ("control", count("control"), 30)];
        let mut seen = Durations::default();
        seen.add(&run(100, 1_000, &whole));
        let first = 1_000 + count("probe") * 10 + count("stock") * 20 + count("control") * 30;
        assert_eq!(seen.estimate(&unit), Estimate { ms: first, from: Basis::Recorded });
        seen.add(&run(200, 3_000, &whole));
        assert_eq!(seen.estimate(&unit).ms, first + 2_000);
        // In whatever order they are read.
        seen.add(&run(100, 1_000, &whole));
        assert_eq!(seen.estimate(&unit).ms, first + 2_000);
        // One case says little of its suite.
        seen.add(&run(300, 3_000, &[("stock", 1, 90_000)]));
        assert_eq!(seen.estimate(&unit).ms, first + 2_000);
    }

    #[test]
    fn another_kernel_of_the_arch_is_better_than_a_guess() {
        let mut seen = Durations::default();
        seen.add(&run(100, 1_234, &[("stock", 1, 7), ("probe", 1, 7), ("control", 1, 7)]));
        let trixie = planned("riscv64@stock:trixie");
        let estimate = seen.estimate(&trixie);
        assert_eq!(estimate, Estimate { ms: 1_234 + 7 * trixie.cases.len() as u64, from: Basis::SameArch });
        assert_eq!(seen.estimate(&planned("x86_64@stock:trixie")).from, Basis::Default);
    }

    #[test]
    fn a_kernel_that_was_not_looked_at_says_nothing() {
        let mut results = run(100, 1, &[("stock", 3, 1)]);
        results.kernels[0].error = Some("interrupted".into());
        let mut seen = Durations::default();
        seen.add(&results);
        assert_eq!(seen.estimate(&planned("riscv64@stock:testing")).from, Basis::Default);
    }
}
