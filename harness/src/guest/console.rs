//! The guest's console and QEMU's own messages: read all the time, cleaned, bounded, searched for a panic.
//!
//! What arrives here was written by a kernel under test: it may be endless, binary or meant to confuse a terminal.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines kept from the beginning: firmware, command line, what went wrong first.
const KEEP_FIRST: usize = 200;
/// Lines kept from the end.
const KEEP_LAST: usize = 800;
/// Longest line; the rest of it is dropped.
const LINE: usize = 2000;

#[derive(Debug, Default)]
struct Lines {
    first: Vec<String>,
    last: VecDeque<String>,
    dropped: u64,
    panic: Option<String>,
    open_streams: usize,
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.panic.is_none() && is_panic(&line) {
            self.panic = Some(line.clone());
        }
        if self.first.len() < KEEP_FIRST {
            self.first.push(line);
            return;
        }
        if self.last.len() == KEEP_LAST {
            self.last.pop_front();
            self.dropped += 1;
        }
        self.last.push_back(line);
    }
}

/// Whether a console line says that the kernel is gone.
fn is_panic(line: &str) -> bool {
    line.contains("Kernel panic - not syncing") || line.contains("---[ end Kernel panic")
}

/// The console of one guest, filled by threads of its own.
#[derive(Debug, Clone)]
pub struct Console {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

impl Console {
    /// Follows QEMU's standard output (the guest's serial port) and standard error until both end.
    pub fn follow((out, err): (ChildStdout, ChildStderr)) -> Self {
        let console = Self { shared: Arc::default() };
        console.lock().open_streams = 2;
        console.read("", out);
        console.read("qemu: ", err);
        console
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, prefix: &'static str, stream: impl Read + Send + 'static) {
        let console = self.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut raw = Vec::new();
            loop {
                raw.clear();
                // `take` bounds a line that never ends; its rest comes as further lines.
                match stream.by_ref().take(LINE as u64).read_until(b'\n', &mut raw) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                let line = clean(&String::from_utf8_lossy(&raw));
                if !line.is_empty() {
                    console.lock().push(format!("{prefix}{line}"));
                }
            }
            console.lock().open_streams -= 1;
            console.shared.1.notify_all();
        });
    }

    /// Lines so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lock();
        let gap = (lines.dropped > 0).then(|| format!("… {} lines dropped …", lines.dropped));
        lines.first.iter().cloned().chain(gap).chain(lines.last.iter().cloned()).collect()
    }

    /// The first line that says the kernel panicked.
    pub fn panic_line(&self) -> Option<String> {
        self.lock().panic.clone()
    }

    /// Waits until both streams ended, at most `patience`: after QEMU's end this is when all was read.
    pub fn drain(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut lines = self.lock();
        while lines.open_streams > 0 {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            lines = self.shared.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Text from a guest made safe for a terminal and a report: escape sequences go as a whole, other control characters
/// singly, the kernel's own time stamp stays.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // CSI: parameters, then one final byte in @ to ~.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // OSC, DCS, PM, APC, SOS: until BEL or ST.
                Some(']' | 'P' | '^' | '_' | 'X') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\t' => out.push(' '),
            c if c.is_control() || is_bidi(c) => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that reorder what a terminal or a browser shows.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_removed_whole() {
        assert_eq!(clean("\u{1b}[31;1mred\u{1b}[0m \u{1b}]0;title\u{7}x\ty\r\n"), "red x y");
        assert_eq!(clean("\u{1b}Pq#0\u{1b}\\after\u{0}\u{202e}!"), "after!");
        assert_eq!(clean("[    0.5] ok"), "[    0.5] ok");
        assert_eq!(clean("\u{1b}["), "");
    }

    #[test]
    fn the_console_is_bounded_and_keeps_both_ends() {
        let mut lines = Lines::default();
        for i in 0..5000 {
            lines.push(format!("line {i}"));
        }
        assert_eq!(lines.first.len() + lines.last.len(), KEEP_FIRST + KEEP_LAST);
        assert_eq!(lines.dropped, 5000 - (KEEP_FIRST + KEEP_LAST) as u64);
        assert_eq!(lines.first[0], "line 0");
        assert_eq!(lines.last.back().unwrap(), "line 4999");
    }

    #[test]
    fn the_first_panic_line_is_remembered() {
        let mut lines = Lines::default();
        lines.push("[    1.0] Kernel panic - not syncing: Attempted to kill init!".into());
        lines.push("[    1.1] ---[ end Kernel panic - not syncing: other ]---".into());
        assert!(lines.panic.unwrap().contains("Attempted to kill init"));
    }
}
