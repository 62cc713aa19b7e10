//! The claims of a kernel source tree, by architecture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source::{self, Says};
use crate::arch::{Arch, Release, WordSize};

/// Where the defaults stand: the functions' and the trampoline's.
const DEFAULTS: [&str; 2] = ["kernel/bpf/core.c", "kernel/bpf/trampoline.c"];

/// Why a directory cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It is no kernel source.
    #[error("{} is no kernel source tree: {why}", dir.display())]
    NoTree {
        /// The directory.
        dir: PathBuf,
        /// What is missing.
        why: String,
    },
}

/// What a source says of one capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it returns.
    pub says: Says,
    /// File, from the tree's root.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
}

/// A source tree.
#[derive(Debug)]
pub struct Tree {
    dir: PathBuf,
    /// Version and patch level of the `Makefile`.
    pub release: Release,
    /// The whole of it: `7.2.12`.
    pub version: String,
    /// The weak definitions, by name.
    defaults: BTreeMap<String, Claim>,
}

impl Tree {
    /// Reads the version and the defaults.
    ///
    /// # Errors
    /// [`TreeError::NoTree`] when the files that every tree with BPF has are not there.
    pub fn open(dir: &Path) -> Result<Self, TreeError> {
        let none = |why: String| TreeError::NoTree { dir: dir.into(), why };
        if !dir.is_dir() {
            return Err(none("it is no directory".into()));
        }
        let read = |name: &str| {
            std::fs::read(dir.join(name))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|error| none(format!("cannot read {name}: {error}")))
        };
        let (release, version) =
            version(&read("Makefile")?).ok_or_else(|| none("its Makefile has no VERSION and PATCHLEVEL".into()))?;
        let mut defaults = BTreeMap::new();
        for file in DEFAULTS {
            for found in source::definitions(&read(file)?).into_iter().filter(|found| found.weak) {
                defaults.insert(found.name, Claim { says: found.says, file: file.into(), line: found.line });
            }
        }
        if defaults.is_empty() {
            return Err(none(format!("{} has no bpf_jit_supports_ function", DEFAULTS[0])));
        }
        Ok(Self { dir: dir.into(), release, version, defaults })
    }

    /// Names of the functions that the tree has, and where their defaults stand.
    pub fn hooks(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.defaults.iter().map(|(name, claim)| (name.as_str(), claim))
    }

    /// What the tree says for an arch, by function: the arch's own definition, else the default.
    ///
    /// # Errors
    /// Why nothing can be said for this arch.
    pub fn claims(&self, arch: &Arch) -> Result<BTreeMap<String, Claim>, String> {
        let Some(build) = &arch.build else {
            return Err("the arch file has no [build], which names the directory under arch/".into());
        };
        let folder = format!("arch/{}/net", build.source);
        let entries = std::fs::read_dir(self.dir.join(&folder)).map_err(|e| format!("cannot read {folder}: {e}"))?;
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".c"))
            .collect();
        names.sort();
        let mut claims = self.defaults.clone();
        for name in of_word(&names, arch.word) {
            let file = format!("{folder}/{name}");
            let text = std::fs::read(self.dir.join(&file)).map_err(|error| format!("cannot read {file}: {error}"))?;
            for found in source::definitions(&String::from_utf8_lossy(&text)).into_iter().filter(|found| !found.weak) {
                claims.insert(found.name, Claim { says: found.says, file: file.clone(), line: found.line });
            }
        }
        Ok(claims)
    }
}

/// The files of a JIT for words of this size. By their names, which end in the size where there are two JITs in one
/// directory: `bpf_jit_comp32.c`, `bpf_jit_32.c`. x86's other one has none (`bpf_jit_comp.c`); powerpc's `bpf_jit_comp.c` is
/// for both, beside one of each size.
fn of_word(names: &[String], word: WordSize) -> Vec<&str> {
    let stem = |name: &str| name.trim_end_matches(".c").to_owned();
    let has = |name: String| names.contains(&name);
    let keep = |name: &&str| {
        let stem = stem(name);
        match word {
            WordSize::Bits64 => !stem.ends_with("32"),
            WordSize::Bits32 => {
                let is_other = has(format!("{stem}32.c")) && !has(format!("{stem}64.c"));
                !stem.ends_with("64") && !is_other
            }
        }
    };
    names.iter().map(String::as_str).filter(keep).collect()
}

/// Reads `VERSION`, `PATCHLEVEL` and `SUBLEVEL`.
fn version(makefile: &str) -> Option<(Release, String)> {
    let number = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        line.and_then(|text| text.trim().parse::<u32>().ok())
    };
    let (version, patch_level) = (number("VERSION")?, number("PATCHLEVEL")?);
    let whole = match number("SUBLEVEL") {
        Some(sublevel) => format!("{version}.{patch_level}.{sublevel}"),
        None => format!("{version}.{patch_level}"),
    };
    Some((Release(version, patch_level), whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str], word: WordSize) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        of_word(&names, word).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn each_word_size_has_its_files() {
        let (w32, w64) = (WordSize::Bits32, WordSize::Bits64);
        let x86 = ["bpf_jit_comp.c", "bpf_jit_comp32.c"];
        assert_eq!(files(&x86, w64), ["bpf_jit_comp.c"]);
        assert_eq!(files(&x86, w32), ["bpf_jit_comp32.c"]);
        let riscv = ["bpf_jit_comp32.c", "bpf_jit_comp64.c", "bpf_jit_core.c"];
        assert_eq!(files(&riscv, w64), ["bpf_jit_comp64.c", "bpf_jit_core.c"]);
        assert_eq!(files(&["bpf_jit_32.c"], w32), ["bpf_jit_32.c"]);
        let powerpc = ["bpf_jit_comp.c", "bpf_jit_comp32.c", "bpf_jit_comp64.c"];
        assert_eq!(files(&powerpc, w32), ["bpf_jit_comp.c", "bpf_jit_comp32.c"]);
        assert_eq!(files(&powerpc, w64), ["bpf_jit_comp.c", "bpf_jit_comp64.c"]);
        assert_eq!(files(&["bpf_jit.c"], w64), ["bpf_jit.c"]);
    }

    #[test]
    fn the_makefile_says_the_release() {
        let text = "# SPDX\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 12\nEXTRAVERSION =\n";
        assert_eq!(version(text), Some((Release(7, 2), "7.2.12".into())));
        assert_eq!(version("VERSION=6\nPATCHLEVEL=1\n"), Some((Release(6, 1), "6.1".into())));
        assert_eq!(version("all:\n\tcc a.c\n"), None);
    }
}
