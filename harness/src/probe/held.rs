//! Holding what a probe found against what the arch file claims.

use super::{Answer, Context, fact};
use crate::arch::Claim;
use crate::capability::Capability;
use crate::model::{Observation, Outcome, Standing};

/// What asking for a capability came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A program that needs it was accepted and, where it could be run, gave what it must.
    There,
    /// The kernel says that it has none, in the words due for that, or shows it: its words.
    Absent(String),
    /// Something else came out.
    Else(Outcome),
    /// It cannot be seen here: why.
    Hidden(String),
}

/// The answer to a question for a capability.
pub(super) fn answer(asked: Capability, seen: Observation, found: Found, context: &Context<'_>) -> Answer {
    let claim = context.claims.of(asked);
    let promised = claim.as_ref().and_then(|claim| claim.promises(context.release, context.config));
    judged(asked, seen, found, claim.as_ref(), promised)
}

/// `promised`: what the claim comes to for this kernel; `None` when there is none, or when nobody knows.
fn judged(
    asked: Capability,
    mut seen: Observation,
    found: Found,
    claim: Option<&Claim>,
    promised: Option<bool>,
) -> Answer {
    let said = match (&found, promised) {
        (Found::There, _) => "yes",
        (Found::Absent(_), _) => "no",
        (Found::Hidden(_), _) => "not observable",
        // A wrong answer of something that is there.
        (Found::Else(_), _) if seen.load_errno == Some(0) => "yes",
        (Found::Else(_), _) => "unknown",
    };
    fact(&mut seen, asked.fact(), said);
    if let Some(claim) = claim {
        fact(&mut seen, "arch_file", &claim.to_string());
    }
    let (outcome, standing) = match (found, promised) {
        (Found::There, Some(false)) => (Outcome::Pass, Standing::Wrong),
        (Found::There, _) => (Outcome::Pass, Standing::Right),
        (Found::Absent(line), Some(true)) => (Outcome::Unsupported { line }, Standing::Wrong),
        (Found::Absent(line), claimed) => {
            let claimed =
                if claimed.is_some() { "and the arch file says so" } else { "and the arch file claims nothing" };
            let reason = format!("this kernel has none, {claimed}: {line}");
            (Outcome::Unsupported { line }, Standing::NotApplicable { reason })
        }
        (Found::Else(outcome), _) => (outcome, Standing::Wrong),
        (Found::Hidden(reason), _) => (Outcome::NotRun { reason: reason.clone() }, Standing::NotApplicable { reason }),
    };
    Answer::new(seen, outcome, standing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{self, Release};

    /// Asks of riscv64, whose arena is promised with Zacas only from 7.2 on.
    fn held(found: Found, release: Release, zacas: Option<bool>, claims_it: bool) -> (Standing, String) {
        let claims = arch::load(&[]).unwrap().into_iter().find(|arch| arch.name == "riscv64").unwrap().claims;
        let claim = claims.arena.filter(|_| claims_it);
        let promised = claim.as_ref().and_then(|claim| claim.promises(release, &|_| zacas));
        let answer = judged(Capability::Arena, Observation::default(), found, claim.as_ref(), promised);
        (answer.standing, answer.observation.facts["arena"].clone())
    }

    #[test]
    fn a_claim_is_held_in_both_directions() {
        let (new, old, older) = (Release(7, 2), Release(6, 12), Release(6, 1));
        let absent = || Found::Absent("the line".into());
        let na = |standing: &Standing| matches!(standing, Standing::NotApplicable { .. });
        for (release, zacas) in [(new, Some(true)), (old, Some(false)), (old, None)] {
            assert_eq!(held(Found::There, release, zacas, true), (Standing::Right, "yes".into()));
            assert_eq!(held(absent(), release, zacas, true), (Standing::Wrong, "no".into()), "a broken promise");
        }
        for (release, zacas) in [(new, Some(false)), (older, Some(true))] {
            assert_eq!(held(Found::There, release, zacas, true), (Standing::Wrong, "yes".into()), "a stale claim");
            assert!(na(&held(absent(), release, zacas, true).0));
        }
        // Nothing is claimed, or it hangs on a configuration that nobody knows: neither answer is wrong.
        for (claims_it, zacas) in [(false, Some(true)), (true, None)] {
            assert_eq!(held(Found::There, new, zacas, claims_it).0, Standing::Right);
            assert!(na(&held(absent(), new, zacas, claims_it).0));
        }
    }

    #[test]
    fn what_is_neither_is_wrong_whatever_is_claimed() {
        let other = || Found::Else(Outcome::Rejected { errno: 22, line: "R0 !read_ok".into() });
        for release in [Release(7, 2), Release(6, 1)] {
            assert_eq!(held(other(), release, Some(true), true), (Standing::Wrong, "unknown".into()));
        }
        let (standing, said) = held(Found::Hidden("no BTF".into()), Release(7, 2), Some(true), true);
        assert_eq!((standing, said.as_str()), (Standing::NotApplicable { reason: "no BTF".into() }, "not observable"));
    }
}
