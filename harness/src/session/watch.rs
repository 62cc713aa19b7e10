//! The kernel's log after each case, guests that are lost, and the controls that lose one on purpose.

use std::time::Duration;

use super::Session;
use crate::event::Event;
use crate::expectations::kind;
use crate::guest::{GuestError, files};
use crate::judge;
use crate::model::{GuestEnd, KernelResults, Observation, Outcome, Standing};
use crate::plan::GuestControl;
use crate::sys::{Batch, Sys, SysError};

impl Session<'_> {
    /// Adds what the kernel logged since the last case. Gives whether it could be read.
    pub(super) fn read_log(&mut self, seen: &mut Observation) -> bool {
        let Some(running) = self.running.as_mut() else { return false };
        match running.log.read(&mut running.guest) {
            Ok(files::News { records, incomplete }) => {
                if incomplete {
                    seen.facts.insert("log".into(), "incomplete: the kernel logs faster than it can be read".into());
                }
                if let Some(splat) = records.iter().find(|record| files::is_splat(record)) {
                    seen.facts.insert(judge::FACT_SPLAT.into(), splat.text.clone());
                }
                // Warnings and worse, or everything once there is a splat, whose trace has lower levels.
                let all = seen.facts.contains_key(judge::FACT_SPLAT);
                let lines = records.into_iter().filter(|record| all || record.level <= 4).map(|record| record.text);
                seen.console.extend(lines.take(200));
                true
            }
            Err(error) => {
                self.lost(error, seen);
                false
            }
        }
    }

    /// What the kernel logged after a case was over is that case's: work it deferred, most likely.
    pub(super) fn sweep_log(&mut self, results: &mut KernelResults) {
        let mut late = Observation::default();
        self.read_log(&mut late);
        let Some(cell) = results.cells.last_mut() else { return };
        let Some(line) = late.facts.remove(judge::FACT_SPLAT) else { return };
        cell.observation.console.extend(late.console);
        cell.observation.facts.insert(judge::FACT_SPLAT.into(), line.clone());
        cell.outcome = Outcome::Splat { line };
        cell.standing = Standing::Wrong;
        let (arch, kernel) = (results.arch.clone(), results.kernel.clone());
        (self.shared.tell)(Event::CellDone { arch, kernel, cell: Box::new(cell.clone()) });
    }

    /// Files how the guest was lost, and gives it up.
    pub(super) fn lost(&mut self, error: SysError, seen: &mut Observation) {
        let end = match &error {
            SysError::Guest(GuestError::Panic { line, .. }) => Some(GuestEnd::Panic { line: line.clone() }),
            SysError::Guest(GuestError::Exit { status, by_guest, .. }) => {
                Some(GuestEnd::Exit { status: status.clone(), by_guest: *by_guest })
            }
            SysError::Guest(GuestError::Silent { after_ms, .. }) => Some(GuestEnd::Silent { after_ms: *after_ms }),
            _ => None,
        };
        match (&error, end) {
            (SysError::Guest(guest), Some(end)) => {
                let lines = guest.console();
                seen.console.extend_from_slice(&lines[lines.len().saturating_sub(200)..]);
                seen.guest_end = Some(end);
            }
            (error, _) => seen.infrastructure = Some(error.to_string()),
        }
        self.running = None;
        if self.ends_on_purpose {
            return;
        }
        self.tell(Event::GuestLost {
            arch: self.planned.arch.name.clone(),
            kernel: self.planned.kernel.to_string(),
            how: error.to_string().lines().next().unwrap_or_default().to_owned(),
        });
    }

    /// Ends the guest on purpose in mid-case: right only if the case ends as guest lost, in the way it was done.
    pub(super) fn run_guest_control(&mut self, control: GuestControl) -> (Observation, Outcome, Standing) {
        let mut seen = Observation::default();
        let Some(running) = self.running.as_mut() else {
            seen.infrastructure = Some("there is no guest".into());
            return self.judged_loss(seen);
        };
        if control == GuestControl::Splat {
            return self.run_splat_control();
        }
        self.ends_on_purpose = true;
        let guest = &mut running.guest;
        let ended = match control {
            GuestControl::Splat => Ok(()),
            GuestControl::Killed => {
                // Reading the console, PID 1 waits for input that never comes: the request is under way when QEMU dies.
                guest.kill_after(Duration::from_millis(200));
                let read = guest.target().syscalls.read;
                let mut batch = Batch::new(guest.target());
                let at = batch.reserve(16);
                batch.call(read, &[0, at, 16]);
                guest.submit(&batch).map(drop)
            }
            GuestControl::Frozen => {
                guest.set_call_deadline(Duration::from_secs(1));
                guest.freeze();
                files::uname(guest).map(drop)
            }
            GuestControl::Panic => match files::write(guest, "/proc/sysrq-trigger", "c") {
                Ok(Err(errno)) => {
                    seen.infrastructure = Some(format!("the kernel takes no sysrq (errno {errno})"));
                    Ok(())
                }
                other => other.map(drop),
            },
        };
        match ended {
            Ok(()) => {}
            Err(error) => self.lost(error, &mut seen),
        }
        self.ends_on_purpose = false;
        let as_done = matches!(
            (control, &seen.guest_end),
            (GuestControl::Killed, Some(GuestEnd::Exit { by_guest: false, .. }))
                | (GuestControl::Frozen, Some(GuestEnd::Silent { .. }))
                | (GuestControl::Panic, Some(GuestEnd::Panic { .. }))
        );
        let outcome = judge::of_control(&seen);
        // A kernel that panics is at fault; a QEMU that was killed is not; one that is silent must not be waited for.
        let due = match control {
            GuestControl::Panic => "guest_lost",
            GuestControl::Killed => "infrastructure",
            GuestControl::Frozen => "hang",
            GuestControl::Splat => "splat",
        };
        let standing = if as_done && kind(&outcome) == due { Standing::Right } else { Standing::Wrong };
        (seen, outcome, standing)
    }

    /// Writes a warning into the kernel's log, as a kernel would: the case must end as a splat.
    fn run_splat_control(&mut self) -> (Observation, Outcome, Standing) {
        let mut seen = Observation::default();
        if let Some(running) = self.running.as_mut() {
            // Without the line end the record would stay open and unread.
            match files::write(&mut running.guest, "/dev/kmsg", "<4>WARNING: provoked by kfunc-conformance\n") {
                Ok(Ok(())) => {}
                Ok(Err(errno)) => seen.infrastructure = Some(format!("/dev/kmsg cannot be written (errno {errno})")),
                Err(error) => self.lost(error, &mut seen),
            }
        }
        self.read_log(&mut seen);
        let outcome = match seen.facts.get(judge::FACT_SPLAT) {
            Some(line) => Outcome::Splat { line: line.clone() },
            None => judge::of_control(&seen),
        };
        let standing = if kind(&outcome) == "splat" { Standing::Right } else { Standing::Wrong };
        (seen, outcome, standing)
    }
}
