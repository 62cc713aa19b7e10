//! Getting a guest up: accelerator, boot, mounts, JIT, the kernel's types.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Running, Session};
use crate::arch::Release;
use crate::bpf::{self, KernelTypes};
use crate::btf::Btf;
use crate::doctor::{self, needs};
use crate::event::Event;
use crate::guest::{Guest, GuestError, accel, files};
use crate::model::GuestInfo;
use crate::probe;
use crate::qemu::{Accelerator, Boot, ChannelDevice, channel_device};
use crate::run::Accel;
use crate::sys::SysError;

impl Session<'_> {
    /// Boots a guest, choosing the accelerator, and prepares it.
    pub(super) fn boot(&mut self) -> Result<(), String> {
        let arch = &self.planned.arch;
        let tell = |event| self.tell_image(event);
        let initramfs =
            self.shared.store.initramfs(self.image()?, &arch.agent, &tell).map_err(|e| needs::explain(&e))?;
        let deadline = Duration::from_secs(arch.deadlines.boot_s);
        let guest = match self.accelerator()? {
            (Accelerator::Kvm, proved) => match self.boot_with(&initramfs, Accelerator::Kvm, accel::PROOF_DEADLINE) {
                Ok(guest) => {
                    if !proved {
                        accel::remember(self.shared.state, &self.qemu_version, Ok(()));
                    }
                    guest
                }
                Err(error) if self.shared.options.accel == Accel::Kvm => return Err(error.to_string()),
                Err(error) => {
                    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                    accel::remember(self.shared.state, &self.qemu_version, Err(first.clone()));
                    let text = format!(
                        "{}: KVM is there, but a guest did not come up under it ({first}); using emulation until the next host boot",
                        arch.name
                    );
                    self.tell(Event::Note { text });
                    self.boot_with(&initramfs, Accelerator::Tcg, deadline).map_err(|e| e.to_string())?
                }
            },
            (Accelerator::Tcg, _) => {
                self.boot_with(&initramfs, Accelerator::Tcg, deadline).map_err(|e| self.explain_start(&e))?
            }
        };
        self.prepare(guest).map_err(|e| format!("the guest could not be prepared: {e}"))
    }

    pub(super) fn explain_start(&self, error: &GuestError) -> String {
        match error {
            GuestError::Start { .. } => {
                format!("{error}\n{}", doctor::remedy(&doctor::Tool::Qemu(self.planned.arch.qemu.binary.clone())))
            }
            other => other.to_string(),
        }
    }

    /// Which accelerator, and whether a guest has already come up under it.
    pub(super) fn accelerator(&self) -> Result<(Accelerator, bool), String> {
        let known = || accel::known(&self.planned.arch, self.shared.state, &self.qemu_version);
        match self.shared.options.accel {
            Accel::Tcg => Ok((Accelerator::Tcg, true)),
            Accel::Kvm => match known() {
                accel::Kvm::No(why) => Err(format!("--accel kvm: {why}")),
                _ => Ok((Accelerator::Kvm, true)),
            },
            Accel::Auto => Ok(match known() {
                accel::Kvm::Works => (Accelerator::Kvm, true),
                accel::Kvm::Unproved => (Accelerator::Kvm, false),
                accel::Kvm::No(_) | accel::Kvm::Fails(_) => (Accelerator::Tcg, true),
            }),
        }
    }

    pub(super) fn boot_with(
        &mut self,
        initramfs: &Path,
        accelerator: Accelerator,
        deadline: Duration,
    ) -> Result<Guest, GuestError> {
        let arch = &self.planned.arch;
        let image = self
            .image
            .as_ref()
            .ok_or_else(|| GuestError::Start { program: "QEMU".into(), why: "no image was resolved".into() })?;
        let channel = self.channel(image);
        let boot = Boot {
            kernel: &image.kernel,
            initramfs,
            channel,
            accelerator,
            append: &[],
            random_place: self.random_place,
        };
        let (name, kernel) = (arch.name.clone(), self.planned.kernel.to_string());
        self.tell(Event::Booting { arch: name.clone(), kernel: kernel.clone(), command: String::new() });
        let guest = Guest::boot(&self.program, arch, &boot, deadline)?;
        let ms = u64::try_from(guest.boot_time().as_millis()).unwrap_or(u64::MAX);
        if self.info.guests == 0 {
            self.info = GuestInfo {
                qemu: self.qemu_version.clone(),
                accel: accelerator.name().into(),
                command: guest.command().into(),
                release: String::new(),
                btf_sha256: None,
                boot_ms: ms,
                guests: 0,
            };
        }
        self.info.guests += 1;
        self.tell(Event::Booted { arch: name, kernel, release: image.release.clone(), ms });
        Ok(guest)
    }

    pub(super) fn channel(&self, image: &images::Image) -> ChannelDevice {
        channel_device(&self.planned.arch, |symbol| image.config(symbol).map(str::to_owned), image.has_config())
    }

    /// Mounts what cases need, switches the JIT on, reads the kernel's types, opens its log.
    pub(super) fn prepare(&mut self, mut guest: Guest) -> Result<(), String> {
        let sys = &mut guest;
        let text = |e: SysError| e.to_string();
        let (release_text, _) = files::uname(sys).map_err(text)?;
        let release: Release = release_text.parse().map_err(|e| format!("uname: {e}"))?;
        for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
            files::mount(sys, kind, at)
                .map_err(text)?
                .map_err(|errno| format!("cannot mount {kind} (errno {errno})"))?;
        }
        // Cases about cgroups need it; where the kernel has none, they say so.
        let _ = files::mount(sys, "cgroup2", "/sys/fs/cgroup").map_err(text)?;
        let jit_default = files::read_text(sys, probe::JIT_ENABLE).map_err(text)?.ok();
        if jit_default.as_deref() == Some("0") {
            // A kernel that does not let it is seen by the probe.
            let _ = files::write(sys, probe::JIT_ENABLE, "1").map_err(text)?;
        }
        let log = files::KernelLog::open(sys)
            .map_err(text)?
            .map_err(|errno| format!("its log cannot be read (errno {errno}), and a splat would go unseen"))?;
        let (vmlinux, btf_bytes) = self.vmlinux(sys)?;
        self.info.release = release_text;
        self.info.btf_sha256 = vmlinux.as_ref().and(self.vmlinux.as_ref()).map(|found| found.sha256.clone());
        let kernel = KernelTypes { vmlinux, modules: Vec::new() };
        self.running =
            Some(Running { guest, release, kernel, btf_bytes, log, jit_default, loaded_modules: Vec::new() });
        Ok(())
    }

    /// The kernel's BTF, from the cache when this very kernel's was read before. A kernel is known by its notes, which
    /// hold the build id.
    pub(super) fn vmlinux(&mut self, sys: &mut Guest) -> Result<(Option<Arc<Btf>>, usize), String> {
        let notes = files::read(sys, "/sys/kernel/notes").map_err(|e| e.to_string())?.unwrap_or_default();
        // The image's key as well: what a guest says of itself must not decide what another's BTF is.
        let key = self.image()?.key.as_bytes();
        let id = images::hex(&Sha256::digest([key, &notes].concat())[..16]);
        if let Some(known) = self.vmlinux.as_ref().filter(|known| known.id == id) {
            return Ok((Some(known.btf.clone()), known.len));
        }
        let kept = self.shared.store.cache_dir().join("btf").join(format!("{id}.btf"));
        let is_there = files::open(sys, bpf::kernel::VMLINUX_PATH, 0).map_err(|e| e.to_string())?;
        let Ok(fd) = is_there else { return Ok((None, 0)) };
        files::close(sys, fd).map_err(|e| e.to_string())?;
        let cached = (!notes.is_empty()).then(|| std::fs::read(&kept).ok()).flatten();
        let from_cache = cached.and_then(|bytes| Btf::parse(&bytes).ok().map(|btf| (btf, bytes)));
        let (btf, bytes) = match from_cache {
            Some(found) => found,
            None => {
                let Some(bytes) = bpf::read_vmlinux(sys).map_err(|e| e.to_string())? else { return Ok((None, 0)) };
                let btf = Btf::parse(&bytes).map_err(|e| format!("the kernel's BTF is malformed: {e}"))?;
                keep(&kept, &bytes);
                (btf, bytes)
            }
        };
        let (btf, len) = (Arc::new(btf), bytes.len());
        self.vmlinux = Some(Vmlinux { id, btf: btf.clone(), len, sha256: images::hex(&Sha256::digest(&bytes)) });
        Ok((Some(btf), len))
    }
}

/// The types of the kernel that was booted last.
pub(super) struct Vmlinux {
    /// Which kernel that is.
    id: String,
    pub(super) btf: Arc<Btf>,
    /// Bytes.
    len: usize,
    /// Of the bytes, in hex.
    sha256: String,
}

/// Files bytes in the cache, whole or not at all. Not being able to is no error: they are read from the guest again.
fn keep(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let folder = path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    let _ = write();
}
