//! One (arch, kernel): boot, prepare, run the cases in order, replace a guest that was lost, judge, add up.
//!
//! This is where effects meet: images, guests and the loader are driven from here, and only here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::arch::{Endian, Release};
use crate::bpf::{self, Annotations, KernelTypes, LoadOptions, Object, RunOptions};
use crate::btf::{Btf, Kind};
use crate::doctor::{self, needs};
use crate::event::Event;
use crate::expectations::kind;
use crate::guest::console::clean;
use crate::guest::{Guest, GuestError, accel, files};
use crate::interrupt;
use crate::judge;
use crate::model::{Cell, GuestEnd, GuestInfo, ImageInfo, KernelResults, Observation, Outcome, Standing, Verdict};
use crate::plan::{Case, CaseKind, GuestControl, PlannedKernel};
use crate::probe::{self, Probe, refused_load};
use crate::qemu::{Accelerator, Boot, ChannelDevice, channel_device};
use crate::run::{Accel, Options};
use crate::sys::{Batch, Sys, SysError};

/// Guests that may be lost before the rest of a kernel's cases is given up: something is wrong with the machine then.
const GUESTS_MAX: u32 = 20;

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
    (results.verdict, results.reason) = judge::verdict(&results.cells, planned.complete);
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

struct Session<'a> {
    planned: &'a PlannedKernel,
    shared: &'a Shared<'a>,
    program: PathBuf,
    qemu_version: String,
    image: Option<images::Image>,
    vmlinux: Option<(String, Arc<Btf>, usize)>,
    running: Option<Running>,
    guests: u32,
    info: GuestInfo,
    /// Why kfunc calls cannot be made here at all, once that is known: the outcome of every case that needs one.
    gate: Option<Outcome>,
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
            guests: 0,
            info: GuestInfo::default(),
            gate: None,
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

    fn config(&self, symbol: &str) -> Option<bool> {
        let image = self.image.as_ref().filter(|image| image.has_config())?;
        Some(image.config(symbol).is_some_and(|value| value == "y" || value == "m"))
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

    /// Boots a guest, choosing the accelerator, and prepares it.
    fn boot(&mut self) -> Result<(), String> {
        let arch = &self.planned.arch;
        let tell = |event| self.tell_image(event);
        let initramfs =
            self.shared.store.initramfs(self.image()?, &arch.agent, &tell).map_err(|e| needs::explain(&e))?;
        let deadline = Duration::from_secs(arch.deadlines.boot_s);
        let guest = match self.accelerator()? {
            (Accelerator::Kvm, proved) => match self.boot_with(&initramfs, Accelerator::Kvm, accel::PROOF_DEADLINE) {
                Ok(guest) => {
                    if !proved {
                        accel::remember(self.shared.state, &self.qemu_version, Ok(()));
                    }
                    guest
                }
                Err(error) if self.shared.options.accel == Accel::Kvm => return Err(error.to_string()),
                Err(error) => {
                    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                    accel::remember(self.shared.state, &self.qemu_version, Err(first.clone()));
                    let text = format!(
                        "{}: KVM is there, but a guest did not come up under it ({first}); using emulation until the next host boot",
                        arch.name
                    );
                    self.tell(Event::Note { text });
                    self.boot_with(&initramfs, Accelerator::Tcg, deadline).map_err(|e| e.to_string())?
                }
            },
            (Accelerator::Tcg, _) => {
                self.boot_with(&initramfs, Accelerator::Tcg, deadline).map_err(|e| self.explain_start(&e))?
            }
        };
        self.guests += 1;
        self.prepare(guest).map_err(|e| format!("the guest could not be prepared: {e}"))
    }

    fn explain_start(&self, error: &GuestError) -> String {
        match error {
            GuestError::Start { .. } => {
                format!("{error}\n{}", doctor::remedy(&doctor::Tool::Qemu(self.planned.arch.qemu.binary.clone())))
            }
            other => other.to_string(),
        }
    }

    /// Which accelerator, and whether a guest has already come up under it.
    fn accelerator(&self) -> Result<(Accelerator, bool), String> {
        let known = || accel::known(&self.planned.arch, self.shared.state, &self.qemu_version);
        match self.shared.options.accel {
            Accel::Tcg => Ok((Accelerator::Tcg, true)),
            Accel::Kvm => match known() {
                accel::Kvm::No(why) => Err(format!("--accel kvm: {why}")),
                _ => Ok((Accelerator::Kvm, true)),
            },
            Accel::Auto => Ok(match known() {
                accel::Kvm::Works => (Accelerator::Kvm, true),
                accel::Kvm::Unproved => (Accelerator::Kvm, false),
                accel::Kvm::No(_) | accel::Kvm::Fails(_) => (Accelerator::Tcg, true),
            }),
        }
    }

    fn boot_with(
        &mut self,
        initramfs: &Path,
        accelerator: Accelerator,
        deadline: Duration,
    ) -> Result<Guest, GuestError> {
        let arch = &self.planned.arch;
        let image = self
            .image
            .as_ref()
            .ok_or_else(|| GuestError::Start { program: "QEMU".into(), why: "no image was resolved".into() })?;
        let channel = self.channel(image);
        let boot = Boot { kernel: &image.kernel, initramfs, channel, accelerator, append: &[] };
        let (name, kernel) = (arch.name.clone(), self.planned.kernel.to_string());
        self.tell(Event::Booting { arch: name.clone(), kernel: kernel.clone(), command: String::new() });
        let guest = Guest::boot(&self.program, arch, &boot, deadline)?;
        let ms = u64::try_from(guest.boot_time().as_millis()).unwrap_or(u64::MAX);
        if self.guests == 0 {
            self.info = GuestInfo {
                qemu: self.qemu_version.clone(),
                accel: accelerator.name().into(),
                command: guest.command().into(),
                release: String::new(),
                boot_ms: ms,
                guests: 0,
            };
        }
        self.info.guests += 1;
        self.tell(Event::Booted { arch: name, kernel, release: image.release.clone(), ms });
        Ok(guest)
    }

    fn channel(&self, image: &images::Image) -> ChannelDevice {
        channel_device(&self.planned.arch, |symbol| image.config(symbol).map(str::to_owned), image.has_config())
    }

    /// Mounts what cases need, switches the JIT on, reads the kernel's types, opens its log.
    fn prepare(&mut self, mut guest: Guest) -> Result<(), String> {
        let sys = &mut guest;
        let text = |e: SysError| e.to_string();
        let (release_text, _) = files::uname(sys).map_err(text)?;
        let release: Release = release_text.parse().map_err(|e| format!("uname: {e}"))?;
        for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
            files::mount(sys, kind, at)
                .map_err(text)?
                .map_err(|errno| format!("cannot mount {kind} (errno {errno})"))?;
        }
        // Cases about cgroups need it; where the kernel has none, they say so.
        let _ = files::mount(sys, "cgroup2", "/sys/fs/cgroup").map_err(text)?;
        let jit_default = files::read_text(sys, probe::JIT_ENABLE).map_err(text)?.ok();
        if jit_default.as_deref() == Some("0") {
            // A kernel that does not let it is seen by the probe.
            let _ = files::write(sys, probe::JIT_ENABLE, "1").map_err(text)?;
        }
        let log = files::KernelLog::open(sys)
            .map_err(text)?
            .map_err(|errno| format!("its log cannot be read (errno {errno}), and a splat would go unseen"))?;
        let (vmlinux, btf_bytes) = self.vmlinux(sys)?;
        self.info.release = release_text;
        let kernel = KernelTypes { vmlinux, modules: Vec::new() };
        self.running =
            Some(Running { guest, release, kernel, btf_bytes, log, jit_default, loaded_modules: Vec::new() });
        Ok(())
    }

    /// The kernel's BTF, from the cache when this very kernel's was read before. A kernel is known by its notes, which
    /// hold the build id.
    fn vmlinux(&mut self, sys: &mut Guest) -> Result<(Option<Arc<Btf>>, usize), String> {
        let notes = files::read(sys, "/sys/kernel/notes").map_err(|e| e.to_string())?.unwrap_or_default();
        let id: String = Sha256::digest(&notes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        if let Some((known, btf, len)) = &self.vmlinux
            && *known == id
        {
            return Ok((Some(btf.clone()), *len));
        }
        let kept = self.shared.store.cache_dir().join("btf").join(format!("{id}.btf"));
        let is_there = files::open(sys, bpf::kernel::VMLINUX_PATH, 0).map_err(|e| e.to_string())?;
        let Ok(fd) = is_there else { return Ok((None, 0)) };
        files::close(sys, fd).map_err(|e| e.to_string())?;
        let cached = (!notes.is_empty()).then(|| std::fs::read(&kept).ok()).flatten();
        let from_cache = cached.as_deref().and_then(|bytes| Btf::parse(bytes).ok().map(|btf| (btf, bytes.len())));
        let (btf, len) = match from_cache {
            Some(found) => found,
            None => {
                let Some(bytes) = bpf::read_vmlinux(sys).map_err(|e| e.to_string())? else { return Ok((None, 0)) };
                let btf = Btf::parse(&bytes).map_err(|e| format!("the kernel's BTF is malformed: {e}"))?;
                keep(&kept, &bytes);
                (btf, bytes.len())
            }
        };
        let btf = Arc::new(btf);
        self.vmlinux = Some((id, btf.clone(), len));
        Ok((Some(btf), len))
    }

    fn run_cases(&mut self, results: &mut KernelResults) -> Result<(), String> {
        for case in &self.planned.cases {
            if interrupt::asked().is_some() {
                return Err(INTERRUPTED.into());
            }
            if self.running.is_none() {
                if self.guests >= GUESTS_MAX {
                    return Err(format!("{GUESTS_MAX} guests were lost; the remaining cases were not run"));
                }
                self.boot()?;
            }
            self.sweep_log(results);
            if self.running.is_none() {
                self.boot()?;
            }
            let start = Instant::now();
            let (mut observation, mut outcome, mut standing) = self.run_case(case);
            // Silence may be this machine's: only what repeats in a fresh guest is the kernel's.
            if matches!((&outcome, &case.kind), (Outcome::Hang { .. }, CaseKind::Program { .. })) && self.boot().is_ok()
            {
                (observation, outcome, standing) = self.run_case(case);
                if !matches!(outcome, Outcome::Hang { .. }) {
                    observation.facts.insert("first_attempt".into(), "did not answer; not reproduced".into());
                }
            }
            if interrupt::asked().is_some() {
                // What this case came to says nothing of the kernel.
                return Err(INTERRUPTED.into());
            }
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

    fn run_case(&mut self, case: &Case) -> (Observation, Outcome, Standing) {
        match &case.kind {
            CaseKind::Probe(probe) => self.run_probe(*probe),
            CaseKind::GuestControl(control) => self.run_guest_control(*control),
            CaseKind::Program { source, object, program, annotations } => {
                let release = self.running.as_ref().map_or(Release(0, 0), |running| running.release);
                let word = self.planned.arch.word;
                let (seen, outcome) = match self.not_here(annotations, &case.kfuncs) {
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
                let known = self.planned.expectations.find(&self.planned.arch.name, release, &case.full_name());
                let standing = judge::standing(annotations, &outcome, release, &|symbol| self.config(symbol), known);
                (seen, outcome, standing)
            }
        }
    }

    /// Why a case is not run on this kernel at all.
    fn not_here(&mut self, annotations: &Annotations, kfuncs: &[String]) -> Result<Option<Outcome>, Box<Observation>> {
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
        };
        Some(probe::ask(probe, &mut running.guest, &context))
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

    fn object(&self, source: &'static testcases::Source, little: &Arc<Object>) -> Result<Arc<Object>, String> {
        if self.planned.arch.endian == Endian::Little { Ok(little.clone()) } else { self.compile(source) }
    }

    fn compile(&self, source: &testcases::Source) -> Result<Arc<Object>, String> {
        let mut compiler = self.shared.compiler.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = compiler.object(source, self.planned.arch.endian).map_err(|e| e.to_string())?;
        Object::parse(&bytes).map(Arc::new).map_err(|e| format!("{}: {e}", source.path))
    }

    fn trampoline(&self) -> Result<Arc<Object>, String> {
        let source = testcases::SOURCES.iter().find(|s| s.suite == "probe" && s.name == "trampoline");
        self.compile(source.ok_or("there is no testcases/probe/trampoline.bpf.c")?)
    }

    /// Loads, runs and reads back one program.
    fn run_program(&mut self, object: &Object, program: &str, annotations: &Annotations) -> Observation {
        let mut seen = Observation::default();
        if let Err(error) = self.load_modules(&annotations.modules, &mut seen) {
            self.lost(error, &mut seen);
            return seen;
        }
        if seen.infrastructure.is_some() {
            return seen;
        }
        let Some(running) = self.running.as_mut() else {
            seen.infrastructure = Some("there is no guest".into());
            return seen;
        };
        let result = load_and_run(&mut running.guest, object, program, &running.kernel, annotations, &mut seen);
        if let Err(error) = result {
            self.lost(error, &mut seen);
            return seen;
        }
        self.read_log(&mut seen);
        shorten(&mut seen.verifier_log);
        seen
    }

    /// Loads kernel modules that a case names and reads their BTF. A module that the kernel does not have is noted; the
    /// case then ends with its kfunc absent.
    fn load_modules(&mut self, names: &[String], seen: &mut Observation) -> Result<(), SysError> {
        let Some(running) = self.running.as_ref() else { return Ok(()) };
        let missing: Vec<String> = names.iter().filter(|n| !running.loaded_modules.contains(n)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Some(image) = self.image.clone() else { return Ok(()) };
        let wanted: Vec<&str> = missing.iter().map(String::as_str).collect();
        let set = match self.shared.store.modules(&image, &wanted, &|event| self.tell_image(event)) {
            Ok(set) => set,
            Err(error @ (images::Error::UnknownModule { .. } | images::Error::NoModules { .. })) => {
                seen.facts.insert("module".into(), error.to_string());
                return Ok(());
            }
            Err(error) => {
                seen.infrastructure = Some(needs::explain(&error));
                return Ok(());
            }
        };
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        for module in &set.load {
            if running.loaded_modules.contains(&module.name) {
                continue;
            }
            let bytes = match std::fs::read(&module.path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    seen.infrastructure = Some(format!("cannot read {}: {error}", module.path.display()));
                    return Ok(());
                }
            };
            if let Err(errno) = files::load_module(&mut running.guest, &module.name, &bytes)? {
                seen.infrastructure = Some(format!("the kernel refused module {} (errno {errno})", module.name));
                return Ok(());
            }
            running.loaded_modules.push(module.name.clone());
        }
        running.loaded_modules.extend(missing.into_iter().filter(|name| set.builtin.contains(name)));
        if let Some(vmlinux) = &running.kernel.vmlinux {
            running.kernel.modules = Vec::new();
            for module in bpf::read_modules(&mut running.guest, vmlinux, &running.loaded_modules)? {
                match module {
                    Ok(module) => running.kernel.modules.push(module),
                    Err(error) => seen.infrastructure = Some(error.to_string()),
                }
            }
        }
        Ok(())
    }

    /// Adds what the kernel logged since the last case. Gives whether it could be read.
    fn read_log(&mut self, seen: &mut Observation) -> bool {
        let Some(running) = self.running.as_mut() else { return false };
        match running.log.read(&mut running.guest) {
            Ok(files::News { records, incomplete }) => {
                if incomplete {
                    seen.facts.insert("log".into(), "incomplete: the kernel logs faster than it can be read".into());
                }
                if let Some(splat) = records.iter().find(|record| files::is_splat(record)) {
                    seen.facts.insert(judge::FACT_SPLAT.into(), splat.text.clone());
                }
                // Warnings and worse, or everything once there is a splat, whose trace has lower levels.
                let all = seen.facts.contains_key(judge::FACT_SPLAT);
                let lines = records.into_iter().filter(|record| all || record.level <= 4).map(|record| record.text);
                seen.console.extend(lines.take(200));
                true
            }
            Err(error) => {
                self.lost(error, seen);
                false
            }
        }
    }

    /// What the kernel logged after a case was over is that case's: work it deferred, most likely.
    fn sweep_log(&mut self, results: &mut KernelResults) {
        let mut late = Observation::default();
        self.read_log(&mut late);
        let Some(cell) = results.cells.last_mut() else { return };
        let Some(line) = late.facts.remove(judge::FACT_SPLAT) else { return };
        cell.observation.console.extend(late.console);
        cell.observation.facts.insert(judge::FACT_SPLAT.into(), line.clone());
        cell.outcome = Outcome::Splat { line };
        cell.standing = Standing::Wrong;
        let (arch, kernel) = (results.arch.clone(), results.kernel.clone());
        (self.shared.tell)(Event::CellDone { arch, kernel, cell: Box::new(cell.clone()) });
    }

    /// Files how the guest was lost, and gives it up.
    fn lost(&mut self, error: SysError, seen: &mut Observation) {
        let end = match &error {
            SysError::Guest(GuestError::Panic { line, .. }) => Some(GuestEnd::Panic { line: line.clone() }),
            SysError::Guest(GuestError::Exit { status, by_guest, .. }) => {
                Some(GuestEnd::Exit { status: status.clone(), by_guest: *by_guest })
            }
            SysError::Guest(GuestError::Silent { after_ms, .. }) => Some(GuestEnd::Silent { after_ms: *after_ms }),
            _ => None,
        };
        match (&error, end) {
            (SysError::Guest(guest), Some(end)) => {
                let lines = guest.console();
                seen.console.extend_from_slice(&lines[lines.len().saturating_sub(200)..]);
                seen.guest_end = Some(end);
            }
            (error, _) => seen.infrastructure = Some(error.to_string()),
        }
        self.running = None;
        self.tell(Event::GuestLost {
            arch: self.planned.arch.name.clone(),
            kernel: self.planned.kernel.to_string(),
            how: error.to_string().lines().next().unwrap_or_default().to_owned(),
        });
    }

    /// Ends the guest on purpose in mid-case: right only if the case ends as guest lost, in the way it was done.
    fn run_guest_control(&mut self, control: GuestControl) -> (Observation, Outcome, Standing) {
        let mut seen = Observation::default();
        let Some(running) = self.running.as_mut() else {
            seen.infrastructure = Some("there is no guest".into());
            return self.judged_loss(seen);
        };
        let guest = &mut running.guest;
        let ended = match control {
            GuestControl::Killed => {
                // Reading the console, PID 1 waits for input that never comes: the request is under way when QEMU dies.
                guest.kill_after(Duration::from_millis(200));
                let read = guest.target().syscalls.read;
                let mut batch = Batch::new(guest.target());
                let at = batch.reserve(16);
                batch.call(read, &[0, at, 16]);
                guest.submit(&batch).map(drop)
            }
            GuestControl::Frozen => {
                guest.set_call_deadline(Duration::from_secs(1));
                guest.freeze();
                files::uname(guest).map(drop)
            }
            GuestControl::Panic => files::write(guest, "/proc/sysrq-trigger", "c").map(drop),
        };
        match ended {
            Ok(()) => seen.infrastructure = Some("the guest went on although it was ended on purpose".into()),
            Err(error) => self.lost(error, &mut seen),
        }
        let as_done = matches!(
            (control, &seen.guest_end),
            (GuestControl::Killed, Some(GuestEnd::Exit { by_guest: false, .. }))
                | (GuestControl::Frozen, Some(GuestEnd::Silent { .. }))
                | (GuestControl::Panic, Some(GuestEnd::Panic { .. }))
        );
        let outcome = judge::without_expectation(&seen);
        // A kernel that panics is at fault; a QEMU that was killed is not; one that is silent must not be waited for.
        let due = match control {
            GuestControl::Panic => "guest_lost",
            GuestControl::Killed => "infrastructure",
            GuestControl::Frozen => "hang",
        };
        let standing = if as_done && kind(&outcome) == due { Standing::Right } else { Standing::Wrong };
        (seen, outcome, standing)
    }

    /// An expectation that no case of a complete run matches is stale: a cell of its own says so.
    fn police_expectations(&self, results: &mut KernelResults) {
        let Some(release) = results.guest.as_ref().and_then(|guest| guest.release.parse::<Release>().ok()) else {
            return;
        };
        if !self.planned.complete {
            return;
        }
        let stale: Vec<String> = self
            .planned
            .expectations
            .applicable(&self.planned.arch.name, release)
            .filter(|known| !results.cells.iter().any(|cell| crate::expectations::glob(&known.case, &cell.name())))
            .map(|known| format!("{}:{}: no case matches `{}`", testcases::EXPECTATIONS_PATH, known.line, known.case))
            .collect();
        for error in stale {
            let cell = Cell {
                suite: "control".into(),
                case: "expectations::stale".into(),
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

/// Why no case that calls kfuncs is run on this kernel, when this is how the kernel refuses them all.
fn gate_reason(gate: &Outcome) -> Option<String> {
    match gate {
        Outcome::NoBtf { line } => Some(format!("no BTF: {line}")),
        Outcome::Unsupported { line } => Some(format!("unsupported: {line}")),
        Outcome::NoJit { line } => Some(format!("no JIT: {line}")),
        _ => None,
    }
}

fn load_and_run(
    guest: &mut Guest,
    object: &Object,
    program: &str,
    kernel: &KernelTypes,
    annotations: &Annotations,
    seen: &mut Observation,
) -> Result<(), SysError> {
    let loaded = match bpf::load(guest, object, program, kernel, &LoadOptions::default()) {
        Ok(loaded) => loaded,
        Err(error) => return refused_load(error, seen),
    };
    seen.load_errno = Some(0);
    let options = RunOptions { inputs: annotations.inputs.clone(), ..RunOptions::default() };
    let result = loaded.run(guest, &options)?;
    seen.run_errno = Some(result.errno);
    seen.retval = (result.errno == 0).then_some(result.retval);
    let wanted = |index: &u32| annotations.observes.iter().any(|observe| observe.index == *index);
    seen.observed = (0u32..).zip(result.observed).filter(|(index, _)| wanted(index)).collect();
    loaded.close(guest)
}

/// Longest verifier log that goes into a result: beginning and end, which hold what matters.
const LOG_KEPT: usize = 16 << 10;

fn shorten(log: &mut String) {
    // Written by a kernel under test: see `guest::console`.
    *log = log.lines().map(clean).collect::<Vec<_>>().join("\n");
    if log.len() <= LOG_KEPT {
        return;
    }
    let at = |mut index: usize| {
        while !log.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let (head, tail) = (at(LOG_KEPT / 2), at(log.len() - LOG_KEPT / 2));
    *log = format!("{}\n… {} bytes left out …\n{}", &log[..head], tail - head, &log[tail..]);
}

/// Files bytes in the cache, whole or not at all. Not being able to is no error: they are read from the guest again.
fn keep(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let folder = path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_both_ends() {
        let mut escaped = "\u{1b}[31mred\u{1b}[0m\nnext".to_owned();
        shorten(&mut escaped);
        assert_eq!(escaped, "red\nnext");
        let mut log = format!("first\n{}\nlast", "ä".repeat(LOG_KEPT));
        shorten(&mut log);
        assert!(log.starts_with("first") && log.ends_with("last") && log.contains("bytes left out"));
        assert!(log.len() < LOG_KEPT + 100);
        let mut short = "short".to_owned();
        shorten(&mut short);
        assert_eq!(short, "short");
    }
}
