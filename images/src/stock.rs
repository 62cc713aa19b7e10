//! The `stock` provider: from a suite and perhaps a version to a kernel in the cache.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::cache::Cache;
use crate::deb::Unpacked;
use crate::error::{Error, IoContext, Result};
use crate::event::{Activity, Progress, Task};
use crate::hex::hex;
use crate::image::{Image, MANIFEST, Manifest, ModulesFrom, Provider, SCHEMA};
use crate::index::{self, Kernel, Layout, Package};
use crate::store::Target;
use crate::unwrap::{create, unwrap_kernel};

/// Finds, fetches if need be, and reads a kernel.
pub(crate) fn resolve(
    cache: &Cache,
    archive: &Archive,
    suite: &str,
    version: Option<&str>,
    target: &Target,
    progress: &Progress,
) -> Result<Image> {
    let (kernel, index_date) = find(cache, archive, suite, version, target, progress)?;
    let mut image = fetched(cache, archive, &kernel, target, progress)?;
    // The same packages may be in several suites: what was asked for is no property of the entry.
    image.provenance.insert("suite".to_owned(), suite.to_owned());
    image.provenance.insert("index_date".to_owned(), index_date);
    image.arch = target.name.to_owned();
    Ok(image)
}

/// The key that the image of [`resolve`] has. Fetches no kernel.
pub(crate) fn identity(
    cache: &Cache,
    archive: &Archive,
    suite: &str,
    version: Option<&str>,
    target: &Target,
    progress: &Progress,
) -> Result<String> {
    find(cache, archive, suite, version, target, progress).map(|(kernel, _)| key(&kernel))
}

/// The kernel in the suite's index, and the index's date.
fn find(
    cache: &Cache,
    archive: &Archive,
    suite: &str,
    version: Option<&str>,
    target: &Target,
    progress: &Progress,
) -> Result<(Kernel, String)> {
    let names = target.debian;
    let (packages, index_date) = archive.packages(cache, suite, &names.arch, progress)?;
    let kernels = index::kernels(&packages, &names.flavour);
    if kernels.is_empty() {
        return Err(Error::NoKernel {
            arch: names.arch.clone(),
            flavour: names.flavour.clone(),
            suite: suite.to_owned(),
        });
    }
    let kernel = index::choose(&kernels, version).ok_or_else(|| {
        let wanted = version.unwrap_or_default();
        Error::UnknownVersion {
            version: wanted.to_owned(),
            suite: suite.to_owned(),
            arch: names.arch.clone(),
            available: index::near(&kernels, wanted),
        }
    })?;
    Ok((kernel.clone(), index_date))
}

fn fetched(cache: &Cache, archive: &Archive, kernel: &Kernel, target: &Target, progress: &Progress) -> Result<Image> {
    let key = key(kernel);
    let dir = cache.root().join("images").join(&key);
    if let Some(manifest) = Manifest::of(&dir) {
        return Ok(manifest.into_image(&dir));
    }
    let _lock = cache.lock(&key, &format!("kernel {}", kernel.release), progress)?;
    if let Some(manifest) = Manifest::of(&dir) {
        return Ok(manifest.into_image(&dir));
    }
    let staged = cache.staging()?;
    let mut build = Build { cache, archive, kernel, dir: staged.path(), files: BTreeMap::new(), progress };
    let held = build.run(target)?;
    let manifest = Manifest {
        schema: SCHEMA,
        key,
        provider: Provider::Stock,
        arch: target.name.to_owned(),
        release: kernel.release.clone(),
        files: build.files,
        provenance: provenance(kernel),
        modules: Some(module_package(kernel).clone()),
    };
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    let path = staged.path().join(MANIFEST);
    fs::write(&path, text).map_err(|e| cache.io("write", &path, e, 0))?;
    cache.publish(staged, &dir)?;
    let image = manifest.into_image(&dir);
    if let (ModulesFrom::Package(_, slot), Some(held)) = (&image.modules_from, held) {
        *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(held);
    }
    Ok(image)
}

/// Raised when the same packages give other files. 2: x86-64 kernels are taken out of the bzImage.
const RECIPE: u32 = 2;

/// The kernel packages decide, so that another suite or mirror with the same packages shares the entry.
fn key(kernel: &Kernel) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("kfunc image {SCHEMA}, stock recipe {RECIPE}\n"));
    for package in packages(kernel) {
        hash.update(format!("{} {}\n", package.name, package.sha256));
    }
    format!("{}-{}", kernel.release, &hex(&hash.finalize())[..12])
}

fn packages(kernel: &Kernel) -> Vec<&Package> {
    match &kernel.layout {
        Layout::Whole(image) => vec![image],
        Layout::Split { binary, base, modules } => vec![binary, base, modules],
    }
}

fn module_package(kernel: &Kernel) -> &Package {
    match &kernel.layout {
        Layout::Whole(image) => image,
        Layout::Split { modules, .. } => modules,
    }
}

fn provenance(kernel: &Kernel) -> BTreeMap<String, String> {
    let main = packages(kernel)[0];
    let mut facts = BTreeMap::from([
        ("package".to_owned(), main.name.clone()),
        ("version".to_owned(), main.version.clone()),
        ("architecture".to_owned(), main.architecture.clone()),
    ]);
    for package in packages(kernel) {
        facts.insert(format!("sha256:{}", package.name), package.sha256.clone());
    }
    facts
}

/// One kernel on its way into a staging directory.
struct Build<'a> {
    cache: &'a Cache,
    archive: &'a Archive,
    kernel: &'a Kernel,
    dir: &'a Path,
    files: BTreeMap<String, u64>,
    progress: &'a Progress<'a>,
}

impl Build<'_> {
    /// Returns the unpacked package with the modules, if it came along, so that it is not fetched twice.
    fn run(&mut self, target: &Target) -> Result<Option<Unpacked>> {
        let release = &self.kernel.release;
        match &self.kernel.layout {
            Layout::Whole(image) => {
                let unpacked = fetch(self.cache, self.archive, image, self.progress)?;
                // Merged /usr came to the packages of kernels in the course of 6.x.
                let modules = ["usr/lib", "lib"]
                    .map(|lib| format!("{lib}/modules/{release}"))
                    .into_iter()
                    .find(|dir| unpacked.paths().any(|p| p.starts_with(&format!("{dir}/"))))
                    .unwrap_or_else(|| format!("lib/modules/{release}"));
                // riscv64 of 6.x installs an uncompressed Image, so its name is vmlinux.
                let kernel = ["vmlinuz", "vmlinux"]
                    .map(|name| format!("boot/{name}-{release}"))
                    .into_iter()
                    .find(|path| unpacked.paths().any(|p| p == path))
                    .unwrap_or_else(|| format!("boot/vmlinuz-{release}"));
                self.kernel_file(&unpacked, &kernel, target)?;
                self.file(&unpacked, &format!("boot/config-{release}"), "config")?;
                self.lists(&unpacked, &modules)?;
                Ok(Some(unpacked))
            }
            Layout::Split { binary, base, .. } => {
                let dir = format!("usr/lib/modules/{release}");
                let unpacked = fetch(self.cache, self.archive, base, self.progress)?;
                self.file(&unpacked, &format!("{dir}/config"), "config")?;
                self.lists(&unpacked, &dir)?;
                let unpacked = fetch(self.cache, self.archive, binary, self.progress)?;
                self.kernel_file(&unpacked, &format!("{dir}/vmlinuz"), target)?;
                Ok(None)
            }
        }
    }

    /// What is built in is known from one list, what exists from both.
    fn lists(&mut self, unpacked: &Unpacked, dir: &str) -> Result<()> {
        self.file(unpacked, &format!("{dir}/modules.builtin"), "modules.builtin")?;
        self.file(unpacked, &format!("{dir}/modules.order"), "modules.order")
    }

    fn file(&mut self, unpacked: &Unpacked, member: &str, name: &str) -> Result<()> {
        let mut bytes = Vec::new();
        unpacked.open(member)?.read_to_end(&mut bytes).context("read", member)?;
        let path = self.dir.join(name);
        fs::write(&path, &bytes).map_err(|e| self.cache.io("write", &path, e, bytes.len() as u64))?;
        self.files.insert(name.to_owned(), bytes.len() as u64);
        Ok(())
    }

    fn kernel_file(&mut self, unpacked: &Unpacked, member: &str, target: &Target) -> Result<()> {
        let name = format!("{member} of package {}", unpacked.package());
        let path = self.dir.join("kernel");
        let mut out = create(&path)?;
        let machine = unwrap_kernel(unpacked.open(member)?, &name, &mut out, || self.cache.nameless())?;
        target.check(machine, &name)?;
        let size = out.metadata().context("look at", &path)?.len();
        self.files.insert("kernel".to_owned(), size);
        Ok(())
    }
}

/// Downloads and unpacks a package into a nameless file.
pub(crate) fn fetch(cache: &Cache, archive: &Archive, package: &Package, progress: &Progress) -> Result<Unpacked> {
    let installed = package.installed_size.saturating_mul(1024);
    // Installed-Size rounds up to KiB per file; tar adds headers. Twice that is no honest package any more.
    let limit = installed.saturating_mul(2).saturating_add(64 << 20);
    cache.require(package.size.saturating_add(installed), &package.name)?;
    let deb = archive.package(cache, package, progress)?;
    let mut task = Task::start(Activity::Unpack, &package.name, Some(installed), progress);
    let mut done = 0;
    let unpacked = Unpacked::read(&deb, cache.nameless()?, &package.name, limit, |n| {
        done = n;
        task.at(n);
    })
    .map_err(|error| match error {
        Error::Io { doing, path, source } => cache.io(doing, &path, source, installed),
        other => other,
    })?;
    task.finish(done);
    Ok(unpacked)
}
