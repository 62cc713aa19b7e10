//! The display on a terminal: one line per (arch, kernel) with state, counts and time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::state::State;
use crate::event::Event;
use crate::report::{clean, evidence};

/// Lines that are redrawn in place on standard error.
#[derive(Debug)]
pub struct Live {
    all: MultiProgress,
    lines: Mutex<HashMap<(String, String), (ProgressBar, State)>>,
}

impl Live {
    /// An empty display.
    pub fn new() -> Self {
        Self { all: MultiProgress::new(), lines: Mutex::default() }
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        match event {
            Event::PlanReady { kernels } => {
                for one in kernels {
                    self.update(&one.arch, &one.kernel, |state| *state = State::new(one.cases));
                }
            }
            Event::Image { arch, kernel, stage, what, done, total } => {
                self.update(arch, kernel, |state| state.image(*stage, what, *done, *total));
            }
            Event::Booting { arch, kernel, .. } => self.update(arch, kernel, State::booting),
            Event::Booted { arch, kernel, .. } => self.update(arch, kernel, State::booted),
            Event::Programs { arch, kernel, done, total } => {
                self.update(arch, kernel, |state| state.programs(*done, *total));
            }
            Event::CellDone { arch, kernel, cell } => {
                self.update(arch, kernel, |state| state.cell(cell));
                if cell.standing.fails() {
                    self.say(&format!("{arch} {kernel}: WRONG {}: {}", cell.name(), evidence::headline(cell)));
                }
            }
            Event::GuestLost { arch, kernel, how } => self.say(&format!("{arch} {kernel}: guest lost: {how}")),
            Event::KernelDone { arch, kernel, verdict, reason, error } => {
                self.update(arch, kernel, |state| state.over(*verdict, reason, error.as_deref()));
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((bar, state)) = lines.get(&(arch.clone(), kernel.clone())) {
                    bar.abandon_with_message(state.status());
                }
            }
            Event::Note { text } => self.say(text),
            Event::Warning { text } => self.say(&format!("warning: {text}")),
        }
    }

    /// Clears the display.
    pub fn finish(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (bar, _) in lines.values() {
            bar.finish_and_clear();
        }
        let _ = self.all.clear();
    }

    fn say(&self, text: &str) {
        let _ = self.all.println(clean::line(text));
    }

    fn update(&self, arch: &str, kernel: &str, change: impl FnOnce(&mut State)) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (bar, state) = lines.entry((arch.to_owned(), kernel.to_owned())).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4} {wide_msg}") {
                bar.set_style(style.tick_chars("|/-\\ "));
            }
            bar.set_prefix(clean::line(&format!("{arch:<11} {kernel}")));
            // The time goes on while nothing else happens.
            bar.enable_steady_tick(Duration::from_millis(250));
            (bar, State::default())
        });
        change(state);
        bar.set_message(state.status());
    }
}
