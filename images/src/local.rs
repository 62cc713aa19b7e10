//! The `local` provider: the user's own kernel file, with the configuration and modules that lie beside it.
//!
//! Looked for next to the file: `config`, `.config` or `config-R` (also two and three directories up, where a build tree
//! has `.config`), and modules in `lib/modules/R` beside it or one directory up, or around it if it lies in such a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::format::Layer;
use crate::hex::hex;
use crate::image::{Image, ModulesFrom, Provider};
use crate::store::Target;
use crate::unwrap::{inspect, unwrap_kernel};

/// Reads the user's kernel; a wrapped one is unwrapped into the cache.
pub(crate) fn resolve(cache: &Cache, path: &Path, target: &Target) -> Result<Image> {
    let name = path.display().to_string();
    if !path.is_file() {
        return Err(Error::BadSpec { given: name, reason: "there is no such file".to_owned() });
    }
    let path = std::path::absolute(path).context("find", path)?;
    let layer = inspect(&path)?;
    let mut hash = Sha256::new();
    let mut file = File::open(&path).context("open the kernel", &path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).context("read the kernel", &path)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let sha256 = hex(&hash.finalize());
    let key = format!("local-{}", &sha256[..16]);
    let dir = cache.root().join("images").join(&key);
    let kernel = match layer {
        Layer::Kernel(machine) => {
            target.check(machine, &name)?;
            path.clone()
        }
        _ => unwrapped(cache, &path, &name, &dir, target)?,
    };
    let release = release_of(&kernel).unwrap_or_else(|| "unknown".to_owned());
    let config = find_config(&path, &release).and_then(|p| fs::read_to_string(p).ok()).map(Arc::from);
    let modules_dir = find_modules(&path, &release);
    if let Some(modules) = &modules_dir {
        fs::create_dir_all(&dir).context("create", &dir)?;
        for list in ["modules.builtin", "modules.order"] {
            if let Ok(bytes) = fs::read(modules.join(list)) {
                cache.write(&dir.join(list), &bytes)?;
            }
        }
    }
    Ok(Image {
        key,
        provider: Provider::Local,
        release,
        arch: target.name.to_owned(),
        kernel,
        provenance: BTreeMap::from([("file".to_owned(), path.display().to_string()), ("sha256".to_owned(), sha256)]),
        boot_modules: Vec::new(),
        config,
        dir,
        modules_from: modules_dir.map_or(ModulesFrom::Nothing, ModulesFrom::Directory),
    })
}

fn unwrapped(cache: &Cache, path: &Path, name: &str, dir: &Path, target: &Target) -> Result<PathBuf> {
    let kernel = dir.join("kernel");
    let tmp = cache.tmp();
    let mut out = tempfile::NamedTempFile::new_in(&tmp).context("create a temporary file in", &tmp)?;
    let input = File::open(path).context("open the kernel", path)?;
    let machine = unwrap_kernel(input, name, out.as_file_mut(), || cache.nameless())?;
    target.check(machine, name)?;
    fs::create_dir_all(dir).context("create", dir)?;
    out.persist(&kernel).map_err(|e| e.error).context("write", &kernel)?;
    Ok(kernel)
}

/// The release a kernel tells: a bzImage in its header (boot protocol, `kernel_version`), others in the banner
/// `Linux version R (…)`.
fn release_of(kernel: &Path) -> Option<String> {
    let mut file = File::open(kernel).ok()?;
    let mut head = Vec::new();
    file.by_ref().take(0x10000).read_to_end(&mut head).ok()?;
    if head.get(0x202..0x206) == Some(b"HdrS") {
        let at = usize::from(u16::from_le_bytes(head.get(0x20e..0x210)?.try_into().ok()?)) + 0x200;
        return word(head.get(at..)?);
    }
    const BANNER: &[u8] = b"Linux version ";
    file.seek(SeekFrom::Start(0)).ok()?;
    let (mut window, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer).ok().filter(|n| *n > 0)?;
        window.extend_from_slice(&buffer[..n]);
        for (at, _) in window.windows(BANNER.len()).enumerate().filter(|(_, w)| *w == BANNER) {
            // A format string (`Linux version %s`) comes before the banner in some kernels.
            if let Some(release) =
                word(&window[at + BANNER.len()..]).filter(|w| w.starts_with(|c: char| c.is_ascii_digit()))
            {
                return Some(release);
            }
        }
        window.drain(..window.len().saturating_sub(256));
    }
}

fn word(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(128).position(|b| *b == b' ' || *b == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '/')).then(|| text.to_owned())
}

fn find_config(kernel: &Path, release: &str) -> Option<PathBuf> {
    let beside = kernel.parent()?;
    let tree = beside.ancestors().take(4).map(|dir| dir.join(".config"));
    let named = [beside.join("config"), beside.join(format!("config-{release}"))];
    named.into_iter().chain(tree).find(|p| p.is_file())
}

fn find_modules(kernel: &Path, release: &str) -> Option<PathBuf> {
    let beside = kernel.parent()?;
    if beside.join("modules.order").is_file() && beside.join("kernel").is_dir() {
        return Some(beside.to_owned());
    }
    beside.ancestors().take(2).map(|dir| dir.join("lib/modules").join(release)).find(|p| p.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let mut kernel = vec![0; 3 << 20];
        kernel[1000..1017].copy_from_slice(b"Linux version %s\0");
        let at = (1 << 20) - 5; // across a read
        let banner = b"Linux version 7.2.12+deb14-riscv64 (x@y) #1";
        kernel[at..at + banner.len()].copy_from_slice(banner);
        fs::write(&path, &kernel).unwrap();
        assert_eq!(release_of(&path).as_deref(), Some("7.2.12+deb14-riscv64"));
        fs::write(&path, b"nothing").unwrap();
        assert_eq!(release_of(&path), None);
    }

    #[test]
    fn a_kernel_for_another_arch_is_refused() {
        use crate::{DebianNames, Machine};
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("cache"))).unwrap();
        let path = dir.path().join("Image");
        let mut kernel = vec![0; 5000];
        kernel[0x38..0x3c].copy_from_slice(b"RSC\x05");
        fs::write(&path, &kernel).unwrap();
        let debian = DebianNames { arch: "arm64".into(), flavour: "arm64".into(), has_kernel: true };
        let mut target =
            Target { name: "arm64", debian: &debian, machine: Machine { elf_machine: 183, bits: 64 }, build: None };
        let error = resolve(&cache, &path, &target).unwrap_err().to_string();
        assert!(error.contains("is a kernel for RISC-V, 64 bits, not for arm64 (AArch64, 64 bits)"), "{error}");
        target.machine = Machine { elf_machine: 243, bits: 64 };
        assert_eq!(resolve(&cache, &path, &target).unwrap().kernel, path);
        assert!(matches!(resolve(&cache, &dir.path().join("none"), &target), Err(Error::BadSpec { .. })));
        assert!(resolve(&cache, Path::new("/dev/null"), &target).is_err());
    }
}
