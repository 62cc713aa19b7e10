//! The host side of BPF: from an object file to a program that ran in a kernel somewhere else.
//!
//! [`Object`] is what clang wrote, parsed. [`load`] links one of its programs, finds kfuncs in the kernel's BTF
//! ([`KernelTypes`]), applies CO-RE relocations and drives `bpf(2)` through [`crate::sys::Sys`]; [`Loaded`] is what runs.
//! The behaviour is libbpf's wherever both do the same. It is our own because the product is about this path: `aya-obj`
//! 0.3, the newest for our Rust, resolves no kfunc externs. [`insn`] builds programs by hand, [`program`] loads them, and
//! [`annotations`] says what a case expects; judging is not done here, and nothing here may import anything but `btf`,
//! `sys`, `arch` and `model`.

pub mod annotations;
pub mod attr;
mod btfext;
mod core;
pub mod disasm;
mod elf;
mod error;
pub mod insn;
pub mod kernel;
mod link;
mod load;
mod map;
mod object;
mod plan;
mod progbtf;
pub mod program;
mod run;
pub mod section;

pub use annotations::{AnnotationError, Annotations, Expect, Observe, ObserveType, ObserveValue};
pub use error::{LoadError, ObjectError};
pub use kernel::{KernelSymbol, KernelTypes, ModuleBtf, ModuleBtfError, read_modules, read_vmlinux};
pub use load::{LoadOptions, Loaded, instructions, load};
pub use map::{MapDef, Slot};
pub use object::{Object, ProgramInfo};
pub use program::{LoadResult, RawProgram, load_program};
pub use run::{INPUT, OBSERVED, RunOptions, RunResult, test_packet};
pub use section::{AttachTarget, ProgSpec, ProgType};

#[cfg(test)]
mod tests;
