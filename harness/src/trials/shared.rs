//! One run for all processes of a `cargo nextest run`.
//!
//! nextest starts a process per trial. Booting a guest for each would be absurd, so the processes of one nextest run
//! share results through a directory of the user's state: the first to take the lock of an (arch, kernel) runs all its
//! cases and saves them, the others read. A process that is killed gives its lock up to the kernel, and the next one
//! runs. Directories of other nextest runs are deleted when they are a day old.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::model::RunResults;
use crate::results;

/// After this nobody needs a nextest run's directory any more.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The directory of one nextest run.
#[derive(Debug)]
pub struct Shared {
    dir: PathBuf,
}

impl Shared {
    /// The directory of the nextest run that started this process, if one did. A retry is a run of its own: it would
    /// learn nothing from the results of the first attempt.
    pub fn of_this_process() -> Option<Result<Self, String>> {
        let id = std::env::var("NEXTEST_RUN_ID").ok()?;
        let more = ["NEXTEST_ATTEMPT", "NEXTEST_STRESS_CURRENT"].map(|name| std::env::var(name).unwrap_or_default());
        let name = directory_name(&id, &more);
        Some(
            results::state_dir()
                .map_err(|error| error.to_string())
                .and_then(|state| Self::open(&state.join("nextest"), &name)),
        )
    }

    /// The directory `name` beneath `parent`. Old siblings are deleted.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(parent: &Path, name: &str) -> Result<Self, String> {
        let dir = parent.join(name);
        std::fs::create_dir_all(&dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
        sweep(parent, &dir, SystemTime::now());
        Ok(Self { dir })
    }

    /// The results under `key`: read if another process left them, else had from `run` and left for others. An error
    /// of `run` is left too: three hundred trials need not find out one by one that a tool is missing.
    ///
    /// # Errors
    /// That of `run`, or when the directory cannot be used.
    pub fn results(&self, key: &str, run: impl FnOnce() -> Result<RunResults, String>) -> Result<RunResults, String> {
        let path = |ending: &str| self.dir.join(format!("{key}.{ending}"));
        let trouble = |path: &Path, error: std::io::Error| format!("cannot use {}: {error}", path.display());
        let (lock, done, failed) = (path("lock"), path("json"), path("error"));
        let file =
            File::options().create(true).truncate(false).write(true).open(&lock).map_err(|e| trouble(&lock, e))?;
        // Held until `file` is dropped, or this process ends in any way.
        file.lock().map_err(|error| trouble(&lock, error))?;
        if done.exists() {
            return results::load(&done).map_err(|error| error.to_string());
        }
        if let Ok(why) = std::fs::read_to_string(&failed) {
            return Err(why);
        }
        let got = run();
        let (path, text) = match &got {
            Ok(results) => (done, results::to_text(results).map_err(|error| error.to_string())?),
            Err(why) => (failed, why.clone()),
        };
        results::write_atomically(&path, text.as_bytes()).map_err(|error| error.to_string())?;
        got
    }
}

/// A file name for one selection: readable, and unique by a hash of everything that decides the results.
pub fn key(arch: &str, kernel: &str, rest: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in [arch, kernel].into_iter().chain(rest.iter().map(String::as_str)) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let short = images::hex(&hash.finalize()[..6]);
    format!("{}-{short}", plain(arch))
}

fn directory_name(id: &str, more: &[String]) -> String {
    let more: Vec<String> = more.iter().filter(|part| !part.is_empty()).map(|part| plain(part)).collect();
    [vec![plain(id)], more].concat().join("-")
}

/// Letters, digits and dashes only: nothing that leads out of a directory.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).take(80).collect()
}

/// Deletes what is old; failing to is no error.
fn sweep(parent: &Path, keep: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.path() != keep) {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| now.duration_since(at).ok());
        if age.is_some_and(|age| age > OLD) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::report::fixture;

    #[test]
    fn one_runs_and_the_others_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let runs = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                // Each opens the lock by itself, as processes do.
                scope.spawn(|| {
                    let shared = Shared::open(dir.path(), "run-1").expect("it opens");
                    let got = shared.results("riscv64", || {
                        runs.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(20));
                        Ok(fixture::five())
                    });
                    assert_eq!(got.expect("results").kernels.len(), 5);
                });
            }
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_is_shared_too() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let shared = Shared::open(dir.path(), "run-1").expect("it opens");
        assert_eq!(shared.results("k", || Err("no clang".into())).err(), Some("no clang".to_owned()));
        assert_eq!(shared.results("k", || Ok(fixture::five())).err(), Some("no clang".to_owned()));
        assert!(shared.results("other", || Ok(fixture::five())).is_ok());
    }

    #[test]
    fn names_stay_in_their_directory_and_tell_selections_apart() {
        assert_eq!(directory_name("../../etc", &["1".into(), String::new()]), "______etc-1");
        let keys = [key("a", "b", &[]), key("a", "c", &[]), key("a", "b", &["probe".into()]), key("ab", "", &[])];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(one), "{one} twice");
        }
    }

    #[test]
    fn old_directories_go() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let (old, kept) = (parent.path().join("old"), parent.path().join("kept"));
        std::fs::create_dir(&old).expect("created");
        std::fs::create_dir(&kept).expect("created");
        sweep(parent.path(), &kept, SystemTime::now() + OLD / 2);
        assert!(old.exists());
        sweep(parent.path(), &kept, SystemTime::now() + OLD * 2);
        assert!(!old.exists() && kept.exists());
    }
}
