//! `kfunc matrix`, and how a run comes to the plan of a matrix or to one shard of it.

use std::path::{Path, PathBuf};

use super::args::{MatrixArgs, MatrixFormat};
use super::error::Error;
use super::{engine, meant, out};
use crate::matrix::durations::Durations;
use crate::matrix::file::Matrix;
use crate::matrix::{emit, shard};
use crate::plan::{Catalog, Plan};
use crate::results;

/// Where the matrix is looked for.
pub const DEFAULT_FILE: &str = "ci/matrix.toml";

/// Cuts the plan of a matrix into jobs and prints them.
pub fn matrix(args: MatrixArgs) -> Result<(), Error> {
    let file = args.out.as_deref().filter(|path| path.as_os_str() != "-");
    if let Some(path) = file {
        results::check_writable(path)?;
    }
    let path = args.file.unwrap_or_else(|| DEFAULT_FILE.into());
    let read = read(&path)?;
    let catalog = engine::catalog(&args.arch_file, args.cache_dir.as_deref())?;
    let plan = plan(&read, &catalog, meant::abi(args.seed, args.cases))?;
    let durations = history(args.history)?;
    let jobs = emit::jobs(&plan, &durations, args.shards);
    if let Some(wanted) = args.shards.filter(|wanted| usize::try_from(*wanted).is_ok_and(|n| n > jobs.shards.len())) {
        let made = jobs.shards.len();
        out::stderr(&format!("kfunc: note: {made} shards, not {wanted}: the plan has no more kernels\n"));
    }
    let failed = |error: serde_json::Error| Error::Infrastructure(error.to_string());
    let text = match args.format {
        MatrixFormat::Github => emit::github(&jobs),
        MatrixFormat::Gitlab => emit::gitlab(&jobs).map_err(failed)?,
        MatrixFormat::Json => emit::json(&jobs).map_err(failed)?,
    };
    match file {
        Some(path) => Ok(results::write_atomically(path, text.as_bytes())?),
        None => out::stdout(&text),
    }
}

/// Reads a matrix file.
pub fn read(path: &Path) -> Result<Matrix, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file; name one, or run this in the checkout".to_owned(),
            _ => error.to_string(),
        };
        Error::Infrastructure(format!("cannot read {}: {what}", path.display()))
    })?;
    Matrix::parse(&path.to_string_lossy(), &text).map_err(|error| Error::Usage(error.to_string()))
}

/// The plan of a matrix.
pub fn plan(matrix: &Matrix, catalog: &Catalog, abi: crate::abi::Settings) -> Result<Plan, Error> {
    matrix.plan(catalog, abi).map_err(|error| Error::Usage(error.to_string()))
}

/// One shard of a plan.
pub fn cut(plan: Plan, part: shard::Part, units: &[String]) -> Result<Plan, Error> {
    let all = plan.kernels.len();
    let plan = shard::cut(plan, part, units).map_err(|error| Error::Usage(error.to_string()))?;
    if plan.kernels.is_empty() {
        out::stderr(&format!("kfunc: note: shard {part} has nothing to do: there are {all} kernels\n"));
    }
    Ok(plan)
}

/// What the results files of a directory say of durations. A file that cannot be read says nothing, and is named.
fn history(dir: Option<PathBuf>) -> Result<Durations, Error> {
    let (dir, named) = match dir {
        Some(dir) => (dir, true),
        None => match results::default_dir() {
            Ok(dir) => (dir, false),
            // Nowhere to look is nothing recorded.
            Err(_) => return Ok(Durations::default()),
        },
    };
    let mut durations = Durations::default();
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => return Ok(durations),
        Err(error) => return Err(Error::Infrastructure(format!("cannot read {}: {error}", dir.display()))),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')))
        .collect();
    paths.sort();
    for path in paths {
        match results::load(&path) {
            Ok(run) => durations.add(&run),
            Err(error) => out::stderr(&format!("kfunc: note: no durations from there: {error}\n")),
        }
    }
    Ok(durations)
}
