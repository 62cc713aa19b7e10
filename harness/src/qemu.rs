//! From (arch, boot files, options) to QEMU's argument vector: a pure function, tested without QEMU.
//!
//! Nothing here starts anything; [`crate::guest`] does.

use std::ffi::OsString;
use std::path::Path;

use crate::arch::Arch;

/// File descriptor under which QEMU inherits its end of the channel. High, so that it is free in the child whatever
/// the harness has open.
pub const CHANNEL_FD: i32 = 100;

/// How the guest's processor is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Emulation.
    Tcg,
    /// Virtualisation by the host's kernel.
    Kvm,
}

impl Accelerator {
    /// QEMU's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// What carries the channel inside the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelDevice {
    /// A virtio-serial port; the agent finds it by itself.
    Virtio,
    /// A UART by the guest's path.
    Uart(String),
}

/// What is booted.
#[derive(Debug, Clone)]
pub struct Boot<'a> {
    /// Kernel in the form that `-kernel` takes.
    pub kernel: &'a Path,
    /// Initramfs with the agent.
    pub initramfs: &'a Path,
    /// How the agent will talk.
    pub channel: ChannelDevice,
    /// How the processor is executed.
    pub accelerator: Accelerator,
    /// More kernel parameters of the user.
    pub append: &'a [String],
    /// The kernel may choose where it lies: `nokaslr` is left out.
    pub random_place: bool,
}

/// Chooses the channel: the arch's virtio device, unless the kernel's configuration lacks what it needs.
/// `config` looks a symbol up (without `CONFIG_`); a kernel of unknown configuration is given the benefit of the doubt.
pub fn channel_device(arch: &Arch, config: impl Fn(&str) -> Option<String>, config_known: bool) -> ChannelDevice {
    match &arch.channel.uart {
        Some(uart) if config_known && arch.channel.needs.iter().any(|symbol| config(symbol).is_none()) => {
            ChannelDevice::Uart(uart.clone())
        }
        _ => ChannelDevice::Virtio,
    }
}

/// QEMU's arguments, without the program.
pub fn arguments(arch: &Arch, boot: &Boot<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    let cpu = match boot.accelerator {
        Accelerator::Tcg => arch.qemu.cpu.as_str(),
        Accelerator::Kvm => "host",
    };
    add(&["-machine", &arch.qemu.machine, "-cpu", cpu]);
    add(&["-accel"]);
    match boot.accelerator {
        // QEMU would reserve up to 1 GiB for translated code; a guest of ours uses a small part of this.
        Accelerator::Tcg => add(&["tcg,tb-size=64"]),
        Accelerator::Kvm => add(&["kvm"]),
    }
    add(&["-m", &arch.qemu.memory_mib.to_string(), "-smp", "1"]);
    // -nodefaults and -nic none: a default NIC would shift the number of the virtio-serial port, and nothing but what
    // is named here shall be there. -no-reboot: with panic=-1 a panicked kernel resets at once, which ends QEMU.
    add(&["-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-no-reboot"]);
    // The console: stdio, which the harness reads line by line.
    add(&["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
    add(&["-chardev", &format!("socket,id=channel,fd={CHANNEL_FD}")]);
    match &boot.channel {
        ChannelDevice::Virtio => {
            add(&["-device", &arch.channel.device, "-device", "virtserialport,chardev=channel,name=kfunc"]);
        }
        ChannelDevice::Uart(_) => add(&["-serial", "chardev:channel"]),
    }
    add(&arch.qemu.args.iter().map(String::as_str).collect::<Vec<_>>());
    args.push("-kernel".into());
    args.push(boot.kernel.into());
    args.push("-initrd".into());
    args.push(boot.initramfs.into());
    args.push("-append".into());
    args.push(kernel_parameters(arch, boot).into());
    args
}

/// The parameter by which a kernel stays where it was linked to.
pub const NO_KASLR: &str = "nokaslr";

/// The kernel command line.
fn kernel_parameters(arch: &Arch, boot: &Boot<'_>) -> String {
    let mut words = vec![
        format!("console={}", arch.qemu.console),
        // Warnings and worse: the console is evidence, and every character costs a trap.
        "loglevel=5".into(),
        // Reset at once, so that QEMU ends and nobody waits for a dead guest.
        "panic=-1".into(),
        // A splat is a result to report, not something to die of; but an oops in a BPF program's context must end the
        // guest, since nothing that runs after it could be believed.
        "oops=panic".into(),
    ];
    words.extend(arch.qemu.append.iter().filter(|word| !(boot.random_place && *word == NO_KASLR)).cloned());
    words.extend(boot.append.iter().cloned());
    if let ChannelDevice::Uart(path) = &boot.channel {
        words.push("--".into());
        words.push(path.clone());
    }
    words.join(" ")
}

/// A command as one would type it: for reports.
pub fn shell_quoted(program: &Path, args: &[OsString]) -> String {
    let quote = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    std::iter::once(program.to_string_lossy())
        .chain(args.iter().map(|a| a.to_string_lossy()))
        .map(|word| quote(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arch: &str, channel: ChannelDevice, accelerator: Accelerator) -> String {
        let arches = crate::arch::load(&[]).unwrap();
        let arch = arches.iter().find(|a| a.name == arch).unwrap();
        let append = vec!["more=1".to_owned()];
        let boot = Boot {
            kernel: Path::new("/images/my kernel"),
            initramfs: Path::new("/images/initramfs.cpio"),
            channel,
            accelerator,
            append: &append,
            random_place: false,
        };
        shell_quoted(Path::new(&arch.qemu.binary), &arguments(arch, &boot))
    }

    #[test]
    fn riscv64_with_virtio() {
        assert_eq!(
            line("riscv64", ChannelDevice::Virtio, Accelerator::Tcg),
            "qemu-system-riscv64 -machine virt -cpu rv64,zacas=on,zkr=on -accel tcg,tb-size=64 -m 384 -smp 1 -nodefaults -no-user-config \
             -nic none -display none -no-reboot -chardev stdio,id=console,signal=off -serial chardev:console \
             -chardev socket,id=channel,fd=100 -device virtio-serial-pci -device virtserialport,chardev=channel,name=kfunc \
             -kernel '/images/my kernel' -initrd /images/initramfs.cpio \
             -append 'console=ttyS0 loglevel=5 panic=-1 oops=panic nokaslr cryptomgr.notests slab_debug=F more=1'"
        );
    }

    #[test]
    fn a_uart_channel_is_named_to_the_agent() {
        let line = line("loongarch64", ChannelDevice::Uart("/dev/ttyS1".into()), Accelerator::Tcg);
        assert!(
            line.contains("-serial chardev:console -chardev socket,id=channel,fd=100 -serial chardev:channel"),
            "{line}"
        );
        assert!(line.ends_with("more=1 -- /dev/ttyS1'") && !line.contains("virtio"), "{line}");
    }

    #[test]
    fn kvm_uses_the_hosts_cpu() {
        let line = line("x86_64", ChannelDevice::Virtio, Accelerator::Kvm);
        assert!(line.contains("-cpu host -accel kvm "), "{line}");
    }

    #[test]
    fn guests_stay_within_their_memory() {
        for arch in crate::arch::load(&[]).unwrap() {
            assert!(arch.qemu.memory_mib + 64 <= 512, "{}: guest memory and translated code exceed 512 MiB", arch.name);
        }
    }

    #[test]
    fn the_channel_follows_the_kernels_configuration() {
        let arches = crate::arch::load(&[]).unwrap();
        let loongarch64 = arches.iter().find(|a| a.name == "loongarch64").unwrap();
        let yes = |_: &str| Some("y".to_owned());
        assert_eq!(channel_device(loongarch64, |_| None, true), ChannelDevice::Uart("/dev/ttyS1".into()));
        assert_eq!(channel_device(loongarch64, yes, true), ChannelDevice::Virtio);
        assert_eq!(channel_device(loongarch64, |_| None, false), ChannelDevice::Virtio);
    }
}
