//! Carries out a plan: a few guests at a time, results in plan order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use images::KernelSpec;

use crate::doctor::needs;
use crate::event::{Event, Planned};
use crate::interrupt;
use crate::model::{AbiSettings, Host, KernelResults, RunResults, SCHEMA};
use crate::objects::Compiler;
use crate::plan::{Plan, PlannedKernel};
use crate::session::{self, Shared};

/// Which accelerator the user wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accel {
    /// KVM where a guest has been seen to come up under it, emulation otherwise.
    #[default]
    Auto,
    /// Emulation.
    Tcg,
    /// KVM, or fail.
    Kvm,
}

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Debian mirror instead of the host's.
    pub mirror: Option<String>,
    /// Cache instead of the user's.
    pub cache_dir: Option<PathBuf>,
    /// State directory instead of the user's.
    pub state_dir: Option<PathBuf>,
    /// No network.
    pub offline: bool,
    /// Ask the mirror even when the cached index is fresh.
    pub refresh: bool,
    /// Accelerator.
    pub accel: Accel,
    /// What kernels are built with, if any has to be.
    pub toolchain: Option<images::Toolchain>,
    /// Guests at a time; by default as many as processors and memory allow.
    pub jobs: Option<usize>,
    /// QEMU program instead of the arch's.
    pub qemu: Option<PathBuf>,
    /// The command line, for the results.
    pub command: Vec<String>,
}

/// Why nothing could be run at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool that the plan needs is not here, with how to get it.
    #[error("{0}")]
    Missing(String),
    /// No place for state.
    #[error(transparent)]
    State(#[from] crate::results::Error),
    /// The image store.
    #[error(transparent)]
    Store(#[from] images::Error),
}

/// Memory one guest needs on the host, in MiB: its own, QEMU's, translated code.
const GUEST_MIB: u64 = 640;

/// Runs a plan. What goes wrong with one (arch, kernel) is in its result and stops no other. When the user ends the run
/// ([`interrupt`]), the results hold what was done until then.
///
/// # Errors
/// When a tool is missing, or there is no usable cache or state directory.
pub fn run(plan: &Plan, options: &Options, tell: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, Error> {
    let qemu = needed_tools(plan, options)?;
    let store = images::Store::open(images::StoreOptions {
        cache_dir: options.cache_dir.clone(),
        mirror: options.mirror.clone(),
        refresh: options.refresh,
        offline: options.offline,
        keyring: None,
        build: images::BuildOptions { toolchain: options.toolchain, jobs: None },
    })?;
    let (started, clock) = (SystemTime::now(), Instant::now());
    tell(Event::PlanReady {
        kernels: plan
            .kernels
            .iter()
            .map(|k| Planned { arch: k.arch.name.clone(), kernel: k.kernel.to_string(), cases: k.cases.len() })
            .collect(),
    });
    for text in &plan.notes {
        tell(Event::Note { text: text.clone() });
    }
    let state = match &options.state_dir {
        Some(dir) => dir.clone(),
        None => crate::results::state_dir()?,
    };
    let compiler = Mutex::new(Compiler::new(store.cache_dir()));
    let shared = Shared { store: &store, options, qemu: &qemu, compiler: &compiler, tell, state: &state };
    let slots: Vec<Mutex<Option<KernelResults>>> = plan.kernels.iter().map(|_| Mutex::new(None)).collect();
    let order = order(plan.kernels.iter().map(|planned| must_be_built(&store, planned)));
    let next = AtomicUsize::new(0);
    let jobs = options.jobs.unwrap_or_else(default_jobs).clamp(1, plan.kernels.len().max(1));
    // A guest ends with the thread that started it, so each worker lives until the queue is empty.
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((planned, slot)) = {
                    let index = order.get(next.fetch_add(1, Ordering::Relaxed)).copied();
                    index.and_then(|index| plan.kernels.get(index).zip(slots.get(index)))
                } {
                    if interrupt::asked().is_some() {
                        break;
                    }
                    let results = session::run(planned, &shared);
                    *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(results);
                }
            });
        }
    });
    let kernels = slots.into_iter().filter_map(|s| s.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(RunResults {
        schema: SCHEMA,
        harness: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("KFUNC_COMMIT").map(str::to_owned),
        started: started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        command: options.command.clone(),
        host: host(),
        abi: abi_settings(plan),
        shard: plan.shard.clone(),
        kernels: kernels.collect(),
    })
}

/// The settings of the `abi` suite, if any of it is planned. A plan has one selection, so they are the same everywhere.
fn abi_settings(plan: &Plan) -> Option<AbiSettings> {
    let planned = plan.kernels.iter().find(|kernel| kernel.cases.iter().any(|case| case.suite == "abi"))?;
    Some(AbiSettings { seed: planned.abi.seed, cases: u64::try_from(planned.abi.random).unwrap_or(u64::MAX) })
}

/// Whether a kernel has to be built before it can be run. A user's tree counts as such: that nothing in it has changed is
/// only known once it was looked through.
fn must_be_built(store: &images::Store, planned: &PlannedKernel) -> bool {
    matches!(planned.kernel, KernelSpec::Built { .. }) && !store.has_built(&planned.kernel, &planned.arch.target())
}

/// The order in which kernels are begun: those that have to be built last, so that none that is at hand waits for minutes
/// behind a build. Otherwise as planned.
fn order(must_be_built: impl Iterator<Item = bool>) -> Vec<usize> {
    let (last, mut order): (Vec<_>, Vec<_>) = must_be_built.enumerate().partition(|(_, build)| *build);
    order.extend(last);
    order.into_iter().map(|(index, _)| index).collect()
}

/// Every QEMU the plan needs, with its version, before the first byte is downloaded.
fn needed_tools(plan: &Plan, options: &Options) -> Result<BTreeMap<PathBuf, String>, Error> {
    let (mut found, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for planned in &plan.kernels {
        let program = options.qemu.clone().unwrap_or_else(|| PathBuf::from(&planned.arch.qemu.binary));
        if found.contains_key(&program) || missing.contains_key(&program) {
            continue;
        }
        match needs::qemu_version(&program) {
            Ok(version) => drop(found.insert(program, version)),
            Err(what) => drop(missing.insert(program, what)),
        }
    }
    let missing: Vec<String> = missing.into_values().collect();
    if missing.is_empty() { Ok(found) } else { Err(Error::Missing(missing.join("\n"))) }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// As many guests as there are processors, within the memory that is free.
fn default_jobs() -> usize {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    let fit = available.map_or(1, |kib| kib / 1024 / GUEST_MIB);
    cpus().min(usize::try_from(fit).unwrap_or(1)).max(1)
}

fn host() -> Host {
    let kernel = nix::sys::utsname::uname()
        .map(|u| format!("{} {}", u.release().to_string_lossy(), u.machine().to_string_lossy()))
        .unwrap_or_default();
    Host { kernel, cpus: u32::try_from(cpus()).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_holds_up_nothing_that_is_at_hand() {
        assert_eq!(order([true, false, true, false, false].into_iter()), [1, 3, 4, 0, 2]);
        assert_eq!(order([false, false].into_iter()), [0, 1]);
        assert_eq!(order([true, true].into_iter()), [0, 1]);
    }
}
