//! The real engine behind the trials: one run for a process, or shared between the processes of a nextest run.

use super::{Engine, Key, key_of_run, shared::Shared};
use crate::event::Event;
use crate::model::RunResults;
use crate::plan::Plan;
use crate::report::progress::Progress;
use crate::run::{self, Options};

/// Runs parts of a plan on guests.
pub struct Guests {
    /// Everything that could be wanted.
    pub plan: Plan,
    /// How and from where.
    pub options: Options,
    /// Tells of downloads and boots on standard error: a first run would be silent for minutes otherwise.
    pub progress: Progress,
}

impl Guests {
    /// The part of the plan that has these cases, in plan order.
    fn part(&self, wanted: impl Fn(&Key) -> bool) -> Plan {
        let mut plan = self.plan.clone();
        for kernel in &mut plan.kernels {
            let (arch, name) = (kernel.arch.name.clone(), kernel.kernel.to_string());
            let all = kernel.cases.len();
            kernel.cases.retain(|case| wanted(&key_of_run(&arch, &name, case.suite, &case.name)));
            // Only who saw every case can call an expectation stale.
            kernel.complete &= kernel.cases.len() == all;
            kernel.unfiltered &= kernel.cases.len() == all;
        }
        plan.kernels.retain(|kernel| !kernel.cases.is_empty());
        plan
    }

    fn go(&self, plan: &Plan, events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, String> {
        run::run(plan, &self.options, &|event| {
            if matches!(event, Event::Image { .. } | Event::Booted { .. } | Event::Note { .. } | Event::Warning { .. })
            {
                self.progress.event(&event);
            }
            events(event);
        })
        .map_err(|error| error.to_string())
    }
}

impl Engine for Guests {
    fn run(&self, wanted: &[Key], events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, String> {
        self.go(&self.part(|key| wanted.contains(key)), events)
    }
}

/// The same for one process of many: whole (arch, kernel)s, whose results other processes share.
pub struct SharedGuests {
    /// What runs if nobody has.
    pub guests: Guests,
    /// Where results are left.
    pub shared: Shared,
    /// Everything besides arch and kernel that decides results: suites, accelerator, mirror.
    pub decides: Vec<String>,
}

impl Engine for SharedGuests {
    /// Tells of no cell before all are saved: a trial that has its answer ends its process, and the run with it.
    fn run(&self, wanted: &[Key], _: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, String> {
        let mut kernels: Vec<(&str, &str)> = Vec::new();
        for key in wanted {
            if !kernels.contains(&(&key.arch, &key.kernel)) {
                kernels.push((&key.arch, &key.kernel));
            }
        }
        let mut all: Option<RunResults> = None;
        for (arch, kernel) in kernels {
            let name = super::shared::key(arch, kernel, &self.decides);
            let whole = || self.guests.part(|key| key.arch == arch && key.kernel == kernel);
            let results = self.shared.results(&name, || self.guests.go(&whole(), &|_| {}))?;
            match &mut all {
                None => all = Some(results),
                Some(all) => all.kernels.extend(results.kernels),
            }
        }
        all.ok_or_else(|| "nothing was to be run".to_owned())
    }
}
