//! Repro bundles: one archive with all there is about one cell that failed, for whoever is to understand and repair it.
//!
//! A run's results → the files of a cell ([`contents`], with [`readme`] for people) → an archive ([`archive`]) → read back
//! and checked as something that anybody may have written ([`read`]) → run again and held against what it was
//! ([`again`]). May import the model, the reports' words and the cases' sources; `cli` drives it.

pub mod again;
pub mod archive;
pub mod contents;
pub mod read;
pub mod readme;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{AbiSettings, Cell, GuestInfo, Host, ImageInfo, Standing};

pub use read::read;

/// Version of `cell.json`. Raised when a reader of the old form would misread the new one.
pub const SCHEMA: u32 = 1;
/// The member that says what the others are.
pub const CELL: &str = "cell.json";
/// What a bundle's file name ends with.
pub const SUFFIX: &str = ".tar.gz";

/// `cell.json`: the cell, what it was seen on, and size and SHA-256 of every other member. On disk it has one more field,
/// `digest`, as a results file has ([`crate::results`]). Paths of the machine that wrote it are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellFile {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// Version of the harness that ran the cell.
    pub harness: String,
    /// Its commit, as in a results file.
    pub commit: Option<String>,
    /// Seconds since 1970 at the start of that run.
    pub started: u64,
    /// What that ran on.
    pub host: Host,
    /// Arch name.
    pub arch: String,
    /// The kernel as it was asked for; of a path, the last part.
    pub kernel: String,
    /// What was booted.
    pub image: Option<ImageInfo>,
    /// How; paths in its command are `$KERNEL` and `$INITRD`.
    pub guest: Option<GuestInfo>,
    /// What decides which calls the `abi` suite makes, for a cell of it.
    pub abi: Option<AbiSettings>,
    /// The cell.
    pub cell: Cell,
    /// The other members, by path beneath the bundle's folder.
    pub files: BTreeMap<String, Member>,
}

/// What a member must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Bytes.
    pub size: u64,
    /// In hex.
    pub sha256: String,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is no repro bundle: {what}; get it anew from whoever wrote it, or write one with `kfunc bundle`", path.display())]
    Malformed { path: PathBuf, what: String },
    #[error("{} has schema {found}, this kfunc reads {SCHEMA}; use the kfunc that wrote it, or write it anew with `kfunc bundle`", path.display())]
    Schema { path: PathBuf, found: String },
    #[error("{}: {what} was changed after the bundle was written; get it anew from whoever wrote it", path.display())]
    Edited { path: PathBuf, what: String },
    #[error("cannot write {what}: {why}")]
    Pack { what: String, why: String },
}

/// Whether a cell came out as it should not, known or not. What failed here on the host says nothing of a kernel, and gets no
/// bundle.
pub fn is_red(cell: &Cell) -> bool {
    let is_ours = matches!(cell.outcome, crate::model::Outcome::Infrastructure { .. });
    (cell.standing.fails() || matches!(cell.standing, Standing::KnownFailure { .. })) && !is_ours
}

/// SHA-256 in hex.
fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    images::hex(&sha2::Sha256::digest(bytes))
}
