//! From a test binary's command line to trials and the engine behind them.

use std::ffi::OsString;
use std::sync::Arc;

use super::engine::{Guests, SharedGuests};
use super::shared::Shared;
use super::{Engine, Trial, flags, key_of_run, names};
use crate::cli::error::Error;
use crate::cli::{engine, exit, meant};
use crate::report::progress::Progress;

/// What a test binary needs.
pub struct Prepared {
    /// One trial per planned case.
    pub trials: Vec<Trial>,
    /// Runs them.
    pub engine: Arc<dyn Engine>,
    /// Words for libtest-mimic.
    pub rest: Vec<OsString>,
    /// The whole command line, for hints.
    pub command: Vec<String>,
}

/// A message for people and an exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Without prefix.
    pub message: String,
    /// One of [`exit`].
    pub code: u8,
}

/// Plans what the command line asks for. Nothing is started or fetched.
///
/// # Errors
/// When it makes no sense.
pub fn prepare(words: Vec<OsString>) -> Result<Prepared, Refusal> {
    let usage = |message: String| Refusal { message, code: exit::USAGE };
    let command: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (ours, rest) = flags::split(words);
    let own = flags::parse(ours).map_err(usage)?;
    let arch_files = own.select.arch_file.clone();
    let selection = meant::selection(own.select);
    let options = meant::options(own.host, command.clone());
    let refused = |error: Error| Refusal { message: error.to_string(), code: error.code() };
    let catalog = engine::catalog(&arch_files, options.cache_dir.as_deref()).map_err(refused)?;
    let plan = engine::plan(&selection, &catalog).map_err(refused)?;
    let keys = plan.kernels.iter().flat_map(|kernel| {
        let name = kernel.kernel.to_string();
        kernel.cases.iter().map(move |case| key_of_run(&kernel.arch.name, &name, case.suite, &case.name))
    });
    let trials = names::name(keys);
    let decides = vec![
        selection.suites.join(","),
        format!("{:?}", arch_files),
        format!("{:?} {:?} {:?} {:?}", options.accel, options.mirror, options.cache_dir, options.qemu),
    ];
    let guests = Guests { plan, options, progress: Progress::plain() };
    let engine: Arc<dyn Engine> = match Shared::of_this_process() {
        None => Arc::new(guests),
        Some(Ok(shared)) => Arc::new(SharedGuests { guests, shared, decides }),
        Some(Err(message)) => return Err(Refusal { message, code: exit::INFRASTRUCTURE }),
    };
    Ok(Prepared { trials, engine, rest, command })
}
