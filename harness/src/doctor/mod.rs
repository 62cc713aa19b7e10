//! `kfunc doctor`: is everything here that a run needs, and if not, which command gets it.
//!
//! [`tools`] is a table of what is needed and what packages bring it; [`distro`] reads which package manager this
//! machine has; [`checks`] judges what a [`Probe`] saw, purely; [`host`] is the probe of this machine. The engine uses
//! [`remedy`] so that a run that lacks something says the same line as the doctor.

pub mod checks;
pub mod distro;
pub mod host;
pub mod needs;
pub mod tools;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use checks::{Finding, Level, examine, render};
pub use distro::Distro;
pub use tools::Tool;

/// What a machine can be asked. The doctor's judgement is a function of the answers.
pub trait Probe {
    /// Contents of `/etc/os-release`, or nothing.
    fn os_release(&self) -> String;
    /// First lines of `PROGRAM --version`; nothing if there is no such program in `PATH`.
    fn version(&self, program: &str) -> Option<String>;
    /// Whether a file exists.
    fn exists(&self, path: &Path) -> bool;
    /// State of `/dev/kvm`.
    fn kvm(&self) -> Kvm;
    /// Bytes an ordinary user can still write at `path` or its nearest existing parent, with what went wrong.
    fn free_bytes(&self, path: &Path) -> Result<u64, String>;
    /// Memory that new processes can have, in bytes.
    fn available_memory(&self) -> Option<u64>;
    /// Asks the package mirror for `dists/testing/InRelease`; gives its address.
    fn mirror(&self) -> Mirror;
}

/// State of KVM on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kvm {
    /// No `/dev/kvm`.
    Absent,
    /// It is there and may not be opened.
    NoPermission,
    /// It opens; that guests run on it is proved by a run only.
    Opens,
    /// A guest has come up under it since this machine booted.
    Proved,
    /// It opens, but a guest did not come up under it: why.
    Fails(String),
}

/// State of the package mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// Nobody names one.
    Unknown(String),
    /// It answers.
    Answers(String),
    /// It does not.
    Silent {
        /// Its address.
        url: String,
        /// What happened.
        why: String,
    },
    /// Not asked, because the run is to be offline.
    NotAsked,
}

/// What a check-up is about.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// (arch, QEMU program) pairs to check.
    pub arches: Vec<(String, String)>,
    /// The image cache.
    pub cache_dir: Option<PathBuf>,
}

/// The lines that say how to get several things on this machine.
pub fn remedies(tools: &[Tool]) -> Vec<String> {
    tools::remedies(tools, &Distro::read(&host::os_release()))
}

/// The line that says how to get `tool` on this machine.
pub fn remedy(tool: &Tool) -> String {
    tools::remedy(tool, &Distro::read(&host::os_release()))
}
