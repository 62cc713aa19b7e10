//! An image in the cache: a bootable kernel with everything known of it. Reading one back is all that a warm run does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::deb::Unpacked;
use crate::hex::hex;
use crate::index::Package;
use crate::modules;

/// Version of the manifest. Another one is no image of ours and is made again.
pub(crate) const SCHEMA: u32 = 2;
pub(crate) const MANIFEST: &str = "manifest.json";

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A distribution's kernel package.
    Stock,
    /// The user's own file.
    Local,
    /// Built here from source.
    Built,
}

impl Provider {
    /// `stock`, `local`, `built`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Local => "local",
            Self::Built => "built",
        }
    }
}

/// A bootable kernel with everything known of it.
#[derive(Debug, Clone)]
pub struct Image {
    /// Content key: the same key is the same kernel.
    pub key: String,
    /// Where it comes from.
    pub provider: Provider,
    /// As `uname -r` will say. For a local kernel that does not tell, `unknown`.
    pub release: String,
    /// The arch's name, as given.
    pub arch: String,
    /// File for QEMU's `-kernel`.
    pub kernel: PathBuf,
    /// Packages, versions, hashes, suite and date of the index.
    pub provenance: BTreeMap<String, String>,
    /// Modules to load before the channel exists, in order.
    pub boot_modules: Vec<Module>,
    pub(crate) config: Option<Arc<str>>,
    pub(crate) dir: PathBuf,
    pub(crate) modules_from: ModulesFrom,
}

/// A kernel module, decompressed, as a file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The kernel's name of it, with underscores.
    pub name: String,
    /// The `.ko` file.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
}

/// What came of a request for modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleSet {
    /// To load, in this order: dependencies come first.
    pub load: Vec<Module>,
    /// Asked for and built into the kernel: nothing to load.
    pub builtin: Vec<String>,
}

/// Where an image's modules can be had.
#[derive(Debug, Clone)]
pub(crate) enum ModulesFrom {
    /// Nowhere.
    Nothing,
    /// A package; unpacked already if this process had to.
    Package(Box<Package>, Arc<Mutex<Option<Unpacked>>>),
    /// A directory such as `/lib/modules/R`.
    Directory(PathBuf),
}

impl Image {
    /// Value of a symbol in the kernel's configuration, without `CONFIG_`: `y`, `m`, a number or a quoted string. `None`
    /// if it is not set or the configuration is not known.
    pub fn config(&self, symbol: &str) -> Option<&str> {
        config_value(self.config.as_deref()?, symbol)
    }

    /// Whether the kernel's configuration is known at all.
    pub fn has_config(&self) -> bool {
        self.config.is_some()
    }

    /// SHA-256 of the file that QEMU boots, in hex.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kernel_sha256(&self) -> std::io::Result<String> {
        let (mut file, mut hash) = (fs::File::open(&self.kernel)?, Sha256::new());
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize())),
                n => hash.update(&buffer[..n]),
            }
        }
    }

    /// SHA-256 of the text of the kernel's configuration, in hex. `None` if it is not known.
    pub fn config_sha256(&self) -> Option<String> {
        self.config.as_deref().map(|text| hex(&Sha256::digest(text)))
    }

    pub(crate) fn list(&self, name: &str) -> BTreeSet<String> {
        fs::read_to_string(self.dir.join(name)).map(|text| modules::names(&text)).unwrap_or_default()
    }

    pub(crate) fn modules_dir(&self) -> PathBuf {
        self.dir.join("modules")
    }
}

/// Finds `CONFIG_symbol=value` in the text of a `.config`.
pub(crate) fn config_value<'a>(config: &'a str, symbol: &str) -> Option<&'a str> {
    let key = format!("CONFIG_{symbol}=");
    let mut from = 0;
    loop {
        let at = from + config.get(from..)?.find(&key)?;
        if at == 0 || config.as_bytes()[at - 1] == b'\n' {
            return config[at + key.len()..].lines().next();
        }
        from = at + key.len();
    }
}

/// What is written beside a kernel in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) schema: u32,
    pub(crate) key: String,
    pub(crate) provider: Provider,
    pub(crate) arch: String,
    pub(crate) release: String,
    /// Sizes of the files that must be there.
    pub(crate) files: BTreeMap<String, u64>,
    pub(crate) provenance: BTreeMap<String, String>,
    /// Package that has the modules.
    pub(crate) modules: Option<Package>,
}

impl Manifest {
    /// Reads the manifest of an entry, if the entry is whole: every file there, with its size. Hashing tens of
    /// megabytes on every run would cost more than the boot; a content error shows in the guest.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&fs::read(dir.join(MANIFEST)).ok()?).ok()?;
        let whole = manifest.schema == SCHEMA
            && manifest
                .files
                .iter()
                .all(|(name, size)| fs::metadata(dir.join(name)).is_ok_and(|m| m.is_file() && m.len() == *size));
        whole.then_some(manifest)
    }

    pub(crate) fn into_image(self, dir: &Path) -> Image {
        let config = fs::read(dir.join("config")).ok().map(|b| Arc::from(String::from_utf8_lossy(&b)));
        Image {
            key: self.key,
            provider: self.provider,
            release: self.release,
            arch: self.arch,
            kernel: dir.join("kernel"),
            provenance: self.provenance,
            boot_modules: Vec::new(),
            config,
            dir: dir.to_owned(),
            modules_from: self
                .modules
                .map_or(ModulesFrom::Nothing, |p| ModulesFrom::Package(Box::new(p), Arc::default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_values() {
        let text = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_XA=m\nCONFIG_S=\"CONFIG_B=no\"\nCONFIG_N=16";
        assert_eq!(config_value(text, "A"), Some("y"));
        assert_eq!(config_value(text, "B"), None);
        assert_eq!(config_value(text, "XA"), Some("m"));
        assert_eq!(config_value(text, "N"), Some("16"));
        assert_eq!(config_value("", "A"), None);
    }

    #[test]
    fn a_kernel_is_known_by_its_bytes_and_its_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            schema: SCHEMA,
            key: "k".into(),
            provider: Provider::Stock,
            arch: "riscv64".into(),
            release: "7.2".into(),
            files: BTreeMap::new(),
            provenance: BTreeMap::new(),
            modules: None,
        };
        let image = || manifest.clone().into_image(dir.path());
        assert!(image().kernel_sha256().is_err() && image().config_sha256().is_none());
        fs::write(dir.path().join("kernel"), "abc").unwrap();
        fs::write(dir.path().join("config"), "abc").unwrap();
        // FIPS 180-2, B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(image().kernel_sha256().unwrap(), abc);
        assert_eq!(image().config_sha256().as_deref(), Some(abc));
    }

    #[test]
    fn an_entry_with_a_missing_or_short_file_is_no_entry() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            schema: SCHEMA,
            key: "k".into(),
            provider: Provider::Stock,
            arch: "riscv64".into(),
            release: "7.2".into(),
            files: BTreeMap::from([("kernel".to_owned(), 4)]),
            provenance: BTreeMap::new(),
            modules: None,
        };
        fs::write(dir.path().join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        assert!(Manifest::of(dir.path()).is_none());
        fs::write(dir.path().join("kernel"), b"kern").unwrap();
        assert!(Manifest::of(dir.path()).is_some());
        fs::write(dir.path().join("kernel"), b"ker").unwrap();
        assert!(Manifest::of(dir.path()).is_none());
    }
}
