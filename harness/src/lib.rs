//! The host side of kfunc-conformance: boots kernels in QEMU, loads BPF programs that call kfuncs, compares what came
//! back, and says whether `bpf_jit_supports_kfunc_call()` tells the truth.
//!
//! Data flows one way, and the modules are in that order:
//! [`plan`] (what to run) → [`run`] and [`session`] (drive it: [`qemu`], [`guest`], [`bpf`] over [`sys`]) → [`judge`]
//! (what it means) → [`model`] (what is saved) → [`compare`], [`report`] and [`bundle`]. [`cli`] and [`trials`] are the two ways in.

pub mod abi;
pub mod against;
pub mod arch;
pub mod bpf;
pub mod btf;
pub mod bundle;
pub mod capability;
pub mod cli;
pub mod compare;
pub mod defaults;
pub mod doctor;
pub mod event;
pub mod expect;
pub mod expectations;
pub mod guest;
pub mod interrupt;
pub mod judge;
pub mod matrix;
pub mod merge;
pub mod model;
pub mod objects;
pub mod plan;
pub mod probe;
pub mod qemu;
pub mod report;
pub mod results;
pub mod run;
pub mod schema;
pub mod session;
pub mod sys;
pub mod sys_local;
pub mod trials;
