//! From a selection to a plan: which cases on which kernel, in order. Pure once the catalog is loaded; nothing is started.

use std::path::PathBuf;
use std::sync::Arc;

use images::KernelSpec;

use crate::abi;
use crate::arch::{self, Arch, ArchError, Endian};
use crate::bpf::{AnnotationError, Annotations, Expect, Object, ObjectError};
use crate::defaults;
use crate::expectations::{ExpectationError, Expectations};
use crate::model::{Location, Shard};
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
    /// What decides which calls the `abi` suite makes.
    pub abi: crate::abi::Settings,
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
    /// Names of the arches with a kernel that was built here earlier, so that it can be had at once.
    pub built: Vec<String>,
    /// Keys of the images in the cache that the `abi` suite can be run on.
    pub plain_built: Vec<String>,
}

/// Suites in running order, with what they are for.
pub const SUITES: [(&str, &str); 4] = [
    ("probe", "what the kernel can do: JIT, BTF, kfunc calls, trampoline, and how it refuses"),
    ("stock", "kfuncs that ship in distribution kernels: arguments, results, and everything around a call"),
    ("abi", "every argument and result through a conformance module, in kernels that are built here"),
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
    /// A cell of the `abi` suite ([`crate::abi`]), by the case's name.
    Abi,
    /// Something that the conformance module does wrong ([`crate::abi::cells::CONTROLS`]).
    AbiControl,
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
    /// The `abi` suite was asked for on kernels that it cannot be run on.
    #[error("the abi suite needs a kernel that is built here, and {kernels} is none: --kernel built, or --tree DIR")]
    NoAbi {
        /// The kernels.
        kernels: String,
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
        let controls = cases.iter().position(|case| case.suite == "control").unwrap_or(cases.len());
        cases.splice(controls..controls, abi_cases(&arches));
        cases.extend(abi::cells::CONTROLS.map(|(name, about, _)| Case {
            suite: "control",
            name: name.into(),
            location: None,
            kfuncs: Vec::new(),
            description: about.into(),
            kind: CaseKind::AbiControl,
        }));
        cases.extend(
            [GuestControl::Splat, GuestControl::Panic, GuestControl::Frozen, GuestControl::Killed]
                .map(Case::guest_control),
        );
        expectations.check_cases(testcases::EXPECTATIONS_PATH, &|arch| names_of(&arches, &cases, arch))?;
        let built = defaults::built_earlier(cache, &arches)?;
        let plain_built = defaults::plain_built(cache)?;
        Ok(Self { arches, cases, expectations: Arc::new(expectations), built, plain_built })
    }
}

/// Full names of the cases that an arch has, or that any has for `*`.
fn names_of(arches: &[Arch], cases: &[Case], arch: &str) -> Vec<String> {
    let others = cases.iter().filter(|case| case.suite != "abi").map(Case::full_name);
    let abi =
        arches.iter().filter(|one| arch == "*" || one.name == arch).flat_map(|arch| abi::cells::cells(arch, true));
    others.chain(abi.map(|(name, _)| format!("abi::{name}"))).collect()
}

/// The `abi` suite's cases of all arches; each takes those that are its own.
fn abi_cases(arches: &[Arch]) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for arch in arches {
        for (name, description) in abi::cells::cells(arch, true) {
            if names.insert(name.clone()) {
                cases.push(Case {
                    suite: "abi",
                    name,
                    location: None,
                    kfuncs: Vec::new(),
                    description,
                    kind: CaseKind::Abi,
                });
            }
        }
    }
    cases
}

/// Which suites a kernel gets by default, where several kernels share an arch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All that apply.
    All,
    /// The kernel is there for the `abi` suite alone.
    AbiOnly,
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
    /// Set when this is a part of a plan.
    pub shard: Option<Shard>,
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
    /// What decides which calls the `abi` suite makes.
    pub abi: crate::abi::Settings,
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
    let asks_for_abi = cases.iter().any(|case| case.suite == "abi");
    let asks_for_more = cases.iter().any(|case| case.suite != "abi");
    let takes = |kernel: &KernelSpec| takes_abi(kernel, &catalog.plain_built);
    let mut kernels: Vec<KernelSpec> = Vec::new();
    for text in &selection.kernels {
        let spec: KernelSpec = text.parse()?;
        if !kernels.contains(&spec) {
            kernels.push(spec);
        }
    }
    let mut chosen: Vec<(KernelSpec, &Arch, Share)> = Vec::new();
    for kernel in kernels {
        chosen.extend(arches.iter().map(|arch| (kernel.clone(), arch, Share::All)));
    }
    let mut notes = Vec::new();
    if selection.kernels.is_empty() {
        if asks_for_more {
            let named = !selection.arches.is_empty();
            let (pairs, more) = defaults::choose(&arches, named, &catalog.built);
            chosen = pairs.into_iter().map(|(kernel, arch)| (kernel, arch, Share::All)).collect();
            notes = more;
        }
        if asks_for_abi {
            let by_name = selection.suites.iter().any(|suite| suite == "abi");
            let (kernels, more) = defaults::for_abi(&arches, &chosen_names(&chosen), by_name, &catalog.built);
            notes.extend(more);
            for (kernel, arch) in kernels {
                // Beneath the other kernel of its arch.
                let at =
                    chosen.iter().rposition(|(_, other, _)| other.name == arch.name).map_or(chosen.len(), |at| at + 1);
                chosen.insert(at, (kernel, arch, Share::AbiOnly));
            }
        }
    } else if asks_for_abi && !selection.suites.is_empty() {
        let without: Vec<String> =
            chosen.iter().filter(|(kernel, ..)| !takes(kernel)).map(|(kernel, ..)| kernel.to_string()).collect();
        if !without.is_empty() && chosen.iter().all(|(kernel, ..)| !takes(kernel)) && !asks_for_more {
            return Err(PlanError::NoAbi { kernels: without.join(", ") });
        }
    }
    let planned = |(kernel, arch, share): (KernelSpec, &Arch, Share)| {
        let own: Vec<String> =
            abi::cells::cells(arch, selection.abi.random > 0).into_iter().map(|(name, _)| name).collect();
        let takes_calls = takes(&kernel) && !arch.claims.kfunc_call.is_never();
        let mine = |case: &&Case| match (case.suite, share) {
            _ if matches!(case.kind, CaseKind::AbiControl) => takes_calls,
            ("abi", _) => takes(&kernel) && own.contains(&case.name),
            ("probe", Share::AbiOnly) => true,
            (_, share) => share == Share::All,
        };
        PlannedKernel {
            arch: arch.clone(),
            cases: cases.iter().filter(mine).cloned().collect(),
            kernel,
            expectations: catalog.expectations.clone(),
            abi: selection.abi,
            complete: selection.is_complete(),
            unfiltered: selection.is_unfiltered(),
        }
    };
    let kernels: Vec<PlannedKernel> = chosen.into_iter().map(planned).collect();
    Ok(Plan { kernels: kernels.into_iter().filter(|kernel| !kernel.cases.is_empty()).collect(), notes, shard: None })
}

/// (arch, kernel) of what was chosen.
fn chosen_names<'a>(chosen: &[(KernelSpec, &'a Arch, Share)]) -> Vec<(&'a str, KernelSpec)> {
    chosen.iter().map(|(kernel, arch, _)| (arch.name.as_str(), kernel.clone())).collect()
}

/// Whether the conformance modules can be built against a kernel: one that was built here, with types and the JIT on.
/// `plain_built`: the keys of such kernels in the cache.
pub fn takes_abi(kernel: &KernelSpec, plain_built: &[String]) -> bool {
    match kernel {
        KernelSpec::Built { variant, .. } => *variant == images::Variant::Plain,
        KernelSpec::Cached(key) => plain_built.contains(key),
        KernelSpec::Stock { .. } | KernelSpec::Local(_) => false,
    }
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
        Catalog { arches, cases, expectations: Arc::default(), built: Vec::new(), plain_built: Vec::new() }
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

    fn with_abi(built: &[&str]) -> Catalog {
        let mut catalog = catalog();
        catalog.cases.extend(abi_cases(&catalog.arches));
        catalog.built = built.iter().map(|name| (*name).to_owned()).collect();
        catalog
    }

    fn shown(selection: &Selection, catalog: &Catalog) -> Vec<String> {
        let plan = plan(selection, catalog).unwrap();
        let count = |kernel: &PlannedKernel, suite| kernel.cases.iter().filter(|case| case.suite == suite).count();
        let row = |kernel: &PlannedKernel| {
            let (abi, control) = (count(kernel, "abi"), count(kernel, "control"));
            format!("{} {} abi {} control {control}", kernel.arch.name, kernel.kernel, abi > 0)
        };
        plan.kernels.iter().map(row).collect()
    }

    #[test]
    fn the_abi_suite_is_run_where_a_kernel_was_built_and_left_out_in_one_line_where_not() {
        let catalog = with_abi(&["x86_64", "loongarch64"]);
        let rows = shown(&Selection::default(), &catalog);
        assert_eq!(
            rows,
            [
                "x86_64 stock:testing abi false control 1",
                "x86_64 built:testing abi true control 0",
                "arm64 stock:testing abi false control 1",
                "loongarch64 built:testing abi true control 1",
                "riscv64 stock:testing abi false control 1",
                "arm32 stock:testing abi false control 1",
            ]
        );
        let notes = plan(&Selection::default(), &catalog).unwrap().notes;
        let said: Vec<&String> = notes.iter().filter(|note| note.contains("the abi suite")).collect();
        assert_eq!(said.len(), 1, "{notes:?}");
        assert!(said[0].contains("arm64, riscv64, x86_32;") && said[0].contains("--arch arm64,riscv64,x86_32"));
    }

    #[test]
    fn by_name_the_abi_suite_builds_what_it_needs() {
        let selection =
            Selection { suites: vec!["abi".into()], arches: vec!["riscv64".into()], ..Selection::default() };
        assert_eq!(shown(&selection, &with_abi(&[])), ["riscv64 built:testing abi true control 0"]);
        let stock = Selection { kernels: vec!["stock".into()], ..selection };
        let message = plan(&stock, &with_abi(&[])).unwrap_err().to_string();
        assert!(message.contains("stock:testing is none: --kernel built"), "{message}");
        // Where the JIT declines there is one cell, not thousands.
        let arm32 = Selection { arches: vec!["arm32".into()], suites: vec!["abi".into()], ..Selection::default() };
        assert_eq!(plan(&arm32, &with_abi(&[])).unwrap().kernels[0].cases.len(), 1);
    }

    #[test]
    fn an_image_of_the_cache_takes_the_abi_suite_if_it_was_built() {
        let mut catalog = with_abi(&[]);
        catalog.plain_built = vec!["7.2-riscv64-0123".into()];
        let rows = |kernel: &str| {
            let (arches, kernels) = (vec!["riscv64".into()], vec![kernel.into()]);
            shown(&Selection { arches, kernels, ..Selection::default() }, &catalog)
        };
        assert_eq!(rows("image:7.2-riscv64-0123"), ["riscv64 image:7.2-riscv64-0123 abi true control 1"]);
        assert_eq!(rows("image:7.2-riscv64-4567"), ["riscv64 image:7.2-riscv64-4567 abi false control 1"]);
    }

    #[test]
    fn every_known_failure_of_the_abi_suite_is_about_a_cell() {
        let catalog = with_abi(&[]);
        let names: Vec<String> = catalog.arches.iter().map(|arch| arch.name.clone()).collect();
        let known = Expectations::parse("e", testcases::EXPECTATIONS, &names).unwrap();
        for arch in &catalog.arches {
            let on = crate::expectations::Subject {
                arch: &arch.name,
                release: crate::arch::Release(7, 2),
                config: &|_| Some(true),
            };
            for entry in known.applicable(&on).filter(|entry| entry.suite() == Some("abi")) {
                let cells = abi::cells::cells(arch, false);
                let is_met = |(name, _): &(String, String)| format!("abi::{name}") == entry.case;
                assert!(cells.iter().any(is_met), "{}: {}", arch.name, entry.case);
            }
        }
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
        assert_eq!(message, "unknown suite `probes`; known are probe, stock, abi, control");
        let message = error(Selection { filters: vec!["probe::trampolin3".into()], ..Selection::default() });
        assert!(message.contains("did you mean") && message.contains("probe::trampoline"), "{message}");
        assert!(error(Selection { kernels: vec!["stock:../x".into()], ..Selection::default() }).contains("../x"));
    }
}
