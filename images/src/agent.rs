//! The guest's agent, compiled here for each arch by clang and lld from embedded sources, and cached by content.
//!
//! No sysroot or C library of the target is needed. A warm run looks at the compiler's file and starts nothing.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::event::{Activity, Progress, Task};
use crate::hex::hex;

/// Names and texts of the agent's sources.
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/agent.rs"));

/// The file with the agent's `agent_main`.
const MAIN: &str = "agent.c";

/// Flags for every arch. Each has a reason: no library exists in the guest; the loader is the kernel's alone; PID 1 must
/// not need a relocation, a thread pointer (stack protector) or an unwinder; a build-time date would change the cache key.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-Os",
    "-Wall",
    "-Wextra",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-stack-protector",
    "-fno-pic",
    "-fno-pie",
    "-no-pie",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fomit-frame-pointer",
    "-nostdlib",
    "-nostdinc",
    "-static",
    "-fuse-ld=lld",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
    "-s",
];

/// How the agent is compiled for an arch. Part of an arch file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentTarget {
    /// For clang's `--target`.
    pub triple: String,
    /// More flags, e.g. `-mgeneral-regs-only`.
    pub flags: Vec<String>,
    /// The file with `_start`, e.g. `start-riscv64.S`.
    pub start: String,
}

/// A clang of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clang {
    /// The program.
    pub path: PathBuf,
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
}

/// The newest clang: `KFUNC_CLANG`, or `clang-NN` and `clang` in `PATH`. Found once per process.
pub fn clang() -> Result<Clang> {
    static FOUND: OnceLock<Option<Clang>> = OnceLock::new();
    FOUND
        .get_or_init(|| candidates().into_iter().find_map(|path| Some(Clang { version: ask_version(&path)?, path })))
        .clone()
        .ok_or(Error::MissingTool {
            tool: "clang",
            purpose: "compiling the agent and BPF programs",
            variable: "KFUNC_CLANG",
        })
}

/// Programs to try, best first. Version numbers in names decide; a plain `clang` counts as the version its link leads to
/// (`clang-19`, `llvm-19/bin/clang`).
fn candidates() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("KFUNC_CLANG").filter(|v| !v.is_empty()) {
        return find_in_path(&named).into_iter().collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for dir in std::env::split_paths(&path) {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|n| n.strip_prefix("clang")) else { continue };
            let numbered = rest.strip_prefix('-').and_then(|n| n.parse::<u32>().ok());
            let rank = match (rest, numbered) {
                ("", _) => number_in(&fs::canonicalize(entry.path()).unwrap_or_default()),
                (_, Some(number)) => number,
                _ => continue,
            };
            found.push((rank, entry.path()));
        }
    }
    found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank)); // stable: earlier directories of PATH first
    found.into_iter().map(|(_, path)| path).collect()
}

fn find_in_path(name: &OsString) -> Option<PathBuf> {
    let given = Path::new(name);
    if given.components().count() > 1 {
        return given.is_file().then(|| given.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(given)).find(|p| p.is_file())
}

/// The last number in a path's components `clang-19` or `llvm-19`; 0 if there is none.
fn number_in(path: &Path) -> u32 {
    path.iter()
        .rev()
        .filter_map(|part| part.to_str())
        .find_map(|part| part.strip_prefix("clang-").or_else(|| part.strip_prefix("llvm-"))?.parse().ok())
        .unwrap_or(0)
}

fn ask_version(path: &Path) -> Option<(u32, u32, u32)> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| parse_version(&String::from_utf8_lossy(&output.stdout)))?
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let (_, rest) = text.split_once("clang version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0)))
}

/// The agent's program for an arch, in the cache.
pub(crate) fn build(cache: &Cache, target: &AgentTarget, progress: &Progress) -> Result<PathBuf> {
    if !SOURCES.iter().any(|(name, _)| *name == target.start) {
        let available = SOURCES.iter().map(|(n, _)| (*n).to_owned()).filter(|n| n.starts_with("start-")).collect();
        return Err(Error::UnknownStart { name: target.start.clone(), available });
    }
    // The compiler's file stands for its version: asking it takes longer than all the rest of a warm run.
    let missing = || Error::MissingTool { tool: "clang", purpose: "compiling the agent", variable: "KFUNC_CLANG" };
    let first = candidates().into_iter().next().ok_or_else(missing)?;
    let key = key(target, &first);
    let path = cache.root().join("agents").join(&key);
    if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
        return Ok(path);
    }
    let _lock = cache.lock(&format!("agent-{key}"), "the agent", progress)?;
    if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
        return Ok(path);
    }
    let clang = clang()?;
    let what = format!("agent for {}", target.triple);
    let task = Task::start(Activity::Compile, &what, None, progress);
    let program = compile(cache, target, &clang)?;
    cache.write(&path, &program)?;
    task.finish(program.len() as u64);
    Ok(path)
}

fn key(target: &AgentTarget, clang: &Path) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for (name, text) in SOURCES.iter().filter(|(n, _)| !n.starts_with("start-") || *n == target.start) {
        add(name);
        add(text);
    }
    FLAGS.iter().for_each(|f| add(f));
    target.flags.iter().for_each(|f| add(f));
    add(&target.triple);
    let real = fs::canonicalize(clang).unwrap_or_else(|_| clang.to_owned());
    add(&real.display().to_string());
    let made =
        fs::metadata(&real).and_then(|m| Ok((m.len(), m.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default())));
    add(&made.map(|(len, time)| format!("{len} {}", time.as_nanos())).unwrap_or_default());
    hex(&hash.finalize())[..32].to_owned()
}

/// Compiles in a directory of its own; the result is whole or an error.
fn compile(cache: &Cache, target: &AgentTarget, clang: &Clang) -> Result<Vec<u8>> {
    let dir = cache.staging()?;
    for (name, text) in SOURCES {
        let path = dir.path().join(name);
        fs::write(&path, text).map_err(|e| cache.io("write", &path, e, text.len() as u64))?;
    }
    let mut command = Command::new(&clang.path);
    command.current_dir(dir.path()).arg(format!("--target={}", target.triple)).args(FLAGS).args(&target.flags);
    command.args(["-o", "agent", MAIN, &target.start]);
    let output = command.stdin(Stdio::null()).output().context("run", &clang.path)?;
    if !output.status.success() {
        return Err(failed(&command, &output));
    }
    let path = dir.path().join("agent");
    fs::read(&path).context("read", path)
}

fn failed(command: &Command, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    // clang's words for a missing ld.lld.
    if stderr.contains("invalid linker name") || stderr.contains("unable to execute command: Executable \"ld.lld") {
        return Error::MissingTool { tool: "ld.lld", purpose: "linking the agent", variable: "KFUNC_CLANG" };
    }
    let words =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|w| w.to_string_lossy().into_owned());
    let stderr: Vec<_> = stderr.lines().take(12).collect();
    Error::ToolFailed {
        command: words.collect::<Vec<_>>().join(" "),
        status: output.status.to_string(),
        stderr: stderr.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x"), Some((19, 1, 7)));
        assert_eq!(parse_version("clang version 21.0.0git"), Some((21, 0, 0)));
        assert_eq!(parse_version("gcc 12"), None);
        assert_eq!(number_in(Path::new("/usr/lib/llvm-19/bin/clang")), 19);
        assert_eq!(number_in(Path::new("/usr/bin/clang")), 0);
    }

    #[test]
    fn the_sources_are_embedded() {
        assert!(SOURCES.iter().any(|(n, text)| *n == MAIN && text.contains("agent_main")));
    }

    #[test]
    fn an_unknown_start_file_lists_the_known() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let target = AgentTarget { triple: "vax".into(), flags: vec![], start: "start-vax.S".into() };
        let error = build(&cache, &target, &|_| {}).unwrap_err().to_string();
        assert!(error.contains("start-vax.S") && error.contains("start-riscv64.S"), "{error}");
    }

    #[test]
    fn the_key_covers_flags_and_target() {
        let target = |triple: &str, flag: &str| AgentTarget {
            triple: triple.into(),
            flags: vec![flag.into()],
            start: "start-riscv64.S".into(),
        };
        let clang = Path::new("/nonexistent/clang");
        let base = key(&target("a", "b"), clang);
        assert_eq!(base, key(&target("a", "b"), clang));
        assert_ne!(base, key(&target("a", "c"), clang));
        assert_ne!(base, key(&target("c", "b"), clang));
        assert_ne!(base, key(&target("a", "b"), Path::new("/nonexistent/clang-2")));
    }
}
