//! Kernel modules of our own, built against an image: in its `devel.tar.zst`, the tree that the kernel's own build makes for
//! that, and filed in the cache by what went into them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::built::collect::{DEVEL, DEVEL_IDENTITY};
use crate::built::make::Make;
use crate::built::tools;
use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::event::{Activity, Progress, Task};
use crate::hex::hex;
use crate::image::{Image, Module};
use crate::store::Target;

/// Source files of modules, all in one directory with a Kbuild file.
#[derive(Debug, Clone, Copy)]
pub struct ModuleSources<'a> {
    /// File names and contents.
    pub files: &'a [(&'a str, &'a str)],
    /// The modules that come out, in the order of loading.
    pub modules: &'a [&'a str],
}

/// Room that an unpacked tree takes.
const ROOM: u64 = 256 << 20;

/// One at a time: a build has the machine's processors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The modules, built now or earlier.
pub(crate) fn modules(
    cache: &Cache,
    image: &Image,
    target: &Target,
    sources: &ModuleSources,
    progress: &Progress,
) -> Result<Vec<Module>> {
    let archive = image.dir.join(DEVEL);
    let (Some(names), true) = (target.build, archive.is_file()) else {
        return Err(Error::NoBuildTree { release: image.release.clone(), arch: target.name.to_owned() });
    };
    let place = cache.root().join("modules").join(key(image, sources));
    if let Some(found) = found(&place, sources) {
        return Ok(found);
    }
    let what = format!("conformance modules for {} {}", target.name, image.release);
    let lock = cache.lock(&format!("modules-{}", key(image, sources)), &what, progress)?;
    if let Some(found) = found(&place, sources) {
        return Ok(found);
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    cache.require(ROOM, &what)?;
    let task = Task::start(Activity::Compile, &what, None, progress);
    let toolchain = image.provenance.get("toolchain").and_then(|name| name.parse().ok()).unwrap_or_default();
    let tools = tools::find(toolchain, names, target.name)?;
    let work = cache.staging()?;
    let tree = unpack(cache, &archive, work.path(), &image.dir.join("btf"))?;
    let source = work.path().join("source");
    fs::create_dir(&source).context("create", &source)?;
    for (name, text) in sources.files {
        cache.write(&source.join(name), text.as_bytes())?;
    }
    let logs = cache.root().join("logs");
    fs::create_dir_all(&logs).context("create", &logs)?;
    let log = logs.join(format!("modules-{}.log", target.name));
    let _ = fs::remove_file(&log);
    let mut arguments = vec![format!("ARCH={}", names.arch), format!("M={}", source.display())];
    arguments.extend(tools.arguments);
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let make = Make { cache, tree: &tree, objects: &tree, arguments, jobs, log, lock: &lock, what };
    make.quick(&["modules".to_owned()])?;
    let install = work.path().join("install");
    let options = ["modules_install", "INSTALL_MOD_STRIP=1", "DEPMOD=true"].map(str::to_owned);
    let path = format!("INSTALL_MOD_PATH={}", install.display());
    make.quick(&options.into_iter().chain([path]).collect::<Vec<_>>())?;
    let staged = cache.staging()?;
    for name in sources.modules {
        let from = find(&install, &format!("{name}.ko")).ok_or_else(|| Error::BuildFailed {
            what: make.what.clone(),
            first: format!("{name}.ko did not come out"),
            log: make.log.clone(),
        })?;
        let to = staged.path().join(format!("{name}.ko"));
        fs::copy(&from, &to).context("copy", &from)?;
    }
    fs::create_dir_all(cache.root().join("modules")).context("create", cache.root())?;
    cache.publish(staged, &place)?;
    task.finish(0);
    found(&place, sources).ok_or_else(|| Error::BuildFailed {
        what: make.what.clone(),
        first: "the modules did not come out".to_owned(),
        log: make.log.clone(),
    })
}

/// By what went in: the kernel with its configuration and tools, and the sources.
fn key(image: &Image, sources: &ModuleSources) -> String {
    let mut hash = Sha256::new();
    let identity = fs::read_to_string(image.dir.join(DEVEL_IDENTITY)).unwrap_or_else(|_| image.key.clone());
    let (release, toolchain) = (&image.release, image.provenance.get("toolchain"));
    hash.update(format!("kfunc modules 2\n{identity}\n{release}\n{toolchain:?}\n"));
    for (name, text) in sources.files {
        hash.update(format!("{name} {}\n", text.len()));
        hash.update(text);
    }
    hex(&hash.finalize()[..10])
}

fn found(place: &Path, sources: &ModuleSources) -> Option<Vec<Module>> {
    let one = |name: &&str| {
        let path = place.join(format!("{name}.ko"));
        let size = fs::metadata(&path).ok().filter(|meta| meta.len() > 0)?.len();
        Some(Module { name: (*name).to_owned(), path, size })
    };
    sources.modules.iter().map(one).collect()
}

/// The tree, with what stands in for `vmlinux`: its types, on which those of modules are built.
fn unpack(cache: &Cache, archive: &Path, to: &Path, types: &Path) -> Result<PathBuf> {
    let read = |e: std::io::Error| cache.io("unpack", archive, e, ROOM);
    let file = File::open(archive).context("open", archive)?;
    let decoder = zstd::stream::read::Decoder::new(file).map_err(read)?;
    tar::Archive::new(decoder).unpack(to).map_err(read)?;
    let tree = to.join("devel");
    if types.is_file() {
        let bytes = fs::read(types).context("read", types)?;
        cache.write(&tree.join("vmlinux"), &elf_with_types(&bytes))?;
    }
    Ok(tree)
}

/// An ELF file with nothing but a `.BTF` section. pahole and resolve_btfids look for no more in what they are told is
/// `vmlinux`. Byte order as that of the types, whose first two bytes are a magic number.
fn elf_with_types(types: &[u8]) -> Vec<u8> {
    use object::SectionKind;
    use object::write::Object;
    let endian = if types.starts_with(&[0xeb, 0x9f]) { object::Endianness::Big } else { object::Endianness::Little };
    let mut elf = Object::new(object::BinaryFormat::Elf, object::Architecture::X86_64, endian);
    let section = elf.add_section(Vec::new(), b".BTF".to_vec(), SectionKind::Other);
    elf.append_section_data(section, types, 8);
    elf.write().unwrap_or_default()
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        if !seen.insert(dir.clone()) {
            continue;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir {
                dirs.push(path);
            } else if path.file_name().is_some_and(|file| file == name) {
                return Some(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSection};

    #[test]
    fn types_stand_in_for_a_kernel() {
        for types in [&[0x9f, 0xeb, 1, 0, 7][..], &[0xeb, 0x9f, 1, 0, 7]] {
            let bytes = elf_with_types(types);
            let elf = object::File::parse(&*bytes).unwrap();
            assert_eq!(elf.section_by_name(".BTF").unwrap().data().unwrap(), types);
        }
    }

    #[test]
    fn a_kernel_without_a_tree_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        let image = Image {
            key: "k".into(),
            provider: crate::Provider::Stock,
            release: "6.1.0-x".into(),
            arch: "riscv64".into(),
            kernel: PathBuf::new(),
            provenance: std::collections::BTreeMap::new(),
            boot_modules: Vec::new(),
            config: None,
            dir: dir.path().to_owned(),
            modules_from: crate::image::ModulesFrom::Nothing,
        };
        let names = crate::store::BuildNames::example();
        let debian = crate::DebianNames { arch: "riscv64".into(), flavour: "riscv64".into(), has_kernel: true };
        let target = Target {
            name: "riscv64",
            debian: &debian,
            machine: crate::format::Machine { elf_machine: 243, bits: 64 },
            build: Some(&names),
        };
        let sources = ModuleSources { files: &[("Kbuild", "obj-m := a.o")], modules: &["a"] };
        let error = modules(&cache, &image, &target, &sources, &|_| {}).unwrap_err().to_string();
        assert!(error.contains("6.1.0-x") && error.contains("--kernel built"), "{error}");
    }
}
