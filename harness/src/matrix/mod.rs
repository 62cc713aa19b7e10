//! Nightly matrices: a file says what is run ([`file`]), a plan is cut into shards ([`shard`]) that take about as long as
//! each other ([`balance`], from what earlier runs took: [`durations`]), and engines are told so ([`emit`]).
//!
//! The unit is an (arch, kernel): one guest serves all its cases, and its verdict, its controls and its stale expectations are
//! about all of them. It is never split, so what a shard says of a kernel is what a whole run would say.
//!
//! Which units a shard has must be known to all jobs alike. `--shard i/n` alone computes it from the plan, without history.
//! A cut that was balanced with a history is carried to the jobs by name (`--unit`); the plan's digest and its list of
//! units, recorded in each results file, let [`crate::merge`] find what does not belong together, overlaps or is missing.

pub mod balance;
pub mod durations;
pub mod emit;
pub mod file;
pub mod shard;
