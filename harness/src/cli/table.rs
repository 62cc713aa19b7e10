//! `kfunc table` and `kfunc coverage`: views of a saved run.

use std::io::Read;
use std::path::Path;

use super::args::{CoverageArgs, Format, TableArgs};
use super::error::Error;
use super::out;
use crate::model::RunResults;
use crate::report;
use crate::results;

/// Shows a saved run.
pub fn table(args: &TableArgs) -> Result<(), Error> {
    let results = saved(args.file.as_deref())?;
    let paint = out::paint(false);
    let mut text = match args.format {
        Format::Terminal => report::terminal(&results, paint),
        Format::Markdown => report::markdown(&results),
        Format::Json => report::table::json(&results).map_err(|e| Error::Infrastructure(e.to_string()))?,
    };
    if args.failures && args.format == Format::Terminal {
        text.push_str(&report::failures(&results, paint));
    }
    out::stdout(&text)
}

/// Shows what the `abi` suite reached.
pub fn coverage(args: &CoverageArgs) -> Result<(), Error> {
    let results = saved(args.file.as_deref())?;
    out::stdout(&report::coverage::report(&results, out::paint(false)))
}

/// The run in a file, on standard input, or the newest.
pub(super) fn saved(file: Option<&Path>) -> Result<RunResults, Error> {
    Ok(match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::Infrastructure(format!("cannot read standard input: {error}")))?;
            results::from_text(&text, Path::new("standard input"))?
        }
        Some(path) => results::load(path)?,
        None => results::load(&results::newest(&results::default_dir()?)?)?,
    })
}
