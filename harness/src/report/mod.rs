//! Views of the result model: the table, the failing cells with their evidence, a page of HTML, the live display.
//!
//! Everything here turns data into text; nothing here decides what is right ([`crate::judge`]) or writes files
//! ([`crate::results`]). Text that came from a guest passes [`clean`] on its way out, whoever cleaned it before.

pub mod against;
pub mod annotations;
pub mod capabilities;
pub mod clean;
pub mod compare;
pub mod coverage;
pub mod evidence;
pub mod grid;
pub mod html;
pub mod junit;
pub mod kcidb;
pub mod ktap;
pub mod near;
pub mod progress;
pub mod provenance;
pub mod quote;
pub mod row;
pub mod suites;
pub mod table;

#[cfg(test)]
pub(crate) mod fixture;

pub use evidence::failures;
pub use html::html;
pub use row::{Row, rows};
pub use table::{Paint, markdown, terminal};
