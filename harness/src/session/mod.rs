//! One (arch, kernel): boot, prepare, run the cases in order, replace a guest that was lost, judge, add up.
//!
//! This is where effects meet: images, guests and the loader are driven from here, and only here.

mod abi;
mod boot;
mod program;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arch::Release;
use crate::bpf::{Annotations, KernelTypes, Object};
use crate::btf::{Btf, Kind};
use crate::capability::Capability;
use crate::doctor::needs;
use crate::event::Event;
use crate::expectations::{Known, Subject};
use crate::guest::{Guest, files};
use crate::interrupt;
use crate::judge;
use crate::model::{Cell, GuestInfo, ImageInfo, KernelResults, Observation, Outcome, Standing, Verdict};
use crate::plan::{Case, CaseKind, PlannedKernel};
use crate::probe::{self, Probe};
use crate::run::Options;
use crate::sys::SysError;

use program::shorten;

/// Guests that may be lost before the rest of a kernel's cases is given up: something is wrong with the machine then.
const LOST_MAX: u32 = 20;
/// The same for guests lost in cases that are known to lose them: more than any kernel has shown, but not without end.
const LOST_AS_KNOWN_MAX: u32 = 60;

/// What part of the deadline a known silence is waited for. It ends an endless loop; a case takes milliseconds.
const KNOWN_SILENCE: u32 = 4;

/// Why the rest of the cases is missing when the user ended the run.
const INTERRUPTED: &str = "interrupted; the remaining cases were not run";

/// What all sessions of a run share.
pub struct Shared<'a> {
    /// Images.
    pub store: &'a images::Store,
    /// As given by the user.
    pub options: &'a Options,
    /// Version of each QEMU program.
    pub qemu: &'a BTreeMap<PathBuf, String>,
    /// Compiles what is not compiled yet.
    pub compiler: &'a std::sync::Mutex<crate::objects::Compiler>,
    /// Where what happens is told.
    pub tell: &'a (dyn Fn(Event) + Send + Sync),
    /// The user's state directory.
    pub state: &'a Path,
}

/// Runs one entry of the plan. Always gives a result; one that could not be had says so.
pub fn run(planned: &PlannedKernel, shared: &Shared<'_>) -> KernelResults {
    let mut results = KernelResults {
        arch: planned.arch.name.clone(),
        kernel: planned.kernel.to_string(),
        image: None,
        guest: None,
        cells: Vec::new(),
        verdict: Verdict::Unknown,
        reason: String::new(),
        error: None,
        unavailable: false,
    };
    let mut session = Session::new(planned, shared);
    let ran = session.run(&mut results);
    // What was seen until then counts, however it ended.
    results.guest = (session.info.guests > 0).then(|| std::mem::take(&mut session.info));
    (results.verdict, results.reason) = judge::verdict(&results.cells, planned.unfiltered);
    if let Err(error) = ran {
        if results.verdict != Verdict::Broken {
            results.verdict = Verdict::Unknown;
            results.reason = error.lines().next().unwrap_or_default().to_owned();
        }
        results.error = Some(error);
    } else {
        session.police_expectations(&mut results);
    }
    (shared.tell)(Event::KernelDone {
        arch: results.arch.clone(),
        kernel: results.kernel.clone(),
        verdict: results.verdict,
        reason: results.reason.clone(),
        error: results.error.clone(),
    });
    results
}

/// The guest of the moment and what is known of its kernel.
struct Running {
    guest: Guest,
    release: Release,
    kernel: KernelTypes,
    btf_bytes: usize,
    log: files::KernelLog,
    jit_default: Option<String>,
    loaded_modules: Vec<String>,
}

/// Guests lost so far, but for those that a control ended on purpose.
#[derive(Debug, Default)]
struct Lost {
    /// In cases that nobody expected to lose one.
    unforeseen: u32,
    /// In cases of which an expectation says that they do.
    known: u32,
}

impl Lost {
    /// Why no other guest is started.
    fn too_many(&self) -> Option<String> {
        let given_up = |count: u32| format!("{count} guests were lost; the remaining cases were not run");
        if self.unforeseen >= LOST_MAX {
            return Some(given_up(self.unforeseen));
        }
        (self.known >= LOST_AS_KNOWN_MAX).then(|| given_up(self.known))
    }
}

struct Session<'a> {
    planned: &'a PlannedKernel,
    shared: &'a Shared<'a>,
    program: PathBuf,
    qemu_version: String,
    image: Option<images::Image>,
    vmlinux: Option<boot::Vmlinux>,
    running: Option<Running>,
    lost: Lost,
    info: GuestInfo,
    /// Why kfunc calls cannot be made here at all, once that is known: the outcome of every case that needs one.
    gate: Option<Outcome>,
    /// Cells of the `abi` suite that were filled and not taken yet.
    abi: Option<abi::Cells>,
    /// Why the `abi` suite could not begin.
    abi_error: Option<String>,
    /// The next guest's kernel may choose where it lies.
    random_place: bool,
    /// Release of the guest that the `abi` suite began with.
    release_seen: Release,
    /// A control is ending the guest: nobody need be told that it is lost.
    ends_on_purpose: bool,
}

impl<'a> Session<'a> {
    fn new(planned: &'a PlannedKernel, shared: &'a Shared<'a>) -> Self {
        Self {
            planned,
            shared,
            program: shared.options.qemu.clone().unwrap_or_else(|| PathBuf::from(&planned.arch.qemu.binary)),
            qemu_version: String::new(),
            image: None,
            vmlinux: None,
            running: None,
            lost: Lost::default(),
            info: GuestInfo::default(),
            gate: None,
            abi: None,
            abi_error: None,
            random_place: false,
            release_seen: Release(0, 0),
            ends_on_purpose: false,
        }
    }

    fn run(&mut self, results: &mut KernelResults) -> Result<(), String> {
        self.qemu_version = self.shared.qemu.get(&self.program).cloned().unwrap_or_default();
        let arch = &self.planned.arch;
        let target = arch.target();
        let tell = |event| self.tell_image(event);
        let image = self.shared.store.resolve(&self.planned.kernel, &target, &tell).map_err(|error| {
            results.unavailable = matches!(error, images::Error::NotInSuite { .. } | images::Error::NoKernel { .. });
            needs::explain(&error)
        })?;
        results.image = Some(ImageInfo {
            provider: image.provider.as_str().into(),
            release: image.release.clone(),
            key: image.key.clone(),
            kernel_sha256: image.kernel_sha256().ok(),
            config_sha256: image.config_sha256(),
            kconfig: self.kconfig(&image),
            provenance: image.provenance.clone(),
        });
        self.image = Some(image);
        self.boot()?;
        self.run_cases(results)?;
        self.sweep_log(results);
        Ok(())
    }

    fn image(&self) -> Result<&images::Image, String> {
        self.image.as_ref().ok_or_else(|| "no image was resolved".to_owned())
    }

    /// The expectation about a case on this kernel.
    fn known(&self, release: Release, case: &Case) -> Option<&'a Known> {
        let on = Subject { arch: &self.planned.arch.name, release, config: &|symbol| self.config(symbol) };
        self.planned.expectations.find(&on, &case.full_name())
    }

    fn config(&self, symbol: &str) -> Option<bool> {
        let image = self.image.as_ref().filter(|image| image.has_config())?;
        Some(is_set(image, symbol))
    }

    /// What expectations may depend on.
    fn kconfig(&self, image: &images::Image) -> BTreeMap<String, bool> {
        if !image.has_config() {
            return BTreeMap::new();
        }
        let symbols = ["CC_IS_CLANG", "CC_IS_GCC"].into_iter().chain(self.planned.expectations.symbols());
        symbols.map(|symbol| (symbol.to_owned(), is_set(image, symbol))).collect()
    }

    fn tell(&self, event: Event) {
        (self.shared.tell)(event);
    }

    fn tell_image(&self, event: images::Event) {
        let (arch, kernel) = (self.planned.arch.name.clone(), self.planned.kernel.to_string());
        if let Some(event) = crate::event::of_image(arch, kernel, event) {
            self.tell(event);
        }
    }

    fn run_cases(&mut self, results: &mut KernelResults) -> Result<(), String> {
        for case in &self.planned.cases {
            if interrupt::asked().is_some() {
                return Err(INTERRUPTED.into());
            }
            if self.running.is_none() {
                if let Some(why) = self.lost.too_many() {
                    return Err(why);
                }
                self.boot()?;
            }
            self.sweep_log(results);
            if self.running.is_none() {
                self.lost.unforeseen += 1;
                self.boot()?;
            }
            let start = Instant::now();
            self.set_deadline(case);
            let (mut observation, mut outcome, mut standing) = self.run_case(case);
            // Silence may be this machine's: only what repeats in a fresh guest is the kernel's. What is known repeats from
            // run to run.
            let silent = matches!((&outcome, &case.kind), (Outcome::Hang { .. }, CaseKind::Program { .. }));
            if silent && standing == Standing::Wrong && self.boot().is_ok() {
                self.lost.unforeseen += 1;
                (observation, outcome, standing) = self.run_case(case);
                if !matches!(outcome, Outcome::Hang { .. }) {
                    observation.facts.insert("first_attempt".into(), "did not answer; not reproduced".into());
                }
            }
            if self.running.is_none() {
                match (&standing, &case.kind) {
                    (_, CaseKind::GuestControl(_)) => {}
                    (Standing::KnownFailure { .. }, _) => self.lost.known += 1,
                    _ => self.lost.unforeseen += 1,
                }
            }
            if let Some(error) = self.abi_error.take() {
                return Err(error);
            }
            if interrupt::asked().is_some() {
                // What this case came to says nothing of the kernel.
                return Err(INTERRUPTED.into());
            }
            let (outcome, standing) = judge::explained(outcome, standing);
            let cell = Cell {
                suite: case.suite.into(),
                case: case.name.clone(),
                location: case.location.clone(),
                kfuncs: case.kfuncs.clone(),
                outcome,
                standing,
                observation,
                duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            self.tell(Event::CellDone {
                arch: results.arch.clone(),
                kernel: results.kernel.clone(),
                cell: Box::new(cell.clone()),
            });
            results.cells.push(cell);
        }
        Ok(())
    }

    /// Gives the guest as long as the arch file says, and less for a case that is known to end in silence.
    fn set_deadline(&mut self, case: &Case) {
        let Some(release) = self.running.as_ref().map(|running| running.release) else { return };
        let known = self.known(release, case).cloned();
        let Some(running) = self.running.as_mut() else { return };
        let whole = Duration::from_secs(self.planned.arch.deadlines.call_s);
        let silence = known.is_some_and(|known| known.excuses(&Outcome::Hang { after_ms: 0 }));
        running.guest.set_call_deadline(if silence { whole / KNOWN_SILENCE } else { whole });
    }

    fn run_case(&mut self, case: &Case) -> (Observation, Outcome, Standing) {
        match &case.kind {
            CaseKind::Probe(probe) => self.run_probe(*probe),
            CaseKind::GuestControl(control) => self.run_guest_control(*control),
            CaseKind::Abi | CaseKind::AbiControl => self.run_abi_case(case),
            CaseKind::Program { source, object, program, annotations } => {
                let release = self.running.as_ref().map_or(Release(0, 0), |running| running.release);
                let word = self.planned.arch.word;
                let (mut seen, outcome) = match self.not_here(annotations, &case.kfuncs, (object, program)) {
                    Err(seen) => {
                        let outcome = judge::judge(annotations, &seen, word);
                        (*seen, outcome)
                    }
                    Ok(Some(outcome)) => (Observation::default(), outcome),
                    Ok(None) => {
                        let seen = match self.object(source, object) {
                            Ok(object) => self.run_program(&object, program, annotations),
                            Err(error) => Observation { infrastructure: Some(error), ..Observation::default() },
                        };
                        let outcome = judge::judge(annotations, &seen, word);
                        (seen, outcome)
                    }
                };
                if let (Some(reason), true) = (gate_reason(&outcome), seen == Observation::default()) {
                    return (seen, outcome, Standing::NotApplicable { reason });
                }
                let known = self.known(release, case);
                let standing = judge::standing(annotations, &outcome, release, &|symbol| self.config(symbol), known);
                let failed = matches!(standing, Standing::Wrong | Standing::KnownFailure { .. });
                if failed
                    && seen != Observation::default()
                    && seen.infrastructure.is_none()
                    && let Ok(object) = self.object(source, object)
                {
                    self.show_program(&object, program, &case.kfuncs, &mut seen);
                }
                (seen, outcome, standing)
            }
        }
    }

    /// Why a case is not run on this kernel at all.
    fn not_here(
        &mut self,
        annotations: &Annotations,
        kfuncs: &[String],
        (object, program): (&Object, &str),
    ) -> Result<Option<Outcome>, Box<Observation>> {
        let arch = &self.planned.arch.name;
        if !annotations.arches.is_empty() && !annotations.arches.contains(arch) {
            return Ok(Some(Outcome::NotRun { reason: format!("is for {}", annotations.arches.join(", ")) }));
        }
        if kfuncs.is_empty() {
            return Ok(None);
        }
        if self.gate.is_none() {
            self.find_gate()?;
        }
        if let Some(gate) = self.gate.clone().filter(|gate| *gate != Outcome::Pass) {
            return Ok(Some(gate));
        }
        let Some(running) = self.running.as_ref() else { return Ok(None) };
        if !self.planned.arch.claims.subprograms.holds(running.release) {
            // That the claim is true is asked by the probe of that name.
            match object.functions_of(program) {
                Ok(1) => {}
                Ok(count) => {
                    let reason =
                        format!("is a program of {count} functions, and this JIT has no calls between functions");
                    return Ok(Some(Outcome::NotRun { reason }));
                }
                Err(error) => {
                    return Err(Box::new(Observation { infrastructure: Some(error), ..Observation::default() }));
                }
            }
        }
        let tagged = |btf: &Arc<Btf>| btf.find(Kind::DeclTag, "bpf_kfunc").is_some();
        if annotations.implicit && !running.kernel.vmlinux.as_ref().is_some_and(tagged) {
            // resolve_btfids finds the kfuncs whose implicit arguments it hides by these tags (tools/bpf/resolve_btfids).
            let reason =
                "the kernel's BTF has no bpf_kfunc tags (pahole before 1.27), so implicit arguments are not hidden";
            return Ok(Some(Outcome::NotRun { reason: reason.into() }));
        }
        let Some(reason) = judge::out_of_range(annotations, running.release) else { return Ok(None) };
        let absent = kfuncs.iter().find(|kfunc| running.kernel.func(kfunc).is_none());
        Ok(Some(absent.map_or(Outcome::NotRun { reason }, |kfunc| Outcome::KfuncAbsent { kfunc: kfunc.clone() })))
    }

    /// Asks once whether kfunc calls can be made here; the gate is `Pass` when they can. A guest that is lost over the
    /// question has answered it: the call was accepted. What happened is this case's then.
    fn find_gate(&mut self) -> Result<(), Box<Observation>> {
        let answer = self.ask(Probe::KfuncCall);
        self.gate = Some(Outcome::Pass);
        match answer {
            Some(Ok(answer)) => {
                if gate_reason(&answer.outcome).is_some() {
                    self.gate = Some(answer.outcome);
                }
                Ok(())
            }
            Some(Err(error)) => {
                let mut seen = Observation::default();
                self.lost(error, &mut seen);
                Err(Box::new(seen))
            }
            None => Ok(()),
        }
    }

    fn ask(&mut self, probe: Probe) -> Option<Result<probe::Answer, SysError>> {
        let trampoline = match self.trampoline() {
            Ok(object) => object,
            Err(error) => return Some(Err(SysError::Protocol(error))),
        };
        let module = match probe {
            Probe::Can(Capability::ModuleKfuncs) => match self.probe_module() {
                Ok(module) => module,
                Err(error) => return Some(Err(error)),
            },
            _ => Err("the module was not asked for".into()),
        };
        let config = |symbol: &str| {
            let image = self.image.as_ref().filter(|image| image.has_config())?;
            Some(image.config(symbol).is_some_and(|value| value == "y" || value == "m"))
        };
        let running = self.running.as_mut()?;
        let context = probe::Context {
            claims: &self.planned.arch.claims,
            release: running.release,
            kernel: &running.kernel,
            btf_bytes: running.btf_bytes,
            config: &config,
            jit_default: running.jit_default.clone(),
            trampoline: &trampoline,
            module,
        };
        Some(probe::ask(probe, &mut running.guest, &context))
    }

    /// Loads the module whose kfuncs the probe calls; why it cannot be asked when it is not there.
    fn probe_module(&mut self) -> Result<Result<(), String>, SysError> {
        if self.running.as_ref().is_none_or(|running| running.kernel.vmlinux.is_none()) {
            return Ok(Err("no kfunc can be named without BTF".into()));
        }
        let mut seen = Observation::default();
        self.load_modules(&[probe::MODULE.to_owned()], &mut seen)?;
        Ok(match seen.infrastructure.or_else(|| seen.facts.remove("module")) {
            Some(error) => Err(format!("module {} could not be had: {error}", probe::MODULE)),
            None => Ok(()),
        })
    }

    fn run_probe(&mut self, probe: Probe) -> (Observation, Outcome, Standing) {
        let answer = match self.ask(probe) {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                let mut seen = Observation::default();
                self.lost(error, &mut seen);
                return self.judged_loss(seen);
            }
            None => {
                let seen = Observation { infrastructure: Some("there is no guest".into()), ..Observation::default() };
                return self.judged_loss(seen);
            }
        };
        let probe::Answer { mut observation, mut outcome, mut standing } = answer;
        shorten(&mut observation.verifier_log);
        if self.read_log(&mut observation)
            && let Some(line) = observation.facts.get(judge::FACT_SPLAT)
        {
            outcome = Outcome::Splat { line: line.clone() };
            standing = Standing::Wrong;
        }
        if probe == Probe::KfuncCall {
            self.gate = Some(match &outcome {
                gate @ (Outcome::NoBtf { .. } | Outcome::Unsupported { .. } | Outcome::NoJit { .. }) => gate.clone(),
                _ => Outcome::Pass,
            });
        }
        (observation, outcome, standing)
    }

    /// For cases without annotations: what a lost guest or a harness error comes to.
    fn judged_loss(&self, seen: Observation) -> (Observation, Outcome, Standing) {
        let outcome = judge::without_expectation(&seen);
        (seen, outcome, Standing::Wrong)
    }

    /// An expectation that matches no case of a suite that was run whole is stale: a cell of its own says so. One that is
    /// about no suite in particular is, when all were.
    fn police_expectations(&self, results: &mut KernelResults) {
        let Some(release) = results.guest.as_ref().and_then(|guest| guest.release.parse::<Release>().ok()) else {
            return;
        };
        if !self.planned.unfiltered {
            return;
        }
        let on = Subject { arch: &self.planned.arch.name, release, config: &|symbol| self.config(symbol) };
        let matched = |pattern: &str| results.cells.iter().any(|cell| crate::expectations::glob(pattern, &cell.name()));
        let taken = |suite: &str| self.planned.cases.iter().any(|case| case.suite == suite);
        let stale: Vec<String> = self
            .planned
            .expectations
            .stale(&on, &matched, &taken, self.planned.complete)
            .into_iter()
            .map(|known| format!("{}:{}: no case matches `{}`", testcases::EXPECTATIONS_PATH, known.line, known.case))
            .collect();
        for error in stale {
            let cell = Cell {
                suite: "control".into(),
                case: crate::expectations::STALE.into(),
                location: None,
                kfuncs: Vec::new(),
                outcome: Outcome::Infrastructure { error: error.clone() },
                standing: Standing::Wrong,
                observation: Observation { infrastructure: Some(error), ..Observation::default() },
                duration_ms: 0,
            };
            results.cells.push(cell);
        }
    }
}

fn is_set(image: &images::Image, symbol: &str) -> bool {
    image.config(symbol).is_some_and(|value| value == "y" || value == "m")
}

/// Why no case that calls kfuncs is run on this kernel, when this is how the kernel refuses them all.
fn gate_reason(gate: &Outcome) -> Option<String> {
    match gate {
        Outcome::NoBtf { line } => Some(format!("no BTF: {line}")),
        Outcome::Unsupported { line } => Some(format!("unsupported: {line}")),
        Outcome::NoJit { line } => Some(format!("no JIT: {line}")),
        _ => None,
    }
}
