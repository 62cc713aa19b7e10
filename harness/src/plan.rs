//! From a selection to a plan: which cases on which kernel, in order. Pure once the catalog is loaded; nothing is started.

use std::path::PathBuf;
use std::sync::Arc;

use images::KernelSpec;

use crate::arch::{self, Arch, ArchError, Endian};
use crate::bpf::{AnnotationError, Annotations, Expect, Object, ObjectError};
use crate::defaults;
use crate::expectations::{ExpectationError, Expectations};
use crate::model::Location;
use crate::objects::{CompileError, Compiler};
use crate::probe::Probe;
use crate::report::near::near;

/// What the user wants.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Arch names; empty: every arch that can be run here without building a kernel.
    pub arches: Vec<String>,
    /// Kernels as typed; empty: for each arch the one in which most can be seen ([`crate::defaults`]).
    pub kernels: Vec<String>,
    /// Suites; empty: all.
    pub suites: Vec<String>,
    /// Parts of case names (`suite::case`) or names of kfuncs; a case that has any of them is taken. Empty: all.
    pub filters: Vec<String>,
    /// Filters are whole names.
    pub exact: bool,
    /// Parts of case names that are left out.
    pub skip: Vec<String>,
}

impl Selection {
    /// Whether no case of the suites it takes is left out: only then can a verdict be more than `unknown`.
    pub fn is_unfiltered(&self) -> bool {
        self.filters.is_empty() && self.skip.is_empty()
    }

    /// Whether it leaves no case out: only then can an expectation be called stale.
    pub fn is_complete(&self) -> bool {
        self.suites.is_empty() && self.is_unfiltered()
    }
}

/// Everything there is to choose from.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Arches.
    pub arches: Vec<Arch>,
    /// Cases, by suite in running order.
    pub cases: Vec<Case>,
    /// Known failures.
    pub expectations: Arc<Expectations>,
    /// Names of the arches whose kernel was built here earlier, so that it can be had at once.
    pub built: Vec<String>,
}

/// Suites in running order, with what they are for.
pub const SUITES: [(&str, &str); 3] = [
    ("probe", "what the kernel can do: JIT, BTF, kfunc calls, trampoline, and how it refuses"),
    ("stock", "kfuncs that ship in distribution kernels: arguments, results, and everything around a call"),
    ("control", "cases that must come out wrong: if one passes, no result of the run can be trusted"),
];

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Suite.
    pub suite: &'static str,
    /// Name without the suite: `strings::strchr`.
    pub name: String,
    /// Where it is written.
    pub location: Option<Location>,
    /// Kfuncs it calls.
    pub kfuncs: Vec<String>,
    /// One line for people; may be empty.
    pub description: String,
    /// What it does.
    pub kind: CaseKind,
}

impl Case {
    /// `suite::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.suite, self.name)
    }
}

/// What a case does.
#[derive(Debug, Clone)]
pub enum CaseKind {
    /// A question to the kernel, asked by [`crate::probe`].
    Probe(Probe),
    /// A program of an object.
    Program {
        /// Its source.
        source: &'static testcases::Source,
        /// The object for little-endian kernels.
        object: Arc<Object>,
        /// Name of the program.
        program: String,
        /// What must come out.
        annotations: Arc<Annotations>,
    },
    /// Something happens to the guest in mid-case, and the run must notice.
    GuestControl(GuestControl),
}

/// What is done to the guest on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestControl {
    /// The kernel's log gets a warning.
    Splat,
    /// The kernel panics (sysrq c).
    Panic,
    /// QEMU is stopped and lives on: it does not answer.
    Frozen,
    /// QEMU is killed while a request is under way.
    Killed,
}

/// Why a catalog or a plan could not be made. The text says everything, near names included.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An arch file.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// A case's source.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A case's object.
    #[error("{path}: {source}")]
    Object {
        /// The source.
        path: String,
        /// What is wrong.
        source: ObjectError,
    },
    /// A case's tags.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// The expectations.
    #[error(transparent)]
    Expectation(#[from] ExpectationError),
    /// A name that nothing has.
    #[error("unknown {what} `{name}`{hint}")]
    Unknown {
        /// `arch`, `suite` or `case`.
        what: &'static str,
        /// As typed.
        name: String,
        /// What there is, or what is near.
        hint: String,
    },
    /// A kernel that cannot be meant.
    #[error(transparent)]
    Kernel(#[from] images::Error),
}

impl PlanError {
    /// Whether a tool is missing (as against a mistake of the user).
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::Compile(CompileError::Clang(_) | CompileError::Io { .. }))
    }
}

impl Catalog {
    /// Reads arch files, compiles the cases (or takes them from `cache`) and reads what they say of themselves.
    ///
    /// # Errors
    /// [`PlanError`]: nothing malformed is skipped.
    pub fn load(arch_files: &[PathBuf], cache: &std::path::Path) -> Result<Self, PlanError> {
        let arches = arch::load(arch_files)?;
        let names: Vec<String> = arches.iter().map(|arch| arch.name.clone()).collect();
        let expectations = Expectations::parse(testcases::EXPECTATIONS_PATH, testcases::EXPECTATIONS, &names)?;
        let mut compiler = Compiler::new(cache);
        let mut cases: Vec<Case> = Probe::ALL.into_iter().map(Case::probe).collect();
        for source in testcases::SOURCES.iter().filter(|source| source.suite != "probe") {
            cases.extend(cases_of(source, &mut compiler)?);
        }
        cases.extend(
            [GuestControl::Splat, GuestControl::Panic, GuestControl::Frozen, GuestControl::Killed]
                .map(Case::guest_control),
        );
        let built = defaults::built_earlier(cache, &arches)?;
        Ok(Self { arches, cases, expectations: Arc::new(expectations), built })
    }
}

fn cases_of(source: &'static testcases::Source, compiler: &mut Compiler) -> Result<Vec<Case>, PlanError> {
    let bytes = compiler.object(source, Endian::Little)?;
    let object =
        Arc::new(Object::parse(&bytes).map_err(|e| PlanError::Object { path: source.path.into(), source: e })?);
    let mut cases = Vec::new();
    for program in object.programs() {
        let annotations = program.annotations?;
        if annotations.expect == Expect::Helper {
            continue;
        }
        let location = Location { file: source.path.into(), line: program.location.map_or(1, |at| at.line) };
        cases.push(Case {
            suite: source.suite,
            name: format!("{}::{}", source.name, program.name),
            location: Some(location),
            kfuncs: program.kfuncs,
            description: annotations.description.clone().unwrap_or_default(),
            kind: CaseKind::Program {
                source,
                object: object.clone(),
                program: program.name,
                annotations: Arc::new(annotations),
            },
        });
    }
    // In the order of the file, which is the order its author chose.
    cases.sort_by_key(|case| case.location.as_ref().map(|at| at.line));
    Ok(cases)
}

impl Case {
    fn probe(probe: Probe) -> Self {
        Self {
            suite: "probe",
            name: probe.name().into(),
            location: None,
            kfuncs: Vec::new(),
            description: probe.description().into(),
            kind: CaseKind::Probe(probe),
        }
    }

    fn guest_control(control: GuestControl) -> Self {
        let (name, description) = match control {
            GuestControl::Splat => {
                ("guest::splat_in_mid_case", "the kernel's log gets a warning: the case must end as a splat")
            }
            GuestControl::Panic => ("guest::panics_in_mid_case", "the kernel panics: the case must end as guest lost"),
            GuestControl::Frozen => ("guest::silent_in_mid_case", "QEMU is stopped: the case must end as a hang"),
            GuestControl::Killed => {
                ("guest::killed_in_mid_case", "QEMU is killed: the case must end as infrastructure, no kernel's fault")
            }
        };
        Self {
            suite: "control",
            name: name.into(),
            location: None,
            kfuncs: Vec::new(),
            description: description.into(),
            kind: CaseKind::GuestControl(control),
        }
    }
}

/// What will be run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// One entry per (arch, kernel).
    pub kernels: Vec<PlannedKernel>,
    /// What the user should know of the choices made for them.
    pub notes: Vec<String>,
}

/// The cases for one (arch, kernel).
#[derive(Debug, Clone)]
pub struct PlannedKernel {
    /// The arch.
    pub arch: Arch,
    /// The kernel.
    pub kernel: KernelSpec,
    /// Cases in running order.
    pub cases: Vec<Case>,
    /// Known failures.
    pub expectations: Arc<Expectations>,
    /// No case was left out.
    pub complete: bool,
    /// No case of the suites taken was left out.
    pub unfiltered: bool,
}

/// Makes the plan.
///
/// # Errors
/// [`PlanError::Unknown`] for a name that nothing has, [`PlanError::Kernel`] for a kernel that cannot be meant.
pub fn plan(selection: &Selection, catalog: &Catalog) -> Result<Plan, PlanError> {
    let arches = chosen_arches(selection, catalog)?;
    let cases = chosen_cases(selection, catalog)?;
    let mut kernels: Vec<KernelSpec> = Vec::new();
    for text in &selection.kernels {
        let spec: KernelSpec = text.parse()?;
        if !kernels.contains(&spec) {
            kernels.push(spec);
        }
    }
    let mut pairs: Vec<(KernelSpec, &Arch)> = Vec::new();
    for kernel in kernels {
        pairs.extend(arches.iter().map(|arch| (kernel.clone(), arch)));
    }
    let mut notes = Vec::new();
    if selection.kernels.is_empty() {
        let named = !selection.arches.is_empty();
        (pairs, notes) = defaults::choose(&arches, named, &catalog.built);
    }
    let planned = |(kernel, arch): (KernelSpec, &Arch)| PlannedKernel {
        arch: arch.clone(),
        kernel,
        cases: cases.clone(),
        expectations: catalog.expectations.clone(),
        complete: selection.is_complete(),
        unfiltered: selection.is_unfiltered(),
    };
    Ok(Plan { kernels: pairs.into_iter().map(planned).collect(), notes })
}

fn chosen_arches(selection: &Selection, catalog: &Catalog) -> Result<Vec<Arch>, PlanError> {
    if selection.arches.is_empty() {
        return Ok(catalog.arches.clone());
    }
    let mut chosen: Vec<Arch> = Vec::new();
    for name in &selection.arches {
        let Some(arch) = catalog.arches.iter().find(|arch| arch.name == *name) else {
            let known: Vec<&str> = catalog.arches.iter().map(|arch| arch.name.as_str()).collect();
            let hint = format!("; known are {}", known.join(", "));
            return Err(PlanError::Unknown { what: "arch", name: name.clone(), hint });
        };
        if !chosen.iter().any(|other| other.name == arch.name) {
            chosen.push(arch.clone());
        }
    }
    Ok(chosen)
}

fn chosen_cases(selection: &Selection, catalog: &Catalog) -> Result<Vec<Case>, PlanError> {
    for name in &selection.suites {
        if !SUITES.iter().any(|(suite, _)| suite == name) {
            let known: Vec<&str> = SUITES.iter().map(|(suite, _)| *suite).collect();
            let hint = format!("; known are {}", known.join(", "));
            return Err(PlanError::Unknown { what: "suite", name: name.clone(), hint });
        }
    }
    let in_suite =
        |case: &&Case| selection.suites.is_empty() || selection.suites.iter().any(|suite| *suite == case.suite);
    let hit = |case: &Case, filter: &String| {
        let name = case.full_name();
        if selection.exact { name == *filter } else { name.contains(filter.as_str()) || case.kfuncs.contains(filter) }
    };
    for filter in &selection.filters {
        if !catalog.cases.iter().filter(in_suite).any(|case| hit(case, filter)) {
            let mut names: Vec<String> = catalog.cases.iter().filter(in_suite).map(Case::full_name).collect();
            names.extend(catalog.cases.iter().filter(in_suite).flat_map(|case| case.kfuncs.iter().cloned()));
            let near = near(filter, names.iter().map(String::as_str));
            let hint = if near.is_empty() {
                "; `kfunc list cases` shows them all".into()
            } else {
                format!("; did you mean {}?", near.join(" or "))
            };
            return Err(PlanError::Unknown { what: "case", name: filter.clone(), hint });
        }
    }
    let kept = |case: &&Case| {
        (selection.filters.is_empty() || selection.filters.iter().any(|filter| hit(case, filter)))
            && !selection.skip.iter().any(|skip| hit(case, skip))
    };
    Ok(catalog.cases.iter().filter(in_suite).filter(kept).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let arches = arch::load(&[]).unwrap();
        let cases =
            Probe::ALL.into_iter().map(Case::probe).chain([Case::guest_control(GuestControl::Killed)]).collect();
        Catalog { arches, cases, expectations: Arc::default(), built: Vec::new() }
    }

    fn error(selection: Selection) -> String {
        plan(&selection, &catalog()).unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_everything_once() {
        let plan = plan(&Selection::default(), &catalog()).unwrap();
        assert_eq!(plan.kernels.len(), 5);
        assert!(plan.kernels.iter().all(|k| k.cases.len() == Probe::ALL.len() + 1 && k.complete));
        assert_eq!(plan.kernels[0].kernel.to_string(), "stock:testing");
    }

    #[test]
    fn kernels_by_arches_without_repetition() {
        let selection = Selection {
            arches: vec!["riscv64".into(), "arm32".into(), "riscv64".into()],
            kernels: vec!["stock:trixie".into(), "stock".into(), "stock:trixie".into()],
            filters: vec!["jit".into()],
            skip: vec!["jit_off".into()],
            ..Selection::default()
        };
        let plan = plan(&selection, &catalog()).unwrap();
        let order: Vec<String> = plan.kernels.iter().map(|k| format!("{} {}", k.arch.name, k.kernel)).collect();
        assert_eq!(
            order,
            ["riscv64 stock:trixie", "arm32 stock:trixie", "riscv64 stock:testing", "arm32 stock:testing"]
        );
        let names: Vec<String> = plan.kernels[0].cases.iter().map(Case::full_name).collect();
        assert_eq!(names, ["probe::jit"]);
        assert!(!plan.kernels[0].complete);
    }

    #[test]
    fn a_kfunc_selects_the_cases_that_call_it() {
        let mut catalog = catalog();
        catalog.cases[2].kfuncs = vec!["bpf_strchr".into()];
        let names = |filter: &str| -> Vec<String> {
            let selection = Selection { filters: vec![filter.into()], ..Selection::default() };
            plan(&selection, &catalog).unwrap().kernels[0].cases.iter().map(Case::full_name).collect()
        };
        assert_eq!(names("bpf_strchr"), [catalog.cases[2].full_name()]);
        let selection = Selection { filters: vec!["bpf_strchrr".into()], ..Selection::default() };
        assert!(plan(&selection, &catalog).unwrap_err().to_string().contains("did you mean bpf_strchr?"));
    }

    #[test]
    fn unknown_names_are_refused_with_what_there_is() {
        let message = error(Selection { arches: vec!["riscv46".into()], ..Selection::default() });
        assert_eq!(message, "unknown arch `riscv46`; known are x86_64, arm64, loongarch64, riscv64, arm32, x86_32");
        let message = error(Selection { suites: vec!["probes".into()], ..Selection::default() });
        assert_eq!(message, "unknown suite `probes`; known are probe, stock, control");
        let message = error(Selection { filters: vec!["probe::trampolin3".into()], ..Selection::default() });
        assert!(message.contains("did you mean") && message.contains("probe::trampoline"), "{message}");
        assert!(error(Selection { kernels: vec!["stock:../x".into()], ..Selection::default() }).contains("../x"));
    }
}
