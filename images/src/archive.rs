//! A Debian archive as this program sees it: verified, cached indexes of its suites, and checked downloads of packages.
//!
//! An index younger than [`FRESH`] is used without asking the mirror, so that a warm run does no network input or
//! output; an older one costs one small file. When the mirror does not answer, the cached index is used and said so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::apt::Settings;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::event::{Activity, Event, Progress, Task};
use crate::hex::hex;
use crate::http::{Expect, Failure, Http};
use crate::index::{self, Package};
use crate::mirror::{DEBIAN_SUITES, Mirror};
use crate::release::Release;
use crate::verify;

/// Seconds for which an index is used without asking whether there is a newer one.
const FRESH: u64 = 3600;
/// Largest `InRelease` accepted; Debian's have about 150 kB.
const MAX_RELEASE: u64 = 4 << 20;
/// Largest `Packages.xz` accepted; Debian's have about 10 MB.
const MAX_INDEX: u64 = 256 << 20;

/// A suite's index as it is kept in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuiteIndex {
    /// Address of the archive.
    mirror: String,
    /// Seconds since 1970 when the mirror last confirmed it.
    fetched: u64,
    /// Its content.
    pub(crate) release: Release,
}

/// An archive and what was asked of it in this process.
#[derive(Debug)]
pub(crate) struct Archive {
    mirror: Mirror,
    keyring: Option<PathBuf>,
    refresh: bool,
    offline: bool,
    client: OnceLock<Result<(Http, Settings), String>>,
    suites: Mutex<BTreeMap<String, Arc<Mutex<Memo>>>>,
}

/// What became of a suite's index in this process, so that five arches ask once, and wait once for a dead mirror.
#[derive(Debug, Default)]
enum Memo {
    #[default]
    Unasked,
    Known(Arc<SuiteIndex>),
    Unreachable {
        url: String,
        reason: String,
    },
}

impl Archive {
    pub(crate) fn new(mirror: Mirror, keyring: Option<PathBuf>, refresh: bool, offline: bool) -> Self {
        Self { mirror, keyring, refresh, offline, client: OnceLock::new(), suites: Mutex::default() }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.mirror.url
    }

    fn client(&self) -> Result<&(Http, Settings)> {
        let made = self.client.get_or_init(|| {
            let settings = Settings::read();
            Http::new(&settings, &self.mirror.url).map(|http| (http, settings))
        });
        made.as_ref().map_err(|reason| Error::BadMirror { url: self.mirror.url.clone(), reason: reason.clone() })
    }

    /// The index of a suite: from this process, the cache or the mirror.
    pub(crate) fn suite(&self, cache: &Cache, suite: &str, progress: &Progress) -> Result<Arc<SuiteIndex>> {
        let memo = {
            let mut suites = self.suites.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(suites.entry(suite.to_owned()).or_default())
        };
        let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
        match &*memo {
            Memo::Known(index) => return Ok(Arc::clone(index)),
            Memo::Unreachable { url, reason } => return Err(Error::Fetch { url: url.clone(), reason: reason.clone() }),
            Memo::Unasked => {}
        }
        let index = self.find_suite(cache, suite, progress);
        match &index {
            Ok(index) => *memo = Memo::Known(Arc::clone(index)),
            Err(Error::Fetch { url, reason }) => *memo = Memo::Unreachable { url: url.clone(), reason: reason.clone() },
            Err(_) => {}
        }
        index
    }

    fn find_suite(&self, cache: &Cache, suite: &str, progress: &Progress) -> Result<Arc<SuiteIndex>> {
        let key = format!("{}-{suite}", &hex(&Sha256::digest(&self.mirror.url))[..16]);
        let path = cache.root().join("index").join(format!("{key}.json"));
        let usable = |index: &SuiteIndex| self.offline || (!self.refresh && is_fresh(index.fetched, now()));
        if let Some(index) = self.cached(&path).filter(usable) {
            return Ok(Arc::new(index));
        }
        if self.offline {
            return Err(Error::Offline { what: format!("the index of suite '{suite}' of {}", self.mirror.url) });
        }
        let _lock = cache.lock(&format!("index-{key}"), &format!("the index of suite '{suite}'"), progress)?;
        let cached = self.cached(&path);
        if let Some(index) = cached.clone().filter(usable) {
            return Ok(Arc::new(index)); // the run that held the lock fetched it
        }
        let url = format!("{}/dists/{suite}/InRelease", self.mirror.url);
        let (http, settings) = self.client()?;
        let signed = match (http.small(&url, MAX_RELEASE), cached.as_ref()) {
            (Ok(signed), _) => signed,
            (Err(Failure::NotFound), _) => {
                return Err(Error::UnknownSuite {
                    suite: suite.to_owned(),
                    mirror: self.mirror.url.clone(),
                    near: near_suites(suite),
                });
            }
            (Err(failure), Some(cached)) => {
                progress(Event::Note(format!(
                    "mirror {} did not answer ({}); using the index of {} from the cache",
                    self.mirror.url,
                    failure.reason(),
                    cached.release.date
                )));
                return Ok(Arc::new(cached.clone()));
            }
            (Err(failure), None) => return Err(Error::Fetch { url, reason: failure.reason() }),
        };
        let release = self.verified(cache, suite, &url, &signed, settings)?;
        let release = match cached.map(|c| c.release).filter(|cached| cached.date_seconds > release.date_seconds) {
            // Mirrors are not updated all at once. As apt does, never step back: an old index can hide a newer one.
            Some(newer) => {
                progress(Event::Note(format!(
                    "mirror {} offers an index of {}, older than the one of {} in the cache, which is used",
                    self.mirror.url, release.date, newer.date
                )));
                newer
            }
            None => release,
        };
        let index = SuiteIndex { mirror: self.mirror.url.clone(), fetched: now(), release };
        cache.write(&path, &serde_json::to_vec(&index).unwrap_or_default())?;
        Ok(Arc::new(index))
    }

    fn cached(&self, path: &Path) -> Option<SuiteIndex> {
        let index: SuiteIndex = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (index.mirror == self.mirror.url).then_some(index)
    }

    fn verified(&self, cache: &Cache, suite: &str, url: &str, signed: &[u8], settings: &Settings) -> Result<Release> {
        let keyring = self.keyring.clone().or_else(|| std::env::var_os("KFUNC_KEYRING").map(PathBuf::from));
        let keyrings = verify::keyrings(&self.mirror, keyring.as_deref(), url)?;
        let text = verify::clear_signed(signed, &keyrings, url, &cache.tmp())?;
        let release = Release::parse(&text).map_err(|reason| Error::BadIndex { url: url.to_owned(), reason })?;
        if !release.is_suite(suite) {
            return Err(Error::WrongSuite {
                url: url.to_owned(),
                asked: suite.to_owned(),
                suite: release.suite,
                codename: release.codename,
            });
        }
        let check = self.mirror.check_valid_until.unwrap_or_else(|| settings.check_valid_until());
        match release.expired(now()).filter(|_| check) {
            Some(until) => Err(Error::Expired { url: url.to_owned(), valid_until: until.to_owned() }),
            None => Ok(release),
        }
    }

    /// The kernel packages of a suite for an architecture, and the date of the index that lists them.
    ///
    /// A mirror in the middle of an update can have an index whose lists it lacks, while the suite's other name
    /// (`stable` for `trixie`) still leads to a whole one: that is used then, verified like the first, and said so.
    pub(crate) fn packages(
        &self,
        cache: &Cache,
        suite: &str,
        arch: &str,
        progress: &Progress,
    ) -> Result<(Vec<Package>, String)> {
        let index = self.suite(cache, suite, progress)?;
        let lacking = |sha256: &str| cache.root().join("index").join(format!("lacking-{sha256}"));
        let marker = index.release.packages.get(arch).map(|file| lacking(&file.sha256));
        let known_lacking = marker.as_deref().filter(|_| !self.refresh).is_some_and(is_recent);
        let incomplete = match known_lacking {
            true => Error::Gone { url: format!("{}/dists/{suite}/main/binary-{arch}/Packages.xz", self.mirror.url) },
            false => match self.packages_in(cache, &index, suite, arch, progress) {
                Ok(packages) => return Ok((packages, index.release.date.clone())),
                Err(error @ (Error::Gone { .. } | Error::Altered { .. })) => error,
                Err(error) => return Err(error),
            },
        };
        let Some(other_name) = index.release.other_name(suite) else { return Err(incomplete) };
        let other = match self.suite(cache, other_name, progress) {
            Ok(other) if other.release.codename == index.release.codename => other,
            _ => return Err(incomplete),
        };
        let Ok(packages) = self.packages_in(cache, &other, other_name, arch, progress) else { return Err(incomplete) };
        if let Some(marker) = marker.filter(|_| !known_lacking) {
            cache.write(&marker, b"")?;
        }
        progress(Event::Note(format!(
            "mirror {} lacks the list of packages of {suite} for {arch} of {}; using that of {other_name} of {}",
            self.mirror.url, index.release.date, other.release.date
        )));
        Ok((packages, other.release.date.clone()))
    }

    fn packages_in(
        &self,
        cache: &Cache,
        index: &SuiteIndex,
        suite: &str,
        arch: &str,
        progress: &Progress,
    ) -> Result<Vec<Package>> {
        let Some(file) = index.release.packages.get(arch) else {
            return Err(Error::NotInSuite {
                arch: arch.to_owned(),
                suite: suite.to_owned(),
                suites: self.suites_with(cache, arch),
            });
        };
        let path = cache.root().join("index").join(format!("packages-{}-{}.json", index::KEPT, file.sha256));
        let cached = || serde_json::from_slice::<Vec<Package>>(&std::fs::read(&path).ok()?).ok();
        if let Some(packages) = cached() {
            return Ok(packages);
        }
        let what = format!("list of packages of {suite} for {arch}");
        if self.offline {
            return Err(Error::Offline { what: format!("the {what}") });
        }
        let _lock = cache.lock(&format!("packages-{}", file.sha256), &format!("the {what}"), progress)?;
        if let Some(packages) = cached() {
            return Ok(packages);
        }
        let dir = format!("{}/dists/{suite}/main/binary-{arch}", self.mirror.url);
        let plain = format!("{dir}/Packages.xz");
        let by_hash = format!("{dir}/by-hash/SHA256/{}", file.sha256);
        if file.size > MAX_INDEX {
            return Err(Error::BadIndex { url: plain, reason: format!("it has {} bytes", file.size) });
        }
        let expect = Expect { size: file.size, sha256: &file.sha256 };
        let xz = match index.release.by_hash {
            true => match self.fetch(cache, &by_hash, &what, expect, progress) {
                Err(gone @ Error::Gone { .. }) => {
                    self.fetch(cache, &plain, &what, expect, progress).map_err(|_| gone)?
                }
                other => other?,
            },
            false => self.fetch(cache, &plain, &what, expect, progress)?,
        };
        let text = BufReader::with_capacity(64 * 1024, liblzma::read::XzDecoder::new_multi_decoder(xz));
        let packages = index::kernel_packages(text).map_err(|reason| Error::BadIndex { url: plain, reason })?;
        cache.write(&path, &serde_json::to_vec(&packages).unwrap_or_default())?;
        Ok(packages)
    }

    /// Suites of this mirror whose cached index has the architecture.
    fn suites_with(&self, cache: &Cache, arch: &str) -> Vec<String> {
        let mut suites: Vec<_> = std::fs::read_dir(cache.root().join("index"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| self.cached(&entry.path()))
            .filter(|index| index.release.packages.contains_key(arch))
            .map(|index| index.release.suite)
            .collect();
        suites.sort();
        suites.dedup();
        suites
    }

    /// A package, whole and checked, in a file without a name.
    pub(crate) fn package(&self, cache: &Cache, package: &Package, progress: &Progress) -> Result<File> {
        if self.offline {
            return Err(Error::Offline { what: format!("package {}", package.name) });
        }
        let url = format!("{}/{}", self.mirror.url, package.filename);
        let expect = Expect { size: package.size, sha256: &package.sha256 };
        self.fetch(cache, &url, &package.name, expect, progress)
    }

    fn fetch(&self, cache: &Cache, url: &str, what: &str, expect: Expect, progress: &Progress) -> Result<File> {
        cache.require(expect.size, what)?;
        let (http, _) = self.client()?;
        let mut file = cache.nameless()?;
        let mut task = Task::start(Activity::Download, what, Some(expect.size), progress);
        match http.file(url, &mut file, expect, |done| task.at(done)) {
            Ok(()) => {
                task.finish(expect.size);
                Ok(file)
            }
            Err(Failure::NotFound) => Err(Error::Gone { url: url.to_owned() }),
            Err(Failure::Broken(reason)) => Err(Error::Fetch { url: url.to_owned(), reason }),
            Err(Failure::Altered { expected, got }) => {
                Err(Error::Altered { what: what.to_owned(), url: url.to_owned(), expected, got })
            }
            Err(Failure::Write(source)) => Err(cache.io("write", &cache.tmp(), source, expect.size)),
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Whether a file was written within [`FRESH`].
fn is_recent(path: &Path) -> bool {
    let written = std::fs::metadata(path).and_then(|m| m.modified());
    written.is_ok_and(|t| t.elapsed().is_ok_and(|age| age.as_secs() < FRESH))
}

/// A time in the future (the clock was set back) is not fresh.
fn is_fresh(fetched: u64, now: u64) -> bool {
    now.checked_sub(fetched).is_some_and(|age| age < FRESH)
}

fn near_suites(suite: &str) -> Vec<String> {
    let mut rated: Vec<_> = DEBIAN_SUITES
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, suite), *known))
        .filter(|(distance, _)| *distance <= 3)
        .collect();
    rated.sort();
    rated.iter().take(3).map(|(_, known)| (*known).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_survives_a_clock_that_was_set_back() {
        assert!(is_fresh(1000, 1000 + FRESH - 1));
        assert!(!is_fresh(1000, 1000 + FRESH));
        assert!(!is_fresh(2000, 1000));
    }

    #[test]
    fn near_suites_are_offered() {
        assert_eq!(near_suites("trixi")[0], "trixie");
        assert_eq!(near_suites("tesitng")[0], "testing");
        assert!(near_suites("something-else").is_empty());
    }
}
