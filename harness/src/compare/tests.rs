//! Each class of change by itself.

use super::*;
use crate::model::{ImageInfo, KernelResults};
use crate::report::fixture;

/// The cell that the tests turn about.
const AT: usize = 5;

fn wrong(outcome: Outcome) -> Cell {
    Cell { outcome, standing: Standing::Wrong, ..fixture::cell("stock", "strings::strlen") }
}

fn value() -> Outcome {
    Outcome::WrongValue { what: "return value".into(), expected: "1".into(), got: "2".into() }
}

fn splat() -> Outcome {
    Outcome::Splat { line: "BUG: something".into() }
}

fn infrastructure() -> Outcome {
    Outcome::Infrastructure { error: "the channel broke".into() }
}

fn known(outcome: Outcome) -> Cell {
    let standing = Standing::KnownFailure { reason: "s8".into(), link: "https://example.org".into() };
    Cell { standing, ..wrong(outcome) }
}

fn right() -> Cell {
    fixture::cell("stock", "strings::strlen")
}

fn not_applicable() -> Cell {
    Cell { standing: Standing::NotApplicable { reason: "no BTF".into() }, ..right() }
}

fn unexpected() -> Cell {
    Cell { standing: Standing::UnexpectedPass { reason: "s8".into() }, ..right() }
}

/// One kernel; the cell stands among others that are right.
fn run(day: u64, cell: Cell) -> RunResults {
    let mut results = fixture::clean();
    results.started += day * 86_400;
    results.kernels[0].cells[AT] = cell;
    results
}

fn of(was: Cell, now: Cell) -> Comparison {
    compare(&run(0, was), &run(1, now), &History::default())
}

/// Counts of what is not among the unchanged.
fn counts(comparison: &Comparison) -> Counts {
    Counts { unchanged: 0, ..comparison.counts }
}

const NONE: Counts = Counts {
    regressions: 0,
    first_failures: 0,
    flaky: 0,
    fixes: 0,
    other_changes: 0,
    unchanged: 0,
    not_judged: 0,
    new_cells: 0,
    gone_cells: 0,
};

#[test]
fn regressions() {
    for (was, now) in [
        (right(), wrong(value())),
        (not_applicable(), wrong(splat())),
        (known(value()), wrong(splat())),
        (right(), unexpected()),
        (known(value()), unexpected()),
        (wrong(value()), unexpected()),
    ] {
        let comparison = of(was.clone(), now.clone());
        assert_eq!(counts(&comparison), Counts { regressions: 1, ..NONE }, "{was:?} -> {now:?}");
        assert!(comparison.wakes());
        assert_eq!(comparison.regressions[0].was, Some(State::of(&was)));
        assert_eq!(comparison.counts.unchanged, 8);
    }
    let comparison = of(right(), wrong(value()));
    let texts = |change: &Change| [&change.what, &change.expected, &change.got].map(|text| text.clone().unwrap());
    assert_eq!(texts(&comparison.regressions[0]), ["return value", "1", "2"]);
}

#[test]
fn fixes() {
    for was in [wrong(value()), known(value()), unexpected()] {
        let comparison = of(was, right());
        assert_eq!(counts(&comparison), Counts { fixes: 1, ..NONE });
        assert!(!comparison.wakes());
    }
}

#[test]
fn other_changes_wake_nobody() {
    for (was, now) in [
        (known(value()), wrong(value())),
        (wrong(value()), wrong(splat())),
        (wrong(value()), known(value())),
        (right(), known(value())),
        (right(), not_applicable()),
        (not_applicable(), right()),
    ] {
        let comparison = of(was, now);
        assert_eq!(counts(&comparison), Counts { other_changes: 1, ..NONE });
        assert!(!comparison.wakes());
    }
}

#[test]
fn what_stays_is_no_change() {
    for cell in [right(), wrong(value()), known(value()), unexpected(), not_applicable()] {
        assert_eq!(counts(&of(cell.clone(), cell)), NONE);
    }
}

#[test]
fn infrastructure_is_listed_and_never_a_regression() {
    for was in [right(), known(value()), wrong(infrastructure())] {
        let comparison = of(was, wrong(infrastructure()));
        assert_eq!(counts(&comparison), Counts { not_judged: 1, ..NONE });
        assert!(!comparison.wakes());
        assert!(comparison.not_judged[0].reason.contains("the channel broke"));
    }
    // A control that must end so is judged, and right.
    let control = || Cell { standing: Standing::Right, ..wrong(infrastructure()) };
    assert_eq!(counts(&of(control(), control())), NONE);
    // A guest that did not come up takes its cells with it; they are not gone.
    let mut new = run(1, right());
    new.kernels[0].cells.clear();
    new.kernels[0].error = Some("no guest".into());
    let comparison = compare(&run(0, right()), &new, &History::default());
    assert_eq!(counts(&comparison), Counts { not_judged: 9, ..NONE });
}

#[test]
fn a_run_that_could_not_judge_hides_nothing() {
    let now = || run(2, wrong(value()));
    let mut history = History::default();
    history.add(&run(0, right()));
    let comparison = compare(&run(1, wrong(infrastructure())), &now(), &history);
    assert_eq!(counts(&comparison), Counts { regressions: 1, ..NONE });
    let mut history = History::default();
    history.add(&run(0, wrong(value())));
    let comparison = compare(&run(1, wrong(infrastructure())), &now(), &history);
    assert_eq!(counts(&comparison), NONE, "it was so before");
    let comparison = compare(&run(1, wrong(infrastructure())), &now(), &History::default());
    assert_eq!(counts(&comparison), Counts { first_failures: 1, ..NONE });
    assert!(comparison.wakes());
}

#[test]
fn cells_come_and_go() {
    let mut fewer = run(0, right());
    fewer.kernels[0].cells.remove(AT);
    let comparison = compare(&fewer, &run(1, right()), &History::default());
    assert_eq!(counts(&comparison), Counts { new_cells: 1, ..NONE });
    let comparison = compare(&fewer, &run(1, wrong(value())), &History::default());
    assert_eq!(counts(&comparison), Counts { first_failures: 1, ..NONE });
    fewer.started += 2 * 86_400;
    let comparison = compare(&run(1, right()), &fewer, &History::default());
    assert_eq!(counts(&comparison), Counts { gone_cells: 1, ..NONE });
    assert!(!comparison.wakes());
}

#[test]
fn kernels_of_one_run_only() {
    let comparison = compare(&fixture::clean(), &fixture::five(), &History::default());
    assert_eq!(counts(&comparison), NONE);
    let named: Vec<&str> = comparison.kernels_new.iter().map(|kernel| kernel.arch.as_str()).collect();
    assert_eq!(named, ["arm64", "loongarch64", "riscv64", "arm32"]);
    assert!(!comparison.wakes(), "nothing was there to compare with");
    let comparison = compare(&fixture::five(), &fixture::clean(), &History::default());
    assert_eq!(comparison.kernels_gone.len(), 4);
    // The same arch with another kernel is another kernel.
    let mut other = fixture::clean();
    other.kernels[0].kernel = "built".into();
    let comparison = compare(&fixture::clean(), &other, &History::default());
    assert_eq!((comparison.kernels_new.len(), comparison.kernels_gone.len(), comparison.counts.unchanged), (1, 1, 0));
}

fn release(results: &mut RunResults, release: &str) {
    let kernel: &mut KernelResults = &mut results.kernels[0];
    kernel.guest.as_mut().expect("a guest").release = release.into();
    kernel.image = Some(ImageInfo { release: release.into(), key: release.into(), ..ImageInfo::default() });
}

#[test]
fn a_cell_that_comes_and_goes_is_flaky_and_listed() {
    let mut history = History::default();
    for day in [3, 0, 2, 1] {
        history.add(&run(day, if day % 2 == 1 { wrong(value()) } else { right() }));
    }
    let comparison = compare(&run(2, right()), &run(9, wrong(value())), &history);
    assert_eq!(counts(&comparison), Counts { flaky: 1, ..NONE });
    assert_eq!((comparison.flaky[0].flips, comparison.earlier_runs), (3, 4));
    assert!(!comparison.wakes());
    // What is not earlier does not count: two runs, one change.
    let comparison = compare(&run(0, right()), &run(1, wrong(value())), &history);
    assert_eq!(counts(&comparison), Counts { regressions: 1, ..NONE });
    assert_eq!(comparison.earlier_runs, 1, "NEW is not before itself");
    // Flaky and unchanged is still listed.
    let comparison = compare(&run(3, wrong(value())), &run(9, wrong(value())), &history);
    assert_eq!(counts(&comparison), Counts { flaky: 1, ..NONE });
}

#[test]
fn a_change_with_the_kernel_is_no_flake() {
    let mut history = History::default();
    for day in 0..6 {
        let mut results = run(day, if day % 2 == 1 { wrong(value()) } else { right() });
        release(&mut results, &format!("7.2.{day}"));
        history.add(&results);
    }
    let mut old = run(6, right());
    release(&mut old, "7.2.6");
    let mut new = run(7, wrong(value()));
    release(&mut new, "7.2.7");
    assert_eq!(counts(&compare(&old, &new, &history)), Counts { regressions: 1, ..NONE });
    assert_eq!(compare(&old, &new, &history).kernels_changed.len(), 1);
}

#[test]
fn infrastructure_and_questions_that_do_not_arise_make_no_flake() {
    let mut history = History::default();
    for day in 0..6 {
        history.add(&run(day, if day % 2 == 1 { wrong(infrastructure()) } else { right() }));
        history.add(&run(day + 10, if day % 2 == 1 { not_applicable() } else { right() }));
    }
    let comparison = compare(&run(20, right()), &run(21, wrong(value())), &history);
    assert_eq!(counts(&comparison), Counts { regressions: 1, ..NONE });
}

#[test]
fn the_same_name_twice_is_two_cells() {
    let twice = |day, second| {
        let mut results = run(day, right());
        results.kernels[0].cells.push(second);
        results
    };
    let comparison = compare(&twice(0, right()), &twice(1, wrong(value())), &History::default());
    assert_eq!(counts(&comparison), Counts { regressions: 1, ..NONE });
    assert_eq!(comparison.counts.unchanged, 9);
}
