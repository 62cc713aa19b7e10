//! The doctor on machines that lack one thing each.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::doctor::tools::Version;

const DEBIAN_12: &str = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
const DEBIAN_13: &str = "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n";
const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"26.04\"\n";
const FEDORA: &str = "ID=fedora\nVERSION_ID=43\n";
const ARCH: &str = "ID=arch\n";
const UNKNOWN: &str = "ID=plan9\n";

#[derive(Clone)]
struct Fake {
    os_release: &'static str,
    versions: HashMap<&'static str, &'static str>,
    keyring: bool,
    kvm: Kvm,
    free: Result<u64, String>,
    memory: Option<u64>,
    mirror: Mirror,
}

impl Fake {
    fn whole(os_release: &'static str) -> Self {
        let versions = HashMap::from([
            ("qemu-system-x86_64", "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)"),
            ("qemu-system-loongarch64", "QEMU emulator version 10.0.2"),
            ("clang-19", "Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu"),
            ("ld.lld-19", "Debian LLD 19.1.7 (compatible with GNU linkers)"),
            ("gpgv", "gpgv (GnuPG) 2.2.40"),
            ("make", "GNU Make 4.3"),
            ("flex", "flex 2.6.4"),
            ("bison", "bison (GNU Bison) 3.8.2"),
            ("bc", "bc 1.07.1"),
            ("pahole", "v1.24"),
        ]);
        let mirror = Mirror::Answers("http://mirror.example/debian".into());
        Self { os_release, versions, keyring: true, kvm: Kvm::Opens, free: Ok(9 << 30), memory: Some(8 << 30), mirror }
    }

    fn without(os_release: &'static str, program: &str) -> Self {
        let mut fake = Self::whole(os_release);
        assert!(fake.versions.remove(program).is_some(), "the whole machine has {program}");
        fake
    }
}

impl Probe for Fake {
    fn os_release(&self) -> String {
        self.os_release.into()
    }
    fn version(&self, program: &str) -> Option<String> {
        self.versions.get(program).map(|text| (*text).to_owned())
    }
    fn exists(&self, _: &Path) -> bool {
        self.keyring
    }
    fn kvm(&self) -> Kvm {
        self.kvm.clone()
    }
    fn free_bytes(&self, _: &Path) -> Result<u64, String> {
        self.free.clone()
    }
    fn available_memory(&self) -> Option<u64> {
        self.memory
    }
    fn mirror(&self) -> Mirror {
        self.mirror.clone()
    }
}

fn subject() -> Subject {
    let pair = |arch: &str, program: &str| (arch.to_owned(), program.to_owned());
    Subject {
        arches: vec![pair("x86_64", "qemu-system-x86_64"), pair("loongarch64", "qemu-system-loongarch64")],
        cache_dir: Some("/cache".into()),
    }
}

fn missing(fake: &Fake) -> Vec<(String, String)> {
    examine(&subject(), fake)
        .into_iter()
        .filter(|finding| finding.level == Level::Missing)
        .map(|finding| (finding.seen, finding.remedy))
        .collect()
}

#[track_caller]
fn only_missing(fake: &Fake, seen: &str, remedy: &str) {
    assert_eq!(missing(fake), [(seen.to_owned(), remedy.to_owned())]);
}

#[test]
fn a_whole_machine_lacks_nothing() {
    assert_eq!(missing(&Fake::whole(DEBIAN_12)), []);
    let findings = examine(&subject(), &Fake::whole(DEBIAN_12));
    let text = render(&findings, &Distro::read(DEBIAN_12));
    assert!(text.starts_with("ok       qemu-system-x86_64       qemu-system-x86_64 10.0\n"), "{text}");
    assert!(text.contains("ok       clang                    clang-19 19.1\n"), "{text}");
    assert!(!text.contains("missing:"), "{text}");
}

#[test]
fn a_missing_qemu_has_the_command_of_each_distribution() {
    let seen = "not found, needs 9.0 or newer";
    let gone = |os_release| Fake::without(os_release, "qemu-system-loongarch64");
    only_missing(&gone(DEBIAN_13), seen, "install it: sudo apt-get install qemu-system-misc");
    only_missing(&gone(UBUNTU), seen, "install it: sudo apt-get install qemu-system-misc");
    only_missing(&gone(FEDORA), seen, "install it: sudo dnf install qemu-system-loongarch64");
    only_missing(&gone(ARCH), seen, "install it: sudo pacman -S --needed qemu-system-loongarch64");
    only_missing(
        &gone(DEBIAN_12),
        seen,
        "run ci/setup, which adds Debian's bookworm-backports suite from this machine's own mirror (the QEMU of \
         bookworm itself is too old), or: sudo apt-get install -t bookworm-backports qemu-system-misc",
    );
    only_missing(
        &gone(UNKNOWN),
        seen,
        "install it with one of: sudo apt-get install qemu-system-misc  |  sudo dnf install qemu-system-loongarch64  \
         |  sudo pacman -S --needed qemu-system-loongarch64",
    );
}

#[test]
fn an_old_qemu_is_named_with_its_version() {
    let mut fake = Fake::whole(DEBIAN_13);
    fake.versions.insert("qemu-system-x86_64", "QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg-7+deb12u15)");
    only_missing(
        &fake,
        "qemu-system-x86_64 7.2 is too old, needs 9.0 or newer",
        "install it: sudo apt-get install qemu-system-x86",
    );
    fake.versions.insert("qemu-system-x86_64", "error while loading shared libraries");
    assert!(missing(&fake)[0].0.contains("does not say its version"), "{:?}", missing(&fake));
}

#[test]
fn clang_is_old_enough_for_each_arch() {
    let mut fake = Fake::without(DEBIAN_12, "clang-19");
    fake.versions.insert("clang", "Debian clang version 14.0.6");
    only_missing(&fake, "clang 14.0 is too old, needs 18.0 or newer", "install it: sudo apt-get install clang-19");
    fake.versions.insert("clang-17", "clang version 17.0.6");
    assert_eq!(missing(&fake).len(), 1, "17 is too old for loongarch64");
    let only_x86 = Subject { arches: vec![("x86_64".into(), "qemu-system-x86_64".into())], cache_dir: None };
    assert!(examine(&only_x86, &fake).iter().all(|finding| finding.level != Level::Missing));
    only_missing(
        &Fake::without(FEDORA, "clang-19"),
        "not found, needs 18.0 or newer",
        "install it: sudo dnf install clang",
    );
}

#[test]
fn linker_verifier_and_keyring() {
    only_missing(
        &Fake::without(DEBIAN_12, "ld.lld-19"),
        "not found, needs 17.0 or newer",
        "install it: sudo apt-get install lld-19",
    );
    only_missing(&Fake::without(ARCH, "gpgv"), "not found", "install it: sudo pacman -S --needed gnupg");
    let mut sqv = Fake::without(ARCH, "gpgv");
    sqv.versions.insert("sqv", "sqv 1.3.0");
    assert_eq!(missing(&sqv), []);
    let keyless = Fake { keyring: false, ..Fake::whole(FEDORA) };
    only_missing(
        &keyless,
        "not found; index signatures cannot be checked without it",
        "install it: sudo dnf install debian-keyring",
    );
}

#[test]
fn several_missing_things_are_one_command() {
    let mut fake = Fake::without(DEBIAN_13, "clang-19");
    fake.versions.remove("ld.lld-19");
    fake.versions.remove("qemu-system-x86_64");
    let text = render(&examine(&subject(), &fake), &Distro::read(DEBIAN_13));
    assert!(
        text.ends_with("everything that is missing:\n  install it: sudo apt-get install qemu-system-x86 clang lld\n"),
        "{text}"
    );
}

#[test]
fn disk_mirror_memory_and_kvm() {
    let full = Fake { free: Ok(300 << 20), ..Fake::whole(DEBIAN_13) };
    assert!(missing(&full)[0].0.starts_with("0.2 GiB free in /cache, needs 1.0 GiB"), "{:?}", missing(&full));
    let nowhere = Fake { mirror: Mirror::Unknown("no apt here".into()), ..Fake::whole(FEDORA) };
    assert!(missing(&nowhere)[0].1.contains("--mirror URL or KFUNC_MIRROR"));
    for fake in [
        Fake { mirror: Mirror::Silent { url: "http://m".into(), why: "timeout".into() }, ..Fake::whole(ARCH) },
        Fake { memory: Some(500 << 20), ..Fake::whole(ARCH) },
        Fake { kvm: Kvm::NoPermission, ..Fake::whole(ARCH) },
        Fake { kvm: Kvm::Absent, ..Fake::whole(ARCH) },
        Fake { kvm: Kvm::Fails("a guest hung".into()), ..Fake::whole(ARCH) },
    ] {
        assert_eq!(missing(&fake), [], "none of these stops a run");
        assert!(examine(&subject(), &fake).iter().any(|finding| finding.level == Level::Note));
    }
}

#[test]
fn versions_and_distributions_are_read() {
    assert_eq!(Version::find("Debian LLD 19.1.7 (compatible)"), Some(Version(19, 1)));
    assert_eq!(Version::find("no digits"), None);
    assert_eq!(Version::find("v"), None);
    let mint = Distro::read("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
    assert_eq!(mint.manager, Some(distro::Manager::Apt));
    let derived = Distro::read("ID=something\nID_LIKE='rhel fedora'\n");
    assert_eq!(derived.manager, Some(distro::Manager::Dnf));
    assert_eq!(Distro::read("").manager, None);
}

#[test]
fn building_kernels_is_optional() {
    let fake = Fake::without(DEBIAN_13, "pahole");
    let findings = examine(&subject(), &fake);
    let found = findings.iter().find(|finding| finding.what == "kernel build tools").unwrap();
    assert_eq!(found.level, Level::Note);
    assert!(found.seen.starts_with("without pahole kernels cannot be built here"), "{}", found.seen);
    assert!(found.remedy.ends_with("dwarves libelf-dev"), "{}", found.remedy);
}
