//! What a JIT claims, by release: the `[claims]` of an arch file.
//!
//! A claim is held against what a kernel does, in both directions ([`crate::probe`]): one that is broken fails the run, and
//! so does one that has outlived its truth.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Release;
use crate::capability::Capability;

/// First mainline releases whose JIT claims a capability.
///
/// The first five must be there, because cases are chosen by them. Of the others a file may leave out any: then nothing is
/// claimed, what the kernel does is shown, and neither answer is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// `bpf_jit_supports_kfunc_call()`.
    pub kfunc_call: Since,
    /// `bpf_jit_supports_stack_args()`: calls with more than five arguments.
    pub stack_args: Since,
    /// `arch_prepare_bpf_trampoline()`, attachable to a kernel function.
    pub trampoline: Since,
    /// Calls between the functions of a program (bpf-to-bpf), callbacks included. Where there are none, no case with more
    /// than one function applies.
    pub subprograms: Since,
    /// `bpf_jit_supports_subprog_tailcalls()`: tail calls out of a function that was called.
    pub subprogram_tail_calls: Claim,
    /// `bpf_jit_supports_exceptions()`: `bpf_throw()`.
    pub exceptions: Claim,
    /// `bpf_jit_supports_far_kfunc_call()`: a kfunc is known by its number, not by its distance.
    #[serde(default)]
    pub far_kfunc_call: Option<Claim>,
    /// Calls of kfuncs that live in a module.
    #[serde(default)]
    pub module_kfuncs: Option<Claim>,
    /// `bpf_jit_supports_arena()`.
    #[serde(default)]
    pub arena: Option<Claim>,
    /// `bpf_jit_supports_insn()`: atomic add in an arena.
    #[serde(default)]
    pub arena_atomics: Option<Claim>,
    /// `bpf_jit_supports_insn()`: atomic and, or, xor that give the old value, in an arena.
    #[serde(default)]
    pub arena_fetch_ops: Option<Claim>,
    /// `bpf_jit_supports_insn()`: compare-and-exchange in an arena.
    #[serde(default)]
    pub arena_cmpxchg: Option<Claim>,
    /// `bpf_jit_supports_insn()`: load-acquire from an arena.
    #[serde(default)]
    pub arena_load_acquire: Option<Claim>,
    /// `bpf_jit_supports_insn()`: sign-extending loads from an arena.
    #[serde(default)]
    pub arena_sign_extend: Option<Claim>,
    /// `bpf_jit_supports_private_stack()`.
    #[serde(default)]
    pub private_stack: Option<Claim>,
    /// `bpf_jit_supports_percpu_insn()`.
    #[serde(default)]
    pub percpu_insn: Option<Claim>,
    /// `bpf_jit_supports_ptr_xchg()`.
    #[serde(default)]
    pub ptr_xchg: Option<Claim>,
    /// `bpf_jit_supports_timed_may_goto()`.
    #[serde(default)]
    pub timed_may_goto: Option<Claim>,
    /// `bpf_jit_supports_fsession()`.
    #[serde(default)]
    pub fsession: Option<Claim>,
}

impl Claims {
    /// What is claimed of a capability that is measured by its own probe; `None` when nothing is.
    pub fn of(&self, capability: Capability) -> Option<Claim> {
        let plain = |since| Some(Claim { since, only: None });
        match capability {
            Capability::KfuncCall => plain(self.kfunc_call),
            Capability::StackArgs => plain(self.stack_args),
            Capability::Trampoline => plain(self.trampoline),
            Capability::Subprograms => plain(self.subprograms),
            Capability::SubprogramTailCalls => Some(self.subprogram_tail_calls.clone()),
            Capability::Exceptions => Some(self.exceptions.clone()),
            Capability::FarKfuncCall => self.far_kfunc_call.clone(),
            Capability::ModuleKfuncs => self.module_kfuncs.clone(),
            Capability::Arena => self.arena.clone(),
            Capability::ArenaAtomics => self.arena_atomics.clone(),
            Capability::ArenaFetchOps => self.arena_fetch_ops.clone(),
            Capability::ArenaCmpxchg => self.arena_cmpxchg.clone(),
            Capability::ArenaLoadAcquire => self.arena_load_acquire.clone(),
            Capability::ArenaSignExtend => self.arena_sign_extend.clone(),
            Capability::PrivateStack => self.private_stack.clone(),
            Capability::PercpuInsn => self.percpu_insn.clone(),
            Capability::PtrXchg => self.ptr_xchg.clone(),
            Capability::TimedMayGoto => self.timed_may_goto.clone(),
            Capability::Fsession => self.fsession.clone(),
        }
    }
}

/// A claim: since which release, and with which kernel configuration only. In a file it is `"6.7"`, `"never"`, or
/// `{ since = "6.10", config = ["RISCV_ISA_ZACAS"], config_since = "7.2" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The release.
    pub since: Since,
    /// What it takes besides.
    pub only: Option<Condition>,
}

/// A configuration that a claim depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Kconfig symbols without `CONFIG_`, all of which must be set.
    pub config: Vec<String>,
    /// The first release that looks at them; `None`: all do.
    pub since: Option<Release>,
}

impl Claim {
    /// Whether the claim's release has come, whatever the configuration.
    pub fn holds(&self, release: Release) -> bool {
        self.since.holds(release)
    }

    /// Whether a kernel of this release and configuration is claimed to have it; `None` when that hangs on a configuration
    /// that is not known.
    pub fn promises(&self, release: Release, config: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
        if !self.holds(release) {
            return Some(false);
        }
        let Some(only) = self.only.as_ref().filter(|only| only.since.is_none_or(|first| release >= first)) else {
            return Some(true);
        };
        let states: Vec<Option<bool>> = only.config.iter().map(|symbol| config(symbol)).collect();
        if states.contains(&Some(false)) {
            return Some(false);
        }
        states.iter().all(Option::is_some).then_some(true)
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.since {
            Since::Never => f.write_str("never")?,
            Since::Release(release) => write!(f, "since {release}")?,
        }
        if let Some(only) = &self.only {
            let symbols: Vec<String> = only.config.iter().map(|symbol| format!("CONFIG_{symbol}")).collect();
            write!(f, ", with {} only", symbols.join(" and "))?;
            if let Some(first) = only.since {
                write!(f, " from {first} on")?;
            }
        }
        Ok(())
    }
}

/// The longer form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    since: Since,
    config: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config_since: Option<Since>,
}

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Claim;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a kernel release such as \"6.12\", \"never\", or { since = \"6.12\", config = [\"SYMBOL\"] }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Claim, E> {
                let since = Since::try_from(text.to_owned()).map_err(E::custom)?;
                Ok(Claim { since, only: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Claim, A::Error> {
                let written = Written::deserialize(MapAccessDeserializer::new(map))?;
                if written.config.is_empty() {
                    return Err(de::Error::custom("`config` is empty: write the release alone"));
                }
                let since = match written.config_since {
                    None => None,
                    Some(Since::Release(release)) => Some(release),
                    Some(Since::Never) => return Err(de::Error::custom("`config_since` must be a kernel release")),
                };
                Ok(Claim { since: written.since, only: Some(Condition { config: written.config, since }) })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Claim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.only {
            None => self.since.serialize(serializer),
            Some(only) => {
                let config_since = only.since.map(Since::Release);
                Written { since: self.since, config: only.config.clone(), config_since }.serialize(serializer)
            }
        }
    }
}

/// Since which release something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Since {
    /// In no release.
    Never,
    /// From this one on.
    Release(Release),
}

impl Since {
    /// Whether no release has it.
    pub fn is_never(self) -> bool {
        self == Self::Never
    }

    /// Whether `release` has it.
    pub fn holds(self, release: Release) -> bool {
        matches!(self, Self::Release(first) if release >= first)
    }
}

impl TryFrom<String> for Since {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "never" => Ok(Self::Never),
            other => other.parse().map(Self::Release).map_err(|e| format!("{e}, or \"never\"")),
        }
    }
}

impl From<Since> for String {
    fn from(since: Since) -> Self {
        match since {
            Since::Never => "never".into(),
            Since::Release(release) => release.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct File {
        arena: Claim,
    }

    fn read(value: &str) -> Result<Claim, String> {
        toml::from_str::<File>(&format!("arena = {value}\n")).map(|file| file.arena).map_err(|error| error.to_string())
    }

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn both_forms_are_read_and_written() {
        for value in ["\"never\"", "\"6.9\"", "{ since = \"6.10\", config = [\"A\", \"B\"], config_since = \"7.2\" }"] {
            let claim = read(value).unwrap();
            let text = toml::to_string(&File { arena: claim.clone() }).unwrap();
            assert_eq!(toml::from_str::<File>(&text).unwrap().arena, claim, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(read("\"soon\"").unwrap_err().contains("expected a kernel release such as 6.12"));
        assert!(read("6.9").unwrap_err().contains("a kernel release such as \"6.12\""));
        assert!(read("{ since = \"6.9\" }").unwrap_err().contains("missing field `config`"));
        assert!(read("{ since = \"6.9\", config = [] }").unwrap_err().contains("`config` is empty"));
        assert!(
            read("{ since = \"6.9\", config = [\"A\"], until = \"7.0\" }")
                .unwrap_err()
                .contains("unknown field `until`")
        );
        let never = read("{ since = \"6.9\", config = [\"A\"], config_since = \"never\" }").unwrap_err();
        assert!(never.contains("`config_since` must be a kernel release"), "{never}");
    }

    #[test]
    fn the_files_that_come_along_claim_everything_and_others_need_not() {
        for arch in crate::arch::load(&[]).unwrap() {
            for capability in Capability::ALL {
                assert!(arch.claims.of(capability).is_some(), "{}: {}", arch.name, capability.name());
            }
        }
        let full = include_str!("../../arch/x86_64.toml");
        let old: String =
            full.lines().filter(|line| !line.starts_with("fsession")).flat_map(|line| [line, "\n"]).collect();
        let arch = crate::arch::parse(std::path::Path::new("my.toml"), &old).unwrap();
        assert_eq!(arch.claims.of(Capability::Fsession), None);
        let typo = full.replace("fsession = ", "fsessions = ");
        let error = crate::arch::parse(std::path::Path::new("my.toml"), &typo).unwrap_err().to_string();
        assert!(error.contains("unknown field `fsessions`") && error.contains("my.toml"), "{error}");
        let bad = full.replace("arena = \"6.9\"", "arena = { since = \"6.9\", configs = [\"A\"] }");
        let error = crate::arch::parse(std::path::Path::new("my.toml"), &bad).unwrap_err().to_string();
        let line = full.lines().position(|line| line.starts_with("arena = ")).unwrap() + 1;
        assert!(error.contains("unknown field `configs`") && error.contains(&format!("line {line}")), "{error}");
    }

    #[test]
    fn a_configuration_counts_from_its_release_on() {
        let claim = read("{ since = \"6.10\", config = [\"A\", \"B\"], config_since = \"7.2\" }").unwrap();
        let with = |a: Option<bool>, b: Option<bool>| move |symbol: &str| if symbol == "A" { a } else { b };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(claim.promises(release("6.9"), &with(yes, yes)), no);
        assert_eq!(claim.promises(release("6.12"), &with(no, no)), yes);
        assert_eq!(claim.promises(release("7.2.12"), &with(yes, yes)), yes);
        assert_eq!(claim.promises(release("7.2.12"), &with(yes, no)), no);
        assert_eq!(claim.promises(release("7.2.12"), &with(yes, None)), None);
        assert_eq!(claim.promises(release("7.2.12"), &with(None, no)), no);
        assert_eq!(claim.to_string(), "since 6.10, with CONFIG_A and CONFIG_B only from 7.2 on");
    }
}
