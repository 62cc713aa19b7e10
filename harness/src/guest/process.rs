//! QEMU's process: a group of its own, ended and reaped whatever happens. The only `unsafe` of the guest side is here.
//!
//! Nothing else may start QEMU.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

use crate::qemu::CHANNEL_FD;

/// A QEMU that runs or has been reaped.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    status: Option<ExitStatus>,
    killed: bool,
}

impl Qemu {
    /// Starts `program` with `channel` as its [`CHANNEL_FD`], in a process group of its own (a terminal's Ctrl-C reaches
    /// the harness alone, which then decides). When the calling **thread** ends, however it ends, the kernel kills QEMU:
    /// so that neither SIGKILL nor a crash of the harness leaves a guest behind.
    ///
    /// # Errors
    /// The system's, from starting the program.
    pub fn start(
        program: &Path,
        args: &[OsString],
        channel: UnixStream,
    ) -> io::Result<(Self, (ChildStdout, ChildStderr))> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let (fd, parent) = (channel.as_raw_fd(), nix::unistd::getpid());
        let prepare = move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The harness may have blocked signals (`crate::interrupt`); QEMU shall not.
            SigSet::empty().thread_set_mask()?;
            // The parent may have died before the line above took effect.
            if nix::unistd::getppid() != parent {
                return Err(nix::errno::Errno::ESRCH.into());
            }
            if fd == CHANNEL_FD {
                // dup2 of a descriptor to itself would leave it to be closed by exec.
                // SAFETY: as below.
                let channel = unsafe { BorrowedFd::borrow_raw(fd) };
                nix::fcntl::fcntl(channel, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
                return Ok(());
            }
            // SAFETY: `fd` is the parent's open socket, inherited by this child and open until exec. CHANNEL_FD is not in
            // use here unless the harness has a hundred files open; then dup2 closes one that exec would close anyway, or
            // the pipe through which a failing exec is reported.
            let channel = unsafe { nix::unistd::dup2_raw(BorrowedFd::borrow_raw(fd), CHANNEL_FD)? };
            // It must stay open across exec.
            let _ = channel.into_raw_fd();
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes only async-signal-safe calls (prctl, sigprocmask, getppid, dup2) and
        // allocates nothing on its successful path.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        drop(channel);
        let streams = child.stdout.take().zip(child.stderr.take());
        let mut qemu = Self { child, status: None, killed: false };
        match streams {
            Some(streams) => Ok((qemu, streams)),
            None => {
                qemu.end();
                Err(io::Error::other("QEMU's output is not piped"))
            }
        }
    }

    /// Whether it has ended; reaps it then.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_some()
    }

    /// Kills it; it is reaped later.
    pub fn kill(&mut self) {
        if !self.has_ended() {
            self.killed = true;
            // The group: QEMU may have helpers. An error means that it is gone already.
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        }
    }

    /// Sends a signal to the group from another thread, after a while. Meant for a QEMU that is not reaped until then.
    pub fn signal_after(&self, signal: Signal, delay: Duration) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        let send = move || {
            std::thread::sleep(delay);
            // An error means that it is gone already.
            let _ = killpg(group, signal);
        };
        if delay.is_zero() { send() } else { drop(std::thread::spawn(send)) }
    }

    /// Kills it if need be, reaps it, and says how it ended: in words, and whether by the guest's own doing.
    pub fn end(&mut self) -> (String, bool) {
        self.kill();
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
        match self.status {
            _ if self.killed => ("killed by the harness".into(), false),
            Some(status) => (in_words(status), status.code() == Some(0)),
            None => ("unknown".into(), false),
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.end();
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "exit status 0 (the guest powered off or was reset)".into(),
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |s| s.as_str().to_owned());
            format!("killed by {name}")
        }
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Instant;

    /// bash: a plain sh redirects to descriptors 0 to 9 only.
    fn shell(script: &str) -> (Qemu, ChildStdout, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (qemu, (out, _)) = Qemu::start(Path::new("bash"), &["-c".into(), script.into()], theirs).unwrap();
        (qemu, out, ours)
    }

    #[test]
    fn the_channel_is_inherited_and_closed_with_the_process() {
        let (mut qemu, _out, mut ours) = shell(&format!("printf hello >&{CHANNEL_FD}; exit 7"));
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        let until = Instant::now() + Duration::from_secs(5);
        while !qemu.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(qemu.end(), ("exit status 7".into(), false));
    }

    #[test]
    fn dropping_ends_the_whole_group() {
        // The grandchild holds the pipe open: end of file means that it is gone too.
        let (qemu, mut out, _ours) = shell("sleep 1000 & echo started; wait");
        let mut byte = [0; 8];
        out.read_exact(&mut byte).unwrap();
        drop(qemu);
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }

    #[test]
    fn a_missing_program_is_an_error_not_a_guest() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            Qemu::start(Path::new("/nonexistent/qemu"), &[], theirs).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
