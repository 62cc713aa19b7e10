//! A guest architecture is one data file: `harness/arch/NAME.toml`, or the user's own (`--arch-file`).
//!
//! Everything that differs between architectures and is not code stands there, in every tool's dialect. This module
//! gives it types and refuses files that do not make sense, naming file, line and what was expected.

mod claims;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use claims::{Claim, Claims, Since};

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Size of a pointer and of `long`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum WordSize {
    /// 4 bytes.
    Bits32,
    /// 8 bytes.
    Bits64,
}

impl WordSize {
    /// 4 or 8.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }
}

impl TryFrom<u8> for WordSize {
    type Error = String;
    fn try_from(bits: u8) -> Result<Self, String> {
        match bits {
            32 => Ok(Self::Bits32),
            64 => Ok(Self::Bits64),
            other => Err(format!("a word has 32 or 64 bits, not {other}")),
        }
    }
}

impl From<WordSize> for u8 {
    fn from(word: WordSize) -> u8 {
        match word {
            WordSize::Bits32 => 32,
            WordSize::Bits64 => 64,
        }
    }
}

/// System call numbers of an architecture (`include/uapi/asm-generic/unistd.h` or `arch/*/entry/syscalls/*.tbl`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is the call of that name
pub struct SyscallNumbers {
    pub bpf: u64,
    pub openat: u64,
    pub close: u64,
    pub read: u64,
    pub lseek: u64,
    pub write: u64,
    pub mkdirat: u64,
    pub mount: u64,
    pub memfd_create: u64,
    pub finit_module: u64,
    pub newuname: u64,
    pub getpid: u64,
    pub reboot: u64,
}

/// A guest architecture, as its file describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    /// What users call it, and what results call it: `riscv64`.
    pub name: String,
    /// Bits of a pointer and of `long`: 32 or 64.
    pub word: WordSize,
    /// Byte order.
    pub endian: Endian,
    /// Debian's names for it.
    pub debian: images::DebianNames,
    /// What its kernels look like.
    pub machine: images::Machine,
    /// How clang builds the agent for it.
    pub agent: images::AgentTarget,
    /// How its kernels are built, if they can be.
    #[serde(default)]
    pub build: Option<images::BuildNames>,
    /// The machine to emulate.
    pub qemu: Qemu,
    /// How host and agent talk.
    pub channel: Channel,
    /// What its JIT is known to claim.
    pub claims: Claims,
    /// How long to wait for a guest under TCG on a slow machine.
    pub deadlines: Deadlines,
    /// What its JIT emits.
    pub jit: Jit,
    /// System call numbers.
    pub syscalls: SyscallNumbers,
}

impl Arch {
    /// What the image store has to know of it.
    pub fn target(&self) -> images::Target<'_> {
        images::Target { name: &self.name, debian: &self.debian, machine: self.machine, build: self.build.as_ref() }
    }
}

/// The emulated machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Program, looked up in `PATH`.
    pub binary: String,
    /// `-machine`.
    pub machine: String,
    /// `-cpu` under TCG; under KVM it is `host`.
    pub cpu: String,
    /// Device behind the first serial port, for `console=`.
    pub console: String,
    /// Kernel parameters this machine needs.
    #[serde(default)]
    pub append: Vec<String>,
    /// More QEMU arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Host machine (`uname -m`) on which KVM can run it.
    #[serde(default)]
    pub kvm_host: Option<String>,
}

/// How host and agent talk: through a virtio-serial port, or through a UART where the kernel cannot have virtio.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The QEMU device that carries the port.
    pub device: String,
    /// Kconfig symbols without which the kernel does not find that device.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The guest's name of the second serial port, used when one of `needs` is missing.
    #[serde(default)]
    pub uart: Option<String>,
}

/// What an arch's JIT emits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jit {
    /// How far from a program a callee may be for its plain call instructions, in MiB; 0 if it always loads the address.
    pub direct_call_mib: u64,
}

/// A mainline release: version and patch level. Distributions' releases are compared by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32);

impl std::str::FromStr for Release {
    type Err = String;

    /// Reads the beginning of a release: `7.2.12+deb14-riscv64` is 7.2.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(version)), Some(Ok(patch_level))) => Ok(Self(version, patch_level)),
            _ => Err(format!("expected a kernel release such as 6.12, found `{text}`")),
        }
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Deadlines in seconds: generous, because they only end what hangs. A guest that died is noticed at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// From QEMU's start to the agent's first word.
    pub boot_s: u64,
    /// For one batch of system calls.
    pub call_s: u64,
}

/// Why an arch file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// Not readable.
    #[error("cannot read arch file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, a missing or unknown key, a value of the wrong kind. The text has line, column and what was expected.
    #[error("arch file {} is malformed: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        what: String,
    },
    /// A value that makes no sense.
    #[error("arch file {}, line {line}: `{key}`: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line of the key, from 1.
        line: usize,
        /// Dotted name.
        key: String,
        /// What was expected.
        what: String,
    },
    /// Two files describe one arch.
    #[error("arch `{name}` is described twice: {} and {}", first.display(), second.display())]
    Twice {
        /// The arch.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// The files that come with the harness, in the order of the table.
const BUILT_IN: [(&str, &str); 6] = [
    ("harness/arch/x86_64.toml", include_str!("../arch/x86_64.toml")),
    ("harness/arch/arm64.toml", include_str!("../arch/arm64.toml")),
    ("harness/arch/loongarch64.toml", include_str!("../arch/loongarch64.toml")),
    ("harness/arch/riscv64.toml", include_str!("../arch/riscv64.toml")),
    ("harness/arch/arm32.toml", include_str!("../arch/arm32.toml")),
    ("harness/arch/x86_32.toml", include_str!("../arch/x86_32.toml")),
];

/// All known arches: those that come with the harness, then the user's files. A user's file replaces a built-in arch of
/// the same name.
///
/// # Errors
/// [`ArchError`], naming the file.
pub fn load(user_files: &[PathBuf]) -> Result<Vec<Arch>, ArchError> {
    let mut arches = Vec::new();
    for (path, text) in BUILT_IN {
        arches.push(parse(Path::new(path), text)?);
    }
    let mut seen: Vec<(String, PathBuf)> = Vec::new();
    for path in user_files {
        let text = std::fs::read_to_string(path).map_err(|source| ArchError::Read { path: path.clone(), source })?;
        let arch = parse(path, &text)?;
        if let Some((name, first)) = seen.iter().find(|(name, _)| *name == arch.name) {
            return Err(ArchError::Twice { name: name.clone(), first: first.clone(), second: path.clone() });
        }
        seen.push((arch.name.clone(), path.clone()));
        match arches.iter_mut().find(|known| known.name == arch.name) {
            Some(known) => *known = arch,
            None => arches.push(arch),
        }
    }
    Ok(arches)
}

/// Reads one file. `path` is only for messages.
///
/// # Errors
/// [`ArchError::Malformed`] and [`ArchError::Invalid`].
pub fn parse(path: &Path, text: &str) -> Result<Arch, ArchError> {
    let arch: Arch = toml::from_str(text)
        .map_err(|e| ArchError::Malformed { path: path.into(), what: e.to_string().trim_end().to_owned() })?;
    let invalid = |key: &str, what: &str| ArchError::Invalid {
        path: path.into(),
        line: line_of(text, key),
        key: key.into(),
        what: what.into(),
    };
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !plain(&arch.name) {
        return Err(invalid("name", "expected letters, digits, `_` and `-`"));
    }
    if !(128..=4096).contains(&arch.qemu.memory_mib) {
        return Err(invalid("qemu.memory_mib", "expected 128 to 4096 MiB"));
    }
    if arch.deadlines.boot_s == 0 || arch.deadlines.call_s == 0 {
        let key = if arch.deadlines.boot_s == 0 { "deadlines.boot_s" } else { "deadlines.call_s" };
        return Err(invalid(key, "expected at least one second"));
    }
    if !arch.channel.needs.is_empty() && arch.channel.uart.is_none() {
        return Err(invalid("channel.needs", "expected `uart` as well: what is used when a symbol is missing?"));
    }
    if arch.channel.uart.as_ref().is_some_and(|uart| !uart.starts_with("/dev/")) {
        return Err(invalid("channel.uart", "expected a path under /dev"));
    }
    Ok(arch)
}

/// Line of a dotted key (`section.key` or `key`), 1 when it is not found.
fn line_of(text: &str, key: &str) -> usize {
    let (section, key) = key.split_once('.').map_or(("", key), |(section, key)| (section, key));
    let mut current = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = name.trim().to_owned();
        } else if current == section && line.split('=').next().is_some_and(|name| name.trim() == key) {
            return number + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const RISCV64: &str = include_str!("../arch/riscv64.toml");

    fn error(text: &str) -> String {
        parse(Path::new("my.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn every_built_in_file_is_good_and_named_after_its_arch() {
        let arches = load(&[]).unwrap();
        for (arch, (path, _)) in arches.iter().zip(BUILT_IN) {
            assert_eq!(format!("harness/arch/{}.toml", arch.name), path);
        }
        assert_eq!(arches.len(), BUILT_IN.len());
    }

    #[test]
    fn messages_name_file_line_and_what_was_expected() {
        let typo = RISCV64.replace("cpu = ", "cpuu = ");
        let line = typo.lines().position(|l| l.starts_with("cpuu")).unwrap() + 1;
        let message = error(&typo);
        assert!(message.contains("my.toml") && message.contains(&format!("line {line}")), "{message}");
        assert!(message.contains("unknown field `cpuu`") && message.contains("`cpu`"), "{message}");

        let message = error(&RISCV64.replace("memory_mib = 384", "memory_mib = 1"));
        let line = RISCV64.lines().position(|l| l.starts_with("memory_mib")).unwrap() + 1;
        assert_eq!(message, format!("arch file my.toml, line {line}: `qemu.memory_mib`: expected 128 to 4096 MiB"));

        assert!(error(&RISCV64.replace("word = 64", "word = 65")).contains("32 or 64 bits, not 65"));
        assert!(error(&RISCV64.replace("\"6.4\"", "\"soon\"")).contains("expected a kernel release such as 6.12"));
        assert!(error(&RISCV64.replace("bpf = 280\n", "")).contains("missing field `bpf`"));
        assert!(error("").contains("missing field `name`"));
    }

    #[test]
    fn a_users_file_replaces_or_adds() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("mine.toml");
        std::fs::write(&mine, RISCV64.replace("name = \"riscv64\"", "name = \"riscv64-zacas\"")).unwrap();
        let arches = load(std::slice::from_ref(&mine)).unwrap();
        assert_eq!(arches.len(), BUILT_IN.len() + 1);
        assert!(matches!(load(&[mine.clone(), mine]), Err(ArchError::Twice { .. })));
        assert!(matches!(load(&[dir.path().join("absent.toml")]), Err(ArchError::Read { .. })));
    }

    #[test]
    fn releases_compare_by_number() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        assert!(release("6.12.107+deb13-riscv64") > release("6.4"));
        assert_eq!(release("7.2.12+deb14-amd64"), Release(7, 2));
        assert!(Since::Release(Release(6, 4)).holds(release("6.4.0")));
        assert!(!Since::Release(Release(6, 4)).holds(release("6.1.0-47-amd64")));
        assert!(!Since::Never.holds(release("99.0")));
    }
}
