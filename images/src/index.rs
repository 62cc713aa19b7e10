//! The list of packages of one suite and architecture, reduced to its kernel packages; and the choice among them.
//!
//! Since 7.x a kernel is three packages (`linux-binary-R`, `linux-base-R`, `linux-modules-R`); before, `linux-image-R`
//! alone. R is the kernel release. Pure: readers in, values out.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::release::is_sha256;
use crate::spec::version_matches;
use crate::version;

/// One kernel package of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    /// Path below the mirror's address.
    pub(crate) filename: String,
    pub(crate) size: u64,
    /// In KiB.
    pub(crate) installed_size: u64,
    pub(crate) sha256: String,
}

/// Packages with a kernel's source: for all architectures.
const SOURCE: &str = "linux-source-";
/// Version of what [`kernel_packages`] keeps. Part of the names of cached lists.
pub(crate) const KEPT: u32 = 2;

/// What a release consists of.
const KINDS: [&str; 4] = ["linux-image-", "linux-binary-", "linux-base-", "linux-modules-"];

/// Reads a `Packages` file and keeps the kernel packages.
pub(crate) fn kernel_packages(mut input: impl BufRead) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    let mut stanza: Option<BTreeMap<&'static str, String>> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = input.read_until(b'\n', &mut line).map_err(|e| format!("it cannot be unpacked: {e}"))?;
        let text = line.trim_ascii_end();
        if text.is_empty() {
            if let Some(stanza) = stanza.take() {
                packages.push(package_of(&stanza)?);
            }
            if n == 0 {
                return Ok(packages);
            }
        } else if let Some(name) = text.strip_prefix(b"Package: ") {
            let name = String::from_utf8_lossy(name);
            stanza = is_kernel_package(&name).then(|| BTreeMap::from([("Package", name.into_owned())]));
        } else if let Some(stanza) = &mut stanza {
            for field in ["Version", "Architecture", "Filename", "Size", "Installed-Size", "SHA256"] {
                if let Some(value) = text.strip_prefix(field.as_bytes()).and_then(|rest| rest.strip_prefix(b": ")) {
                    stanza.insert(field, String::from_utf8_lossy(value).into_owned());
                }
            }
        }
    }
}

fn is_kernel_package(name: &str) -> bool {
    !name.ends_with("-dbg")
        && !name.ends_with("-unsigned")
        && KINDS
            .iter()
            .chain([&SOURCE])
            .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
}

fn package_of(stanza: &BTreeMap<&'static str, String>) -> Result<Package, String> {
    let name = &stanza["Package"];
    let get = |field: &str| stanza.get(field).ok_or_else(|| format!("package {name} has no {field}"));
    let number =
        |field: &str| get(field)?.parse::<u64>().map_err(|_| format!("package {name}: {field} is not a number"));
    let filename = get("Filename")?.clone();
    let sha256 = get("SHA256")?.clone();
    // The file name becomes part of an address, the package name part of file names.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~' | '-' | '_');
    if !name.chars().all(plain) || !filename.split('/').all(|p| !p.is_empty() && p != ".." && p.chars().all(plain)) {
        return Err(format!("package {name} has the file name '{}'", filename.escape_debug()));
    }
    if !is_sha256(&sha256) {
        return Err(format!("package {name} has no valid SHA-256"));
    }
    Ok(Package {
        name: name.clone(),
        version: get("Version")?.clone(),
        architecture: get("Architecture")?.clone(),
        filename,
        size: number("Size")?,
        installed_size: number("Installed-Size")?,
        sha256,
    })
}

/// A kernel that a suite offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `uname -r` will say.
    pub(crate) release: String,
    pub(crate) layout: Layout,
}

/// In which packages it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Kernel, configuration and modules in one package: before 7.x.
    Whole(Box<Package>),
    /// Since 7.x.
    Split {
        /// The kernel.
        binary: Box<Package>,
        /// Configuration and lists of modules.
        base: Box<Package>,
        /// The modules.
        modules: Box<Package>,
    },
}

impl Kernel {
    /// Version of the package with the kernel.
    pub(crate) fn version(&self) -> &str {
        match &self.layout {
            Layout::Whole(image) => &image.version,
            Layout::Split { binary, .. } => &binary.version,
        }
    }
}

/// The kernels of one flavour, newest first.
pub(crate) fn kernels(packages: &[Package], flavour: &str) -> Vec<Kernel> {
    let mut releases: BTreeMap<&str, BTreeMap<&str, &Package>> = BTreeMap::new();
    for package in packages {
        for kind in KINDS {
            if let Some(release) = package.name.strip_prefix(kind).filter(|r| is_flavour(r, flavour)) {
                let slot = releases.entry(release).or_default().entry(kind).or_insert(package);
                if version::compare(&package.version, &slot.version) == Ordering::Greater {
                    *slot = package;
                }
            }
        }
    }
    let mut kernels: Vec<_> = releases
        .into_iter()
        .filter_map(|(release, kinds)| {
            let take = |kind: &str| kinds.get(kind).map(|p| Box::new((*p).clone()));
            let layout = match (take("linux-binary-"), take("linux-base-"), take("linux-modules-")) {
                (Some(binary), Some(base), Some(modules)) => Layout::Split { binary, base, modules },
                (None, None, None) => Layout::Whole(take("linux-image-")?),
                _ => return None, // a suite in the middle of an update
            };
            Some(Kernel { release: release.to_owned(), layout })
        })
        .collect();
    kernels.sort_by(|a, b| version::compare(b.version(), a.version()).then_with(|| b.release.cmp(&a.release)));
    kernels
}

/// Whether a release is of exactly this flavour: `7.2.12+deb14-rt-amd64` is not `amd64`, `6.16-rc7-amd64` is.
fn is_flavour(release: &str, flavour: &str) -> bool {
    release.strip_suffix(flavour).and_then(|r| r.strip_suffix('-')).is_some_and(|version| {
        version.split('-').enumerate().all(|(i, part)| {
            part.starts_with(|c: char| c.is_ascii_digit())
                || (i > 0
                    && (part == "trunk"
                        || part.strip_prefix("rc").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))))
        })
    })
}

/// The newest kernel whose release or version begins with `wanted`.
pub(crate) fn choose<'a>(kernels: &'a [Kernel], wanted: Option<&str>) -> Option<&'a Kernel> {
    match wanted {
        None => kernels.first(),
        Some(wanted) => {
            kernels.iter().find(|k| version_matches(&k.release, wanted) || version_matches(k.version(), wanted))
        }
    }
}

/// What there is instead of `wanted`, nearest first.
pub(crate) fn near(kernels: &[Kernel], wanted: &str) -> Vec<String> {
    let common = |k: &Kernel| k.version().bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    let mut sorted: Vec<_> = kernels.iter().collect();
    sorted.sort_by_key(|k| std::cmp::Reverse(common(k)));
    sorted.iter().take(8).map(|k| format!("{} ({})", k.version(), k.release)).collect()
}

/// The newest package with a kernel's source.
pub(crate) fn newest_source(packages: &[Package]) -> Option<&Package> {
    let sources = packages.iter().filter(|package| package.name.starts_with(SOURCE));
    sources.max_by(|a, b| version::compare(&a.version, &b.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "d4a0e1fe06de38fa149c8bb6e36fd76356173481ae3edcd218432bfafaf0d87e";

    fn stanza(name: &str, version: &str) -> String {
        format!(
            "Package: {name}\nSource: linux\nVersion: {version}\nInstalled-Size: 12\nArchitecture: riscv64\nDescription: x\n \
             Package: not-a-field\nFilename: pool/main/l/linux/{name}_{version}_riscv64.deb\nSize: 99\nSHA256: {HASH}\n\n"
        )
    }

    fn list(names: &[(&str, &str)]) -> Vec<Package> {
        let text: String = names.iter().map(|(n, v)| stanza(n, v)).collect();
        kernel_packages(text.as_bytes()).unwrap()
    }

    #[test]
    fn keeps_kernel_packages_only() {
        let packages = list(&[
            ("linux-binary-7.2.12+deb14-riscv64", "7.2.12-1"),
            ("linux-binary-unsigned-7.2.12+deb14-riscv64", "7.2.12-1"),
            ("linux-image-7.2.12+deb14-riscv64-dbg", "7.2.12-1"),
            ("linux-image-6.12.1-amd64-unsigned", "6.12.1-1"),
            ("linux-image-riscv64", "7.2.12-1"),
            ("linux-base", "4.1"),
            ("linuxinfo", "1"),
        ]);
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].size, 99);
        assert_eq!(packages[0].filename, "pool/main/l/linux/linux-binary-7.2.12+deb14-riscv64_7.2.12-1_riscv64.deb");
    }

    #[test]
    fn a_stanza_without_a_hash_or_with_a_wild_file_name_is_an_error() {
        let text = stanza("linux-image-6.1.0-1-amd64", "6.1-1");
        assert!(kernel_packages(text.replace("SHA256", "MD5sum").as_bytes()).is_err());
        assert!(kernel_packages(text.replace("pool/main", "../..").as_bytes()).is_err());
        assert!(kernel_packages(text.replace("pool/main", "/etc").as_bytes()).is_err());
        assert!(kernel_packages(text.replace("Size: 99", "Size: many").as_bytes()).is_err());
    }

    #[test]
    fn the_last_stanza_counts_without_an_empty_line() {
        assert_eq!(
            kernel_packages(stanza("linux-image-6.1.0-1-amd64", "6.1-1").trim_end().as_bytes()).unwrap().len(),
            1
        );
    }

    #[test]
    fn chooses_the_newest_of_the_plain_flavour() {
        let packages = list(&[
            ("linux-image-6.1.0-9-amd64", "6.1.27-1"),
            ("linux-image-6.1.0-43-amd64", "6.1.162-1"),
            ("linux-image-6.1.0-43-rt-amd64", "6.1.162-1"),
            ("linux-image-6.1.0-44-cloud-amd64", "6.1.170-1"),
            ("linux-image-6.12-rc7-amd64", "6.12~rc7-1~exp1"),
            ("linux-image-6.1.0-43-arm64-16k", "6.1.162-1"),
        ]);
        let found = kernels(&packages, "amd64");
        let releases: Vec<_> = found.iter().map(|k| k.release.as_str()).collect();
        assert_eq!(releases, ["6.12-rc7-amd64", "6.1.0-43-amd64", "6.1.0-9-amd64"]);
        assert_eq!(choose(&found, Some("6.1")).unwrap().release, "6.1.0-43-amd64");
        assert_eq!(choose(&found, Some("6.1.27")).unwrap().release, "6.1.0-9-amd64");
        assert_eq!(choose(&found, Some("6.1.0-9")).unwrap().release, "6.1.0-9-amd64");
        assert!(choose(&found, Some("6.2")).is_none());
        assert_eq!(near(&found, "6.1.163")[0], "6.1.162-1 (6.1.0-43-amd64)");
        assert!(kernels(&packages, "arm64").is_empty());
    }

    #[test]
    fn the_newest_source_is_no_kernel() {
        let packages = list(&[
            ("linux-source-6.19", "6.19.14-1"),
            ("linux-source-7.2", "7.2.12-1"),
            ("linux-source-7.2", "7.2.9-1"),
            ("linux-source", "7.3-1"),
            ("linux-image-7.4.0-riscv64", "7.4-1"),
        ]);
        assert_eq!(newest_source(&packages).unwrap().version, "7.2.12-1");
        assert_eq!(kernels(&packages, "riscv64").len(), 1);
        assert!(newest_source(&list(&[("linux-image-7.4.0-riscv64", "7.4-1")])).is_none());
    }

    #[test]
    fn since_7_a_kernel_is_three_packages() {
        let r = "7.2.12+deb14-riscv64";
        let names: Vec<_> = ["image", "binary", "base", "modules"].map(|k| format!("linux-{k}-{r}")).into();
        let packages = list(&names.iter().map(|n| (n.as_str(), "7.2.12-1")).collect::<Vec<_>>());
        let found = kernels(&packages, "riscv64");
        assert!(matches!(&found[..], [Kernel { layout: Layout::Split { .. }, .. }]));
        // One of the three is missing: not usable.
        assert!(kernels(&packages[..3], "riscv64").is_empty());
    }
}
