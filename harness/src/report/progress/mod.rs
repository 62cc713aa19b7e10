//! The live display: one line per (arch, kernel) on a terminal, plain lines with relative times elsewhere.
//!
//! Both consume [`Event`]s and decide nothing. Everything goes to standard error: standard output belongs to results.

mod lines;
mod live;
mod state;

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Instant;

pub use lines::Lines;

use crate::event::Event;

/// Somewhere events go. Shared between the engine's threads.
#[derive(Debug)]
pub struct Progress(Kind);

#[derive(Debug)]
enum Kind {
    Quiet,
    Plain { start: Instant, lines: Mutex<Lines> },
    Live(live::Live),
}

impl Progress {
    /// Live when standard error is a terminal that can move its cursor, plain lines otherwise.
    pub fn to_stderr() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !dumb { Self(Kind::Live(live::Live::new())) } else { Self::plain() }
    }

    /// Plain lines, whatever standard error is.
    pub fn plain() -> Self {
        Self(Kind::Plain { start: Instant::now(), lines: Mutex::new(Lines::default()) })
    }

    /// Nothing.
    pub fn quiet() -> Self {
        Self(Kind::Quiet)
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        match &self.0 {
            Kind::Quiet => {}
            Kind::Plain { start, lines } => {
                let mut lines = lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                for line in lines.event(event, start.elapsed()) {
                    // A closed standard error is no reason to stop a run.
                    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
                }
            }
            Kind::Live(live) => live.event(event),
        }
    }

    /// Takes the live lines away; the report follows.
    pub fn finish(&self) {
        if let Kind::Live(live) = &self.0 {
            live.finish();
        }
    }
}
