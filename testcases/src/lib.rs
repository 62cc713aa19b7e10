//! The cases: BPF programs in C, the header they are written with, and what is known to fail, as embedded text.
//!
//! Nothing here compiles, loads or judges anything; the harness does. Only data, so everything may import this crate and
//! it imports nothing. How to write a case: `testcases/README.md`.

/// A file of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The suite it belongs to: `stock` or `control`.
    pub suite: &'static str,
    /// The file's name without `.bpf.c`. A case is called `suite::module::function`.
    pub module: &'static str,
    /// Path from the root of the repository, with `/`.
    pub path: &'static str,
    /// The C source.
    pub text: &'static str,
}

/// A header that sources include by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// File name, e.g. `kfunc_case.h`.
    pub name: &'static str,
    /// The C source.
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Every file of cases, by suite and then by name.
pub fn files() -> &'static [Source] {
    FILES
}

/// The suites that are written in C, in order.
pub fn suites() -> impl Iterator<Item = &'static str> {
    let mut last = None;
    FILES.iter().map(|file| file.suite).filter(move |&suite| last.replace(suite) != Some(suite))
}

/// Every header that a source may include; they must lie in one directory on the compiler's include path.
pub static HEADERS: &[Header] = HEADER_FILES;

/// Known failures: `testcases/expectations.toml`, which is its own documentation.
pub static EXPECTATIONS: &str = include_str!("../expectations.toml");

/// Where [`EXPECTATIONS`] stand, from the root of the repository.
pub const EXPECTATIONS_PATH: &str = "testcases/expectations.toml";
