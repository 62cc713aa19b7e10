//! One running virtual machine: started, watched, asked, and ended whatever happens.
//!
//! [`Guest::boot`] starts QEMU in a process group of its own and waits for the agent's first word; readiness is a race
//! of that word, the end of the process, a panic on the console and a deadline, and each has its own error. A `Guest`
//! is [`Sys`]: batches go to the agent. Dropping it kills and reaps QEMU. If the harness itself is killed, the kernel
//! kills QEMU (see [`process`]).
//!
//! The guest is not trusted: lengths are bounded, console text is cleaned ([`console`]).

pub mod accel;
pub mod console;
pub mod files;
pub mod process;
pub mod wire;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::arch::Arch;
use crate::qemu::{self, Boot};
use crate::sys::{Batch, Replies, Sys, SysError, Target};

use console::Console;
use process::Qemu;

/// How a guest ended although it should not have, with the last console lines.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuestError {
    /// QEMU could not be started.
    #[error("cannot start {program}: {why}")]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        why: String,
    },
    /// The guest's kernel panicked.
    #[error("the guest panicked: {line}{}", tail(console))]
    Panic {
        /// The line that says so.
        line: String,
        /// Last console lines.
        console: Vec<String>,
    },
    /// QEMU ended by itself.
    #[error("QEMU ended: {status}{}", tail(console))]
    Exit {
        /// Its status in words.
        status: String,
        /// Whether it was the guest that reset or powered off, as against something on the host.
        by_guest: bool,
        /// Last console lines, QEMU's own messages among them.
        console: Vec<String>,
    },
    /// The agent did not speak in time.
    #[error("the guest did not reach the agent within {after_s} s{}", tail(console))]
    BootDeadline {
        /// Seconds waited.
        after_s: u64,
        /// Last console lines.
        console: Vec<String>,
    },
    /// The agent did not answer in time although the guest lives.
    #[error("the guest did not answer within {after_ms} ms{}", tail(console))]
    Silent {
        /// Milliseconds waited.
        after_ms: u64,
        /// Last console lines.
        console: Vec<String>,
    },
    /// The agent answered what no agent would.
    #[error("the guest broke the protocol: {0}")]
    Protocol(String),
    /// The user asked for the end.
    #[error("interrupted")]
    Interrupted,
}

impl GuestError {
    /// Console lines that came with the end.
    pub fn console(&self) -> &[String] {
        match self {
            Self::Panic { console, .. }
            | Self::Exit { console, .. }
            | Self::BootDeadline { console, .. }
            | Self::Silent { console, .. } => console,
            Self::Start { .. } | Self::Protocol(_) | Self::Interrupted => &[],
        }
    }
}

/// The last lines, indented, for the end of a message.
fn tail(lines: &[String]) -> String {
    let from = lines.len().saturating_sub(12);
    lines[from..].iter().map(|line| format!("\n    | {line}")).collect()
}

/// How often a wait looks at the console and the process.
const LOOK: Duration = Duration::from_millis(50);

/// A running guest.
#[derive(Debug)]
pub struct Guest {
    qemu: Qemu,
    console: Console,
    channel: UnixStream,
    target: Target,
    sequence: u32,
    boot_time: Duration,
    command: String,
    call_deadline: Duration,
    /// How it ended: every later request is told the same.
    ended: Option<GuestError>,
}

impl Guest {
    /// Boots and waits until the agent speaks, at most `deadline`.
    ///
    /// The calling thread must live as long as the guest: its end ends QEMU ([`process::Qemu::start`]).
    ///
    /// # Errors
    /// [`GuestError`]; nothing is left running then.
    pub fn boot(program: &Path, arch: &Arch, boot: &Boot<'_>, deadline: Duration) -> Result<Self, GuestError> {
        let args: Vec<OsString> = qemu::arguments(arch, boot);
        let command = qemu::shell_quoted(program, &args);
        let start = Instant::now();
        let cannot = |why: String| GuestError::Start { program: program.display().to_string(), why };
        let (ours, theirs) = UnixStream::pair().map_err(|e| cannot(format!("no socket pair: {e}")))?;
        ours.set_read_timeout(Some(LOOK)).map_err(|e| cannot(format!("no timeout on the channel: {e}")))?;
        ours.set_write_timeout(Some(LOOK)).map_err(|e| cannot(format!("no timeout on the channel: {e}")))?;
        let (qemu, streams) = Qemu::start(program, &args, theirs).map_err(|e| cannot(e.to_string()))?;
        let mut guest = Self {
            qemu,
            console: Console::follow(streams),
            channel: ours,
            target: Target {
                endian: arch.endian,
                word: arch.word,
                syscalls: arch.syscalls.clone(),
                arena_base: 0,
                arena_len: 0,
            },
            sequence: 0,
            boot_time: Duration::ZERO,
            command,
            call_deadline: Duration::from_secs(arch.deadlines.call_s),
            ended: None,
        };
        let mut hello = [0; wire::HELLO_LEN];
        guest.receive(&mut hello, start, deadline).map_err(|e| match e {
            GuestError::Silent { console, .. } => GuestError::BootDeadline { after_s: deadline.as_secs(), console },
            other => other,
        })?;
        let hello = wire::hello(&hello, arch.endian, arch.word).map_err(GuestError::Protocol)?;
        guest.target.arena_base = hello.arena_base;
        guest.target.arena_len = hello.arena_len;
        guest.boot_time = start.elapsed();
        Ok(guest)
    }

    /// From QEMU's start to the agent's first word.
    pub fn boot_time(&self) -> Duration {
        self.boot_time
    }

    /// The exact command, shell-quoted.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Ends the guest the hard way after a while, as the `control` suite does in the middle of a request.
    pub fn kill_after(&self, delay: Duration) {
        self.qemu.signal_after(nix::sys::signal::Signal::SIGKILL, delay);
    }

    /// Stops QEMU without ending it, as the `control` suite does: it lives and does not answer.
    pub fn freeze(&self) {
        self.qemu.signal_after(nix::sys::signal::Signal::SIGSTOP, Duration::ZERO);
    }

    /// Changes how long one batch may take.
    pub fn set_call_deadline(&mut self, deadline: Duration) {
        self.call_deadline = deadline;
    }

    /// Fills `bytes` from the channel, looking at console, process and clock in between.
    fn receive(&mut self, bytes: &mut [u8], since: Instant, deadline: Duration) -> Result<(), GuestError> {
        let mut got = 0;
        while got < bytes.len() {
            match self.channel.read(&mut bytes[got..]) {
                Ok(0) => return Err(self.how_it_ended()),
                Ok(n) => {
                    got += n;
                    // One byte now and then must not outlast the deadline.
                    if since.elapsed() >= deadline {
                        self.still_alive(since, deadline)?;
                    }
                }
                Err(e) if would_block(&e) => self.still_alive(since, deadline)?,
                Err(_) => return Err(self.how_it_ended()),
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8], since: Instant, deadline: Duration) -> Result<(), GuestError> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.channel.write(&bytes[sent..]) {
                Ok(n) if n > 0 => sent += n,
                Err(e) if would_block(&e) => self.still_alive(since, deadline)?,
                Ok(_) | Err(_) => return Err(self.how_it_ended()),
            }
        }
        Ok(())
    }

    /// Whether waiting on makes sense.
    fn still_alive(&mut self, since: Instant, deadline: Duration) -> Result<(), GuestError> {
        if self.qemu.has_ended() || self.console.panic_line().is_some() {
            return Err(self.how_it_ended());
        }
        if crate::interrupt::asked().is_some() {
            return Err(self.end_with(GuestError::Interrupted));
        }
        if since.elapsed() >= deadline {
            let after_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            return Err(self.end_with(GuestError::Silent { after_ms, console: self.console.lines() }));
        }
        Ok(())
    }

    /// The channel is closed or the console says panic: waits a moment for the rest of the console, then says what it was.
    fn how_it_ended(&mut self) -> GuestError {
        // A panicked kernel prints its registers and trace after the line that says so, and then resets.
        let patience = Instant::now();
        while !self.qemu.has_ended() && patience.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (status, by_guest) = self.qemu.end();
        self.console.drain(Duration::from_millis(500));
        let console = self.console.lines();
        let end = match self.console.panic_line() {
            Some(line) => GuestError::Panic { line, console },
            None => GuestError::Exit { status, by_guest, console },
        };
        self.end_with(end)
    }

    fn end_with(&mut self, end: GuestError) -> GuestError {
        self.ended = Some(end.clone());
        end
    }
}

fn would_block(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut | std::io::ErrorKind::Interrupted)
}

impl Sys for Guest {
    fn target(&self) -> &Target {
        &self.target
    }

    fn submit(&mut self, batch: &Batch) -> Result<Replies, SysError> {
        if batch.overflowed() {
            return Err(SysError::ArenaFull(self.target.arena_len));
        }
        if let Some(end) = &self.ended {
            return Err(end.clone().into());
        }
        let since = Instant::now();
        let mut replies = Replies::default();
        let mut partial_peek = Vec::new();
        for request in wire::requests(batch.ops(), self.target.endian) {
            self.sequence = self.sequence.wrapping_add(1);
            self.send(&request.encode(self.sequence), since, self.call_deadline)?;
            let mut head = [0; wire::HEAD_LEN];
            self.receive(&mut head, since, self.call_deadline)?;
            let len = wire::reply_len(&head, self.sequence, self.target.endian)
                .and_then(|len| {
                    if len == request.reply_len {
                        Ok(len)
                    } else {
                        Err(format!("a reply of {len} bytes where {} were due", request.reply_len))
                    }
                })
                .map_err(|what| {
                    // What follows on the channel cannot be understood any more.
                    self.ended = Some(GuestError::Protocol(what.clone()));
                    SysError::Protocol(what)
                })?;
            let mut body = vec![0; len];
            self.receive(&mut body, since, self.call_deadline)?;
            request.decode(&body, &mut replies, &mut partial_peek);
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod boot_tests;
