//! Kernel modules: what a kernel has built in, what a module needs first, and in which order they are loaded.
//!
//! Debian's packages carry no `modules.dep` (it is made at installation), so dependencies are read from each module's own
//! `.modinfo` section (include/linux/module.h, kernel/module/main.c). Pure, except for reading module files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use object::{Object, ObjectSection};
use serde::{Deserialize, Serialize};

use crate::deb::decompress;
use crate::error::{Error, Result};

/// Largest module accepted, unpacked. Debian's largest has about 20 MB.
const MAX_MODULE: u64 = 256 << 20;

/// A module's name as the kernel writes it: `nf-conntrack` and `nf_conntrack` are one.
pub(crate) fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

/// The module's name in a path such as `kernel/net/netfilter/nf_conntrack.ko.xz`, and the compression's name.
pub(crate) fn name_of(path: &str) -> Option<(String, &str)> {
    let file = path.rsplit('/').next()?;
    let (stem, compression) = file.split_once(".ko")?;
    let compression = compression.strip_prefix('.').or_else(|| compression.is_empty().then_some(""))?;
    (!stem.is_empty()).then(|| (normalise(stem), compression))
}

/// Names in a list of paths, one a line: `modules.builtin`, `modules.order`.
pub(crate) fn names(list: &str) -> BTreeSet<String> {
    list.lines().filter_map(|line| name_of(line.trim())).map(|(name, _)| name).collect()
}

/// Reads a module file and takes its compression off.
pub(crate) fn read(input: impl Read, compression: &str, path: &str) -> Result<Vec<u8>> {
    let bad = |e: std::io::Error| Error::BadPackage { package: path.to_owned(), reason: e.to_string() };
    let mut bytes = Vec::new();
    decompress(compression, input).and_then(|r| r.take(MAX_MODULE + 1).read_to_end(&mut bytes)).map_err(bad)?;
    if bytes.len() as u64 > MAX_MODULE {
        return Err(bad(std::io::Error::other("it is too large for a module")));
    }
    Ok(bytes)
}

/// What a module says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Modules whose symbols it uses.
    pub(crate) depends: Vec<String>,
    /// Modules that should be there first (`softdep=pre: …`), though no symbol says so.
    pub(crate) before: Vec<String>,
}

/// Reads `.modinfo`.
pub(crate) fn info(module: &[u8]) -> Result<Info, String> {
    let file = object::File::parse(module).map_err(|e| format!("it is no ELF file: {e}"))?;
    let section = file.section_by_name(".modinfo").ok_or("it has no .modinfo section")?;
    let data = section.data().map_err(|e| format!("its .modinfo section is damaged: {e}"))?;
    Ok(parse_modinfo(data))
}

fn parse_modinfo(data: &[u8]) -> Info {
    let mut info = Info::default();
    for entry in data.split(|b| *b == 0) {
        match String::from_utf8_lossy(entry).split_once('=') {
            Some(("depends", list)) => info.depends.extend(list.split(',').filter(|n| !n.is_empty()).map(normalise)),
            Some(("softdep", list)) => {
                let mut pre = false;
                for word in list.split_whitespace() {
                    match word {
                        "pre:" => pre = true,
                        "post:" => pre = false,
                        name if pre => info.before.push(normalise(name)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    info
}

/// A module that was taken out of its package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extracted {
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Modules to load before it; those built in are left out.
    pub(crate) requires: Vec<String>,
}

/// Modules taken out so far, by name.
pub(crate) type Known = BTreeMap<String, Extracted>;

/// `wanted` and all they require, each after what it requires. `Ok(Err(name))`: `name` was not taken out yet.
pub(crate) fn load_order(known: &Known, wanted: &[String], release: &str) -> Result<Result<Vec<String>, String>> {
    let mut order = Vec::new();
    let mut stack = Vec::new();
    for name in wanted {
        if let Err(missing) = visit(known, name, release, &mut order, &mut stack)? {
            return Ok(Err(missing));
        }
    }
    Ok(Ok(order))
}

fn visit(
    known: &Known,
    name: &str,
    release: &str,
    order: &mut Vec<String>,
    stack: &mut Vec<String>,
) -> Result<Result<(), String>> {
    if order.iter().any(|n| n == name) {
        return Ok(Ok(()));
    }
    if let Some(start) = stack.iter().position(|n| n == name) {
        let cycle = stack[start..].iter().cloned().chain([name.to_owned()]).collect();
        return Err(Error::ModuleCycle { release: release.to_owned(), cycle });
    }
    let Some(module) = known.get(name) else { return Ok(Err(name.to_owned())) };
    stack.push(name.to_owned());
    for required in &module.requires {
        if let Err(missing) = visit(known, required, release, order, stack)? {
            return Ok(Err(missing));
        }
    }
    stack.pop();
    order.push(name.to_owned());
    Ok(Ok(()))
}

/// What must be loaded before the channel exists, decided from the configuration: the virtio-serial port, and the buses
/// it may sit on. Empty where all is built in, as in every Debian kernel since 6.12.
pub(crate) fn boot_modules(config: impl Fn(&str) -> Option<String>) -> Vec<String> {
    const NEEDED: [(&str, &str); 4] = [
        ("PCI_HOST_GENERIC", "pci_host_generic"),
        ("VIRTIO_PCI", "virtio_pci"),
        ("VIRTIO_MMIO", "virtio_mmio"),
        ("VIRTIO_CONSOLE", "virtio_console"),
    ];
    // virtio-mmio alone as a module is no reason: the port sits on PCI wherever that is built in.
    let value = |symbol: &str| config(symbol).unwrap_or_default();
    let pci_is_there = value("VIRTIO_PCI") == "y";
    NEEDED
        .iter()
        .filter(|(symbol, _)| value(symbol) == "m" && !(*symbol == "VIRTIO_MMIO" && pci_is_there))
        .map(|(_, module)| (*module).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(list: &[(&str, &[&str])]) -> Known {
        list.iter()
            .map(|(name, requires)| {
                let requires = requires.iter().map(|r| (*r).to_owned()).collect();
                ((*name).to_owned(), Extracted { size: 1, requires })
            })
            .collect()
    }

    fn order(known: &Known, wanted: &[&str]) -> Result<Vec<String>, String> {
        let wanted: Vec<_> = wanted.iter().map(|w| (*w).to_owned()).collect();
        load_order(known, &wanted, "6.1").unwrap()
    }

    #[test]
    fn names_are_told_from_paths() {
        assert_eq!(name_of("kernel/net/netfilter/nf-conntrack.ko.xz"), Some(("nf_conntrack".to_owned(), "xz")));
        assert_eq!(name_of("kernel/a.ko"), Some(("a".to_owned(), "")));
        assert_eq!(name_of("usr/lib/modules/7.2/vmlinuz"), None);
        assert_eq!(name_of("x/.ko"), None);
        assert_eq!(name_of("x/a.koala"), None);
        assert_eq!(names("kernel/b.ko\nkernel/a-c.ko.zst\n\n").into_iter().collect::<Vec<_>>(), ["a_c", "b"]);
    }

    #[test]
    fn everything_comes_after_what_it_requires_and_once() {
        let known = known(&[
            ("nf_nat", &["nf_conntrack", "libcrc32c"]),
            ("nf_conntrack", &["nf_defrag_ipv6", "libcrc32c", "nf_defrag_ipv4"]),
            ("nf_defrag_ipv6", &[]),
            ("nf_defrag_ipv4", &[]),
            ("libcrc32c", &[]),
        ]);
        assert_eq!(
            order(&known, &["nf_nat", "nf_conntrack"]).unwrap(),
            ["nf_defrag_ipv6", "libcrc32c", "nf_defrag_ipv4", "nf_conntrack", "nf_nat"]
        );
        assert_eq!(order(&known, &["fou"]), Err("fou".to_owned()));
    }

    #[test]
    fn a_circle_is_an_error() {
        let known = known(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = load_order(&known, &["a".to_owned()], "6.1").unwrap_err();
        assert!(error.to_string().ends_with("b -> c -> b"), "{error}");
    }

    #[test]
    fn modinfo_is_read() {
        let data = b"license=GPL\0depends=nf-defrag-ipv6,libcrc32c\0softdep=pre: crc32c post: x\0depends=\0name=y\0";
        let info = parse_modinfo(data);
        assert_eq!(info.depends, ["nf_defrag_ipv6", "libcrc32c"]);
        assert_eq!(info.before, ["crc32c"]);
        assert!(super::info(b"not an ELF file").is_err());
    }

    #[test]
    fn boot_modules_follow_the_configuration() {
        let of = |list: &'static [(&str, &str)]| {
            boot_modules(|symbol| list.iter().find(|(s, _)| *s == symbol).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(
            of(&[("VIRTIO_CONSOLE", "m"), ("VIRTIO_PCI", "m"), ("VIRTIO_MMIO", "m")]),
            ["virtio_pci", "virtio_mmio", "virtio_console"]
        );
        assert_eq!(of(&[("VIRTIO_CONSOLE", "y"), ("VIRTIO_PCI", "y"), ("VIRTIO_MMIO", "m")]), Vec::<String>::new());
        assert_eq!(of(&[("VIRTIO_CONSOLE", "m"), ("VIRTIO_PCI", "y"), ("VIRTIO_MMIO", "m")]), ["virtio_console"]);
    }
}
