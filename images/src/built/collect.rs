//! From a finished object directory to the files of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use object::read::ReadCache;
use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::hex::hex;
use crate::modules::Known;
use crate::store::{BuildNames, KNOWN, Target, directory_modules};
use crate::unwrap::{create, unwrap_kernel};

use super::make::Make;

/// What modules are built against: the tree's headers, scripts and configuration, as `make` prepares them for packages.
pub(crate) const DEVEL: &str = "devel.tar.zst";
/// What that tree and the kernel's types are, in a hash: kernels that differ in code only have equal ones, and modules built
/// against one of them can be loaded into the others.
pub(crate) const DEVEL_IDENTITY: &str = "devel.sha256";

/// Fills `staged`; gives the kernel's release and the files that must be there, with their sizes.
pub(crate) fn collect(
    cache: &Cache,
    make: &Make,
    names: &BuildNames,
    target: &Target,
    staged: &Path,
) -> Result<(String, BTreeMap<String, u64>)> {
    let objects = make.objects;
    let release = fs::read_to_string(objects.join("include/config/kernel.release"))
        .context("read the release in", objects)?
        .trim()
        .to_owned();

    let built = objects.join(&names.kernel);
    let name = built.display().to_string();
    let path = staged.join("kernel");
    let mut out = create(&path)?;
    let input = File::open(&built).context("open the kernel", &built)?;
    let machine = unwrap_kernel(input, &name, &mut out, || cache.nameless())?;
    target.check(machine, &name)?;

    for (from, to) in [(".config", "config"), ("System.map", "System.map"), ("Module.symvers", "Module.symvers")] {
        copy(&objects.join(from), &staged.join(to))?;
    }
    types(&objects.join("vmlinux"), &staged.join("btf"))?;
    modules(cache, make, &release, staged)?;
    devel(cache, make, staged)?;

    let mut files = BTreeMap::new();
    for entry in fs::read_dir(staged).context("read", staged)?.flatten() {
        let meta = entry.metadata().context("look at", entry.path())?;
        if let Some(name) = entry.file_name().to_str().filter(|_| meta.is_file()) {
            files.insert(name.to_owned(), meta.len());
        }
    }
    Ok((release, files))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).context("copy", from)
}

/// The kernel's types, if it has them, as `/sys/kernel/btf/vmlinux` will show them.
fn types(vmlinux: &Path, to: &Path) -> Result<()> {
    let bad = |reason: String| Error::NotAKernel { path: vmlinux.display().to_string(), reason };
    let file = File::open(vmlinux).context("open", vmlinux)?;
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache).map_err(|e| bad(e.to_string()))?;
    match elf.section_by_name(".BTF") {
        Some(section) => fs::write(to, section.data().map_err(|e| bad(e.to_string()))?).context("write", to),
        None => Ok(()),
    }
}

/// All modules, without debugging information, where [`crate::Store::modules`] finds those that were taken out of a package.
fn modules(cache: &Cache, make: &Make, release: &str, staged: &Path) -> Result<()> {
    let install = cache.staging()?;
    let arguments = ["modules_install", "INSTALL_MOD_STRIP=1", "DEPMOD=true"].map(str::to_owned);
    let path = format!("INSTALL_MOD_PATH={}", install.path().display());
    make.quick(&arguments.into_iter().chain([path]).collect::<Vec<_>>())?;
    let dir = install.path().join("lib/modules").join(release);
    for list in ["modules.builtin", "modules.order"] {
        copy(&dir.join(list), &staged.join(list))?;
    }
    let read = |list: &str| fs::read_to_string(staged.join(list)).map(|text| crate::modules::names(&text));
    let builtin: BTreeSet<String> = read("modules.builtin").context("read", staged)?;
    let order: BTreeSet<String> = read("modules.order").context("read", staged)?;
    let place = staged.join("modules");
    fs::create_dir_all(&place).context("create", &place)?;
    let known: Known = directory_modules(cache, &dir, &place, release, builtin, &order)?;
    let list = serde_json::to_vec(&known).unwrap_or_default();
    fs::write(place.join(KNOWN), list).context("write", place.join(KNOWN))
}

/// The tree against which modules are built outside of this one. The kernel's own script knows what belongs to it.
fn devel(cache: &Cache, make: &Make, staged: &Path) -> Result<()> {
    let dir = cache.staging()?;
    let tree = dir.path().join("devel");
    let command = format!("KBUILD_RUN_COMMAND=sh $(srctree)/scripts/package/install-extmod-build {}", tree.display());
    if !make.tree.join("scripts/package/install-extmod-build").is_file() {
        return Ok(()); // before 6.3
    }
    make.quick(&["run-command".to_owned(), command])?;
    let mut identity = Sha256::new();
    if let Ok(types) = fs::read(staged.join("btf")) {
        identity.update(types);
    }
    let path = staged.join(DEVEL);
    let out = File::create(&path).context("create", &path)?;
    let write = |e: std::io::Error| cache.io("write", &path, e, 0);
    let mut encoder = zstd::stream::write::Encoder::new(out, 9).map_err(write)?;
    {
        // The same tree gives the same bytes, whenever and in whatever order it was written.
        let mut tar = tar::Builder::new(Hashing(&mut encoder, &mut identity));
        tar.follow_symlinks(false);
        tar.mode(tar::HeaderMode::Deterministic);
        append_sorted(&mut tar, &tree, Path::new("devel")).map_err(write)?;
        tar.finish().map_err(write)?;
    }
    encoder.finish().map_err(write)?;
    let path = staged.join(DEVEL_IDENTITY);
    fs::write(&path, hex(&identity.finalize())).context("write", &path)
}

/// Writes what it passes on into a hash.
struct Hashing<'a, W>(W, &'a mut Sha256);

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn append_sorted<W: Write>(tar: &mut tar::Builder<W>, dir: &Path, name: &Path) -> std::io::Result<()> {
    tar.append_dir(name, dir)?;
    let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            append_sorted(tar, &entry.path(), &name)?;
        } else {
            tar.append_path_with_name(entry.path(), name)?;
        }
    }
    Ok(())
}
