//! What the checks of one cell add up to.

use std::collections::BTreeSet;

use crate::model::{Observation, Outcome};

/// A cell being filled.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Single comparisons made.
    pub checks: u64,
    /// How many of them failed.
    pub failures: u64,
    /// The first failure, with its evidence.
    pub first: Option<(Outcome, Observation)>,
    /// What was reached, as `key=value` words.
    pub reached: BTreeSet<String>,
    /// What stood above narrow results.
    pub above: BTreeSet<&'static str>,
    /// Why nothing was checked, if nothing was.
    pub not_run: Option<String>,
}

impl Tally {
    /// Counts a failure; the first one is kept.
    pub fn fail(&mut self, outcome: Outcome, observation: Observation) {
        self.failures += 1;
        if self.first.is_none() {
            self.first = Some((outcome, observation));
        }
    }

    /// The cell's observation and outcome. A cell in which nothing was checked is never a pass.
    pub fn finish(self) -> (Observation, Outcome) {
        let (mut observation, outcome) = match self.first {
            Some((outcome, observation)) => (observation, outcome),
            None if self.checks > 0 => (Observation { load_errno: Some(0), ..Observation::default() }, Outcome::Pass),
            None => {
                let reason = self.not_run.unwrap_or_else(|| "no function of the conformance module has this".into());
                return (Observation::default(), Outcome::NotRun { reason });
            }
        };
        let mut fact = |name: &str, value: String| drop(observation.facts.insert(name.into(), value));
        fact("checks", self.checks.to_string());
        if self.failures > 0 {
            fact("failures", self.failures.to_string());
        }
        if !self.reached.is_empty() {
            fact("reached", self.reached.into_iter().collect::<Vec<_>>().join("; "));
        }
        if !self.above.is_empty() {
            fact("above", self.above.into_iter().collect::<Vec<_>>().join(","));
        }
        (observation, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_no_pass() {
        assert!(matches!(Tally::default().finish().1, Outcome::NotRun { .. }));
        let (seen, outcome) = Tally { checks: 3, ..Tally::default() }.finish();
        assert_eq!((outcome, seen.facts["checks"].as_str()), (Outcome::Pass, "3"));
    }

    #[test]
    fn the_first_failure_is_kept_and_all_are_counted() {
        let mut tally = Tally { checks: 9, ..Tally::default() };
        let wrong = |got: &str| Outcome::WrongValue { what: String::new(), expected: String::new(), got: got.into() };
        tally.fail(wrong("a"), Observation::default());
        tally.fail(wrong("b"), Observation::default());
        let (seen, outcome) = tally.finish();
        assert_eq!(outcome, wrong("a"));
        assert_eq!(seen.facts["failures"], "2");
    }
}
