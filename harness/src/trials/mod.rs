//! The conformance cases as trials of a test harness: `cargo test -- --arch riscv64 [filter]` and `cargo nextest run`.
//!
//! `testcases/conformance.rs` hands names and answers to libtest-mimic; everything else is here, free of that crate and
//! of guests, so that it can be tested. [`flags`] splits our flags from the test harness's, [`names`] names the trials,
//! [`Worker`] runs the engine once for all of them, [`shared`] does the same across the processes of a nextest run.

pub mod engine;
pub mod flags;
pub mod names;
mod prepare;
pub mod shared;
mod worker;

pub use names::{Key, Trial};
pub use prepare::{Prepared, Refusal, prepare};
pub use worker::{Answer, Engine, Worker};

fn key_of_run(arch: &str, kernel: &str, suite: &str, case: &str) -> Key {
    Key { arch: arch.into(), kernel: kernel.into(), suite: suite.into(), case: case.into() }
}
