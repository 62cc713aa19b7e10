//! The cache directory: where things are, how they get there whole, and who may put them there.
//!
//! Everything is written to a temporary file or directory in the same filesystem and renamed. Temporary files that
//! need no name have none, so that nothing is left of them however this process ends.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, IoContext, Result};
use crate::event::{Event, Progress};

/// Named leftovers of killed runs are removed after this time.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The cache directory.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens and, if need be, makes it: `option`, else `KFUNC_CACHE`, else below `XDG_CACHE_HOME` or `HOME`.
    pub(crate) fn open(option: Option<PathBuf>) -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let below = |dir: PathBuf| dir.join("kfunc-conformance");
        let root = option
            .or_else(|| variable("KFUNC_CACHE"))
            .or_else(|| variable("XDG_CACHE_HOME").map(below))
            .or_else(|| variable("HOME").map(|home| below(home.join(".cache"))))
            .ok_or(Error::NoCacheDir)?;
        let root = std::path::absolute(&root).context("find", &root)?;
        let cache = Self { root };
        for dir in ["index", "images", "initramfs", "agents", "locks", "tmp"] {
            let dir = cache.root.join(dir);
            fs::create_dir_all(&dir).context("create the cache directory", &dir)?;
        }
        let tag = cache.root.join("CACHEDIR.TAG");
        if !tag.exists() {
            cache.write(
                &tag,
                b"Signature: 8a477f597d28d172789f06886806bc55\n# Made by kfunc-conformance; may be deleted.\n",
            )?;
            cache.sweep();
        }
        Ok(cache)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Removes what killed runs left behind. Failure is no harm.
    pub(crate) fn sweep(&self) {
        for entry in fs::read_dir(self.tmp()).into_iter().flatten().flatten() {
            let old =
                entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|age| age > STALE));
            if old {
                let path = entry.path();
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
        }
    }

    /// A file without a name: it is gone when it is closed.
    pub(crate) fn nameless(&self) -> Result<File> {
        tempfile::tempfile_in(self.tmp()).context("create a temporary file in", self.tmp())
    }

    /// A directory to be filled and then moved to its place.
    pub(crate) fn staging(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("new-")
            .tempdir_in(self.tmp())
            .context("create a temporary directory in", self.tmp())
    }

    /// Writes a file whole or not at all.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let tmp = self.tmp();
        let mut file = tempfile::NamedTempFile::new_in(&tmp).context("create a temporary file in", &tmp)?;
        file.write_all(bytes).map_err(|e| self.io("write", path, e, bytes.len() as u64))?;
        file.as_file().sync_data().map_err(|e| self.io("write", path, e, bytes.len() as u64))?;
        file.persist(path).map_err(|e| e.error).context("write", path)?;
        Ok(())
    }

    /// Moves a filled directory to its place; what was there before is removed.
    pub(crate) fn publish(&self, staged: tempfile::TempDir, place: &Path) -> Result<()> {
        for entry in fs::read_dir(staged.path()).context("read", staged.path())?.flatten() {
            if entry.path().is_file() {
                let path = entry.path();
                File::open(&path).and_then(|f| f.sync_data()).map_err(|e| self.io("write", &path, e, 0))?;
            }
        }
        if place.exists() {
            let old = self.staging()?;
            fs::rename(place, old.path().join("old")).context("replace", place)?;
        }
        fs::rename(staged.path(), place).context("move into place", place)?;
        let _ = staged.keep(); // its name is gone
        Ok(())
    }

    /// Takes the lock of a key, telling when another run has it. It ends when the returned file is dropped.
    pub(crate) fn lock(&self, key: &str, what: &str, progress: &Progress) -> Result<File> {
        let path = self.root.join("locks").join(key);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).context("open the lock", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress(Event::Waiting { what: what.to_owned() });
                file.lock().context("lock", &path)?;
            }
            Err(TryLockError::Error(source)) => return Err(Error::Io { doing: "lock", path, source }),
        }
        Ok(file)
    }

    /// Fails early when there is no room.
    pub(crate) fn require(&self, needed: u64, what: &str) -> Result<()> {
        let available = self.available()?;
        if available < needed {
            return Err(Error::DiskFull {
                path: self.root.clone(),
                what: what.to_owned(),
                needed: Some(needed),
                available,
            });
        }
        Ok(())
    }

    pub(crate) fn available(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(std::io::Error::from)
            .context("look at the filesystem of", &self.root)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// An error of writing, which may be that of a full disk.
    pub(crate) fn io(&self, doing: &'static str, path: &Path, source: std::io::Error, needed: u64) -> Error {
        match self.explain(Error::Io { doing, path: path.to_owned(), source }) {
            Error::DiskFull { path, what, available, .. } => {
                Error::DiskFull { path, what, needed: Some(needed), available }
            }
            other => other,
        }
    }

    /// Any error; that of a full disk in words.
    pub(crate) fn explain(&self, error: Error) -> Error {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error {
            Error::Io { doing, path, source } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                Error::DiskFull {
                    path: self.root.clone(),
                    what: format!("the attempt to {doing} {}", path.display()),
                    needed: None,
                    available: self.available().unwrap_or(0),
                }
            }
            other => other,
        }
    }
}

/// Bytes of a file or of all files below a directory.
pub(crate) fn usage(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::read_dir(path).into_iter().flatten().flatten().map(|e| usage(&e.path())).sum(),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_whole_files_and_leaves_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        let path = cache.root().join("index/x");
        cache.write(&path, b"one").unwrap();
        cache.write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(cache.tmp()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let place = cache.root().join("images/k");
        for text in ["a", "b"] {
            let staged = cache.staging().unwrap();
            fs::write(staged.path().join("f"), text).unwrap();
            cache.publish(staged, &place).unwrap();
            assert_eq!(fs::read_to_string(place.join("f")).unwrap(), text);
        }
        assert_eq!(fs::read_dir(cache.tmp()).unwrap().count(), 0);
    }

    #[test]
    fn no_room_is_said_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let error = cache.require(u64::MAX, "package x").unwrap_err();
        assert!(matches!(error, Error::DiskFull { needed: Some(u64::MAX), .. }));
        assert!(cache.require(1, "package x").is_ok());
    }

    #[test]
    fn a_disk_that_fills_up_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let full = || std::io::Error::from_raw_os_error(28); // ENOSPC
        let error = cache.explain(Error::Io { doing: "write", path: "x".into(), source: full() });
        assert!(error.to_string().contains("is full: the attempt to write x ran out of room; free"), "{error}");
        assert!(matches!(cache.io("write", Path::new("x"), full(), 9), Error::DiskFull { needed: Some(9), .. }));
        let other = Error::Io { doing: "write", path: "x".into(), source: std::io::Error::from_raw_os_error(13) };
        assert!(matches!(cache.explain(other), Error::Io { .. }));
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let first = cache.lock("k", "package x", &|_| panic!("nobody holds it")).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        std::thread::scope(|scope| {
            scope.spawn(|| cache.lock("k", "package x", &|event| tell.lock().unwrap().send(event).unwrap()).unwrap());
            assert_eq!(told.recv().unwrap(), Event::Waiting { what: "package x".into() });
            drop(first);
        });
    }
}
