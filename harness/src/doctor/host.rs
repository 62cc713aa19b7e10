//! The probe of this machine.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Kvm, Mirror, Probe};
use crate::guest::accel;

/// This machine.
pub struct Host<'a> {
    /// Asks the package mirror.
    pub mirror: &'a dyn Fn() -> Mirror,
}

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// `/etc/os-release`, or `/usr/lib/os-release`, or nothing.
pub fn os_release() -> String {
    std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default()
}

impl Host<'_> {
    /// What an earlier run found out about KVM, for the arch that this machine can virtualise.
    fn proof(&self) -> Option<Kvm> {
        let machine = nix::sys::utsname::uname().ok()?.machine().to_string_lossy().into_owned();
        let arches = crate::arch::load(&[]).ok()?;
        let arch = arches.iter().find(|arch| arch.qemu.kvm_host.as_deref() == Some(machine.as_str()))?;
        let qemu = self.version(&arch.qemu.binary)?;
        match accel::known(arch, &crate::results::state_dir().ok()?, qemu.lines().next().unwrap_or_default()) {
            accel::Kvm::Works => Some(Kvm::Proved),
            accel::Kvm::Fails(why) => Some(Kvm::Fails(why)),
            accel::Kvm::No(_) | accel::Kvm::Unproved => None,
        }
    }
}

impl Probe for Host<'_> {
    fn os_release(&self) -> String {
        os_release()
    }

    fn version(&self, program: &str) -> Option<String> {
        let mut child = Command::new(program)
            .arg("--version")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                _ => break,
            }
        }
        // Ends what did not end by itself; an error means that it has ended.
        let _ = child.kill();
        let mut text = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = stdout.take(4096).read_to_string(&mut text);
        }
        let _ = child.wait();
        Some(text)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn kvm(&self) -> Kvm {
        match std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
            Ok(_) => self.proof().unwrap_or(Kvm::Opens),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kvm::Absent,
            // Whatever the reason, the device cannot be used by us.
            Err(_) => Kvm::NoPermission,
        }
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, String> {
        let mut at: PathBuf = std::path::absolute(path).map_err(|error| error.to_string())?;
        while !at.exists() && at.pop() {}
        let stat = nix::sys::statvfs::statvfs(&at).map_err(|errno| errno.desc().to_owned())?;
        // The types of these fields differ between hosts.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        Ok((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
    }

    fn available_memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib * 1024)
    }

    fn mirror(&self) -> Mirror {
        (self.mirror)()
    }
}
