//! A year of nightly runs with faults put in on purpose: compared each morning, every one must be reported, once, and nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::abi::rng::Rng;
use crate::model::{ImageInfo, Verdict};
use crate::report::fixture;

const ARCHES: [&str; 4] = ["x86_64", "arm64", "riscv64", "loongarch64"];
const CELLS: usize = 50;
/// Nights before the year in which flaky cells are seen for what they are.
const BEFORE: u64 = 12;
const NIGHTS: u64 = 365;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Right,
    NotApplicable,
    Known,
    Value,
    Splat,
    Unexpected,
}

/// One cell of the world: what it is in truth.
struct World {
    truth: Kind,
    /// What it goes back to when a new kernel comes.
    normal: Kind,
    flaky: bool,
    /// Broken, and no run has said so yet.
    unreported: bool,
}

fn cell(index: usize, kind: Kind) -> Cell {
    let value = Outcome::WrongValue { what: "return value".into(), expected: "1".into(), got: "2".into() };
    let reason = || "a reason".to_owned();
    let (outcome, standing) = match kind {
        Kind::Right => (Outcome::Pass, Standing::Right),
        Kind::NotApplicable => (Outcome::NotRun { reason: reason() }, Standing::NotApplicable { reason: reason() }),
        Kind::Known => (value, Standing::KnownFailure { reason: reason(), link: "https://example.org".into() }),
        Kind::Value => (value, Standing::Wrong),
        Kind::Splat => (Outcome::Splat { line: "BUG".into() }, Standing::Wrong),
        Kind::Unexpected => (Outcome::Pass, Standing::UnexpectedPass { reason: reason() }),
    };
    Cell { outcome, standing, ..fixture::cell("stock", &format!("case{index:02}")) }
}

#[test]
fn exactly_what_was_put_in_is_reported() {
    let mut rng = Rng::new(20_251_124);
    let mut worlds: BTreeMap<(usize, usize), World> = BTreeMap::new();
    for arch in 0..ARCHES.len() {
        for index in 0..CELLS {
            let normal = match rng.below(10) {
                0 => Kind::NotApplicable,
                1 => Kind::Known,
                _ => Kind::Right,
            };
            let flaky = normal == Kind::Right && rng.below(20) == 0;
            worlds.insert((arch, index), World { truth: normal, normal, flaky, unreported: false });
        }
    }
    let flakes = worlds.values().filter(|world| world.flaky).count();
    assert!(flakes >= 5, "{flakes}");
    let mut releases = [0; ARCHES.len()];
    let mut history = History::default();
    let mut last: Option<RunResults> = None;
    let (mut put_in, mut reported, mut flaked, mut outages) = (0, 0, 0, 0);
    for night in 0..BEFORE + NIGHTS {
        let of_year = night >= BEFORE;
        let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
        let mut kernels = Vec::new();
        for (arch, name) in ARCHES.iter().enumerate() {
            // A new kernel, every three weeks or so: what was broken is repaired with it.
            if of_year && rng.below(21) == 0 {
                releases[arch] += 1;
                for index in 0..CELLS {
                    let world = worlds.get_mut(&(arch, index)).expect("every cell");
                    // One that nobody saw stays until it was.
                    if !world.unreported {
                        world.truth = world.normal;
                    }
                }
            }
            let no_guest = of_year && rng.below(60) == 0;
            outages += usize::from(no_guest);
            let mut cells = Vec::new();
            for index in 0..CELLS {
                let world = worlds.get_mut(&(arch, index)).expect("every cell");
                if of_year && !world.flaky && world.truth == world.normal && rng.below(900) == 0 {
                    world.truth = match (world.normal, rng.below(2)) {
                        (Kind::Known, 0) => Kind::Unexpected,
                        (Kind::Known, _) | (_, 0) => Kind::Splat,
                        _ => Kind::Value,
                    };
                    world.unreported = true;
                    put_in += 1;
                }
                let mut seen = world.truth;
                if world.flaky && if of_year { rng.below(6) == 0 } else { night % 3 == 1 } {
                    seen = Kind::Value;
                    flaked += 1;
                }
                let mut one = cell(index, seen);
                if of_year && rng.below(100) == 0 {
                    one.outcome = Outcome::Infrastructure { error: "the channel broke".into() };
                    one.standing = Standing::Wrong;
                } else if world.unreported && !no_guest {
                    world.unreported = false;
                    expected.insert(((*name).to_owned(), one.name()));
                }
                cells.push(one);
            }
            let release = format!("7.2.{}", releases[arch]);
            let mut kernel = fixture::clean().kernels.remove(0);
            kernel.arch = (*name).into();
            kernel.guest.as_mut().expect("a guest").release.clone_from(&release);
            kernel.image = Some(ImageInfo { release, ..ImageInfo::default() });
            kernel.cells = cells;
            if no_guest {
                kernel.cells.clear();
                kernel.guest = None;
                kernel.verdict = Verdict::Unknown;
                kernel.error = Some("no guest".into());
            }
            kernels.push(kernel);
        }
        let mut new = fixture::clean();
        new.started += night * 86_400;
        new.kernels = kernels;
        if let (Some(old), true) = (&last, of_year) {
            let comparison = compare(old, &new, &history);
            let got: BTreeSet<(String, String)> = comparison
                .regressions
                .iter()
                .chain(&comparison.first_failures)
                .map(|change| (change.arch.clone(), change.cell.clone()))
                .collect();
            assert_eq!(got, expected, "night {night}");
            assert_eq!(comparison.counts.first_failures, 0, "night {night}");
            assert_eq!(comparison.wakes(), !expected.is_empty());
            reported += got.len();
            let judged = worlds.values().filter(|world| world.flaky).count();
            let hidden = comparison.counts.not_judged;
            assert!(comparison.counts.flaky + hidden >= judged, "night {night}: a flaky cell was not listed");
            let counts = comparison.counts;
            let all = counts.regressions + counts.flaky + counts.fixes + counts.other_changes + counts.unchanged;
            assert_eq!(all + counts.not_judged + counts.gone_cells, ARCHES.len() * CELLS, "every cell is somewhere");
        }
        history.add(&new);
        last = Some(new);
    }
    let waiting = worlds.values().filter(|world| world.unreported).count();
    assert_eq!(reported + waiting, put_in);
    assert!(put_in > 40 && flaked > 300 && outages > 10, "{put_in} {flaked} {outages}");
    assert!(releases.iter().all(|release| *release > 5), "{releases:?}");
}
