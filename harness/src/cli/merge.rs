//! `kfunc merge`: several results files as one.

use super::args::MergeArgs;
use super::error::Error;
use super::{out, table};
use crate::merge::{self, Input};
use crate::report::quote;
use crate::results;

/// Reads all, joins them, writes the result whole or not at all.
pub fn merge(args: &MergeArgs) -> Result<(), Error> {
    let to_file = args.out.as_os_str() != "-";
    if to_file {
        results::check_writable(&args.out)?;
    }
    let read = |path: &std::path::PathBuf| Ok(Input { path: path.clone(), results: table::saved(Some(path))? });
    let inputs = args.files.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let files = inputs.len();
    let merged = merge::merge(inputs, args.partial).map_err(|error| Error::Usage(error.to_string()))?;
    let text = results::to_text(&merged)?;
    if !to_file {
        return out::stdout(&text);
    }
    results::write_atomically(&args.out, text.as_bytes())?;
    let cells: usize = merged.kernels.iter().map(|kernel| kernel.cells.len()).sum();
    let kernels = merged.kernels.len();
    let lost = merged.kernels.iter().filter(|kernel| kernel.error.is_some()).count();
    let lost = if lost == 0 { String::new() } else { format!(", {lost} of them not looked at to the end") };
    out::stdout(&format!(
        "{files} files, {kernels} kernels{lost}, {cells} cells; saved: {}\n",
        quote::word(&args.out.to_string_lossy())
    ))
}
