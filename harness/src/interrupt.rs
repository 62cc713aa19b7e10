//! SIGINT and SIGTERM: a run that is asked to stop ends its guests, keeps the cells it has, and says so.
//!
//! Only the `kfunc` command watches; everything that waits asks [`asked`].

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// The signal that was received, 0 for none.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// How long an orderly end may take (a download does not look) before it becomes a hard one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The signal that asked for the end, if one did.
pub fn asked() -> Option<Signal> {
    Signal::try_from(ASKED.load(Ordering::Relaxed)).ok()
}

/// Exit code of a process that a signal ended, as shells count.
pub fn exit_code(signal: Signal) -> u8 {
    128 + u8::try_from(signal as i32).unwrap_or(0)
}

/// Watches for both signals from now on. Must be called before other threads start, which inherit the mask.
///
/// # Errors
/// The system's; the signals then keep their default meaning.
pub fn watch() -> nix::Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    std::thread::spawn(move || {
        let Ok(first) = set.wait() else { return };
        ASKED.store(first as i32, Ordering::Relaxed);
        // Guests end with this process, whatever it was doing.
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            std::process::exit(i32::from(exit_code(first)));
        });
        if let Ok(second) = set.wait() {
            std::process::exit(i32::from(exit_code(second)));
        }
    });
    Ok(())
}
