//! Calls that share a program: run, compared, counted, and taken apart when the program fails as a whole.

use super::cells::{self, RANDOM};
use super::check::{Check, cells as cells_of, result_cell};
use super::emit::{self, Place};
use super::execute::{Executed, execute};
use super::explain;
use super::lab::Lab;
use super::oracle::{Mismatch, Seen, compare};
use super::schedule::{Calls, GENERAL, Item};
use super::suite::Suite;
use crate::judge;
use crate::model::{Observation, Outcome};
use crate::sys::{Sys, SysError};

impl Suite {
    /// Why calls cannot be made in this place on this arch, or not of this kind.
    fn not_here(&self, calls: &Calls) -> Option<String> {
        let lab = self.lab.as_ref()?;
        match calls.place {
            place if place.has_functions() && !self.arch.claims.subprograms.holds(self.release) => {
                Some("this JIT has no calls from BPF function to BPF function".into())
            }
            Place::TailCalledFromSubprogram if !self.arch.claims.subprogram_tail_calls.holds(self.release) => {
                Some("this JIT makes no tail calls out of a function".into())
            }
            place if place.may_throw() && !self.arch.claims.exceptions.holds(self.release) => {
                Some("this JIT does not unwind, so bpf_throw() cannot be called".into())
            }
            place if place.may_throw() && lab.env.throw.is_none() => Some("this kernel has no bpf_throw()".into()),
            Place::Escorted if lab.env.escort.is_none() => Some("this kernel has no bpf_rcu_read_lock()".into()),
            _ => None,
        }
    }

    pub(super) fn cells_of_calls(&self, calls: &Calls) -> Vec<String> {
        let Some(lab) = &self.lab else { return vec!["calls::return".into()] };
        match &calls.cell {
            Some(cell) => vec![cell.clone()],
            None => {
                let mut cells: Vec<String> = Vec::new();
                for check in &calls.checks {
                    cells.extend(cells_of(check, &lab.kfuncs[check.kfunc]));
                }
                if cells.is_empty() {
                    cells.push("calls::callee".into()); // a function without arguments and result
                }
                cells
            }
        }
    }

    /// The cell in which it counts that a whole batch failed: its own, or one of those that somebody asked for.
    pub(super) fn blamed(&self, calls: &Calls) -> String {
        const GENERAL: &str = "calls::return";
        match &calls.cell {
            Some(cell) => cell.clone(),
            None if self.wants(GENERAL) => GENERAL.into(),
            None => {
                let mut cells = self.cells_of_calls(calls).into_iter();
                cells.find(|cell| self.wants(cell)).unwrap_or_else(|| GENERAL.into())
            }
        }
    }

    pub(super) fn run_calls(&mut self, sys: &mut dyn Sys, calls: &Calls) -> Result<(), SysError> {
        if let (Some(reason), Some(cell)) = (self.not_here(calls), &calls.cell) {
            self.not_run(cell, &reason);
            return Ok(());
        }
        let Some(lab) = self.lab.clone() else { return Ok(()) };
        let lab = if calls.far_slots { lab.with_far_slots() } else { lab };
        self.programs += 1;
        match execute(sys, &lab, calls, Some(&mut self.digest))? {
            Executed::Refused { errno, log } if calls.checks.len() > 1 => {
                // Should each of the calls be accepted alone, it is still written down that all together were not.
                let seen = Observation { load_errno: Some(errno), verifier_log: log.clone(), ..Observation::default() };
                self.fail(&self.blamed(calls), judge::refusal(errno, &log), seen);
                self.take_apart(calls, true);
            }
            Executed::Refused { errno, log } => {
                let mut seen =
                    Observation { load_errno: Some(errno), verifier_log: log.clone(), ..Observation::default() };
                explain::sent(&mut seen, &calls.checks[0], &lab.kfuncs[calls.checks[0].kfunc]);
                for cell in self.cells_of_calls(calls) {
                    self.fail(&cell, judge::refusal(errno, &log), seen.clone());
                }
            }
            Executed::NotRun { errno } => {
                let seen = Observation { load_errno: Some(0), run_errno: Some(errno), ..Observation::default() };
                let line = format!("BPF_PROG_TEST_RUN failed with errno {errno}");
                self.fail(&self.blamed(calls), Outcome::Rejected { errno, line }, seen);
            }
            Executed::Ran(seen) => {
                let unable = seen.records.iter().any(|record| record.flags & super::record::NOT_IMPLEMENTED != 0);
                if let (true, Some(cell)) = (unable, &calls.cell) {
                    self.not_run(cell, "the conformance module has no code for this on this architecture");
                    return Ok(());
                }
                self.calls += (calls.checks.len() * calls.place.repeats()) as u64;
                self.count(&lab, calls, &seen);
                for mismatch in compare(&calls.checks, &lab.kfuncs, calls.place, &seen) {
                    self.note(sys, &lab, calls, &mismatch)?;
                }
            }
        }
        Ok(())
    }

    /// Counts what was compared.
    fn count(&mut self, lab: &Lab, calls: &Calls, seen: &Seen) {
        let reach = explain::reach(calls, &self.callees);
        let Some(cell) = &calls.cell else {
            for (row, check) in calls.checks.iter().enumerate() {
                let kfunc = &lab.kfuncs[check.kfunc];
                for cell in cells_of(check, kfunc) {
                    self.pass(&cell, 1, &format!("{} {reach}", explain::shape(&cell, kfunc)));
                }
                let r0 = seen.rows.get(row * emit::ROW).copied().unwrap_or(0);
                if let Some(ty) = kfunc.result.as_ref().filter(|_| check.expected_result(kfunc).is_some())
                    && let Some(above) = ty.above(r0, check.poison())
                {
                    self.tally(&result_cell(ty)).above.insert(above);
                }
            }
            for cell in GENERAL {
                self.pass(cell, calls.checks.len() as u64, &reach);
            }
            if calls.random {
                self.pass(RANDOM, calls.checks.len() as u64, &reach);
            }
            return;
        };
        // Arguments, result, four registers and two slots.
        let each = |check: &Check| check.registers.len() as u64 + 7;
        let checks: u64 = calls.checks.iter().map(each).sum();
        self.pass(cell, checks * calls.place.repeats() as u64, &reach);
    }

    /// Counts a mismatch, with evidence when it is its cell's first.
    fn note(&mut self, sys: &mut dyn Sys, lab: &Lab, calls: &Calls, mismatch: &Mismatch) -> Result<(), SysError> {
        let cell = calls.cell.clone().unwrap_or_else(|| mismatch.cell.clone());
        let outcome = Outcome::WrongValue {
            what: mismatch.what.clone(),
            expected: mismatch.expected.clone(),
            got: mismatch.got.clone(),
        };
        let is_first = self.tallies.get(&cell).is_none_or(|tally| tally.first.is_none());
        let mut seen = Observation { load_errno: Some(0), ..Observation::default() };
        self.fail(&cell, outcome.clone(), seen.clone());
        // What dirt and 32-bit instructions do is counted where it is known or not, type by type.
        if calls.random && !["dirty::", "zext::"].iter().any(|family| mismatch.cell.starts_with(family)) {
            self.fail(RANDOM, outcome.clone(), seen.clone());
        }
        let is_control = cells::CONTROLS.iter().any(|(name, ..)| *name == cell);
        if is_first && self.wants(&cell) && !is_control {
            let is_known = self.known.contains(&cell);
            let mut none = 0;
            let attempts = if is_known { &mut none } else { &mut self.attempts };
            explain::evidence(sys, lab, &self.arch, calls, mismatch, attempts, &mut seen)?;
            if let Some(tally) = self.tallies.get_mut(&cell) {
                tally.first = Some((outcome, seen));
            }
        }
        Ok(())
    }

    /// Puts the calls of a batch behind it, one by one. `behind`: the batch itself is still in front.
    pub(super) fn take_apart(&mut self, calls: &Calls, behind: bool) {
        let front = if behind { self.queue.pop_front() } else { None };
        for check in calls.checks.iter().rev() {
            self.queue.push_front(Item::Calls(Calls { checks: vec![check.clone()], ..calls.clone() }));
        }
        if let Some(front) = front {
            self.queue.push_front(front);
        }
    }
}
