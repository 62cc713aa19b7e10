//! Whether KVM may be used. That `/dev/kvm` opens proves nothing (guests hang or abort under a hypervisor that only
//! pretends): it counts only if a guest has come up under it. The proof is kept per host boot and QEMU version.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// How long a guest may take to reach the agent under KVM before KVM counts as broken. It takes about one second where
/// it works.
pub const PROOF_DEADLINE: Duration = Duration::from_secs(10);

/// What is known of KVM on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kvm {
    /// Not for this arch, or no `/dev/kvm`, or no permission: why.
    No(String),
    /// It opens, and nobody has tried.
    Unproved,
    /// A guest came up.
    Works,
    /// A guest did not come up: why.
    Fails(String),
}

/// The remembered proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    boot_id: String,
    qemu: String,
    works: bool,
    why: String,
}

fn proof_path(state: &Path) -> PathBuf {
    state.join("kvm.json")
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What is known, without trying. `state` is the user's state directory, `qemu` the first line of `--version`.
pub fn known(arch: &Arch, state: &Path, qemu: &str) -> Kvm {
    let machine = nix::sys::utsname::uname().map(|u| u.machine().to_string_lossy().into_owned()).unwrap_or_default();
    if arch.qemu.kvm_host.as_deref() != Some(machine.as_str()) {
        return Kvm::No(format!("a {machine} host cannot virtualise {}", arch.name));
    }
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Kvm::No("there is no /dev/kvm".into()),
        Err(e) => return Kvm::No(format!("/dev/kvm does not open: {e}")),
        Ok(_) => {}
    }
    let proof = std::fs::read(proof_path(state)).ok().and_then(|bytes| serde_json::from_slice::<Proof>(&bytes).ok());
    match proof {
        Some(proof) if proof.boot_id == boot_id() && proof.qemu == qemu => {
            if proof.works {
                Kvm::Works
            } else {
                Kvm::Fails(proof.why)
            }
        }
        _ => Kvm::Unproved,
    }
}

/// Remembers the outcome of a try. Not being able to is no error: the next run tries again.
pub fn remember(state: &Path, qemu: &str, outcome: Result<(), String>) {
    let proof =
        Proof { boot_id: boot_id(), qemu: qemu.into(), works: outcome.is_ok(), why: outcome.err().unwrap_or_default() };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(state)?;
        let mut file = tempfile::NamedTempFile::new_in(state)?;
        serde_json::to_writer(&mut file, &proof)?;
        file.persist(proof_path(state))?;
        Ok(())
    };
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_only_for_its_boot_and_qemu() {
        let dir = tempfile::tempdir().unwrap();
        remember(dir.path(), "QEMU 10", Err("the guest did not reach the agent within 10 s".into()));
        let bytes = std::fs::read(proof_path(dir.path())).unwrap();
        let proof: Proof = serde_json::from_slice(&bytes).unwrap();
        assert!(!proof.works && proof.qemu == "QEMU 10" && proof.boot_id == boot_id());
    }

    #[test]
    fn another_machine_is_never_virtualised() {
        let arches = crate::arch::load(&[]).unwrap();
        let arm32 = arches.iter().find(|a| a.name == "arm32").unwrap();
        assert!(matches!(known(arm32, Path::new("/nonexistent"), "QEMU 10"), Kvm::No(_)));
    }
}
