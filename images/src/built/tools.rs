//! The programs that build a kernel: which ones, where, of which version. Missing ones are found before anything is done.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::agent;
use crate::error::{Error, Result};
use crate::store::BuildNames;

/// Which compiler and binary tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Toolchain {
    /// clang and LLVM's tools, for every arch alike.
    #[default]
    Llvm,
    /// gcc and binutils, with the arch file's prefix.
    Gcc,
}

impl Toolchain {
    /// `llvm`, `gcc`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llvm => "llvm",
            Self::Gcc => "gcc",
        }
    }
}

impl FromStr for Toolchain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "llvm" => Ok(Self::Llvm),
            "gcc" => Ok(Self::Gcc),
            other => Err(format!("toolchain '{other}' is neither llvm nor gcc")),
        }
    }
}

/// What every build needs besides a compiler.
const ALWAYS: [&str; 5] = ["make", "flex", "bison", "bc", "pahole"];
/// LLVM's tools besides clang.
const LLVM: [&str; 7] = ["ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-objdump", "llvm-readelf", "llvm-strip"];
/// Binutils.
const BINUTILS: [&str; 7] = ["ld", "ar", "nm", "objcopy", "objdump", "readelf", "strip"];

/// Tools that are there.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// What `make` is told of them.
    pub(crate) arguments: Vec<String>,
    /// Their versions.
    pub(crate) identity: String,
}

/// Finds the tools, or names all that are missing.
pub(crate) fn find(toolchain: Toolchain, names: &BuildNames, arch: &str) -> Result<Tools> {
    let mut missing: Vec<String> = ALWAYS.iter().filter(|tool| !is_in_path(tool)).map(|t| (*t).to_owned()).collect();
    let mut versions = Vec::new();
    let (arguments, host) = match toolchain {
        Toolchain::Llvm => match agent::clang() {
            Ok(clang) => {
                let place = LlvmPlace::of(&clang.path);
                missing.extend(LLVM.iter().map(|tool| place.program(tool)).filter(|tool| !is_in_path(tool)));
                versions.extend([place.program("clang"), place.program("ld.lld")]);
                (vec![format!("LLVM={}", place.value())], place.program("clang"))
            }
            Err(_) => {
                missing.push("clang".into());
                (Vec::new(), "cc".to_owned())
            }
        },
        Toolchain::Gcc => {
            let prefix = &names.cross;
            let programs = BINUTILS.iter().chain(&["gcc"]).map(|tool| format!("{prefix}{tool}"));
            missing.extend(programs.chain(["gcc".to_owned()]).filter(|tool| !is_in_path(tool)));
            versions.extend([format!("{prefix}gcc"), format!("{prefix}ld")]);
            (vec![format!("CROSS_COMPILE={prefix}")], "gcc".to_owned())
        }
    };
    // resolve_btfids and objtool are built for the host and read ELF with it.
    if is_in_path(&host) && !has_header(&host, "gelf.h") {
        missing.push("libelf".into());
    }
    if !missing.is_empty() {
        missing.dedup();
        return Err(Error::MissingBuildTools { arch: arch.to_owned(), missing });
    }
    versions.push("pahole".into());
    let identity = versions.iter().map(|tool| format!("{tool}: {}", version(tool))).collect::<Vec<_>>().join("\n");
    Ok(Tools { arguments, identity })
}

/// Where LLVM's programs are: kbuild's `LLVM=`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LlvmPlace {
    /// `-19`: programs in `PATH` with this at the end of their names.
    Suffix(String),
    /// `/opt/llvm/bin/`: programs in this directory.
    Directory(PathBuf),
}

impl LlvmPlace {
    fn of(clang: &Path) -> Self {
        let name = clang.file_name().unwrap_or_default().to_string_lossy();
        match name.strip_prefix("clang") {
            Some(suffix) if suffix.starts_with('-') => Self::Suffix(suffix.to_owned()),
            _ => Self::Directory(clang.parent().unwrap_or(Path::new("")).to_owned()),
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Suffix(suffix) => suffix.clone(),
            Self::Directory(dir) => format!("{}/", dir.display()),
        }
    }

    fn program(&self, name: &str) -> String {
        match self {
            Self::Suffix(suffix) => format!("{name}{suffix}"),
            Self::Directory(dir) => dir.join(name).display().to_string(),
        }
    }
}

fn is_in_path(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn has_header(compiler: &str, header: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args(["-x", "c", "-E", "-include", header, "/dev/null"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The version of pahole in an identity, if it is too old to tag kfuncs (`--btf_features=decl_tag_kfuncs`), from which
/// `resolve_btfids` makes the prototypes of those with implicit arguments.
pub(crate) fn pahole_without_kfuncs(identity: &str) -> Option<&str> {
    let version = identity.lines().find_map(|line| line.strip_prefix("pahole: v"))?;
    let (major, minor) = version.split_once('.')?;
    let minor = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    ((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) < (1, 27)).then_some(version)
}

/// First line of `--version`.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbuild_is_told_where_llvm_is() {
        let numbered = LlvmPlace::of(Path::new("/usr/bin/clang-19"));
        assert_eq!((numbered.value(), numbered.program("ld.lld")), ("-19".into(), "ld.lld-19".into()));
        let plain = LlvmPlace::of(Path::new("/opt/llvm/bin/clang"));
        assert_eq!(
            (plain.value(), plain.program("llvm-nm")),
            ("/opt/llvm/bin/".into(), "/opt/llvm/bin/llvm-nm".into())
        );
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let names = BuildNames { cross: "no-such-machine-".into(), ..BuildNames::example() };
        match find(Toolchain::Gcc, &names, "riscv64").unwrap_err() {
            Error::MissingBuildTools { arch, missing } => {
                assert_eq!(arch, "riscv64");
                for tool in ["no-such-machine-gcc", "no-such-machine-ld", "no-such-machine-strip"] {
                    assert!(missing.iter().any(|m| m == tool), "{missing:?}");
                }
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_old_pahole_is_noticed() {
        assert_eq!(pahole_without_kfuncs("clang-19: x\npahole: v1.24"), Some("1.24"));
        assert_eq!(pahole_without_kfuncs("pahole: v1.26"), Some("1.26"));
        for new in ["pahole: v1.27", "pahole: v1.30", "pahole: v2.0", "none"] {
            assert_eq!(pahole_without_kfuncs(new), None, "{new}");
        }
    }

    #[test]
    fn toolchains_have_names() {
        for toolchain in [Toolchain::Llvm, Toolchain::Gcc] {
            assert_eq!(toolchain.as_str().parse(), Ok(toolchain));
        }
        assert!("icc".parse::<Toolchain>().is_err());
    }
}
