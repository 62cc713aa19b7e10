//! The table of what a run needs, from which version on, and which packages bring it.

use super::distro::{Distro, Manager};

/// Something a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// A QEMU system emulator, by its program's name.
    Qemu(String),
    /// clang, at least of this major version.
    Clang(u32),
    /// LLVM's linker.
    Lld,
    /// gpgv or sqv: checks the archive's signature.
    Verifier,
    /// Keys of the Debian archive.
    Keyring,
    /// A program or library that only building a kernel needs.
    Build(String),
}

/// What building a kernel needs besides clang and LLVM's other tools; the last is a library.
pub const BUILD: [&str; 6] = ["make", "flex", "bison", "bc", "pahole", "libelf"];

/// First QEMU release that is good enough: older ones miss devices and CPU features that the arch files name.
pub const QEMU_MIN: Version = Version(9, 0);
/// First clang that compiles the cases (kernel's own floor: scripts/min-tool-version.sh has LLVM 17.0.1).
pub const CLANG_MIN: u32 = 17;
/// First clang for LoongArch (same file: 18.0.0).
pub const CLANG_MIN_LOONGARCH: u32 = 18;
/// Newest versioned clang that is looked for beside the plain name.
const CLANG_NEWEST: u32 = 23;

/// Places where distributions put the keys of the Debian archive.
pub const KEYRINGS: [&str; 3] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/etc/apt/trusted.gpg.d/debian-archive-keyring.gpg",
];

/// Major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// The first `digits.digits` in a `--version` text.
    pub fn find(text: &str) -> Option<Self> {
        text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
            let mut numbers = word.split('.');
            Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Packages that bring one thing: for apt, dnf, pacman.
struct Packages {
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
}

/// QEMU's programs. The last row is for programs that are not in the table. Debian moved riscv out of -misc in 9.1.
const QEMU: [(&str, Packages); 9] = [
    ("qemu-system-x86_64", Packages { apt: "qemu-system-x86", dnf: "qemu-system-x86", pacman: "qemu-system-x86" }),
    ("qemu-system-i386", Packages { apt: "qemu-system-x86", dnf: "qemu-system-x86", pacman: "qemu-system-x86" }),
    (
        "qemu-system-aarch64",
        Packages { apt: "qemu-system-arm", dnf: "qemu-system-aarch64", pacman: "qemu-system-aarch64" },
    ),
    ("qemu-system-arm", Packages { apt: "qemu-system-arm", dnf: "qemu-system-arm", pacman: "qemu-system-arm" }),
    (
        "qemu-system-riscv64",
        Packages { apt: "qemu-system-riscv", dnf: "qemu-system-riscv", pacman: "qemu-system-riscv" },
    ),
    (
        "qemu-system-loongarch64",
        Packages { apt: "qemu-system-misc", dnf: "qemu-system-loongarch64", pacman: "qemu-system-loongarch64" },
    ),
    ("qemu-system-ppc64", Packages { apt: "qemu-system-ppc", dnf: "qemu-system-ppc", pacman: "qemu-system-ppc" }),
    ("qemu-system-s390x", Packages { apt: "qemu-system-s390x", dnf: "qemu-system-s390x", pacman: "qemu-system-s390x" }),
    ("", Packages { apt: "qemu-system", dnf: "qemu", pacman: "qemu-emulators-full" }),
];

/// What brings the tools that build kernels. The last row is for gcc with a prefix and its binutils: their package is
/// named after the machine, and the message names the program.
const BUILDING: [(&str, Packages); 8] = [
    ("make", Packages { apt: "make", dnf: "make", pacman: "make" }),
    ("flex", Packages { apt: "flex", dnf: "flex", pacman: "flex" }),
    ("bison", Packages { apt: "bison", dnf: "bison", pacman: "bison" }),
    ("bc", Packages { apt: "bc", dnf: "bc", pacman: "bc" }),
    ("pahole", Packages { apt: "dwarves", dnf: "dwarves", pacman: "pahole" }),
    ("libelf", Packages { apt: "libelf-dev", dnf: "elfutils-libelf-devel", pacman: "libelf" }),
    ("llvm", Packages { apt: "llvm", dnf: "llvm", pacman: "llvm" }),
    ("", Packages { apt: "gcc", dnf: "gcc", pacman: "gcc" }),
];

const CLANG: Packages = Packages { apt: "clang", dnf: "clang", pacman: "clang" };
const LLD: Packages = Packages { apt: "lld", dnf: "lld", pacman: "lld" };
const VERIFIER: Packages = Packages { apt: "gpgv", dnf: "gnupg2", pacman: "gnupg" };
const KEYRING: Packages =
    Packages { apt: "debian-archive-keyring", dnf: "debian-keyring", pacman: "debian-archive-keyring" };

impl Tool {
    /// Programs that would do, the best first. Empty for what is no program.
    pub fn programs(&self) -> Vec<String> {
        let llvm = |name: &str, min: u32| {
            let versioned = (min..=CLANG_NEWEST).rev().map(|version| format!("{name}-{version}"));
            std::iter::once(name.to_owned()).chain(versioned).collect()
        };
        match self {
            Self::Qemu(program) => vec![program.clone()],
            Self::Clang(min) => llvm("clang", *min),
            Self::Lld => llvm("ld.lld", CLANG_MIN),
            Self::Verifier => vec!["gpgv".into(), "sqv".into()],
            Self::Build(name) if name == "libelf" => Vec::new(),
            Self::Build(name) => vec![name.clone()],
            Self::Keyring => Vec::new(),
        }
    }

    /// From which version on; nothing when any will do.
    pub fn min_version(&self) -> Option<Version> {
        match self {
            Self::Qemu(_) => Some(QEMU_MIN),
            Self::Clang(major) => Some(Version(*major, 0)),
            Self::Lld => Some(Version(CLANG_MIN, 0)),
            Self::Verifier | Self::Keyring | Self::Build(_) => None,
        }
    }

    /// What it is called in the doctor's list.
    pub fn name(&self) -> String {
        match self {
            Self::Qemu(program) => program.clone(),
            Self::Clang(_) => "clang".into(),
            Self::Lld => "ld.lld".into(),
            Self::Verifier => "gpgv or sqv".into(),
            Self::Keyring => "archive keyring".into(),
            Self::Build(name) => name.clone(),
        }
    }

    fn packages(&self) -> &'static Packages {
        match self {
            Self::Qemu(program) => {
                let row = QEMU.iter().find(|(name, _)| name == program).unwrap_or(&QEMU[QEMU.len() - 1]);
                &row.1
            }
            Self::Clang(_) => &CLANG,
            Self::Lld => &LLD,
            Self::Verifier => &VERIFIER,
            Self::Keyring => &KEYRING,
            Self::Build(name) => &BUILDING[Self::building_row(name)].1,
        }
    }

    fn building_row(name: &str) -> usize {
        let name = if name.starts_with("llvm-") { "llvm" } else { name };
        BUILDING.iter().position(|(known, _)| *known == name).unwrap_or(BUILDING.len() - 1)
    }

    /// Whether a program of gcc or binutils is for another machine: `riscv64-linux-gnu-ld`.
    fn is_cross(program: &str) -> bool {
        program.contains("-linux-gnu")
    }

    /// Debian calls the compiler `gcc-MACHINE` and the rest `binutils-MACHINE`, with `-` for the `_` of `x86_64`.
    fn cross_package(program: &str) -> String {
        let (machine, tool) = program.rsplit_once('-').unwrap_or((program, "gcc"));
        format!("{}-{}", if tool == "gcc" { "gcc" } else { "binutils" }, machine.replace('_', "-"))
    }

    /// The package that brings it. On Debian 12 clang's plain name is too old.
    pub fn package(&self, manager: Manager, distro: &Distro) -> String {
        let packages = self.packages();
        let name = match manager {
            Manager::Apt => packages.apt,
            Manager::Dnf => packages.dnf,
            Manager::Pacman => packages.pacman,
        };
        match self {
            Self::Clang(_) | Self::Lld if manager == Manager::Apt && distro.is_old_debian() => format!("{name}-19"),
            Self::Build(tool) if manager == Manager::Apt && Self::is_cross(tool) => Self::cross_package(tool),
            Self::Build(_) if name == "llvm" && manager == Manager::Apt && distro.is_old_debian() => {
                format!("{name}-19")
            }
            _ => name.to_owned(),
        }
    }
}

/// How to get `tool` on `distro`, in one line.
pub fn remedy(tool: &Tool, distro: &Distro) -> String {
    remedies(std::slice::from_ref(tool), distro).join("; ")
}

/// How to get several things at once: one command where one does.
pub fn remedies(tools: &[Tool], distro: &Distro) -> Vec<String> {
    let mut out = Vec::new();
    let Some(manager) = distro.manager else {
        let commands: Vec<String> =
            Manager::ALL.iter().map(|manager| manager.install(&packages(tools, *manager, distro))).collect();
        out.push(format!("install it with one of: {}", commands.join("  |  ")));
        return out;
    };
    let is_qemu = |tool: &&Tool| matches!(tool, Tool::Qemu(_));
    let (qemu, rest): (Vec<&Tool>, Vec<&Tool>) = tools.iter().partition(is_qemu);
    if distro.is_old_debian() && !qemu.is_empty() {
        let names = packages(qemu.iter().copied(), manager, distro);
        out.push(format!(
            "run ci/setup, which adds Debian's {0}-backports suite from this machine's own mirror (the QEMU of {0} \
             itself is too old), or: sudo apt-get install -t {0}-backports {1}",
            if distro.codename.is_empty() { "release" } else { &distro.codename },
            names.join(" ")
        ));
    } else {
        let names = packages(tools, manager, distro);
        let note = if distro.id == "ubuntu" && distro.version.is_some_and(|v| v <= 24) && !qemu.is_empty() {
            " (QEMU of Ubuntu 24.04 and older is too old: use a newer release or build QEMU 9)"
        } else {
            ""
        };
        out.push(format!("install it: {}{note}", manager.install(&names)));
        return out;
    }
    if !rest.is_empty() {
        out.push(format!("install it: {}", manager.install(&packages(rest.iter().copied(), manager, distro))));
    }
    out
}

fn packages<'a>(tools: impl IntoIterator<Item = &'a Tool>, manager: Manager, distro: &Distro) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for tool in tools {
        let name = tool.package(manager, distro);
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}
