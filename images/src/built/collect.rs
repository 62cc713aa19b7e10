//! From a finished object directory to the files of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use object::read::ReadCache;
use object::{Object, ObjectSection};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::modules::Known;
use crate::store::{BuildNames, KNOWN, Target, directory_modules};
use crate::unwrap::unwrap_kernel;

use super::make::Make;

/// What modules are built against: the tree's headers, scripts and configuration, as `make` prepares them for packages.
pub(crate) const DEVEL: &str = "devel.tar.zst";

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
    let mut out = File::create(&path).context("create", &path)?;
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
    let path = staged.join(DEVEL);
    let out = File::create(&path).context("create", &path)?;
    let write = |e: std::io::Error| cache.io("write", &path, e, 0);
    let mut encoder = zstd::stream::write::Encoder::new(out, 9).map_err(write)?;
    {
        let mut tar = tar::Builder::new(&mut encoder);
        tar.follow_symlinks(false);
        tar.append_dir_all("devel", &tree).map_err(write)?;
        tar.finish().map_err(write)?;
    }
    encoder.finish().map_err(write)?;
    Ok(())
}
