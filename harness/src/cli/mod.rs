//! The `kfunc` command: arguments in, text and an exit code out.
//!
//! [`args`] is the command line as typed, [`meant`] what it means, [`exit`] the documented exit codes. Each subcommand
//! has a file of its own. The top of the program: nothing but `main.rs` and the conformance tests may import it.

pub mod args;
mod bundle;
mod compare;
mod doctor;
pub mod engine;
pub mod error;
pub mod exit;
mod expect;
mod images;
mod list;
mod matrix;
pub mod meant;
mod merge;
pub mod out;
mod report;
mod repro;
mod run;
mod schema;
mod table;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use error::Error;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::from(of(std::env::args_os().collect()))
}

/// Runs one command line, program name first, and gives its exit code.
fn of(words: Vec<OsString>) -> u8 {
    let typed: Vec<String> = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let done = match cli.command {
        Command::Run(args) => run::run(args, typed),
        Command::Table(args) => table::table(&args),
        Command::Coverage(args) => table::coverage(&args).map(|()| exit::OK),
        Command::Matrix(args) => matrix::matrix(args).map(|()| exit::OK),
        Command::Merge(args) => merge::merge(&args).map(|()| exit::OK),
        Command::Compare(args) => compare::compare(&args),
        Command::Report(args) => report::report(&args).map(|()| exit::OK),
        Command::Expect(args) => expect::expect(&args),
        Command::Schema(args) => schema::schema(&args).map(|()| exit::OK),
        Command::Bundle(args) => bundle::bundle(&args).map(|()| exit::OK),
        Command::Repro(args) => repro::repro(args, typed),
        Command::List(args) => list::list(&args).map(|()| exit::OK),
        Command::Images(args) => images::images(args).map(|()| exit::OK),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::ExitCodes => out::stdout(&exit::explain()).map(|()| exit::OK),
    };
    match done {
        Ok(code) => code,
        Err(Error::BrokenPipe) => exit::OK,
        Err(error) => {
            out::stderr(&format!("kfunc: error: {error}\n"));
            error.code()
        }
    }
}

/// clap's own text: help and version are no errors; the rest gets our prefix.
fn refuse(error: &clap::Error) -> u8 {
    let paint = out::paint(error.use_stderr());
    let styled = error.render();
    let text = match paint {
        crate::report::Paint::Colour => styled.ansi().to_string(),
        crate::report::Paint::Plain => styled.to_string(),
    };
    if !error.use_stderr() {
        return match out::stdout(&text) {
            Ok(()) | Err(Error::BrokenPipe) => exit::OK,
            Err(error) => error.code(),
        };
    }
    let plain = styled.to_string();
    // A bare `kfunc` is shown the help: that is a usage error without a message of its own.
    match plain.strip_prefix("error: ") {
        Some(rest) => out::stderr(&format!("kfunc: error: {rest}")),
        None => out::stderr(&text),
    }
    exit::USAGE
}
