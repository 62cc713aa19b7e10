//! What a cell that was run again says of the one in the bundle. Pure.

use crate::model::{Cell, Outcome, Standing};

/// What became of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// It is still there, and the same.
    Same,
    /// The cell still fails, in another way.
    Different,
    /// The cell is right.
    Gone,
    /// It could not be asked: why.
    Unknown(String),
}

/// Holds a cell against what it was.
pub fn compare(old: &Cell, new: &Cell) -> Again {
    if let Outcome::Infrastructure { error } = &new.outcome {
        return Again::Unknown(error.clone());
    }
    match &new.standing {
        Standing::NotApplicable { reason } => Again::Unknown(format!("the question does not arise there: {reason}")),
        Standing::Right => Again::Gone,
        Standing::Wrong | Standing::KnownFailure { .. } | Standing::UnexpectedPass { .. } => {
            if is_same(&old.outcome, &new.outcome) { Again::Same } else { Again::Different }
        }
    }
}

/// Whether two outcomes are one: values must be equal, but not the addresses and times in what the kernel says.
fn is_same(old: &Outcome, new: &Outcome) -> bool {
    match (old, new) {
        (Outcome::Rejected { errno, line }, Outcome::Rejected { errno: other, line: says }) => {
            errno == other && words(line) == words(says)
        }
        (Outcome::Splat { line }, Outcome::Splat { line: says }) => words(line) == words(says),
        (Outcome::Hang { .. }, Outcome::Hang { .. }) | (Outcome::GuestLost { .. }, Outcome::GuestLost { .. }) => true,
        (old, new) => old == new,
    }
}

/// A line without its numbers.
fn words(line: &str) -> Vec<&str> {
    let number = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    line.split(|c: char| c.is_whitespace() || "[]():,".contains(c)).filter(number).filter(|w| !w.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn with(outcome: Outcome, standing: Standing) -> Cell {
        Cell { outcome, standing, ..fixture::wrong() }
    }

    fn value(got: &str) -> Outcome {
        Outcome::WrongValue { what: "observed[0] as s32".into(), expected: "1".into(), got: got.into() }
    }

    #[test]
    fn a_failure_is_the_same_another_or_gone() {
        let old = fixture::wrong();
        let known = Standing::KnownFailure { reason: "r".into(), link: "l".into() };
        assert_eq!(compare(&old, &with(value("-1"), Standing::Wrong)), Again::Same);
        assert_eq!(compare(&old, &with(value("-1"), known.clone())), Again::Same);
        assert_eq!(compare(&old, &with(value("-2"), known)), Again::Different);
        assert_eq!(compare(&old, &with(Outcome::Hang { after_ms: 1 }, Standing::Wrong)), Again::Different);
        assert_eq!(compare(&old, &with(Outcome::Pass, Standing::Right)), Again::Gone);
        let unexpected = Standing::UnexpectedPass { reason: "r".into() };
        assert_eq!(compare(&with(Outcome::Pass, unexpected.clone()), &with(Outcome::Pass, unexpected)), Again::Same);
    }

    #[test]
    fn what_could_not_be_asked_is_neither() {
        let reason = || "no BTF".to_owned();
        let not_here = with(Outcome::NoBtf { line: reason() }, Standing::NotApplicable { reason: reason() });
        assert!(matches!(compare(&fixture::wrong(), &not_here), Again::Unknown(why) if why.contains("no BTF")));
        let ours = with(Outcome::Infrastructure { error: "no guest".into() }, Standing::Wrong);
        assert_eq!(compare(&fixture::wrong(), &ours), Again::Unknown("no guest".into()));
    }

    #[test]
    fn addresses_and_times_make_no_difference() {
        let splat = |line: &str| Outcome::Splat { line: line.into() };
        let a = splat("[    1.234567] BUG: unable to handle page fault for address: ffffffff81000000");
        let b = splat("[    7.000001] BUG: unable to handle page fault for address: ffffffffc0001000");
        assert!(is_same(&a, &b));
        assert!(!is_same(&a, &splat("[    1.234567] WARNING: CPU: 0 PID: 1 at kernel/bpf/core.c:12")));
        let refused = |errno, line: &str| Outcome::Rejected { errno, line: line.into() };
        assert!(is_same(&refused(22, "R1 type=scalar"), &refused(22, "R2 type=scalar")));
        assert!(!is_same(&refused(22, "x"), &refused(13, "x")));
    }
}
