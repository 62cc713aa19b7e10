//! An image as one file, for other machines: a tar in zstd whose first member lists all others with size and SHA-256.
//!
//! The list tells a file that was cut short or damaged. It is no signature: whoever can change the file can change the
//! list. Import what you would also boot.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::hex::hex;
use crate::image::{MANIFEST, Manifest, SCHEMA};

const LIST: &str = "kfunc-image.json";
/// No image of ours has more; what does is no image.
const MAX_SIZE: u64 = 1 << 30;
const MAX_LIST: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    schema: u32,
    key: String,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    size: u64,
    sha256: String,
}

/// Writes the image in `dir` to `path`; gives the file's size.
pub(crate) fn export(cache: &Cache, dir: &Path, path: &Path) -> Result<u64> {
    let key = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = Manifest::of(dir).ok_or_else(|| Error::UnknownImage { key: key.clone() })?;
    let mut list = List { schema: SCHEMA, key: manifest.key, files: BTreeMap::new() };
    let mut names = Vec::new();
    walk(dir, dir, &mut names)?;
    for name in names {
        let mut file = File::open(dir.join(&name)).context("open", dir.join(&name))?;
        let (size, sha256) = digest(&mut file, |_| Ok(())).context("read", dir.join(&name))?;
        list.files.insert(name, Entry { size, sha256 });
    }
    // Beside its place, so that a disk that fills up leaves no half of it there.
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let out = tempfile::NamedTempFile::new_in(parent).context("create a file in", parent)?;
    let write = |e: std::io::Error| cache.io("write", path, e, 0);
    let mut encoder = zstd::stream::write::Encoder::new(out, 6).map_err(write)?;
    {
        let mut tar = tar::Builder::new(&mut encoder);
        let mut add = |name: &str, size: u64, data: &mut dyn Read| {
            let mut header = tar::Header::new_ustar();
            header.set_size(size);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, data).map_err(write)
        };
        let text = serde_json::to_vec_pretty(&list).unwrap_or_default();
        add(LIST, text.len() as u64, &mut &text[..])?;
        for (name, entry) in &list.files {
            let file = File::open(dir.join(name)).context("open", dir.join(name))?;
            add(name, entry.size, &mut file.take(entry.size))?;
        }
        tar.finish().map_err(write)?;
    }
    let out = encoder.finish().map_err(write)?;
    out.as_file().sync_data().map_err(write)?;
    let file = out.persist(path).map_err(|e| e.error).context("write", path)?;
    Ok(file.metadata().context("look at", path)?.len())
}

fn walk(top: &Path, dir: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).context("read", dir)?.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(top, &path, names)?,
            Ok(kind) if kind.is_file() => {
                names.push(path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Size and SHA-256 of what `input` has, which is also handed to `each`.
fn digest(input: &mut dyn Read, mut each: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<(u64, String)> {
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok((size, hex(&hash.finalize()))),
            n => {
                hash.update(&buffer[..n]);
                size += n as u64;
                each(&buffer[..n])?;
            }
        }
    }
}

/// Reads an exported image into the cache; gives its key.
pub(crate) fn import(cache: &Cache, path: &Path) -> Result<String> {
    let bad = |reason: String| Error::BadBundle { path: path.to_owned(), reason };
    let damaged = |e: std::io::Error| bad(format!("it is damaged: {e}"));
    let file = File::open(path).context("open", path)?;
    let decoder = zstd::stream::read::Decoder::new(file).map_err(damaged)?;
    let mut archive = tar::Archive::new(decoder.take(MAX_SIZE));
    let mut entries = archive.entries().map_err(damaged)?;
    let first = entries.next().ok_or_else(|| bad("it is empty".to_owned()))?;
    let mut first = first.map_err(|_| bad("`kfunc images export` did not write it".to_owned()))?;
    if first.path_bytes().as_ref() != LIST.as_bytes() {
        return Err(bad(format!("it does not begin with {LIST}: `kfunc images export` did not write it")));
    }
    let mut text = Vec::new();
    first.by_ref().take(MAX_LIST).read_to_end(&mut text).map_err(damaged)?;
    let list: List = serde_json::from_slice(&text).map_err(|e| bad(format!("its list makes no sense: {e}")))?;
    if list.schema != SCHEMA {
        return Err(bad(format!("it is of version {}, and this program reads {SCHEMA}", list.schema)));
    }
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~'))
    };
    if !plain(&list.key) {
        return Err(bad(format!("its key '{}' could lead out of the cache", list.key.escape_debug())));
    }
    let staged = cache.staging()?;
    let mut left: BTreeMap<&str, &Entry> = list.files.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(expected) = left.remove(name.as_str()) else {
            return Err(bad(format!("'{}' is not in its list, or there twice", name.escape_debug())));
        };
        if !name.split('/').all(plain) || !entry.header().entry_type().is_file() {
            return Err(bad(format!("its member '{}' could lead out of the cache", name.escape_debug())));
        }
        let place = staged.path().join(&name);
        let parent = place.parent().unwrap_or(staged.path());
        fs::create_dir_all(parent).context("create", parent)?;
        let mut out = File::create(&place).context("create", &place)?;
        // A full disk is told apart from a damaged file.
        let mut failed = None;
        let got = digest(&mut entry, |bytes| {
            out.write_all(bytes).inspect_err(|e| failed = Some(std::io::Error::from(e.kind())))
        });
        if let Some(error) = failed {
            return Err(cache.io("write", &place, error, expected.size));
        }
        let (size, sha256) = got.map_err(damaged)?;
        if (size, sha256.as_str()) != (expected.size, expected.sha256.as_str()) {
            return Err(bad(format!("'{name}' is not what its list says: expected {}, got {sha256}", expected.sha256)));
        }
    }
    if let Some(name) = left.keys().next() {
        return Err(bad(format!("'{name}' is in its list and not in the file: it is cut short")));
    }
    match Manifest::of(staged.path()) {
        Some(manifest) if manifest.key == list.key => {}
        _ => return Err(bad(format!("its {MANIFEST} does not describe what is in it"))),
    }
    let place: PathBuf = cache.root().join("images").join(&list.key);
    cache.publish(staged, &place)?;
    Ok(list.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Provider;

    fn image(cache: &Cache, key: &str) -> PathBuf {
        let dir = cache.root().join("images").join(key);
        fs::create_dir_all(dir.join("modules")).unwrap();
        fs::write(dir.join("kernel"), b"kernel").unwrap();
        fs::write(dir.join("modules/x.ko"), b"module").unwrap();
        let manifest = Manifest {
            schema: SCHEMA,
            key: key.into(),
            provider: Provider::Built,
            arch: "riscv64".into(),
            release: "7.2".into(),
            files: BTreeMap::from([("kernel".to_owned(), 6)]),
            provenance: BTreeMap::new(),
            modules: None,
        };
        fs::write(dir.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        dir
    }

    fn cache(dir: &Path, name: &str) -> Cache {
        Cache::open(Some(dir.join(name))).unwrap()
    }

    #[test]
    fn there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (cache(dir.path(), "a"), cache(dir.path(), "b"));
        let file = dir.path().join("k.tar.zst");
        let size = export(&here, &image(&here, "k-1"), &file).unwrap();
        assert_eq!(size, fs::metadata(&file).unwrap().len());
        for _ in 0..2 {
            assert_eq!(import(&there, &file).unwrap(), "k-1");
        }
        let place = there.root().join("images/k-1");
        assert_eq!(fs::read(place.join("modules/x.ko")).unwrap(), b"module");
        assert!(Manifest::of(&place).is_some());
    }

    /// The exported file with its tar changed.
    fn changed(file: &Path, change: impl Fn(Vec<u8>) -> Vec<u8>) -> PathBuf {
        let tar = zstd::stream::decode_all(File::open(file).unwrap()).unwrap();
        let path = file.with_extension("changed");
        fs::write(&path, zstd::stream::encode_all(&change(tar)[..], 1).unwrap()).unwrap();
        path
    }

    fn replaced(tar: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at: Vec<usize> = (0..tar.len() - from.len()).filter(|at| tar[*at..].starts_with(from)).collect();
        assert!(!at.is_empty());
        let mut tar = tar;
        at.iter().for_each(|at| tar[*at..at + to.len()].copy_from_slice(to));
        tar
    }

    #[test]
    fn what_was_changed_or_cut_short_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (cache(dir.path(), "a"), cache(dir.path(), "b"));
        let file = dir.path().join("k.tar.zst");
        export(&here, &image(&here, "k-1"), &file).unwrap();
        let bytes = fs::read(&file).unwrap();
        let refused = |path: &Path, part: &str| {
            let error = import(&there, path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(
            &changed(&file, |tar| replaced(tar, b"module\0", b"modulE\0")),
            "'modules/x.ko' is not what its list says",
        );
        refused(
            &changed(&file, |tar| replaced(tar, b"\"key\": \"k-1\"", b"\"key\": \"../\"")),
            "lead out of the cache",
        );
        refused(&changed(&file, |tar| replaced(tar, b"\"key\": \"k-1\"", b"\"key\": \"k-2\"")), "does not describe");
        // Without the last member and the end of the archive.
        refused(&changed(&file, |tar| tar[..tar.len() - 2048].to_vec()), "cut short");
        for cut in [0, 10, bytes.len() / 2] {
            fs::write(dir.path().join("cut"), &bytes[..cut]).unwrap();
            assert!(import(&there, &dir.path().join("cut")).is_err(), "{cut}");
        }
        fs::write(dir.path().join("text"), b"hello").unwrap();
        refused(&dir.path().join("text"), "did not write it");
        assert_eq!(fs::read_dir(there.root().join("images")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(there.tmp()).unwrap().count(), 0);
    }
}
