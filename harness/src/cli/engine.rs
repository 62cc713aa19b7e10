//! Everything the commands ask of the engine: the one place in this module that knows its types.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::list::columns;
use crate::doctor::{self, Tool};
use crate::event::Event;
use crate::model::RunResults;
use crate::plan::{self, Catalog, Plan, PlanError, Selection};
use crate::run::{self, Options};

/// All arches and cases there are. The cases are compiled, or found compiled in the cache.
pub fn catalog(arch_files: &[PathBuf], cache_dir: Option<&Path>) -> Result<Catalog, Error> {
    let cache = super::images::open(cache_dir.map(Path::to_owned))?.cache_dir().to_owned();
    Catalog::load(arch_files, &cache).map_err(refused)
}

/// What a selection comes to. Files and trees that it names are looked for, so that a slip of the pen is one.
pub fn plan(selection: &Selection, catalog: &Catalog) -> Result<Plan, Error> {
    let plan = plan::plan(selection, catalog).map_err(refused)?;
    if let Some(error) = plan.kernels.iter().find_map(|kernel| kernel.kernel.check_path().err()) {
        return Err(Error::Usage(error.to_string()));
    }
    if plan.kernels.iter().all(|kernel| kernel.cases.is_empty()) {
        return Err(Error::Usage("no case is left to run: the filters and --skip take every one out".into()));
    }
    Ok(plan)
}

fn refused(error: PlanError) -> Error {
    if error.is_missing_tool() {
        Error::Missing(format!("{error}; {}", doctor::remedy(&Tool::Clang(doctor::tools::CLANG_MIN))))
    } else {
        Error::Usage(error.to_string())
    }
}

/// Carries a plan out.
pub fn run(plan: &Plan, options: &Options, events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, Error> {
    run::run(plan, options, events).map_err(|error| match error {
        run::Error::Missing(what) => Error::Missing(what),
        other => Error::Infrastructure(other.to_string()),
    })
}

/// (name, QEMU program) of every arch. Needs no compiler.
pub fn arches(arch_files: &[PathBuf]) -> Result<Vec<(String, String)>, Error> {
    let arches = crate::arch::load(arch_files).map_err(|error| Error::Usage(error.to_string()))?;
    Ok(arches.into_iter().map(|arch| (arch.name, arch.qemu.binary)).collect())
}

/// (name, cases, what it is for) of every suite, in running order.
pub fn suites(catalog: &Catalog) -> Vec<(&'static str, usize, &'static str)> {
    let count = |suite: &str| catalog.cases.iter().filter(|case| case.suite == suite).count();
    plan::SUITES.iter().map(|(name, purpose)| (*name, count(name), *purpose)).collect()
}

/// The plan as text: one case a line.
pub fn plan_text(plan: &Plan) -> String {
    columns(plan.kernels.iter().flat_map(|kernel| {
        let spec = kernel.kernel.to_string();
        kernel.cases.iter().map(move |case| vec![kernel.arch.name.clone(), spec.clone(), case.full_name()])
    }))
}
