//! The `abi` suite: does every argument and every result survive a kfunc call?
//!
//! The conformance modules (`testcases/kmod`) have kfuncs that record what they receive. The way: their BTF ([`kfuncs`]) →
//! calls ([`generate`]) → BPF instructions ([`emit`]) → a guest ([`lab`]) → rows and records → what differs from the C
//! meaning of the prototypes ([`oracle`]) → cells ([`suite`]), each failing one explained ([`explain`]). Everything but
//! `lab`, `suite`, `special` and `explain` is pure. Nothing here may import `session`, `plan` or `report`.

mod batch;
pub mod cells;
pub mod check;
pub mod ctype;
pub mod emit;
mod execute;
pub mod explain;
pub mod generate;
pub mod kfuncs;
pub mod lab;
pub(crate) mod machine;
pub mod oracle;
pub mod progbtf;
pub mod record;
pub mod rng;
mod schedule;
mod special;
mod suite;
mod tally;

pub use kfuncs::MODULES;

/// The sources of the conformance modules.
pub const MODULE_SOURCES: images::ModuleSources<'static> =
    images::ModuleSources { files: testcases::KMOD, modules: &MODULES };
pub use schedule::{SEED, Settings};
pub use suite::{Redo, Step, Suite};
