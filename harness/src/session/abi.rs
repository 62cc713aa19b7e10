//! The `abi` suite in a session: the conformance modules in each guest, one step after the other, guests replaced.

use std::collections::BTreeMap;

use super::{INTERRUPTED, Session};
use crate::abi::{MODULE_SOURCES, MODULES, Step, Suite, cells};
use crate::arch::Release;
use crate::bpf;
use crate::doctor::needs;
use crate::event::Event;
use crate::guest::files;
use crate::interrupt;
use crate::judge;
use crate::model::{Observation, Outcome, Standing};
use crate::plan::{Case, CaseKind};
use crate::probe::Probe;
use crate::qemu::NO_KASLR;
use crate::sys::SysError;

/// Guests that the suite may lose before it gives up.
const GUESTS_MAX: usize = 12;

/// What each cell came to.
pub(super) type Cells = BTreeMap<String, (Observation, Outcome)>;

impl Session<'_> {
    /// One cell; the first one that is asked for runs them all.
    pub(super) fn run_abi_case(&mut self, case: &Case) -> (Observation, Outcome, Standing) {
        if case.name == cells::DECLINED {
            return self.run_declined();
        }
        if self.gate.is_none()
            && let Err(seen) = self.find_gate()
        {
            let outcome = judge::without_expectation(&seen);
            return (*seen, outcome, Standing::Wrong);
        }
        if let Some(gate) = self.gate.clone().filter(|gate| *gate != Outcome::Pass) {
            let reason = super::gate_reason(&gate).unwrap_or_default();
            return (Observation::default(), gate, Standing::NotApplicable { reason });
        }
        let mut cells = match self.abi.take() {
            Some(cells) => cells,
            None => self.run_abi(),
        };
        let (seen, outcome) = cells.remove(&case.name).unwrap_or_else(|| {
            let error = "the suite ended before it came to this".to_owned();
            let seen = Observation { infrastructure: Some(error.clone()), ..Observation::default() };
            (seen, Outcome::Infrastructure { error })
        });
        self.abi = Some(cells);
        if let Some((.., due)) = cells::CONTROLS.iter().find(|(name, ..)| *name == case.name) {
            let standing = control_standing(&outcome, due);
            return (seen, outcome, standing);
        }
        let release = self.running.as_ref().map_or(self.release_seen, |running| running.release);
        let known = self.known(release, case);
        let standing = judge::standing_of(&outcome, known);
        (seen, outcome, standing)
    }

    /// On an arch whose JIT declines there is one thing to see: that it does, and how.
    fn run_declined(&mut self) -> (Observation, Outcome, Standing) {
        let (seen, outcome, _) = self.run_probe(Probe::KfuncCall);
        let standing = match &outcome {
            Outcome::Unsupported { .. } => Standing::Right,
            gate => match super::gate_reason(gate) {
                Some(reason) => Standing::NotApplicable { reason },
                None => Standing::Wrong,
            },
        };
        (seen, outcome, standing)
    }

    fn run_abi(&mut self) -> Cells {
        let names: Vec<String> = self
            .planned
            .cases
            .iter()
            .filter(|case| matches!(case.kind, CaseKind::Abi | CaseKind::AbiControl))
            .map(|case| case.name.clone())
            .collect();
        let release = self.running.as_ref().map_or(Release(0, 0), |running| running.release);
        self.release_seen = release;
        let known = self.planned.cases.iter().filter(|case| self.known(release, case).is_some());
        let known: Vec<String> = known.map(|case| case.name.clone()).collect();
        let mut suite = Suite::new(self.planned.abi, &self.planned.arch, release, names.iter().cloned()).knowing(known);
        let ended = self.drive(&mut suite);
        if let Err(error) = &ended
            && !suite.has_begun()
        {
            // Nothing was asked of the kernel: said once, not for every cell.
            self.abi_error = Some(error.clone());
        }
        let mut cells: Cells = names.iter().map(|name| (name.clone(), suite.result(name))).collect();
        match ended {
            Ok(()) => self.tell(Event::Note { text: format!("{} {}", self.planned.arch.name, suite.summary()) }),
            Err(error) => {
                // What was found before counts; what was not come to is no kernel's fault.
                for (seen, outcome) in
                    cells.values_mut().filter(|(_, outcome)| matches!(outcome, Outcome::NotRun { .. } | Outcome::Pass))
                {
                    *outcome = Outcome::Infrastructure { error: error.clone() };
                    seen.infrastructure = Some(error.clone());
                }
            }
        }
        cells
    }

    fn drive(&mut self, suite: &mut Suite) -> Result<(), String> {
        let mut lost = 0;
        loop {
            if interrupt::asked().is_some() {
                return Err(INTERRUPTED.into());
            }
            if self.running.is_none() {
                if lost == GUESTS_MAX {
                    return Err(format!("{GUESTS_MAX} guests were lost; the rest of the suite was not run"));
                }
                lost += 1;
                self.boot()?;
            }
            let mut seen = Observation::default();
            if let Err(error) = self.load_conformance_modules()? {
                self.lost(error, &mut seen);
                return Err("the guest was lost while the conformance modules were loaded".into());
            }
            let (done, total) = suite.progress();
            let (arch, kernel) = (self.planned.arch.name.clone(), self.planned.kernel.to_string());
            self.tell(Event::Programs { arch, kernel, done, total });
            let under_way = suite.next();
            let Some(running) = self.running.as_mut() else { continue };
            match suite.step(&mut running.guest, &running.kernel) {
                Ok(step) => {
                    let is_there = self.read_log(&mut seen);
                    if !is_there || seen.facts.contains_key(judge::FACT_SPLAT) {
                        suite.complained(&seen, under_way, !is_there);
                    } else if step == Step::AtRandomPlace {
                        self.move_on_to_random_place(suite)?;
                    } else if step == Step::Done {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.lost(error, &mut seen);
                    if let Some(error) = seen.infrastructure {
                        return Err(error);
                    }
                    suite.lost(&seen, true);
                }
            }
        }
    }

    /// Brings a guest whose kernel chooses where it lies.
    fn move_on_to_random_place(&mut self, suite: &mut Suite) -> Result<(), String> {
        if !self.planned.arch.qemu.append.iter().any(|word| word == NO_KASLR) {
            let why = "started without its decompressor, as here, this kernel does not choose its place";
            return suite.at_random_place(Err(why)).map_err(|error| error.to_string());
        }
        self.random_place = true;
        self.running = None;
        let booted = self.boot();
        self.random_place = false;
        booted?;
        self.load_conformance_modules()?.map_err(|error| error.to_string())?;
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        suite.at_random_place(Ok(&mut running.guest)).map_err(|error| error.to_string())
    }

    /// Loads the conformance modules unless this guest has them.
    fn load_conformance_modules(&mut self) -> Result<Result<(), SysError>, String> {
        if self.running.as_ref().is_some_and(|running| running.loaded_modules.iter().any(|name| name == MODULES[0])) {
            return Ok(Ok(()));
        }
        let image = self.image()?.clone();
        let target = self.planned.arch.target();
        let modules = self
            .shared
            .store
            .external_modules(&image, &target, &MODULE_SOURCES, &|event| self.tell_image(event))
            .map_err(|error| needs::explain(&error))?;
        let Some(running) = self.running.as_mut() else { return Err("there is no guest".into()) };
        for module in &modules {
            let bytes =
                std::fs::read(&module.path).map_err(|e| format!("cannot read {}: {e}", module.path.display()))?;
            match files::load_module(&mut running.guest, &module.name, &bytes) {
                Ok(Ok(())) => running.loaded_modules.push(module.name.clone()),
                Ok(Err(errno)) => return Err(format!("the kernel refused module {} (errno {errno})", module.name)),
                Err(error) => return Ok(Err(error)),
            }
        }
        let Some(vmlinux) = running.kernel.vmlinux.clone() else { return Err("the kernel has no BTF".into()) };
        match bpf::read_modules(&mut running.guest, &vmlinux, &running.loaded_modules) {
            Ok(found) => {
                running.kernel.modules =
                    found.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

/// A control is right when it came out wrong in the way it must.
fn control_standing(outcome: &Outcome, due: &str) -> Standing {
    match outcome {
        Outcome::WrongValue { what, .. } if what.starts_with(due) => Standing::Right,
        Outcome::NotRun { reason } => Standing::NotApplicable { reason: reason.clone() },
        _ => Standing::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_must_come_out_wrong_in_its_way() {
        let wrong = |what: &str| {
            let (expected, got) = (String::new(), String::new());
            Outcome::WrongValue { what: what.into(), expected, got }
        };
        assert_eq!(control_standing(&wrong("r6 after the call"), "r6"), Standing::Right);
        assert_eq!(control_standing(&wrong("r7 after the call"), "r6"), Standing::Wrong);
        assert_eq!(control_standing(&Outcome::Pass, "r6"), Standing::Wrong);
        let gone = Outcome::Infrastructure { error: "no guest".into() };
        assert_eq!(control_standing(&gone, "r6"), Standing::Wrong);
    }
}
