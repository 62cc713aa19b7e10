//! The suite on one guest after another: what is to be done, step by step, and what it came to.
//!
//! Hundreds of calls share a program. When such a program is refused, or the guest is lost or complains, its calls are made
//! one at a time, which names the one that did it; the caller brings a new guest, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cells::{self, RANDOM};
use super::check::{Check, cells as cells_of, result_cell};
use super::emit::{self, Place};
use super::explain;
use super::generate;
use super::kfuncs::Kfunc;
use super::lab::{CALLS_MAX, HARDEN, Lab};
use super::oracle::{Mismatch, Seen, compare};
use super::special::Special;
use super::tally::Tally;
use crate::arch::{Arch, Release};
use crate::bpf::{KernelTypes, LoadResult, ProgType};
use crate::guest::files;
use crate::judge;
use crate::model::{Observation, Outcome};
use crate::sys::{Sys, SysError};

/// What decides which calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Seed of everything that is not fixed.
    pub seed: u64,
    /// Calls beyond the fixed ones.
    pub random: usize,
}

/// Seed when none is given.
pub const SEED: u64 = 1;

impl Default for Settings {
    fn default() -> Self {
        Self { seed: SEED, random: 0 }
    }
}

/// Calls that share a program.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    /// The cell in which everything counts; each argument's and result's own when there is none.
    pub cell: Option<String>,
    pub place: Place,
    pub prog_type: ProgType,
    /// `bpf_jit_harden`.
    pub hardened: bool,
    /// Modules in the last slots of `fd_array`.
    pub far_slots: bool,
    /// Besides, everything but what dirt and 32-bit instructions do counts in [`RANDOM`].
    pub random: bool,
    pub checks: Vec<Check>,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Calls(Calls),
    Special(Special),
}

/// The suite on one kernel.
pub struct Suite {
    settings: Settings,
    wanted: BTreeSet<String>,
    /// Cells of which an expectation says that they fail: nobody looks for the smallest program again.
    known: BTreeSet<String>,
    /// Programs that may still be run to find smaller ones: where everything is broken, a few examples do.
    attempts: usize,
    pub(super) tallies: BTreeMap<String, Tally>,
    queue: VecDeque<Item>,
    /// What is done in a guest whose kernel lies at a random place.
    at_random_place: VecDeque<Item>,
    /// Where a function of vmlinux and one of the module were in the first guest.
    first_place: Option<[u64; 2]>,
    /// The kernel lies elsewhere since; what is near and far is to be seen again.
    moved: bool,
    /// How far callees are, in words of the coverage table: of the module, of vmlinux.
    callees: String,
    planned: bool,
    pub(super) lab: Option<Lab>,
    /// Arguments that the JIT takes.
    most: usize,
    /// Steps done.
    steps: usize,
    /// Calls made.
    calls: u64,
    /// Programs loaded.
    programs: u64,
    /// SHA-256 over all programs.
    digest: sha2::Sha256,
    /// Several functions in one program; exceptions.
    pub(super) arch: Arch,
    release: Release,
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
            self.plan();
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
                self.fail("calls::return", loss(seen), seen.clone());
                self.take_apart(&calls, false);
            }
            Item::Calls(calls) => {
                let mut seen = seen.clone();
                if let (Some(check), Some(kfunc)) = (calls.checks.first(), self.first_kfunc(&calls)) {
                    explain::sent(&mut seen, check, &kfunc);
                }
                for cell in self.cells_of_calls(&calls).into_iter().take(1) {
                    self.fail(&cell, loss(&seen), seen.clone());
                }
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

    fn first_kfunc(&self, calls: &Calls) -> Option<Kfunc> {
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
        let digest: String =
            sha2::Digest::finalize(self.digest.clone()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!(
            "abi: {} calls in {} programs, seed {}, programs' digest {digest}",
            self.calls, self.programs, self.settings.seed
        )
    }

    pub(super) fn release(&self) -> Release {
        self.release
    }

    fn wants(&self, cell: &str) -> bool {
        self.wanted.contains(cell)
    }

    fn tally(&mut self, cell: &str) -> &mut Tally {
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

    /// Puts together what is to be done.
    fn plan(&mut self) {
        let Some(lab) = &self.lab else { return };
        let (kfuncs, most, seed) = (&lab.kfuncs, self.most, self.settings.seed);
        let mut items: Vec<Item> = Special::ALL.into_iter().map(Item::Special).collect();
        let calls = |cell: Option<&str>, place, checks: Vec<Check>| Calls {
            cell: cell.map(str::to_owned),
            place,
            prog_type: ProgType::Syscall,
            hardened: false,
            far_slots: false,
            random: false,
            checks,
        };
        let by_name = |prefix: &str, registers: &[u64]| -> Vec<Check> {
            let found = kfuncs.iter().enumerate().filter(|(_, kfunc)| kfunc.name.starts_with(prefix));
            let each = found.flat_map(|(kfunc, _)| {
                registers.iter().map(move |value| Check {
                    kfunc,
                    registers: vec![*value],
                    salt: seed ^ *value,
                    halves: false,
                })
            });
            each.collect()
        };
        let numbers: Vec<u64> = (0..12).map(|n| emit::mark(seed ^ n)).collect();
        let mut named = vec![
            calls(Some("calls::clobbering_callee"), Place::Main, by_name("kfc_clobber", &numbers)),
            calls(Some("stack::callee_frame"), Place::Main, by_name("kfc_stack", &numbers)),
            calls(Some("stack::deep_recursion"), Place::Main, by_name("kfc_recurse", &[0, 1, 7, 30])),
            calls(Some("calls::sleeping_callee"), Place::Main, by_name("kfc_sleep", &[1, 2])),
        ];
        let same = by_name("kfc_same_", &[5, 0x8000_0000, 77, 0xffff_fff0]);
        let first_ret = kfuncs.iter().position(|kfunc| kfunc.name.starts_with("kfc_ret_u64"));
        let sites = first_ret.map_or(Vec::new(), |kfunc| {
            (0..CALLS_MAX as u64)
                .map(|n| Check { kfunc, registers: vec![emit::mark(seed ^ (n << 8))], salt: seed ^ n, halves: false })
                .collect()
        });
        named.push(calls(Some("calls::many_sites"), Place::Main, sites));
        // In turn, so that each call differs from its neighbours in its module only.
        let mut turns: Vec<Check> = Vec::new();
        let (x, y): (Vec<Check>, Vec<Check>) =
            same.into_iter().partition(|check| kfuncs[check.kfunc].name.ends_with("_x"));
        for (x, y) in x.into_iter().zip(y) {
            turns.extend([x, y]);
        }
        turns.extend(generate::sample(kfuncs, most.min(5), seed ^ 2, 6));
        named.push(calls(Some("modules::same_id"), Place::Main, turns.clone()));
        named.push(Calls { far_slots: true, ..calls(Some("modules::far_slots"), Place::Main, turns) });
        for place in Place::ALL.into_iter().filter(|place| *place != Place::Main) {
            let count = if place.repeats() > 1 { 16 } else { 40 };
            let checks = generate::sample(kfuncs, most, seed ^ place as u64, count);
            named.push(calls(Some(&cells::place_cell(place)), place, checks));
        }
        for (cell, prog_type) in [
            ("program::sched_cls", ProgType::SchedCls),
            ("program::xdp", ProgType::Xdp),
            ("program::raw_tracepoint", ProgType::RawTracepoint),
        ] {
            // No stack arguments: JITs have no private stack in programs with them.
            let mut checks = generate::sample(kfuncs, generate::REGISTERS, seed ^ 0x70, 60);
            checks.extend(by_name("kfc_clobber", &numbers));
            named.push(Calls { prog_type, ..calls(Some(cell), Place::Main, checks) });
        }
        for (cell, place) in [("hardened::main", Place::Main), ("hardened::subprogram", Place::Subprogram)] {
            let checks = generate::sample(kfuncs, most, seed ^ 0x68, 60);
            named.push(Calls { hardened: true, ..calls(Some(cell), place, checks) });
        }
        if self.settings.random > 0 {
            let random = generate::random(kfuncs, most, seed, self.settings.random);
            let calls = |checks: &[Check]| Calls { random: true, ..calls(None, Place::Main, checks.to_vec()) };
            named.extend(random.chunks(CALLS_MAX).map(calls));
        }
        let mut fixed = generate::clean(kfuncs, most, seed);
        fixed.extend(generate::dirty(kfuncs, most, seed));
        fixed.extend(generate::halves(kfuncs, most, seed));
        named.extend(fixed.chunks(CALLS_MAX).map(|checks| calls(None, Place::Main, checks.to_vec())));
        for (cell, place) in [
            (cells::MISREPORTED, "kfc_liar_u32"),
            (cells::MISRETURNED, "kfc_liar_ret"),
            (cells::DESTROYED, "kfc_breaks"),
        ] {
            named.push(calls(Some(cell), Place::Main, by_name(place, &[0x1234_5678])));
        }
        let random_place = [
            ("kaslr::main", Place::Main),
            ("kaslr::subprogram", Place::Subprogram),
            ("kaslr::between_vmlinux_kfuncs", Place::Escorted),
        ];
        for (cell, place) in random_place {
            named.push(calls(Some(cell), place, generate::sample(kfuncs, most, seed ^ 0x6b, 100)));
        }
        items.extend(named.into_iter().map(Item::Calls));
        items.retain(|item| match item {
            Item::Special(special) => special.cells().iter().any(|cell| self.wants(cell)),
            Item::Calls(calls) => {
                !calls.checks.is_empty()
                    && match &calls.cell {
                        Some(cell) => self.wants(cell),
                        None => true,
                    }
            }
        });
        // Of the calls that count in their own cells only those that count in one that is wanted.
        let lab = &self.lab;
        let wanted = &self.wanted;
        let general = GENERAL.iter().any(|cell| wanted.contains(*cell));
        for item in &mut items {
            if let (Item::Calls(calls), Some(lab)) = (item, lab)
                && calls.cell.is_none()
                && !general
            {
                calls.checks.retain(|check| {
                    cells_of(check, &lab.kfuncs[check.kfunc]).iter().any(|cell| wanted.contains(cell.as_str()))
                });
            }
        }
        items.retain(|item| !matches!(item, Item::Calls(calls) if calls.checks.is_empty()));
        let later = |item: &Item| matches!(item, Item::Calls(calls) if calls.cell.as_ref().is_some_and(|cell| cell.starts_with(cells::RANDOM_PLACE)));
        (self.at_random_place, self.queue) = items.into_iter().partition(later);
    }

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
            Place::Throwing if !self.arch.claims.exceptions.holds(self.release) => {
                Some("this JIT does not unwind, so bpf_throw() cannot be called".into())
            }
            Place::Throwing if lab.env.throw.is_none() => Some("this kernel has no bpf_throw()".into()),
            Place::Escorted if lab.env.escort.is_none() => Some("this kernel has no bpf_rcu_read_lock()".into()),
            _ => None,
        }
    }

    fn cells_of_calls(&self, calls: &Calls) -> Vec<String> {
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

    fn run_calls(&mut self, sys: &mut dyn Sys, calls: &Calls) -> Result<(), SysError> {
        if let (Some(reason), Some(cell)) = (self.not_here(calls), &calls.cell) {
            self.not_run(cell, &reason);
            return Ok(());
        }
        let Some(lab) = self.lab.clone() else { return Ok(()) };
        let lab = if calls.far_slots { lab.with_far_slots() } else { lab };
        self.programs += 1;
        match execute(sys, &lab, calls, Some(&mut self.digest))? {
            Executed::Refused { errno, log } if calls.checks.len() > 1 => {
                let _ = (errno, log);
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
                for cell in self.cells_of_calls(calls).into_iter().take(1) {
                    self.fail(&cell, Outcome::Rejected { errno, line: line.clone() }, seen.clone());
                }
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
            let mut attempts = if is_known { 0 } else { self.attempts };
            explain::evidence(sys, lab, &self.arch, calls, mismatch, &mut attempts, &mut seen)?;
            self.attempts = if is_known { self.attempts } else { attempts };
            if let Some(tally) = self.tallies.get_mut(&cell) {
                tally.first = Some((outcome, seen));
            }
        }
        Ok(())
    }

    /// Puts the calls of a batch behind it, one by one. `behind`: the batch itself is still in front.
    fn take_apart(&mut self, calls: &Calls, behind: bool) {
        let front = if behind { self.queue.pop_front() } else { None };
        for check in calls.checks.iter().rev() {
            self.queue.push_front(Item::Calls(Calls { checks: vec![check.clone()], ..calls.clone() }));
        }
        if let Some(front) = front {
            self.queue.push_front(front);
        }
    }
}

/// Most programs that are run in all to find smaller ones.
const ATTEMPTS: usize = 500;

/// Something to be done again. Opaque.
#[derive(Debug, Clone)]
pub struct Redo(Item);

/// Cells in which every call of the general batches counts.
const GENERAL: [&str; 9] = [
    "saved::r6",
    "saved::r7",
    "saved::r8",
    "saved::r9",
    "saved::stack",
    "calls::callee",
    "calls::return",
    "stack::aligned",
    "stack::balanced",
];

fn loss(seen: &Observation) -> Outcome {
    match seen.facts.get(judge::FACT_SPLAT) {
        Some(line) if seen.guest_end.is_none() => Outcome::Splat { line: line.clone() },
        _ => judge::without_expectation(seen),
    }
}

/// How a program went.
pub(super) enum Executed {
    Refused { errno: i32, log: String },
    NotRun { errno: i32 },
    Ran(Seen),
}

/// Emits, loads and runs.
pub(super) fn execute(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &Calls,
    digest: Option<&mut sha2::Sha256>,
) -> Result<Executed, SysError> {
    let env = emit::Env { deep_stack: true, ..lab.env };
    let program = emit::emit(&calls.checks, &lab.kfuncs, calls.place, &env);
    if let Some(digest) = digest {
        // Without what differs from guest to guest.
        let fixed = emit::Env { rows: 0, programs: 0, ..env };
        let same = emit::emit(&calls.checks, &lab.kfuncs, calls.place, &fixed);
        sha2::Digest::update(digest, crate::bpf::insn::Insn::encode_all(sys.target().endian, &same.insns));
    }
    if calls.hardened
        && let Err(errno) = files::write(sys, HARDEN, "2")?
    {
        return Ok(Executed::Refused { errno, log: format!("{HARDEN} cannot be written") });
    }
    let result = load_and_run(sys, lab, calls, &program, &env);
    if calls.hardened {
        let _ = files::write(sys, HARDEN, "0")?;
    }
    result
}

fn load_and_run(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &Calls,
    program: &emit::Emitted,
    env: &emit::Env,
) -> Result<Executed, SysError> {
    let mut fds = Vec::new();
    let refused = |errno, log| Ok(Executed::Refused { errno, log });
    let fd = match lab.load(sys, program, calls.prog_type)? {
        LoadResult::Loaded(fd) => fd,
        LoadResult::Refused { errno, log } => return refused(errno, log),
    };
    fds.push(fd);
    let mut entry = fd;
    if matches!(calls.place, Place::TailCalled | Place::TailCalledFromSubprogram) {
        if let Err(errno) = lab.aim_tail_call(sys, fd)? {
            return refused(errno, "the program cannot be put into a map of programs".into());
        }
        let from_function = calls.place == Place::TailCalledFromSubprogram;
        let program = emit::emit_tail_call(from_function, None, env);
        match lab.load(sys, &program, calls.prog_type)? {
            LoadResult::Loaded(fd) => entry = fd,
            LoadResult::Refused { errno, log } => return refused(errno, log),
        }
        fds.push(entry);
    }
    let rows = calls.checks.len() + usize::from(calls.place.has_outer_row());
    let records = calls.checks.len() * calls.place.repeats();
    let ran = lab.run(sys, entry, calls.prog_type, rows, records)?;
    for fd in fds {
        files::close(sys, fd as u64)?;
    }
    Ok(match ran {
        Ok(seen) => Executed::Ran(seen),
        Err(errno) => Executed::NotRun { errno },
    })
}
