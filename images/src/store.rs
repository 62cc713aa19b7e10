//! The store of images: what the harness asks for kernels, modules and the initramfs.
//!
//! A warm [`Store::resolve`] reads a few small files. Downloads end in files without names; only what is needed of a
//! package is kept, and the package is gone when the image is dropped: naming a new module later fetches the package
//! again, which costs a download but not 110 MB of disk per arch for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::agent::{self, AgentTarget};
use crate::archive::Archive;
use crate::built::{self, BuildOptions};
use crate::bundle;
use crate::cache::{self, Cache};
use crate::deb::Unpacked;
use crate::error::{Error, IoContext, Result};
use crate::event::Progress;
use crate::format::Machine;
use crate::hex::hex;
use crate::image::{Image, Manifest, Module, ModuleSet, ModulesFrom, Provider};
use crate::modules::{self, Extracted, Known};
use crate::spec::{KernelSpec, Source, Variant};
use crate::{initramfs, local, mirror, stock};

/// How a store is opened.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// The cache directory; else `KFUNC_CACHE`, `$XDG_CACHE_HOME/kfunc-conformance`, `~/.cache/kfunc-conformance`.
    pub cache_dir: Option<PathBuf>,
    /// The mirror; else `KFUNC_MIRROR`, else the host's apt configuration.
    pub mirror: Option<String>,
    /// The keyring that the mirror's indexes are signed with; else `KFUNC_KEYRING`, else the host's of the Debian archive.
    pub keyring: Option<PathBuf>,
    /// Ask the mirror even if the cached index is young.
    pub refresh: bool,
    /// Use the cache alone.
    pub offline: bool,
    /// How kernels are built.
    pub build: BuildOptions,
}

/// Debian's names of an arch. Part of an arch file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianNames {
    /// Of the architecture: `amd64`, `armhf`.
    pub arch: String,
    /// Of the plain kernel flavour: `amd64`, `armmp`.
    pub flavour: String,
    /// Whether its newer releases have a kernel for it at all.
    #[serde(default = "yes")]
    pub has_kernel: bool,
}

fn yes() -> bool {
    true
}

/// How a kernel for an arch is built. Part of an arch file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildNames {
    /// The kernel's `ARCH=`: `arm`, `i386`.
    pub arch: String,
    /// The directory under `arch/`: `arm`, `x86`.
    pub source: String,
    /// What `make` is asked for: `zImage`, `bzImage`.
    pub target: String,
    /// Where that is, in the object directory.
    pub kernel: String,
    /// Name of the configuration fragment (`images/kernel/NAME.config`).
    pub fragment: String,
    /// Prefix of gcc and binutils, for `--toolchain gcc`.
    pub cross: String,
    /// Steps that a build from nothing has, about: for the first forecast.
    pub steps: u64,
    /// The distribution has no kernel for this arch in which kfuncs can be called, so that ours is the default.
    #[serde(default)]
    pub instead_of_stock: bool,
}

#[cfg(test)]
impl BuildNames {
    pub(crate) fn example() -> Self {
        Self {
            arch: "riscv".into(),
            source: "riscv".into(),
            target: "Image".into(),
            kernel: "arch/riscv/boot/Image".into(),
            fragment: "riscv64".into(),
            cross: "riscv64-linux-gnu-".into(),
            steps: 2000,
            instead_of_stock: false,
        }
    }
}

/// For which arch an image is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The arch's name, for messages and [`Image::arch`].
    pub name: &'a str,
    /// Debian's names of it.
    pub debian: &'a DebianNames,
    /// What its kernels look like.
    pub machine: Machine,
    /// How they are built, where the arch file says so.
    pub build: Option<&'a BuildNames>,
}

impl Target<'_> {
    pub(crate) fn check(&self, found: Machine, path: &str) -> Result<()> {
        if found == self.machine {
            return Ok(());
        }
        Err(Error::WrongArch {
            path: path.to_owned(),
            found: found.name(),
            arch: self.name.to_owned(),
            wanted: self.machine.name(),
        })
    }
}

/// An image in the cache, for lists.
#[derive(Debug, Clone, Serialize)]
pub struct StoredImage {
    /// Content key.
    pub key: String,
    /// Arch it was fetched for.
    pub arch: String,
    /// Kernel release.
    pub release: String,
    /// Where it comes from.
    pub provider: Provider,
    /// Bytes on disk.
    pub bytes: u64,
    /// Of these, what a run reads: kernel, configuration, modules.
    pub bytes_to_run: u64,
    /// Where it comes from, in detail.
    pub provenance: BTreeMap<String, String>,
    /// Modules that were taken out of its packages.
    pub modules: Vec<String>,
}

/// The cache with the archive behind it. Several threads may use it at once.
#[derive(Debug)]
pub struct Store {
    pub(crate) cache: Cache,
    options: StoreOptions,
    archive: OnceLock<Archive>,
}

impl Store {
    /// Opens the cache. Touches neither network nor apt configuration.
    pub fn open(options: StoreOptions) -> Result<Self> {
        let cache = Cache::open(options.cache_dir.clone())?;
        Ok(Self { cache, options, archive: OnceLock::new() })
    }

    /// The cache directory.
    pub fn cache_dir(&self) -> &Path {
        self.cache.root()
    }

    /// Address of the mirror that would be used.
    pub fn mirror(&self) -> Result<&str> {
        Ok(self.archive()?.url())
    }

    /// Asks the mirror for the default suite's index, verifies it, and tells what it is: for `kfunc doctor`.
    pub fn check_mirror(&self, suite: &str, progress: &Progress) -> Result<String> {
        let index = self.archive()?.suite(&self.cache, suite, progress)?;
        Ok(format!("{} ({}) of {}", index.release.suite, index.release.codename, index.release.date))
    }

    fn archive(&self) -> Result<&Archive> {
        if let Some(archive) = self.archive.get() {
            return Ok(archive);
        }
        let variable = std::env::var("KFUNC_MIRROR").ok();
        let mirror = mirror::choose(self.options.mirror.as_deref(), variable.as_deref())?;
        Ok(self.archive.get_or_init(|| {
            Archive::new(mirror, self.options.keyring.clone(), self.options.refresh, self.options.offline)
        }))
    }

    /// A kernel: kernel file, configuration and boot modules are in the cache afterwards.
    pub fn resolve(&self, spec: &KernelSpec, target: &Target, progress: &Progress) -> Result<Image> {
        self.resolve_inner(spec, target, progress).map_err(|error| self.cache.explain(error))
    }

    fn resolve_inner(&self, spec: &KernelSpec, target: &Target, progress: &Progress) -> Result<Image> {
        let mut image = match spec {
            KernelSpec::Stock { suite, version } => {
                stock::resolve(&self.cache, self.archive()?, suite, version.as_deref(), target, progress)?
            }
            KernelSpec::Local(path) => local::resolve(&self.cache, path, target)?,
            KernelSpec::Built { .. } => self.built(spec, target, progress, false)?,
            KernelSpec::Cached(key) => self.image(key, target)?,
        };
        let wanted = modules::boot_modules(|symbol| image.config(symbol).map(str::to_owned));
        if !wanted.is_empty() {
            let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
            image.boot_modules = self.modules(&image, &wanted, progress)?.load;
        }
        Ok(image)
    }

    /// What decides a kernel, as a word: it changes when [`Store::resolve`] with an empty cache would give another one. Asks
    /// the mirror for its index; fetches and builds nothing.
    pub fn identity(&self, spec: &KernelSpec, target: &Target, progress: &Progress) -> Result<String> {
        let found = match spec {
            KernelSpec::Stock { suite, version } => {
                stock::identity(&self.cache, self.archive()?, suite, version.as_deref(), target, progress)
            }
            KernelSpec::Local(path) => local::resolve(&self.cache, path, target).map(|image| image.key),
            KernelSpec::Built { source, variant } => {
                self.job(source, *variant, target, progress).identity(|| self.archive())
            }
            KernelSpec::Cached(key) => self.image(key, target).map(|image| image.key),
        };
        found.map_err(|error| self.cache.explain(error))
    }

    /// The image in the cache under a key. Neither its packages nor its source are looked for, so that it can be had when they
    /// are gone.
    fn image(&self, key: &str, target: &Target) -> Result<Image> {
        let dir = self.image_dir(key)?;
        let image = Manifest::of(&dir).ok_or_else(|| Error::UnknownImage { key: key.to_owned() })?.into_image(&dir);
        if image.arch != target.name {
            return Err(Error::ImageOfArch { key: image.key, found: image.arch, arch: target.name.to_owned() });
        }
        Ok(image)
    }

    /// Whether an image is in the cache under a key.
    pub fn has_image(&self, key: &str) -> bool {
        self.image_dir(key).is_ok_and(|dir| Manifest::of(&dir).is_some())
    }

    /// Keys of the images that modules of ours can be built against, and that lack nothing on purpose.
    pub fn plain_built(&self) -> Vec<String> {
        let is_plain = |manifest: &Manifest| {
            let variant = manifest.provenance.get("variant").map(String::as_str);
            manifest.provider == Provider::Built && variant == Some(Variant::Plain.as_str())
        };
        built::manifests(&self.cache).map(|(manifest, _)| manifest).filter(is_plain).map(|found| found.key).collect()
    }

    /// Builds a kernel from the newest source there is, unless it is in the cache. [`Store::resolve`] is content with one
    /// built earlier.
    pub fn build(&self, spec: &KernelSpec, target: &Target, progress: &Progress) -> Result<Image> {
        self.built(spec, target, progress, true).map_err(|error| self.cache.explain(error))
    }

    fn built(&self, spec: &KernelSpec, target: &Target, progress: &Progress, newest: bool) -> Result<Image> {
        let KernelSpec::Built { source, variant } = spec else {
            let reason = "it is not one that is built".to_owned();
            return Err(Error::BadSpec { given: spec.to_string(), reason });
        };
        self.job(source, *variant, target, progress).resolve(|| self.archive(), newest)
    }

    /// Whether [`Store::resolve`] would find this kernel in the cache, without the network or a build.
    pub fn has_built(&self, spec: &KernelSpec, target: &Target) -> bool {
        let KernelSpec::Built { source, variant } = spec else { return false };
        self.job(source, *variant, target, &|_| {}).cached().is_ok_and(|image| image.is_some())
    }

    fn job<'a>(
        &'a self,
        source: &'a Source,
        variant: Variant,
        target: &'a Target,
        progress: &'a Progress<'a>,
    ) -> built::Job<'a> {
        built::Job { cache: &self.cache, options: &self.options.build, source, variant, target, progress }
    }

    /// Writes an image into one file, with what is needed to build modules for it.
    pub fn export(&self, key: &str, path: &Path) -> Result<u64> {
        let dir = self.image_dir(key)?;
        bundle::export(&self.cache, &dir, path).map_err(|error| self.cache.explain(error))
    }

    /// Puts an exported image into the cache, if the file is whole and unchanged. Gives its key.
    pub fn import(&self, path: &Path) -> Result<String> {
        bundle::import(&self.cache, path).map_err(|error| self.cache.explain(error))
    }

    /// Removes unpacked sources and the objects of builds, finished or not. Gives the bytes that were freed.
    pub fn remove_builds(&self) -> Result<u64> {
        let mut freed = 0;
        for name in ["builds", "sources"] {
            let dir = self.cache.root().join(name);
            if dir.is_dir() {
                freed += cache::usage(&dir);
                fs::remove_dir_all(&dir).context("remove", &dir)?;
            }
        }
        Ok(freed)
    }

    /// Modules with all they depend on, in load order. May fetch the package with the modules.
    pub fn modules(&self, image: &Image, names: &[&str], progress: &Progress) -> Result<ModuleSet> {
        self.modules_inner(image, names, progress).map_err(|error| self.cache.explain(error))
    }

    fn modules_inner(&self, image: &Image, names: &[&str], progress: &Progress) -> Result<ModuleSet> {
        let mut set = ModuleSet::default();
        let (builtin, mut wanted) = (image.list("modules.builtin"), Vec::new());
        for name in names.iter().map(|n| modules::normalise(n)) {
            if builtin.contains(&name) {
                set.builtin.push(name);
            } else {
                wanted.push(name);
            }
        }
        if wanted.is_empty() {
            return Ok(set);
        }
        let known = read_known(image);
        if let Ok(order) = modules::load_order(&known, &wanted, &image.release)? {
            set.load = order.into_iter().map(|name| module_of(image, &known, name)).collect();
            return Ok(set);
        }
        let existing = image.list("modules.order");
        if let Some(unknown) = wanted.iter().find(|name| !existing.is_empty() && !existing.contains(*name)) {
            return Err(unknown_module(unknown, &image.release, existing.iter().chain(&builtin)));
        }
        let _lock =
            self.cache.lock(&format!("modules-{}", image.key), &format!("modules of {}", image.release), progress)?;
        let mut extraction = Extraction {
            cache: &self.cache,
            dir: image.modules_dir(),
            release: &image.release,
            builtin,
            known: read_known(image),
        };
        if modules::load_order(&extraction.known, &wanted, &image.release)?.is_err() {
            self.extract(image, &mut extraction, &wanted, progress)?;
        }
        let known = extraction.known;
        match modules::load_order(&known, &wanted, &image.release)? {
            Ok(order) => set.load = order.into_iter().map(|name| module_of(image, &known, name)).collect(),
            Err(missing) => return Err(unknown_module(&missing, &image.release, known.keys())),
        }
        Ok(set)
    }

    fn extract(
        &self,
        image: &Image,
        extraction: &mut Extraction,
        wanted: &[String],
        progress: &Progress,
    ) -> Result<()> {
        match &image.modules_from {
            ModulesFrom::Nothing => Err(Error::NoModules {
                module: wanted.first().cloned().unwrap_or_default(),
                release: image.release.clone(),
            }),
            ModulesFrom::Directory(dir) => extraction.run(&Files::directory(dir)?, wanted),
            ModulesFrom::Package(package, slot) => {
                let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
                let unpacked = match held.take() {
                    Some(unpacked) => unpacked,
                    None => stock::fetch(&self.cache, self.archive()?, package, progress)?,
                };
                extraction.run(&Files::Package(held.insert(unpacked)), wanted)
            }
        }
    }

    /// Modules of our own, built against an image that was built here. What was built earlier is taken from the cache.
    ///
    /// # Errors
    /// [`Error::NoBuildTree`] for a kernel from elsewhere; what a build can end with.
    pub fn external_modules(
        &self,
        image: &Image,
        target: &Target,
        sources: &crate::ModuleSources,
        progress: &Progress,
    ) -> Result<Vec<Module>> {
        crate::external::modules(&self.cache, image, target, sources, progress).map_err(|e| self.cache.explain(e))
    }

    /// The initramfs for an image: the agent as PID 1 and the image's boot modules. Cached by content.
    pub fn initramfs(&self, image: &Image, target: &AgentTarget, progress: &Progress) -> Result<PathBuf> {
        let agent = agent::build(&self.cache, target, progress)?;
        // The agent's file name is the hash of all that went into it, the image's key that of its modules.
        let mut hash = Sha256::new();
        hash.update(format!("kfunc initramfs 1\n{}\n", agent.display()));
        if !image.boot_modules.is_empty() {
            hash.update(&image.key);
            image.boot_modules.iter().for_each(|m| hash.update(format!("\n{} {}", m.name, m.size)));
        }
        let path = self.cache.root().join("initramfs").join(format!("{}.cpio", &hex(&hash.finalize())[..32]));
        if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
            return Ok(path);
        }
        let agent = fs::read(&agent).context("read the agent", agent)?;
        let modules = image.boot_modules.iter().map(|m| fs::read(&m.path).context("read the module", &m.path));
        let archive = initramfs::archive(&agent, &modules.collect::<Result<Vec<_>>>()?);
        self.cache.write(&path, &archive).map_err(|error| self.cache.explain(error))?;
        Ok(path)
    }

    /// What is in the cache, by arch and release.
    pub fn list(&self) -> Result<Vec<StoredImage>> {
        let dir = self.cache.root().join("images");
        let mut images: Vec<_> = fs::read_dir(&dir)
            .context("read", &dir)?
            .flatten()
            .filter_map(|entry| {
                let manifest = Manifest::of(&entry.path())?;
                let image = manifest.clone().into_image(&entry.path());
                Some(StoredImage {
                    key: manifest.key,
                    arch: manifest.arch,
                    release: manifest.release,
                    provider: manifest.provider,
                    bytes: cache::usage(&entry.path()),
                    bytes_to_run: ["kernel", "config", "modules"]
                        .map(|n| cache::usage(&entry.path().join(n)))
                        .iter()
                        .sum(),
                    provenance: manifest.provenance,
                    modules: read_known(&image).into_keys().collect(),
                })
            })
            .collect();
        images.sort_by(|a, b| (&a.arch, &a.release, &a.key).cmp(&(&b.arch, &b.release, &b.key)));
        Ok(images)
    }

    /// Removes an image. Guests that run it are not disturbed.
    pub fn remove(&self, key: &str) -> Result<()> {
        let dir = self.image_dir(key)?;
        fs::remove_dir_all(&dir).context("remove", &dir)
    }

    fn image_dir(&self, key: &str) -> Result<PathBuf> {
        let dir = self.cache.root().join("images").join(key);
        if key.contains('/') || key.starts_with('.') || !dir.is_dir() {
            return Err(Error::UnknownImage { key: key.to_owned() });
        }
        Ok(dir)
    }

    /// Removes everything that can be fetched or made again.
    pub fn clear(&self) -> Result<()> {
        for name in ["images", "initramfs", "agents", "index"] {
            let dir = self.cache.root().join(name);
            fs::remove_dir_all(&dir).context("remove", &dir)?;
            fs::create_dir_all(&dir).context("create", &dir)?;
        }
        self.remove_builds()?;
        self.cache.sweep();
        Ok(())
    }

    /// Bytes of the whole cache.
    pub fn disk_usage(&self) -> u64 {
        cache::usage(self.cache.root())
    }

    /// Bytes free on the cache's filesystem.
    pub fn disk_free(&self) -> Result<u64> {
        self.cache.available()
    }
}

fn unknown_module<'a>(name: &str, release: &str, existing: impl Iterator<Item = &'a String>) -> Error {
    let mut near: Vec<_> = existing
        .map(|e| (strsim::damerau_levenshtein(e, name), e))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 5)
        .collect();
    near.sort();
    let near = near.into_iter().take(3).map(|(_, e)| e.clone()).collect();
    Error::UnknownModule { module: name.to_owned(), release: release.to_owned(), near }
}

/// List of the modules that lie beside it.
pub(crate) const KNOWN: &str = "modules.json";

/// Modules whose files are there and whole.
fn read_known(image: &Image) -> Known {
    let known: Known = fs::read(image.modules_dir().join(KNOWN))
        .ok()
        .and_then(|b| serde_json::from_slice(&b).ok())
        .unwrap_or_default();
    known
        .into_iter()
        .filter(|(name, m)| fs::metadata(module_path(image, name)).is_ok_and(|f| f.len() == m.size))
        .collect()
}

fn module_path(image: &Image, name: &str) -> PathBuf {
    image.modules_dir().join(format!("{name}.ko"))
}

fn module_of(image: &Image, known: &Known, name: String) -> Module {
    Module { path: module_path(image, &name), size: known.get(&name).map_or(0, |m| m.size), name }
}

/// Where module files are read from.
enum Files<'a> {
    Package(&'a Unpacked),
    Directory(Vec<PathBuf>),
}

impl Files<'_> {
    fn directory(dir: &Path) -> Result<Self> {
        let (mut files, mut todo) = (Vec::new(), vec![dir.to_owned()]);
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).context("read", &dir)?.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    _ => {} // links such as `build` lead out of the tree
                }
            }
        }
        Ok(Self::Directory(files))
    }

    /// The module's unpacked bytes.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let is_it = |path: &str| {
            modules::name_of(path).filter(|(n, _)| n == name).map(|(_, compression)| compression.to_owned())
        };
        match self {
            Self::Package(unpacked) => {
                let Some((path, compression)) = unpacked.paths().find_map(|p| Some((p, is_it(p)?))) else {
                    return Ok(None);
                };
                modules::read(unpacked.open(path)?, &compression, path).map(Some)
            }
            Self::Directory(files) => {
                let Some((path, compression)) = files.iter().find_map(|p| Some((p, is_it(p.to_str()?)?))) else {
                    return Ok(None);
                };
                let file = fs::File::open(path).context("open the module", path)?;
                modules::read(file.take(u64::MAX), &compression, &path.display().to_string()).map(Some)
            }
        }
    }
}

/// Modules on their way into the cache.
struct Extraction<'a> {
    cache: &'a Cache,
    /// Where they are put.
    dir: PathBuf,
    /// The kernel's release, for messages.
    release: &'a str,
    builtin: BTreeSet<String>,
    known: Known,
}

/// Takes modules out of a directory such as `/lib/modules/R` into `place`.
pub(crate) fn directory_modules(
    cache: &Cache,
    dir: &Path,
    place: &Path,
    release: &str,
    builtin: BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Result<Known> {
    let mut extraction = Extraction { cache, dir: place.to_owned(), release, builtin, known: Known::default() };
    extraction.run(&Files::directory(dir)?, &wanted.iter().cloned().collect::<Vec<_>>())?;
    Ok(extraction.known)
}

impl Extraction<'_> {
    fn run(&mut self, source: &Files, wanted: &[String]) -> Result<()> {
        let dir = self.dir.clone();
        fs::create_dir_all(&dir).context("create", &dir)?;
        for name in wanted {
            if !self.take(source, name)? {
                return Err(unknown_module(name, self.release, self.known.keys()));
            }
        }
        let list = serde_json::to_vec(&self.known).unwrap_or_default();
        self.cache.write(&dir.join(KNOWN), &list)
    }

    /// Takes out a module and what it requires; `false`: there is no such module.
    fn take(&mut self, source: &Files, name: &str) -> Result<bool> {
        if self.known.contains_key(name) {
            return Ok(true);
        }
        let Some(bytes) = source.read(name)? else { return Ok(false) };
        let info = modules::info(&bytes)
            .map_err(|reason| Error::BadPackage { package: format!("module {name} of {}", self.release), reason })?;
        self.cache.write(&self.dir.join(format!("{name}.ko")), &bytes)?;
        let size = bytes.len() as u64;
        drop(bytes);
        // Known before its dependencies are, so that a circle ends here and is reported by the load order.
        self.known.insert(name.to_owned(), Extracted { size, requires: Vec::new() });
        let mut requires = Vec::new();
        for required in info.depends {
            if self.builtin.contains(&required) {
                continue;
            }
            if !self.take(source, &required)? {
                return Err(unknown_module(&required, self.release, self.known.keys()));
            }
            requires.push(required);
        }
        // A soft dependency names a module or an alias. libcrc32c of 6.1 wants `crc32c`, which crc32c_generic provides and
        // which no user-space helper would load in a guest without one; other aliases are not worth a failure.
        for soft in info.before {
            for candidate in [soft.clone(), format!("{soft}_generic")] {
                if self.builtin.contains(&candidate) {
                    break;
                }
                if self.take(source, &candidate)? {
                    requires.push(candidate);
                    break;
                }
            }
        }
        self.known.insert(name.to_owned(), Extracted { size, requires });
        Ok(true)
    }
}
