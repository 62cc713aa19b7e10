//! `kfunc run`.

use super::args::RunArgs;
use super::error::Error;
use super::meant::{self, Save};
use super::{bundle, engine, exit, matrix, out};
use crate::interrupt;
use crate::model::RunResults;
use crate::report::progress::Progress;
use crate::report::{self, quote};
use crate::results;

/// Plans, runs, saves, reports; gives the exit code.
pub fn run(typed: RunArgs, command: Vec<String>) -> Result<u8, Error> {
    let asked = meant::run(typed, command);
    let file = asked.matrix.as_deref().map(matrix::read).transpose()?;
    let catalog = engine::catalog(&asked.arch_files, asked.options.cache_dir.as_deref())?;
    let mut plan = match &file {
        Some(file) => matrix::plan(file, &catalog, asked.selection.abi)?,
        None => engine::plan(&asked.selection, &catalog)?,
    };
    if let Some(part) = asked.shard {
        plan = matrix::cut(plan, part, &asked.units)?;
    }
    if asked.list {
        return out::stdout(&engine::plan_text(&plan)).map(|()| exit::OK);
    }
    // Where results go is settled before minutes are spent on having some.
    let dir = match &asked.save {
        Save::StateDir => Some(results::default_dir()?),
        Save::File(path) => {
            results::check_writable(path)?;
            None
        }
        Save::Stdout => None,
    };
    if let Some(dir) = &asked.bundles {
        bundle::prepare(dir)?;
    }
    // Without it a signal ends the process at once: no guest is left behind then either, but no cell is kept.
    let _ = interrupt::watch();
    let progress = Progress::to_stderr();
    let done = engine::run(&plan, &asked.options, &|event| progress.event(&event));
    progress.finish();
    let results = done?;
    if let Some(signal) = interrupt::asked() {
        if results.kernels.iter().all(|kernel| kernel.cells.is_empty()) {
            // Saved, it would stand before the last real run.
            out::stderr("kfunc: interrupted before the first case; nothing is saved\n");
            return Ok(interrupt::exit_code(signal));
        }
        out::stderr("kfunc: interrupted; what was done until then:\n");
    }

    // First saved, then shown: a reader of the table that goes away loses nothing.
    let (human_on_stderr, saved) = match (&asked.save, dir) {
        (Save::Stdout, _) => {
            out::stdout(&results::to_text(&results)?)?;
            (true, None)
        }
        (Save::File(path), _) => {
            results::write_atomically(path, results::to_text(&results)?.as_bytes())?;
            (false, Some(path.clone()))
        }
        // A run that saw no kernel would stand before the last one that did.
        (Save::StateDir, _) if results.kernels.iter().all(|kernel| kernel.cells.is_empty()) => (false, None),
        (Save::StateDir, Some(dir)) => (false, Some(results::save(&results, &dir)?)),
        (Save::StateDir, None) => (false, None),
    };
    let mut text = human(&results, human_on_stderr);
    if let Some(path) = saved {
        text.push_str(&format!("saved: {}\n", quote::word(&path.to_string_lossy())));
    } else if !human_on_stderr {
        text.push_str("no kernel was looked at; nothing is saved\n");
    }
    if let Some(dir) = &asked.bundles {
        let written = bundle::write(&results, dir, |cell| cell.standing.fails())?;
        text.push_str(&format!("bundles: {} in {}\n", written.len(), quote::word(&dir.to_string_lossy())));
    }
    if human_on_stderr {
        out::stderr(&text);
    } else {
        match out::stdout(&text) {
            // The run is over and saved; its result is not lost with its reader.
            Ok(()) | Err(Error::BrokenPipe) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(interrupt::asked().map_or_else(|| exit::of_run(&results), interrupt::exit_code))
}

/// Table, failing cells, time.
fn human(results: &RunResults, to_stderr: bool) -> String {
    let paint = out::paint(to_stderr);
    let mut text = report::terminal(results, paint);
    text.push_str(&report::failures(results, paint));
    let seconds = results.duration_ms / 100;
    text.push_str(&format!("\n{}.{} s; ", seconds / 10, seconds % 10));
    text
}
