//! The suite on one guest after another: what is to be done, step by step, and what it came to.
//!
//! Hundreds of calls share a program. When such a program is refused, or the guest is lost or complains, its calls are made
//! one at a time, which names the one that did it; the caller brings a new guest, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cells;
use super::check::Check;
use super::emit;
use super::explain;
use super::generate;
use super::kfuncs::Kfunc;
use super::lab::Lab;
use super::schedule::{Calls, Item, Settings, schedule};
use super::tally::Tally;
use crate::arch::{Arch, Release};
use crate::bpf::{KernelTypes, LoadResult, ProgType};
use crate::guest::files;
use crate::judge;
use crate::model::{Observation, Outcome};
use crate::sys::{Sys, SysError};

/// The suite on one kernel.
pub struct Suite {
    pub(super) settings: Settings,
    pub(super) wanted: BTreeSet<String>,
    /// Cells of which an expectation says that they fail: nobody looks for the smallest program again.
    pub(super) known: BTreeSet<String>,
    /// Programs that may still be run to find smaller ones: where everything is broken, a few examples do.
    pub(super) attempts: usize,
    pub(super) tallies: BTreeMap<String, Tally>,
    pub(super) queue: VecDeque<Item>,
    /// What is done in a guest whose kernel lies at a random place.
    pub(super) at_random_place: VecDeque<Item>,
    /// Where a function of vmlinux and one of the module were in the first guest.
    pub(super) first_place: Option<[u64; 2]>,
    /// The kernel lies elsewhere since; what is near and far is to be seen again.
    pub(super) moved: bool,
    /// How far callees are, in words of the coverage table: of the module, of vmlinux.
    pub(super) callees: String,
    pub(super) planned: bool,
    pub(super) lab: Option<Lab>,
    /// Arguments that the JIT takes.
    pub(super) most: usize,
    /// Steps done.
    pub(super) steps: usize,
    /// Calls made.
    pub(super) calls: u64,
    /// Programs loaded.
    pub(super) programs: u64,
    /// SHA-256 over all programs.
    pub(super) digest: sha2::Sha256,
    /// Several functions in one program; exceptions.
    pub(super) arch: Arch,
    pub(super) release: Release,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call again.
    More,
    /// Go on in a guest whose kernel chose where it lies.
    AtRandomPlace,
    /// All is done.
    Done,
}

impl Suite {
    /// A suite that fills these cells.
    pub fn new(settings: Settings, arch: &Arch, release: Release, wanted: impl IntoIterator<Item = String>) -> Self {
        Self {
            settings,
            wanted: wanted.into_iter().collect(),
            tallies: BTreeMap::new(),
            queue: VecDeque::new(),
            at_random_place: VecDeque::new(),
            first_place: None,
            moved: false,
            callees: String::new(),
            known: BTreeSet::new(),
            attempts: ATTEMPTS,
            planned: false,
            lab: None,
            most: generate::REGISTERS,
            steps: 0,
            calls: 0,
            programs: 0,
            digest: sha2::Digest::new(),
            arch: arch.clone(),
            release,
        }
    }

    /// The same, knowing which cells fail.
    #[must_use]
    pub fn knowing(mut self, known: impl IntoIterator<Item = String>) -> Self {
        self.known = known.into_iter().collect();
        self
    }

    /// Does one thing. The modules must be loaded in the guest.
    ///
    /// # Errors
    /// When the guest is gone: then [`Suite::lost`], and again with another guest.
    pub fn step(&mut self, sys: &mut dyn Sys, kernel: &KernelTypes) -> Result<Step, SysError> {
        if self.lab.is_none() {
            match Lab::open(sys, kernel)? {
                Ok(lab) => self.lab = Some(lab),
                Err(error) => return Err(SysError::Protocol(error)),
            }
        }
        if std::mem::take(&mut self.moved) {
            let place = super::lab::place(sys)?;
            self.survey(sys, place)?;
        }
        if !self.planned {
            self.first_place = super::lab::place(sys)?;
            self.survey(sys, self.first_place)?;
            self.ask_for_stack_arguments(sys)?;
            let Some(lab) = &self.lab else { return Ok(Step::Done) };
            let items = schedule(&lab.kfuncs, self.most, self.settings, &self.wanted);
            (self.at_random_place, self.queue) = items.into_iter().partition(Item::is_for_random_place);
            self.planned = true;
        }
        let Some(item) = self.queue.front().cloned() else {
            return Ok(if self.at_random_place.is_empty() { Step::Done } else { Step::AtRandomPlace });
        };
        match &item {
            Item::Calls(calls) => self.run_calls(sys, calls)?,
            Item::Special(special) => self.run_special(sys, *special)?,
        }
        // A batch that is taken apart has put its parts behind itself.
        self.queue.pop_front();
        self.steps += 1;
        Ok(Step::More)
    }

    /// The rest of the suite is for this guest, whose kernel was free to choose where it lies; unless it lies where the first
    /// one did. `why_not`: there is no such guest.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn at_random_place(&mut self, sys: Result<&mut dyn Sys, &str>) -> Result<(), SysError> {
        let items = std::mem::take(&mut self.at_random_place);
        self.lab = None;
        let why_not = match sys {
            Err(why_not) => Some(why_not.to_owned()),
            Ok(sys) => {
                let place = super::lab::place(sys)?;
                let same = place.is_none() || place == self.first_place;
                self.moved = !same;
                same.then(|| "this kernel did not move, although nothing told it to stay".to_owned())
            }
        };
        match why_not {
            None => self.queue = items,
            Some(why) => {
                for item in items {
                    if let Item::Calls(Calls { cell: Some(cell), .. }) = item {
                        self.not_run(&cell, &why);
                    }
                }
            }
        }
        Ok(())
    }

    /// The guest was lost, or complained, over the step that was under way.
    pub fn lost(&mut self, seen: &Observation, guest_is_gone: bool) {
        if guest_is_gone {
            self.lab = None;
        }
        let Some(item) = self.queue.pop_front() else { return };
        match item {
            Item::Calls(calls) if calls.checks.len() > 1 => {
                // Should none of the calls do it alone, it is still written down that all of them did it.
                self.fail(&self.blamed(&calls), loss(seen), seen.clone());
                self.take_apart(&calls, false);
            }
            Item::Calls(calls) => {
                let mut seen = seen.clone();
                if let (Some(check), Some(kfunc)) = (calls.checks.first(), self.first_kfunc(&calls)) {
                    explain::sent(&mut seen, check, &kfunc);
                }
                self.fail(&self.blamed(&calls), loss(&seen), seen);
            }
            Item::Special(special) => {
                for cell in special.cells() {
                    self.fail(cell, loss(seen), seen.clone());
                }
            }
        }
    }

    /// The kernel complained after a step had ended well: what was done last did it, and is done again call by call.
    pub fn complained(&mut self, seen: &Observation, last: Option<Redo>, guest_is_gone: bool) {
        if let Some(Redo(item)) = last {
            self.queue.push_front(item);
            self.lost(seen, guest_is_gone);
        }
    }

    /// Steps done, and steps that there are as far as is known.
    pub fn progress(&self) -> (usize, usize) {
        let left = self.queue.len() + self.at_random_place.len();
        (self.steps, self.steps + left)
    }

    /// Whether a program was run.
    pub fn has_begun(&self) -> bool {
        self.planned
    }

    /// What the next step does, to be handed to [`Suite::complained`].
    pub fn next(&self) -> Option<Redo> {
        self.queue.front().cloned().map(Redo)
    }

    pub(super) fn first_kfunc(&self, calls: &Calls) -> Option<Kfunc> {
        Some(self.lab.as_ref()?.kfuncs.get(calls.checks.first()?.kfunc)?.clone())
    }

    /// What a cell came to.
    pub fn result(&mut self, cell: &str) -> (Observation, Outcome) {
        let mut tally = self.tallies.remove(cell).unwrap_or_default();
        if cells::position(cell).is_some_and(|position| position > self.most) {
            let line = format!("this JIT takes {} arguments, and says so", self.most);
            tally.not_run.get_or_insert(line);
        }
        tally.finish()
    }

    /// Figures of the whole suite for people: calls, programs, digest of the programs, seed.
    pub fn summary(&self) -> String {
        let digest = images::hex(&sha2::Digest::finalize(self.digest.clone())[..6]);
        format!(
            "abi: {} calls in {} programs, seed {}, programs' digest {digest}",
            self.calls, self.programs, self.settings.seed
        )
    }

    pub(super) fn wants(&self, cell: &str) -> bool {
        self.wanted.contains(cell)
    }

    pub(super) fn tally(&mut self, cell: &str) -> &mut Tally {
        self.tallies.entry(cell.to_owned()).or_default()
    }

    pub(super) fn fail(&mut self, cell: &str, outcome: Outcome, seen: Observation) {
        let tally = self.tally(cell);
        tally.checks = tally.checks.max(1);
        tally.fail(outcome, seen);
    }

    pub(super) fn pass(&mut self, cell: &str, checks: u64, reached: &str) {
        let tally = self.tally(cell);
        tally.checks += checks;
        if !reached.is_empty() {
            tally.reached.insert(reached.to_owned());
        }
    }

    pub(super) fn not_run(&mut self, cell: &str, reason: &str) {
        self.tally(cell).not_run = Some(reason.to_owned());
    }

    /// How many arguments the JIT takes, asked with a function of six.
    fn ask_for_stack_arguments(&mut self, sys: &mut dyn Sys) -> Result<(), SysError> {
        let Some(lab) = &self.lab else { return Ok(()) };
        const CELL: &str = "stack::refused_arguments";
        let promised = self.arch.claims.stack_args.holds(self.release);
        let Some((index, kfunc)) = lab.kfuncs.iter().enumerate().find(|(_, kfunc)| kfunc.params.len() == 6) else {
            self.not_run(CELL, "the module has no function of six arguments");
            return Ok(());
        };
        let check = Check { kfunc: index, registers: vec![0; 6], salt: 1, halves: false };
        let name = kfunc.name.clone();
        let program = emit::emit_bare(&check, kfunc, false, &lab.env);
        let mut seen = Observation::default();
        match lab.load(sys, &program, ProgType::Syscall)? {
            LoadResult::Loaded(fd) => {
                files::close(sys, fd as u64)?;
                self.most = cells::ARGUMENTS_MAX;
                if promised {
                    self.not_run(CELL, "this JIT takes more than five arguments");
                } else {
                    seen.load_errno = Some(0);
                    let line = format!("{name}() is accepted, although the arch file claims no stack arguments");
                    self.fail(CELL, Outcome::Rejected { errno: 0, line }, seen);
                }
            }
            LoadResult::Refused { errno, log } => {
                let wanted = format!("JIT does not support kfunc {name}() with 6 args");
                let right = errno == judge::ENOTSUPP && log.contains(&wanted);
                // Before 7.2 no kfunc may have more than five, whatever the JIT (kernel/bpf/btf.c).
                let old = self.release < Release(7, 2) && log.contains("has 6 arguments. Too many.");
                if (right || old) && !promised {
                    self.pass(CELL, 1, "");
                } else {
                    seen.load_errno = Some(errno);
                    seen.verifier_log = log;
                    self.fail(CELL, judge::refusal(errno, &seen.verifier_log.clone()), seen);
                }
            }
        }
        Ok(())
    }

    /// Sees how far from a program its callees are.
    fn survey(&mut self, sys: &mut dyn Sys, place: Option<[u64; 2]>) -> Result<(), SysError> {
        let Some((lab, [vmlinux, module])) = self.lab.clone().zip(place) else { return Ok(()) };
        let Some(kfunc) = lab.kfunc("kfc_rec_0") else { return Ok(()) };
        let LoadResult::Loaded(fd) = lab.load(sys, &emit::emit_first(kfunc), ProgType::Syscall)? else { return Ok(()) };
        let code = super::machine::fetch(sys, fd)?;
        files::close(sys, fd as u64)?;
        let Some((program, _)) = code else { return Ok(()) };
        let reach = self.arch.jit.direct_call_mib << 20;
        let word = |address: u64| if program.abs_diff(address) < reach { "near" } else { "far" };
        self.callees = format!("module={} vmlinux={}", word(module), word(vmlinux));
        Ok(())
    }
}

/// Most programs that are run in all to find smaller ones.
const ATTEMPTS: usize = 500;

/// Something to be done again. Opaque.
#[derive(Debug, Clone)]
pub struct Redo(Item);

fn loss(seen: &Observation) -> Outcome {
    match seen.facts.get(judge::FACT_SPLAT) {
        Some(line) if seen.guest_end.is_none() => Outcome::Splat { line: line.clone() },
        _ => judge::without_expectation(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::Place;
    use super::*;

    fn suite(wanted: &str) -> Suite {
        let arches = crate::arch::load(&[]).unwrap();
        Suite::new(Settings::default(), &arches[0], Release(7, 2), [wanted.to_owned()])
    }

    fn batch(cell: Option<&str>, count: usize) -> Item {
        let check = Check { kfunc: 0, registers: Vec::new(), salt: 1, halves: false };
        Item::Calls(Calls {
            cell: cell.map(str::to_owned),
            place: Place::Main,
            prog_type: ProgType::Syscall,
            hardened: false,
            far_slots: false,
            random: false,
            checks: vec![check; count],
        })
    }

    #[test]
    fn a_batch_that_loses_its_guest_is_red_even_if_no_call_does_it_alone() {
        for (cell, blamed) in [(Some("context::loop"), "context::loop"), (None, "calls::return")] {
            let mut suite = suite(blamed);
            suite.queue.push_back(batch(cell, 3));
            suite.lost(&Observation::default(), true);
            assert_eq!(suite.queue.len(), 3, "each is made alone");
            suite.pass(blamed, 21, "");
            assert_ne!(suite.result(blamed).1, Outcome::Pass);
        }
    }

    #[test]
    fn a_single_call_that_loses_its_guest_is_not_made_again() {
        let mut suite = suite("context::loop");
        suite.queue.push_back(batch(Some("context::loop"), 1));
        suite.queue.push_back(batch(None, 2));
        suite.lost(&Observation::default(), true);
        assert_eq!(suite.queue.len(), 1, "the rest goes on");
        assert_ne!(suite.result("context::loop").1, Outcome::Pass);
    }
}
