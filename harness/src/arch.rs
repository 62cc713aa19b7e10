//! A guest architecture is one data file: `harness/arch/NAME.toml`, or the user's own (`--arch-file`).
//!
//! Everything that differs between architectures and is not code stands there, in every tool's dialect. This module
//! gives it types and refuses files that do not make sense, naming file, line and what was expected.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    pub write: u64,
    pub mkdirat: u64,
    pub mount: u64,
    pub memfd_create: u64,
    pub finit_module: u64,
    pub newuname: u64,
    pub getpid: u64,
    pub reboot: u64,
}
