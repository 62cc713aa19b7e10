//! Everything the commands ask of the engine: the one place in this module that knows its types.

use std::path::PathBuf;

use super::error::Error;
use super::list::columns;
use crate::event::Event;
use crate::model::RunResults;
use crate::plan::{self, CaseEntry, Catalog, Plan, Selection};
use crate::run::{self, Options};

/// All arches and cases there are.
pub fn catalog(arch_files: &[PathBuf]) -> Result<Catalog, Error> {
    Catalog::load(arch_files).map_err(|error| Error::Usage(error.to_string()))
}

/// What a selection comes to.
pub fn plan(selection: &Selection, catalog: &Catalog) -> Result<Plan, Error> {
    plan::plan(selection, catalog).map_err(|error| Error::Usage(error.to_string()))
}

/// Carries a plan out.
pub fn run(plan: &Plan, options: &Options, events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, Error> {
    run::run(plan, options, events).map_err(|error| match error {
        run::Error::Missing(what) => Error::Missing(what),
        other => Error::Infrastructure(other.to_string()),
    })
}

/// (name, QEMU program, machine) of every arch.
pub fn arches(catalog: &Catalog) -> Vec<(String, String, String)> {
    catalog.arches.iter().map(|arch| (arch.name.clone(), arch.qemu.clone(), String::new())).collect()
}

/// (name, cases) of every suite.
pub fn suites(catalog: &Catalog) -> Vec<(String, usize)> {
    let mut out: Vec<(String, usize)> = Vec::new();
    for case in &catalog.cases {
        match out.iter_mut().find(|(name, _)| *name == case.suite) {
            Some((_, count)) => *count += 1,
            None => out.push((case.suite.clone(), 1)),
        }
    }
    out
}

/// Every case.
pub fn cases(catalog: &Catalog) -> Vec<CaseEntry> {
    catalog.cases.clone()
}

/// The plan as text: one case a line.
pub fn plan_text(plan: &Plan) -> String {
    let rows = plan.kernels.iter().flat_map(|kernel| {
        kernel.cases.iter().map(|case| {
            vec![kernel.arch.name.clone(), kernel.kernel.to_string(), format!("{}::{}", case.suite, case.case)]
        })
    });
    columns(rows)
}
