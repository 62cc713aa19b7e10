//! Saving a run and reading it back.
//!
//! The file is [`RunResults`] as JSON plus one field, `digest`: SHA-256 over the compact JSON of everything else, so
//! that a cut or edited file is refused and reformatting is not. Written beside its name, synced and renamed: a file
//! is whole or not there. May import the model only.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;
use sha2::{Digest, Sha256};

use crate::model::{RunResults, SCHEMA};

/// Why results could not be saved or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("no place for results: neither XDG_STATE_HOME nor HOME is set; name a file with --json")]
    NoStateDir,
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("no saved run in {}; make one with `kfunc run`, or name a file", .0.display())]
    None(PathBuf),
    #[error("{} is no results file: {what}; it was cut or written by something else", path.display())]
    Malformed { path: PathBuf, what: String },
    #[error("{} has schema {found}, this kfunc reads {SCHEMA}; run again, or use the kfunc that wrote it", path.display())]
    Schema { path: PathBuf, found: String },
    #[error("{} was changed after it was written: its digest does not fit its contents; run again", path.display())]
    Edited { path: PathBuf },
    #[error("cannot serialise the results: {0}")]
    Serialise(#[source] serde_json::Error),
}

/// Where runs are saved: `$XDG_STATE_HOME/kfunc-conformance/results`, else beneath `~/.local/state`.
///
/// # Errors
/// When neither variable is set.
pub fn default_dir() -> Result<PathBuf, Error> {
    state_dir().map(|dir| dir.join("results"))
}

/// The user's state directory for this program.
///
/// # Errors
/// When neither `XDG_STATE_HOME` nor `HOME` is set.
pub fn state_dir() -> Result<PathBuf, Error> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    // The specification wants relative values ignored.
    let xdg = var("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let base = xdg.or_else(|| var("HOME").filter(|path| path.is_absolute()).map(|home| home.join(".local/state")));
    Ok(base.ok_or(Error::NoStateDir)?.join("kfunc-conformance"))
}

/// The text of a results file.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn to_text(results: &RunResults) -> Result<String, Error> {
    #[derive(Serialize)]
    struct File<'a> {
        #[serde(flatten)]
        results: &'a RunResults,
        digest: String,
    }
    let digest = digest(results).map_err(Error::Serialise)?;
    let mut text = serde_json::to_string_pretty(&File { results, digest }).map_err(Error::Serialise)?;
    text.push('\n');
    Ok(text)
}

/// Reads the text of a results file; `path` is for messages.
///
/// # Errors
/// When it is no such text, of another schema, or changed since it was written.
pub fn from_text(text: &str, path: &Path) -> Result<RunResults, Error> {
    let malformed = |what: String| Error::Malformed { path: path.into(), what };
    // What decides whether the rest can be read at all, before the rest.
    #[derive(Deserialize)]
    struct Head {
        schema: Option<Value>,
        digest: Option<Value>,
    }
    let head: Head = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => malformed("not a JSON object".into()),
        _ => malformed(error.to_string()),
    })?;
    match head.schema {
        Some(found) if found.as_u64() == Some(u64::from(SCHEMA)) => {}
        Some(found) => return Err(Error::Schema { path: path.into(), found: found.to_string() }),
        None => return Err(malformed("it has no field `schema`".into())),
    }
    let Some(Value::String(written)) = head.digest else {
        return Err(malformed("it has no field `digest`".into()));
    };
    let Undigested(results) = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if digest(&results).map_err(Error::Serialise)? != written {
        return Err(Error::Edited { path: path.into() });
    }
    Ok(results)
}

/// The results in a file, whose `digest` is none of their fields. Read straight into their types: a tree of values in
/// between would be several times as large as they are.
struct Undigested(RunResults);

impl<'de> Deserialize<'de> for Undigested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Undigested;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Undigested, A::Error> {
                RunResults::deserialize(MapAccessDeserializer::new(WithoutDigest(map))).map(Undigested)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A map without its key `digest`.
struct WithoutDigest<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutDigest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.0.next_key::<String>()? else { return Ok(None) };
        if key == "digest" {
            self.0.next_value::<IgnoredAny>()?;
            return self.next_key_seed(seed);
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

fn digest(results: &RunResults) -> Result<String, serde_json::Error> {
    /// A hash as a place to write to.
    struct Hashed(Sha256);
    impl Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut hashed = std::io::BufWriter::with_capacity(64 << 10, Hashed(Sha256::new()));
    serde_json::to_writer(&mut hashed, results)?;
    let Hashed(hash) = hashed.into_inner().map_err(|error| serde_json::Error::io(error.into_error()))?;
    Ok(images::hex(&hash.finalize()))
}

/// A name for a run that sorts by time and that no other run has: its start, and the beginning of its digest.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn id(results: &RunResults) -> Result<String, serde_json::Error> {
    let short: String = digest(results)?.chars().take(8).collect();
    Ok(format!("{}-{short}", timestamp(results.started)))
}

/// Saves a run in `dir` under a name that sorts by time, and gives its path.
///
/// # Errors
/// When the directory cannot be made or the file not be written whole.
pub fn save(results: &RunResults, dir: &Path) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(dir).map_err(|source| Error::Io { doing: "create", path: dir.into(), source })?;
    let text = to_text(results)?;
    let path = dir.join(format!("{}.json", id(results).map_err(Error::Serialise)?));
    write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

/// Writes a whole file or none: a reader never sees a part, and a full disk leaves the old one. What is no regular
/// file (a pipe, `/dev/stdout`) is written to as it is.
///
/// # Errors
/// Names the path and what failed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |doing, source| Error::Io { doing, path: path.to_owned(), source };
    // A symbolic link keeps pointing: what it points to is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if std::fs::metadata(&target).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return std::fs::write(&target, bytes).map_err(|source| fail("write", source));
    }
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".kfunc-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(dir)
        .map_err(|source| fail("write", source))?;
    file.write_all(bytes).map_err(|source| fail("write", source))?;
    file.as_file().sync_all().map_err(|source| fail("write", source))?;
    file.persist(&target).map_err(|error| fail("write", error.error))?;
    // The rename itself is on disk only once the directory is; a file system that cannot do this is not an error.
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

/// Whether a file could be written at `path` by [`write_atomically`], found out without touching what is there.
///
/// # Errors
/// Names the path and what failed.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let fail = |source: std::io::Error| Error::Io {
        doing: "write",
        path: path.to_owned(),
        // The temporary file's name says nothing to the user.
        source: match source.kind() {
            kind @ std::io::ErrorKind::NotFound => std::io::Error::new(kind, "there is no such folder"),
            kind => kind.into(),
        },
    };
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match std::fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => return Err(fail(std::io::ErrorKind::IsADirectory.into())),
        Ok(meta) if !meta.is_file() => return Ok(()),
        _ => {}
    }
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".kfunc-").tempfile_in(dir).map(drop).map_err(fail)
}

/// Reads a results file.
///
/// # Errors
/// When it cannot be read, or see [`from_text`].
pub fn load(path: &Path) -> Result<RunResults, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { doing: "read", path: path.into(), source })?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::Malformed { path: path.into(), what: "not UTF-8 text".into() })?;
    from_text(&text, path)
}

/// The newest saved run in `dir`.
///
/// # Errors
/// When there is none, or the directory cannot be read.
pub fn newest(dir: &Path) -> Result<PathBuf, Error> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::None(dir.into())),
        Err(source) => return Err(Error::Io { doing: "read", path: dir.into(), source }),
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".json") && !name.starts_with('.')
        })
        // The name starts with the time of the run in seconds; two runs of one second are told apart by the file.
        .max_by_key(|entry| {
            let second = entry.file_name().to_string_lossy().chars().take(16).collect::<String>();
            (second, entry.metadata().and_then(|meta| meta.modified()).ok())
        })
        .map(|entry| entry.path())
        .ok_or_else(|| Error::None(dir.into()))
}

/// `20251124T031000Z` from seconds since 1970. Days to civil date as in the proleptic Gregorian calendar.
pub fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years start in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `2025-11-24T03:10:00Z` (ISO 8601, RFC 3339) from seconds since 1970.
pub fn iso8601(seconds: u64) -> String {
    let compact = timestamp(seconds);
    let (date, time) = compact.split_once('T').unwrap_or((&compact, "000000Z"));
    let (year, day) = date.split_at(date.len().saturating_sub(4));
    let (month, day) = day.split_at(day.len().min(2));
    let part = |from: usize| time.get(from..from + 2).unwrap_or("00");
    format!("{year}-{month}-{day}T{}:{}:{}Z", part(0), part(2), part(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn message(error: Result<RunResults, Error>) -> String {
        error.expect_err("the file must be refused").to_string()
    }

    #[test]
    fn a_place_that_cannot_be_written_is_known_beforehand() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_writable(&dir.path().join("run.json")).is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        let message = check_writable(&dir.path().join("absent/run.json")).unwrap_err().to_string();
        assert!(message.contains("absent/run.json") && !message.contains(".kfunc-"), "{message}");
        assert!(check_writable(dir.path()).is_err());
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let results = fixture::five();
        let path = save(&results, dir.path()).expect("it is saved");
        assert_eq!(path.file_name().map(|n| n.to_string_lossy().starts_with("20251124T031000Z-")), Some(true));
        let read = load(&path).expect("it is read");
        assert_eq!(digest(&read).ok(), digest(&results).ok());
        assert_eq!(newest(dir.path()).ok(), Some(path));
        let files = std::fs::read_dir(dir.path()).expect("readable").count();
        assert_eq!(files, 1, "no temporary file is left");
    }

    #[test]
    fn the_newest_is_the_latest_started() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut results = fixture::five();
        results.started += 3600;
        let late = save(&results, dir.path()).expect("saved");
        save(&fixture::five(), dir.path()).expect("saved");
        std::fs::write(dir.path().join(".kfunc-x.json"), "").expect("written");
        assert_eq!(newest(dir.path()).ok(), Some(late));
        let empty = dir.path().join("none");
        assert!(newest(&empty).expect_err("no directory").to_string().contains("make one with `kfunc run`"));
    }

    #[test]
    fn another_schema_is_refused() {
        let text = to_text(&fixture::five()).expect("text").replace("\"schema\": 2", "\"schema\": 99");
        let message = message(from_text(&text, Path::new("old.json")));
        assert_eq!(message, "old.json has schema 99, this kfunc reads 2; run again, or use the kfunc that wrote it");
    }

    #[test]
    fn a_cut_file_is_refused_at_every_length() {
        let text = to_text(&fixture::five()).expect("text");
        for len in (0..text.trim_end().len()).step_by(97) {
            let message = message(from_text(&text[..len], Path::new("cut.json")));
            assert!(message.starts_with("cut.json is no results file: "), "{message}");
        }
    }

    #[test]
    fn an_edited_file_is_refused() {
        let text = to_text(&fixture::five()).expect("text");
        let edited = text.replacen("\"broken\"", "\"conformant\"", 1);
        assert_ne!(text, edited);
        assert!(
            message(from_text(&edited, Path::new("e.json"))).starts_with("e.json was changed after it was written")
        );
        let unsigned = text.replacen("\"digest\"", "\"other\"", 1);
        assert!(message(from_text(&unsigned, Path::new("e.json"))).contains("no field `digest`"));
        let added = text.replacen("\"harness\"", "\"extra\": 1, \"harness\"", 1);
        assert!(message(from_text(&added, Path::new("e.json"))).contains("unknown field"));
    }

    #[test]
    fn what_comes_twice_or_is_no_object_is_refused() {
        let text = to_text(&fixture::five()).expect("text");
        let twice = text.replacen("\"harness\"", "\"started\": 1, \"harness\"", 1);
        assert!(message(from_text(&twice, Path::new("x"))).contains("duplicate field `started`"));
        for bad in ["[]", "7", "\"x\"", "null", ""] {
            assert!(message(from_text(bad, Path::new("x"))).starts_with("x is no results file: "), "{bad}");
        }
    }

    #[test]
    fn reformatting_is_no_edit() {
        let text = to_text(&fixture::five()).expect("text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert!(from_text(&value.to_string(), Path::new("x")).is_ok());
    }

    #[test]
    fn a_link_stays_and_no_half_file_replaces_a_whole_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        write_atomically(&link, b"new").expect("replaced");
        assert_eq!(std::fs::read(&real).ok().as_deref(), Some(&b"new"[..]));
        assert!(std::fs::symlink_metadata(&link).is_ok_and(|meta| meta.is_symlink()));
        let error = write_atomically(&dir.path().join("no/such/file"), b"x").expect_err("no such directory");
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }

    #[test]
    fn dates() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_782_400), "20000229T000000Z");
        assert_eq!(timestamp(1_763_953_800), "20251124T031000Z");
        assert_eq!(timestamp(4_107_542_399), "21000228T235959Z");
        assert_eq!(timestamp(4_107_542_400), "21000301T000000Z");
        assert_eq!(iso8601(1_763_953_800), "2025-11-24T03:10:00Z");
    }
}
