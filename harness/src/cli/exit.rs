//! Exit codes: what a script can rely on. The one place where they are written down; help, README and tests follow.

use crate::model::{Outcome, RunResults};
use crate::report::row::CONTROL;

/// Everything that was run is right.
pub const OK: u8 = 0;
/// Some cell is wrong: a kernel did not do what it should, or did what it is recorded not to do.
pub const WRONG: u8 = 1;
/// The command line makes no sense: unknown arch, suite, case or option; a malformed arch file or case.
pub const USAGE: u8 = 2;
/// Something that is needed is missing here: a tool, a keyring, disk space. The message has the install command.
pub const MISSING: u8 = 3;
/// Infrastructure failed: no image, no guest, results could not be read or written. Says nothing about a kernel.
pub const INFRASTRUCTURE: u8 = 4;
/// A control passed: the run cannot tell right from wrong.
pub const CONTROL_PASSED: u8 = 5;
/// Ended by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// Code, name, meaning, in the order of the help.
pub const TABLE: [(u8, &str, &str); 8] = [
    (OK, "right", "every cell that was run is right (or nothing was to be run)"),
    (WRONG, "wrong", "some cell is wrong, or passed though recorded as failing; compare: worse; expect: an edit"),
    (USAGE, "usage", "the command line makes no sense: unknown arch, suite, case or option; malformed file"),
    (MISSING, "missing", "something needed is missing here: a tool, a keyring, disk space; see `kfunc doctor`"),
    (
        INFRASTRUCTURE,
        "infrastructure",
        "no image, no guest, or a file could not be read or written; says nothing of a kernel",
    ),
    (CONTROL_PASSED, "control", "a case that must come out wrong did not: trust nothing of this run"),
    (INTERRUPTED, "interrupted", "ended by SIGINT; no guest is left behind"),
    (TERMINATED, "terminated", "ended by SIGTERM; no guest is left behind"),
];

/// The table as text, one code a line.
pub fn explain() -> String {
    let mut out = String::from("Exit codes (when several apply, the first of 5, 1, 4 is used):\n");
    for (code, name, meaning) in TABLE {
        out.push_str(&format!("  {code:>3}  {name:<15} {meaning}\n"));
    }
    out
}

/// The code a run ends with. A finding about a kernel is never hidden by infrastructure that failed elsewhere; a
/// control that passed outweighs everything.
pub fn of_run(results: &RunResults) -> u8 {
    let cells = || results.kernels.iter().flat_map(|kernel| &kernel.cells);
    let infrastructure = |outcome: &Outcome| matches!(outcome, Outcome::Infrastructure { .. });
    if cells().any(|cell| cell.suite == CONTROL && cell.standing.fails() && !infrastructure(&cell.outcome)) {
        CONTROL_PASSED
    } else if cells().any(|cell| cell.standing.fails() && !infrastructure(&cell.outcome)) {
        WRONG
    } else if cells().any(|cell| infrastructure(&cell.outcome) && cell.standing.fails())
        // A kernel without cells was not looked at, whatever it says.
        || results.kernels.iter().any(|kernel| !kernel.unavailable && (kernel.error.is_some() || kernel.cells.is_empty()))
        // That a distribution has no such kernel is no failure, unless nothing else was asked for.
        // A shard may have nothing to do.
        || (results.shard.is_none() && results.kernels.iter().all(|kernel| kernel.unavailable))
    {
        INFRASTRUCTURE
    } else {
        OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Standing;
    use crate::report::fixture;

    #[test]
    fn codes_are_distinct_and_ordered() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let text = explain();
        for (code, name, _) in TABLE {
            assert!(text.contains(&format!("{code:>3}  {name}")), "{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    }

    #[test]
    fn a_run_ends_with_what_weighs_most() {
        assert_eq!(of_run(&fixture::clean()), OK);
        // riscv64 is wrong and arm64 has no image: the finding is not hidden.
        assert_eq!(of_run(&fixture::five()), WRONG);
        assert_eq!(of_run(&fixture::control_passed()), CONTROL_PASSED);
        let mut no_image = fixture::five();
        no_image.kernels.remove(3);
        assert_eq!(of_run(&no_image), INFRASTRUCTURE);
        let mut no_btf = fixture::five();
        no_btf.kernels.drain(..2);
        no_btf.kernels.remove(1);
        assert_eq!(of_run(&no_btf), OK, "no BTF is a verdict, not an error");
    }

    #[test]
    fn infrastructure_is_never_a_finding() {
        let mut results = fixture::clean();
        let cell = &mut results.kernels[0].cells[4];
        cell.outcome = Outcome::Infrastructure { error: "the channel broke".into() };
        cell.standing = Standing::Wrong;
        assert_eq!(of_run(&results), INFRASTRUCTURE);
        let control = results.kernels[0].cells.last_mut().expect("the control");
        control.outcome = Outcome::Infrastructure { error: "the channel broke".into() };
        control.standing = Standing::Wrong;
        assert_eq!(of_run(&results), INFRASTRUCTURE);
        results.kernels[0].cells.clear();
        assert_eq!(of_run(&results), INFRASTRUCTURE, "nothing looked at is not conformance");
    }

    #[test]
    fn an_unexpected_pass_fails() {
        let mut results = fixture::clean();
        results.kernels[0].cells[4].standing = Standing::UnexpectedPass { reason: "s8".into() };
        assert_eq!(of_run(&results), WRONG);
    }
}
