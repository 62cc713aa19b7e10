//! Standard output and standard error, for commands. A reader that goes away (`kfunc list | head`) ends the command
//! quietly; messages that nobody can read are dropped.

use std::io::{ErrorKind, IsTerminal, Write};

use super::error::Error;
use crate::report::Paint;

/// Writes to standard output.
///
/// # Errors
/// [`Error::BrokenPipe`] when the reader is gone, [`Error::Infrastructure`] otherwise (a full disk).
pub fn stdout(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Error::BrokenPipe,
        _ => Error::Infrastructure(format!("cannot write to standard output: {error}")),
    })
}

/// Writes to standard error, if it can.
pub fn stderr(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Whether standard output, or standard error, may have colours: a terminal, and `NO_COLOR` not set (no-color.org).
pub fn paint(to_stderr: bool) -> Paint {
    let terminal = if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    if terminal && wanted && able { Paint::Colour } else { Paint::Plain }
}
