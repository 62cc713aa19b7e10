//! Rows of the table: one per (arch, kernel), read from the cells.

use serde::Serialize;

use super::clean;
use crate::model::{Cell, KernelResults, Outcome, RunResults, Standing, Verdict, probe};

/// One (arch, kernel), as the table shows it. A column whose probe was not run is `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Arch name.
    pub arch: String,
    /// Kernel release; the kernel as asked for when nothing was booted.
    pub kernel: String,
    /// The kernel as asked for.
    pub asked: String,
    /// `on`, `off`, `absent`.
    pub jit: String,
    /// `yes`, `no`.
    pub btf: String,
    /// Whether the kernel takes kfunc calls: `yes`, `no`.
    pub claim: String,
    /// Cells that came out right.
    pub right: usize,
    /// Cells that were run and judged. Controls are not among them.
    pub run: usize,
    /// Cells where the question does not arise.
    pub not_applicable: usize,
    /// Cells that failed as recorded in the expectations: run, not right, not failing.
    pub known_failures: usize,
    /// `yes`, `no`.
    pub trampoline: String,
    /// What it adds up to.
    pub verdict: Verdict,
    /// Why, in one line: the kernel's own words where there are any.
    pub reason: String,
    /// Set when the run did not get as far as cells.
    pub error: Option<String>,
}

/// The suite whose cells must come out wrong; it is counted apart from the others.
pub const CONTROL: &str = "control";

/// Rows in the order of the run.
pub fn rows(results: &RunResults) -> Vec<Row> {
    results.kernels.iter().map(row).collect()
}

pub(super) fn row(kernel: &KernelResults) -> Row {
    let release = kernel
        .guest
        .as_ref()
        .map(|guest| guest.release.as_str())
        .filter(|release| !release.is_empty())
        .or(kernel.image.as_ref().map(|image| image.release.as_str()))
        .unwrap_or(&kernel.kernel);
    let judged = || kernel.cells.iter().filter(|cell| cell.suite != CONTROL);
    let count = |test: fn(&Standing) -> bool| judged().filter(|cell| test(&cell.standing)).count();
    Row {
        arch: clean::line(&kernel.arch),
        kernel: clean::line(release),
        asked: clean::line(&kernel.kernel),
        jit: fact(kernel, probe::JIT, "jit"),
        btf: fact(kernel, probe::BTF, "btf"),
        claim: fact(kernel, probe::KFUNC_CALL, "claim"),
        right: count(|standing| matches!(standing, Standing::Right)),
        run: count(Standing::was_run),
        not_applicable: count(|standing| !standing.was_run()),
        known_failures: count(|standing| matches!(standing, Standing::KnownFailure { .. })),
        trampoline: fact(kernel, probe::TRAMPOLINE, "trampoline"),
        verdict: kernel.verdict,
        reason: clean::line(&kernel.reason),
        error: kernel.error.as_deref().map(clean::line),
    }
}

fn fact(kernel: &KernelResults, case: &str, name: &str) -> String {
    kernel
        .cells
        .iter()
        .find(|cell| cell.suite == "probe" && cell.case == case)
        .and_then(|cell| cell.observation.facts.get(name))
        .map_or_else(|| "-".to_owned(), |value| clean::shorten(&clean::line(value), 14))
}

/// How the controls came out: (wrong as they must, all that ran). One that infrastructure stopped is neither.
pub fn controls(results: &RunResults) -> (usize, usize) {
    let ran: Vec<&Cell> = results
        .kernels
        .iter()
        .flat_map(|kernel| &kernel.cells)
        .filter(|cell| cell.suite == CONTROL && cell.standing.was_run())
        .filter(|cell| !matches!(cell.outcome, Outcome::Infrastructure { .. }))
        .collect();
    (ran.iter().filter(|cell| !cell.standing.fails()).count(), ran.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn columns_come_from_the_probes() {
        let rows = rows(&fixture::five());
        let riscv = rows.iter().find(|row| row.arch == "riscv64").expect("riscv64 is in the fixture");
        assert_eq!(riscv.kernel, "7.2.12+deb14-riscv64");
        assert_eq!((riscv.jit.as_str(), riscv.btf.as_str()), ("on", "yes"));
        assert_eq!((riscv.claim.as_str(), riscv.trampoline.as_str()), ("yes", "yes"));
        // Four probes and three stock cells ran, one stock cell is wrong; the control is not counted.
        assert_eq!((riscv.right, riscv.run, riscv.not_applicable), (6, 7, 1));
    }

    #[test]
    fn what_was_not_probed_is_a_dash_and_no_image_shows_the_request() {
        let rows = rows(&fixture::five());
        let broken = rows.iter().find(|row| row.error.is_some()).expect("one row has an error");
        assert_eq!((broken.kernel.as_str(), broken.jit.as_str()), ("stock:testing", "-"));
        assert_eq!(broken.verdict, Verdict::Unknown);
    }

    #[test]
    fn controls_are_counted_apart() {
        assert_eq!(controls(&fixture::five()), (1, 1));
        assert_eq!(controls(&fixture::control_passed()), (0, 1));
    }
}
