//! `cargo test -- --arch riscv64 [filter]`: every conformance case as a trial, on real guests.
//!
//! Ours: `--arch`, `--kernel`, `--suite`, `--accel`, `--mirror`, `--offline` and the other flags of `kfunc run` that
//! select and configure; `-- --help` shows all. Everything else goes to libtest-mimic. See `harness::trials`.

use std::process::ExitCode;

use harness::trials::{self, Answer, Worker, flags};
use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let prepared = match trials::prepare(std::env::args_os().skip(1).collect()) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            eprintln!("conformance: error: {}", refusal.message);
            return ExitCode::from(refusal.code);
        }
    };
    if prepared.rest.iter().any(|word| word == "--help" || word == "-h") {
        print!("{}", flags::help());
    }
    let arguments = Arguments::from_iter(std::iter::once("conformance".into()).chain(prepared.rest));

    // The engine runs what libtest-mimic will ask for, no more: its own filter decides.
    let asked_for = |name: &str| !arguments.is_filtered_out(&Trial::test(name, || Ok(())));
    let wanted = prepared.trials.iter().filter(|trial| asked_for(&trial.name)).map(|trial| trial.key.clone()).collect();
    let known = prepared.trials.iter().map(|trial| trial.key.clone()).collect();
    let worker = Worker::new(prepared.engine, known, wanted, prepared.command);
    let end = worker.clone();

    let trials = prepared.trials.into_iter().map(|trial| {
        let worker = worker.clone();
        Trial::ignorable_test(trial.name, move || match worker.answer(&trial.key) {
            Answer::Passed => Ok(Completion::Completed),
            Answer::Ignored(reason) => Ok(Completion::ignored_with(reason)),
            Answer::Failed(evidence) => Err(evidence.into()),
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());

    let more = end.finish();
    for (name, evidence) in &more {
        eprintln!("\nfailed, and no test of its own: {name}\n{evidence}");
    }
    // libtest's own code for failed tests.
    if more.is_empty() { conclusion.exit_code() } else { ExitCode::from(101) }
}
