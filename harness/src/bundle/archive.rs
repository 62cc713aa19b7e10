//! Packing: a gzip'd tar with one folder in it, the same bytes for the same contents.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::contents::Contents;
use super::{CELL, Error};

/// The archive's bytes: members sorted, but the one that describes the others first; the run's time; nobody's ids.
///
/// # Errors
/// When a path is longer than tar takes.
pub fn pack(contents: &Contents) -> Result<Vec<u8>, Error> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Error::Pack { what, why: error.to_string() }
    };
    let mut tar = tar::Builder::new(Vec::new());
    let (first, rest): (Vec<_>, Vec<_>) = contents.files.iter().partition(|(path, _)| *path == CELL);
    for (path, bytes) in first.into_iter().chain(rest) {
        let full = format!("{}/{path}", contents.name);
        let mut header = tar::Header::new_ustar();
        header.set_path(&full).map_err(failed(&full))?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(contents.time);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).map_err(failed(&full))?;
    }
    let tar = tar.into_inner().map_err(failed(&contents.name))?;
    // The time is in the members already; 255 is "unknown system" (RFC 1952).
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    gzip.write_all(&tar).map_err(failed(&contents.name))?;
    gzip.finish().map_err(failed(&contents.name))
}
