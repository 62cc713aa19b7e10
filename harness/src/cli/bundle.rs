//! `kfunc bundle`, and `kfunc run --bundles`: an archive for each failing cell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::BundleArgs;
use super::error::Error;
use super::{out, table};
use crate::bundle::{self, SUFFIX, archive, contents};
use crate::model::{Cell, RunResults};
use crate::report::quote;
use crate::results;

/// Writes the bundles and prints their paths, one a line.
pub fn bundle(args: &BundleArgs) -> Result<(), Error> {
    let saved = table::saved(args.file.as_deref())?;
    let named = |cell: &Cell| args.case.iter().any(|part| cell.name().contains(part.as_str()));
    let wanted = |cell: &Cell| match args.case.is_empty() {
        true => args.known || cell.standing.fails(),
        false => named(cell),
    };
    let red = || saved.kernels.iter().flat_map(|kernel| &kernel.cells).filter(|cell| bundle::is_red(cell));
    if let Some(part) = args.case.iter().find(|part| !red().any(|cell| cell.name().contains(part.as_str()))) {
        return Err(Error::Usage(format!("no cell that failed has `{part}` in its name; `kfunc table` shows the run")));
    }
    prepare(&args.out)?;
    let written = write(&saved, &args.out, wanted)?;
    if written.is_empty() {
        let known = red().count();
        let more = if known > 0 { format!("; {known} known failures: --known") } else { String::new() };
        out::stderr(&format!("kfunc: no cell failed, no bundle is written{more}\n"));
    }
    out::stdout(&written.iter().map(|path| format!("{}\n", path.display())).collect::<String>())
}

/// Makes the folder, and sees whether files can be written there before there is anything to write.
pub fn prepare(dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(dir)
        .map_err(|error| Error::Infrastructure(format!("cannot create the folder {}: {error}", dir.display())))?;
    Ok(results::check_writable(&dir.join(SUFFIX))?)
}

/// Writes a bundle for each red cell that is wanted; gives their paths in the order of the run. Each is whole or not there.
pub fn write(run: &RunResults, dir: &Path, wanted: impl Fn(&Cell) -> bool) -> Result<Vec<PathBuf>, Error> {
    let (mut written, mut names) = (Vec::new(), BTreeSet::new());
    for kernel in &run.kernels {
        for cell in kernel.cells.iter().filter(|cell| bundle::is_red(cell) && wanted(cell)) {
            let mut name = contents::name(kernel, cell);
            if !names.insert(name.clone()) {
                // Two kernels of one release: the kernel's key tells them apart.
                let key = kernel.image.as_ref().map_or("", |image| image.key.as_str());
                let tail: String = key.chars().rev().take_while(char::is_ascii_hexdigit).take(12).collect();
                name = format!("{name}-{}", tail.chars().rev().collect::<String>());
                names.insert(name.clone());
            }
            let packed = archive::pack(&contents::contents(run, kernel, cell, name.clone())?)?;
            let path = dir.join(format!("{name}{SUFFIX}"));
            results::write_atomically(&path, &packed)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// A path as one would type it.
pub fn typed(path: &Path) -> String {
    quote::word(&path.to_string_lossy())
}
