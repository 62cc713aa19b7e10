//! The cases: BPF programs in C, the header they are written with, and what is known to fail, as embedded text.
//!
//! Nothing here compiles, loads or judges anything; the harness does. Only data, so everything may import this crate and
//! it imports nothing. How to write a case: `testcases/README.md`.

/// A file of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The suite it belongs to: `probe`, `stock` or `control`.
    pub suite: &'static str,
    /// The file's name without `.bpf.c`. A case is called `suite::name::function`.
    pub name: &'static str,
    /// Path from the root of the repository, with `/`.
    pub path: &'static str,
    /// The C source.
    pub text: &'static str,
}

// SOURCES, HEADERS and KMOD, made from the directories by build.rs.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The suites that have files, in order.
pub fn suites() -> impl Iterator<Item = &'static str> {
    let mut last = None;
    SOURCES.iter().map(|source| source.suite).filter(move |&suite| last.replace(suite) != Some(suite))
}

/// The conformance modules, in the order of loading.
pub const MODULES: [&str; 3] = ["kfunc_conformance", "kfunc_conformance_x", "kfunc_conformance_y"];

/// Known failures: `testcases/expectations.toml`, which is its own documentation.
pub static EXPECTATIONS: &str = include_str!("../expectations.toml");

/// Where [`EXPECTATIONS`] stand, from the root of the repository.
pub const EXPECTATIONS_PATH: &str = "testcases/expectations.toml";
