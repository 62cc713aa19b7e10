//! `kfunc compare`: two saved runs side by side.

use std::path::{Path, PathBuf};

use super::args::{CompareArgs, CompareFormat};
use super::error::Error;
use super::{exit, out, table};
use crate::compare::{self, Comparison, History};
use crate::{report, results};

/// Compares, prints, and gives the exit code. A regression is not hidden by an earlier run that could not be read.
pub fn compare(args: &CompareArgs) -> Result<u8, Error> {
    if [&args.old, &args.new].iter().all(|path| path.as_os_str() == "-") {
        return Err(Error::Usage("OLD and NEW are both standard input; name a file for one of them".into()));
    }
    let old = table::saved(Some(&args.old))?;
    let new = table::saved(Some(&args.new))?;
    let mut history = History::default();
    let unread = match &args.history {
        Some(dir) => read(dir, &mut history)?,
        None => Vec::new(),
    };
    let comparison = compare::compare(&old, &new, &history);
    out::stdout(&match args.format {
        CompareFormat::Terminal => report::compare::text(&comparison, out::paint(false)),
        CompareFormat::Json => {
            report::compare::json(&comparison).map_err(|error| Error::Infrastructure(error.to_string()))?
        }
    })?;
    for error in &unread {
        out::stderr(&format!("kfunc: error: {error}\n"));
    }
    Ok(code(&comparison, !unread.is_empty()))
}

fn code(comparison: &Comparison, unread: bool) -> u8 {
    if comparison.wakes() {
        exit::WRONG
    } else if unread {
        exit::INFRASTRUCTURE
    } else {
        exit::OK
    }
}

/// Adds every results file of a directory to the history and gives what could not be read.
fn read(dir: &Path, history: &mut History) -> Result<Vec<results::Error>, Error> {
    let fail = |error: std::io::Error| Error::Infrastructure(format!("cannot read {}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".json") && !name.starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut unread = Vec::new();
    for path in paths {
        match results::load(&path) {
            Ok(results) => history.add(&results),
            Err(error) => unread.push(error),
        }
    }
    Ok(unread)
}
