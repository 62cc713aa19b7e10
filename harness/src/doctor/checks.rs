//! Judging what a probe saw. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::tools::{self, CLANG_MIN, CLANG_MIN_LOONGARCH, KEYRINGS, Version};
use super::{Distro, Kvm, Mirror, Probe, Subject, Tool};
use crate::report::clean;

/// How a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; a run may still do.
    Note,
    /// A run cannot do without.
    Missing,
}

/// One line of the doctor's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it counts.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What to do; empty when nothing.
    pub remedy: String,
    /// The tool that is missing, for one command that gets all of them.
    pub tool: Option<Tool>,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level, what: what.into(), seen: clean::line(&seen.into()), remedy: remedy.into(), tool: None }
    }
}

const GIB: u64 = 1 << 30;
/// Below this a first run does not fit: five kernels with modules, their packages and the indexes.
const DISK_NEEDED: u64 = GIB;
/// Memory that guests of two arches at once take, with their QEMU.
const MEMORY_WANTED: u64 = 3 * GIB / 2;

/// Looks at everything.
pub fn examine(subject: &Subject, probe: &dyn Probe) -> Vec<Finding> {
    let distro = Distro::read(&probe.os_release());
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (_, program) in &subject.arches {
        if !seen.contains(&program.as_str()) {
            seen.push(program);
            out.push(program_check(&Tool::Qemu(program.clone()), &distro, probe));
        }
    }
    let loongarch = subject.arches.iter().any(|(arch, _)| arch.starts_with("loongarch"));
    let clang = Tool::Clang(if loongarch { CLANG_MIN_LOONGARCH } else { CLANG_MIN });
    out.push(program_check(&clang, &distro, probe));
    out.push(program_check(&Tool::Lld, &distro, probe));
    out.push(program_check(&Tool::Verifier, &distro, probe));
    out.push(keyring(&distro, probe));
    out.push(building(&distro, probe));
    out.push(mirror(probe.mirror()));
    if let Some(dir) = &subject.cache_dir {
        out.push(disk(dir, probe.free_bytes(dir)));
    }
    out.push(memory(probe.available_memory()));
    out.push(kvm(&probe.kvm()));
    out
}

fn program_check(tool: &Tool, distro: &Distro, probe: &dyn Probe) -> Finding {
    let min = tool.min_version();
    let needs = min.map_or_else(String::new, |min| format!(", needs {min} or newer"));
    let mut too_old = None;
    for program in tool.programs() {
        let Some(text) = probe.version(&program) else { continue };
        match (Version::find(&text), min) {
            (Some(version), Some(min)) if version < min => {
                too_old.get_or_insert(format!("{program} {version} is too old{needs}"));
            }
            (None, Some(_)) => {
                let said = clean::shorten(&clean::line(&text), 60);
                too_old.get_or_insert(format!("{program} does not say its version (`{said}`){needs}"));
            }
            (version, _) => {
                let version = version.map_or_else(String::new, |version| format!(" {version}"));
                return Finding::new(Level::Ok, tool.name(), format!("{program}{version}"), "");
            }
        }
    }
    let seen = too_old.unwrap_or_else(|| format!("not found{needs}"));
    let remedy = tools::remedy(tool, distro);
    Finding { tool: Some(tool.clone()), ..Finding::new(Level::Missing, tool.name(), seen, remedy) }
}

/// The tools that build kernels: a run can do without.
fn building(distro: &Distro, probe: &dyn Probe) -> Finding {
    let what = "kernel build tools";
    let missing: Vec<Tool> = tools::BUILD
        .iter()
        .map(|name| Tool::Build((*name).to_owned()))
        .filter(|tool| tool.programs().first().is_some_and(|program| probe.version(program).is_none()))
        .collect();
    if missing.is_empty() {
        return Finding::new(Level::Ok, what, "make, flex, bison, bc, pahole", "");
    }
    let names: Vec<String> = missing.iter().map(Tool::name).collect();
    let seen = format!("without {} kernels cannot be built here; Debian's can be run", names.join(", "));
    // The library has no program to look for; who lacks the rest most likely lacks it.
    let all: Vec<Tool> = missing.into_iter().chain([Tool::Build("libelf".into())]).collect();
    Finding::new(Level::Note, what, seen, tools::remedies(&all, distro).join("; "))
}

fn keyring(distro: &Distro, probe: &dyn Probe) -> Finding {
    let tool = Tool::Keyring;
    match KEYRINGS.iter().find(|path| probe.exists(Path::new(path))) {
        Some(path) => Finding::new(Level::Ok, tool.name(), *path, ""),
        None => {
            let remedy = tools::remedy(&tool, distro);
            let seen = "not found; index signatures cannot be checked without it";
            Finding { tool: Some(tool.clone()), ..Finding::new(Level::Missing, tool.name(), seen, remedy) }
        }
    }
}

fn mirror(mirror: Mirror) -> Finding {
    let what = "package mirror";
    match mirror {
        Mirror::Answers(url) => Finding::new(Level::Ok, what, format!("{url} answers"), ""),
        Mirror::NotAsked => Finding::new(Level::Note, what, "not asked (--offline)", ""),
        Mirror::Silent { url, why } => Finding::new(
            Level::Note,
            what,
            format!("{url} does not answer: {why}"),
            "kernels in the cache still run; else name another with --mirror URL or KFUNC_MIRROR",
        ),
        Mirror::Unknown(why) => Finding::new(
            Level::Missing,
            what,
            format!("none is known: {why}"),
            "name a Debian mirror (the directory above dists/ and pool/) with --mirror URL or KFUNC_MIRROR",
        ),
    }
}

fn disk(dir: &Path, free: Result<u64, String>) -> Finding {
    let what = "disk space";
    match free {
        Ok(free) if free < DISK_NEEDED => Finding::new(
            Level::Missing,
            what,
            format!("{} free in {}, needs {}", gib(free), dir.display(), gib(DISK_NEEDED)),
            "make room (`kfunc images prune`), or name another place with --cache-dir DIR or KFUNC_CACHE_DIR",
        ),
        Ok(free) => Finding::new(Level::Ok, what, format!("{} free in {}", gib(free), dir.display()), ""),
        Err(why) => Finding::new(
            Level::Missing,
            what,
            format!("cannot tell for {}: {why}", dir.display()),
            "name another place with --cache-dir DIR or KFUNC_CACHE_DIR",
        ),
    }
}

fn memory(available: Option<u64>) -> Finding {
    let what = "memory";
    match available {
        Some(bytes) if bytes < MEMORY_WANTED => Finding::new(
            Level::Note,
            what,
            format!("{} available; two guests at once want {}", gib(bytes), gib(MEMORY_WANTED)),
            "run one guest at a time: --jobs 1",
        ),
        Some(bytes) => Finding::new(Level::Ok, what, format!("{} available", gib(bytes)), ""),
        None => Finding::new(Level::Note, what, "cannot tell (no MemAvailable in /proc/meminfo)", ""),
    }
}

fn kvm(kvm: &Kvm) -> Finding {
    let what = "KVM";
    match kvm {
        Kvm::Opens => Finding::new(
            Level::Ok,
            what,
            "/dev/kvm opens; not proved before a guest has run on it (--accel kvm insists on it)",
            "",
        ),
        Kvm::Proved => Finding::new(Level::Ok, what, "a guest has come up under it", ""),
        Kvm::Fails(why) => Finding::new(
            Level::Note,
            what,
            format!("/dev/kvm opens, but {why}; guests are emulated, which is enough"),
            "tried again after the next boot of this machine; --accel kvm tries at once",
        ),
        Kvm::Absent => Finding::new(Level::Note, what, "no /dev/kvm; guests are emulated, which is enough", ""),
        Kvm::NoPermission => Finding::new(
            Level::Note,
            what,
            "/dev/kvm may not be opened; guests are emulated, which is enough",
            "to use it: sudo usermod -aG kvm \"$USER\", then log in again",
        ),
    }
}

fn gib(bytes: u64) -> String {
    format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
}

/// The doctor's list, and beneath it the commands that get everything that is missing.
pub fn render(findings: &[Finding], distro: &Distro) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Missing => "MISSING",
        };
        let _ = writeln!(out, "{level:<8} {:<width$}  {}", finding.what, finding.seen);
        if !finding.remedy.is_empty() {
            let _ = writeln!(out, "{:9}{:width$}  {}", "", "", finding.remedy);
        }
    }
    let missing: Vec<Tool> = findings.iter().filter_map(|finding| finding.tool.clone()).collect();
    if missing.len() > 1 {
        let _ = writeln!(out, "\neverything that is missing:");
        for line in tools::remedies(&missing, distro) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
