//! Reading a bundle that anybody may have written: nothing of it is unpacked to disk, run, or believed beyond its size.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::{CELL, CellFile, Error, Member, SCHEMA, contents, sha256};

/// Most bytes of an archive. Ours have some tens of thousands.
const ARCHIVE_MAX: u64 = 16 << 20;
/// Most bytes of a member.
const MEMBER_MAX: u64 = 16 << 20;
/// Most bytes unpacked.
const UNPACKED_MAX: u64 = 64 << 20;
/// Most members.
const MEMBERS_MAX: usize = 256;

/// What a bundle says, checked: whole, unchanged, of our schema.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Where it was read from.
    pub path: PathBuf,
    /// The cell.
    pub file: CellFile,
}

/// Reads a bundle.
///
/// # Errors
/// [`Error`]: each names the file, what is wrong with it and what to do.
pub fn read(path: &Path) -> Result<Bundle, Error> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        let what = "it is a folder: name the archive itself".to_owned();
        return Err(Error::Malformed { path: path.to_owned(), what });
    }
    let mut bytes = Vec::new();
    file.take(ARCHIVE_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    from_bytes(&bytes, path)
}

/// The same for an archive in memory; `path` is for messages.
///
/// # Errors
/// See [`read`].
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Bundle, Error> {
    let malformed = |what: String| Error::Malformed { path: path.to_owned(), what };
    let members = unpack(bytes).map_err(malformed)?;
    let text = members.get(CELL).ok_or_else(|| malformed(format!("it has no {CELL}")))?;
    let file = cell_file(text, path)?;
    for (name, member) in &members {
        if name == CELL {
            continue;
        }
        let expected =
            file.files.get(name).ok_or_else(|| malformed(format!("{} is not in its {CELL}", name.escape_debug())))?;
        let found = Member { size: member.len() as u64, sha256: sha256(member) };
        if found != *expected {
            return Err(Error::Edited { path: path.to_owned(), what: name.clone() });
        }
    }
    if let Some(name) = file.files.keys().find(|name| !members.contains_key(*name)) {
        return Err(malformed(format!("{} is in its {CELL} and not in it: it was cut", name.escape_debug())));
    }
    Ok(Bundle { path: path.to_owned(), file })
}

/// The members by path beneath the one folder.
fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    if bytes.len() as u64 > ARCHIVE_MAX {
        return Err(format!("it is larger than {}", images::size(ARCHIVE_MAX)));
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("it is no gzip'd archive".into());
    }
    let damaged = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it was cut".to_owned(),
        _ => format!("it is damaged ({error})"),
    };
    let mut members: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let (mut folder, mut left) = (None, UNPACKED_MAX);
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(UNPACKED_MAX));
    // Raw: no long names and links, which a bundle has none of.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let full = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown = clip(&full);
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(format!("its member {shown} is no plain file"));
        }
        let (top, name) = full.split_once('/').unwrap_or(("", &full));
        if top.is_empty() || !full.split('/').all(is_plain) {
            return Err(format!("its member {shown} could lead out of it"));
        }
        if *folder.get_or_insert_with(|| top.to_owned()) != top {
            return Err(format!("its member {shown} is in another folder than those before"));
        }
        if entry.size() > MEMBER_MAX || entry.size() > left {
            return Err(format!("its member {shown} is larger than {}", images::size(MEMBER_MAX.min(left))));
        }
        left -= entry.size();
        if members.len() == MEMBERS_MAX {
            return Err(format!("it has more than {MEMBERS_MAX} members"));
        }
        let (name, size) = (name.to_owned(), entry.size());
        let mut data = Vec::new();
        entry.take(MEMBER_MAX).read_to_end(&mut data).map_err(damaged)?;
        if data.len() as u64 != size {
            return Err("it was cut".into());
        }
        if members.insert(name, data).is_some() {
            return Err(format!("its member {shown} is there twice"));
        }
    }
    // To the end, where the checksum is.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(damaged)?;
    if members.is_empty() { Err("it is empty".into()) } else { Ok(members) }
}

/// A part of a path that stays where it is.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
}

/// A name of the archive's, for a message.
fn clip(name: &str) -> String {
    let short: String = name.chars().take(80).collect();
    format!("'{}'", short.escape_debug())
}

fn cell_file(text: &[u8], path: &Path) -> Result<CellFile, Error> {
    let malformed = |what: String| Error::Malformed { path: path.to_owned(), what: format!("its {CELL}: {what}") };
    let mut value: Value = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
    let Value::Object(fields) = &mut value else { return Err(malformed("not a JSON object".into())) };
    match fields.get("schema") {
        Some(found) if found.as_u64() == Some(u64::from(SCHEMA)) => {}
        Some(found) => return Err(Error::Schema { path: path.to_owned(), found: clip(&found.to_string()) }),
        None => return Err(malformed("it has no field `schema`".into())),
    }
    let Some(Value::String(written)) = fields.remove("digest") else {
        return Err(malformed("it has no field `digest`".into()));
    };
    let file: CellFile = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
    if contents::digest(&file).map_err(|error| malformed(error.to_string()))? != written {
        return Err(Error::Edited { path: path.to_owned(), what: CELL.to_owned() });
    }
    Ok(file)
}
