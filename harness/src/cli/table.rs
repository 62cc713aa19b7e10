//! `kfunc table` and `kfunc coverage`: views of a saved run.

use std::io::Read;
use std::path::Path;

use super::args::{CoverageArgs, Format, TableArgs};
use super::error::Error;
use super::{exit, out};
use crate::against::tree::Tree;
use crate::arch;
use crate::model::RunResults;
use crate::report;
use crate::results;

/// Shows a saved run. The exit code is that of the comparison with a source tree, if there was one.
pub fn table(args: &TableArgs) -> Result<u8, Error> {
    if let Some(dir) = &args.against {
        return against(args, dir);
    }
    let results = saved(args.file.as_deref())?;
    let paint = out::paint(false);
    if args.capabilities {
        let table = report::capabilities::table(&results);
        let text = match args.format {
            Format::Terminal => report::capabilities::grid(&table).terminal(|text| paint.bad(text)),
            Format::Markdown => report::capabilities::markdown(&table),
            Format::Json => {
                report::capabilities::json(&results, &table).map_err(|e| Error::Infrastructure(e.to_string()))?
            }
        };
        return out::stdout(&text).map(|()| exit::OK);
    }
    let mut text = match args.format {
        Format::Terminal => report::terminal(&results, paint),
        Format::Markdown => report::markdown(&results),
        Format::Json => report::table::json(&results).map_err(|e| Error::Infrastructure(e.to_string()))?,
    };
    if args.failures && args.format == Format::Terminal {
        text.push_str(&report::failures(&results, paint));
    }
    out::stdout(&text).map(|()| exit::OK)
}

/// Holds the measured table against a source tree.
fn against(args: &TableArgs, dir: &Path) -> Result<u8, Error> {
    let tree = Tree::open(dir).map_err(|error| {
        Error::Usage(format!("{error}; --against takes the top directory of an unpacked kernel source"))
    })?;
    let arches = arch::load(&args.arch_file).map_err(|error| Error::Usage(error.to_string()))?;
    let results = saved(args.file.as_deref())?;
    let comparison = crate::against::compare(&report::capabilities::table(&results), &tree, &arches);
    let paint = out::paint(false);
    let text = match args.format {
        Format::Terminal => report::against::grid(&comparison).terminal(|text| paint.bad(text)),
        Format::Markdown => report::against::grid(&comparison).markdown(),
        Format::Json => {
            let text = serde_json::to_string_pretty(&comparison).map_err(|e| Error::Infrastructure(e.to_string()))?;
            text + "\n"
        }
    };
    out::stdout(&text)?;
    Ok(match comparison.counts() {
        (_, 0) => exit::OK,
        _ => exit::WRONG,
    })
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
