//! Debian packages (deb(5)): an `ar` archive with a compressed `tar` inside.
//!
//! The tar is decompressed once, streaming, into a nameless file; after that any member can be read at its place, in any
//! order. That is what computing a closure of modules needs, whose order in the package is alphabetical. The
//! decoder has one thread on purpose: two would save a second of a download but hold 100 MB of blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path};

use crate::error::{Error, Result};

/// An unpacked package.
#[derive(Debug)]
pub(crate) struct Unpacked {
    package: String,
    tar: File,
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    at: u64,
    size: u64,
}

impl Unpacked {
    /// Unpacks `deb` into `tar`, an empty file. `limit` bounds the unpacked size; `at` is told bytes as they come.
    pub(crate) fn read(deb: &File, mut tar: File, package: &str, limit: u64, mut at: impl FnMut(u64)) -> Result<Self> {
        let bad = |reason: String| Error::BadPackage { package: package.to_owned(), reason };
        let mut deb = deb;
        deb.seek(SeekFrom::Start(0)).map_err(|e| bad(e.to_string()))?;
        let mut archive = ar::Archive::new(BufReader::with_capacity(128 * 1024, deb));
        let mut version = String::new();
        while let Some(entry) = archive.next_entry() {
            let mut entry = entry.map_err(|e| bad(format!("it is no ar archive: {e}")))?;
            let name = String::from_utf8_lossy(entry.header().identifier()).into_owned();
            if name == "debian-binary" {
                entry.read_to_string(&mut version).map_err(|e| bad(e.to_string()))?;
            } else if let Some(compression) = name.strip_prefix("data.tar") {
                if !version.starts_with("2.") {
                    return Err(bad("its format is not 2.x".to_owned()));
                }
                let mut data =
                    decompress(compression.trim_start_matches('.'), entry).map_err(|e| bad(format!("{name}: {e}")))?;
                copy(&mut *data, &mut tar, limit, &mut at).map_err(|error| match error {
                    CopyError::Read(e) => bad(format!("{name} is damaged: {e}")),
                    CopyError::Write(e) => {
                        Error::Io { doing: "unpack into a temporary file of", path: package.into(), source: e }
                    }
                    CopyError::TooLarge => bad(format!("{name} unpacks to more than {limit} bytes")),
                })?;
                let members = list(&tar, package)?;
                return Ok(Self { package: package.to_owned(), tar, members });
            }
        }
        Err(bad("it has no data.tar".to_owned()))
    }

    /// Name of the package.
    pub(crate) fn package(&self) -> &str {
        &self.package
    }

    /// Paths of all regular files, without `./`.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// A regular file's bytes.
    pub(crate) fn open(&self, path: &str) -> Result<impl Read + Seek + '_> {
        let member = self
            .members
            .get(path)
            .ok_or_else(|| Error::MissingMember { package: self.package.clone(), member: path.to_owned() })?;
        Ok(Slice { file: &self.tar, start: member.at, end: member.at + member.size, at: member.at })
    }
}

/// A reader of the named compression, as in `data.tar.xz` or `nf_conntrack.ko.xz`; none for an empty name.
pub(crate) fn decompress<'a>(name: &str, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match name {
        "" => Box::new(input),
        "xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(input)),
        "zst" => Box::new(zstd::stream::read::Decoder::new(input)?),
        "gz" => Box::new(flate2::read::MultiGzDecoder::new(input)),
        other => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("compression '{other}' is not supported")));
        }
    })
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
    TooLarge,
}

fn copy(from: &mut dyn Read, to: &mut File, limit: u64, at: &mut impl FnMut(u64)) -> Result<(), CopyError> {
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(CopyError::Read(e)),
        };
        done += n as u64;
        if done > limit {
            return Err(CopyError::TooLarge);
        }
        to.write_all(&buffer[..n]).map_err(CopyError::Write)?;
        at(done);
    }
}

/// Finds every regular file. A path that is absolute or climbs makes the whole package unusable, wanted or not. Links
/// are never followed: a name is a regular file here or nothing.
fn list(tar: &File, package: &str) -> Result<BTreeMap<String, Member>> {
    let bad =
        |e: io::Error| Error::BadPackage { package: package.to_owned(), reason: format!("its tar is damaged: {e}") };
    let mut tar = tar;
    let end = tar.seek(SeekFrom::End(0)).map_err(bad)?;
    tar.seek(SeekFrom::Start(0)).map_err(bad)?;
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries_with_seek().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let raw = entry.path_bytes();
        let path = safe_path(&raw)
            .ok_or_else(|| Error::UnsafePath { package: package.to_owned(), path: raw.escape_ascii().to_string() })?;
        if entry.header().entry_type().is_file() {
            let member = Member { at: entry.raw_file_position(), size: entry.size() };
            if member.at.checked_add(member.size).is_none_or(|e| e > end) {
                return Err(bad(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{path} is cut short"))));
            }
            members.insert(path, member);
        }
    }
    Ok(members)
}

/// The path without `./`, if it is UTF-8, relative and does not climb.
fn safe_path(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok().filter(|t| !t.contains('\0'))?;
    let mut parts = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// A part of a file, as a file.
struct Slice<'a> {
    file: &'a File,
    start: u64,
    end: u64,
    at: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        let n = std::os::unix::fs::FileExt::read_at(self.file, &mut buffer[..want], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Slice<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(n) => self.start.checked_add(n),
            SeekFrom::End(n) => self.end.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        match place.filter(|p| (self.start..=self.end).contains(p)) {
            Some(place) => {
                self.at = place;
                Ok(place - self.start)
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "outside of the member")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A package with these files; `mangle` may rewrite a path after the fact, which the tar crate refuses to write.
    pub(crate) fn package(files: &[(&str, &[u8])], compression: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_ustar();
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            tar.append(&header, *bytes).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let data = match compression {
            "xz" => {
                let mut out = Vec::new();
                liblzma::read::XzEncoder::new(&tar[..], 1).read_to_end(&mut out).unwrap();
                out
            }
            "zst" => zstd::stream::encode_all(&tar[..], 1).unwrap(),
            "gz" => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(&tar).unwrap();
                out.finish().unwrap()
            }
            _ => tar,
        };
        let mut ar = ar::Builder::new(Vec::new());
        ar.append(&ar::Header::new(b"debian-binary".to_vec(), 4), &b"2.0\n"[..]).unwrap();
        ar.append(&ar::Header::new(b"control.tar".to_vec(), 0), &b""[..]).unwrap();
        let name = format!("data.tar{}{compression}", if compression.is_empty() { "" } else { "." });
        ar.append(&ar::Header::new(name.into_bytes(), data.len() as u64), &data[..]).unwrap();
        ar.into_inner().unwrap()
    }

    fn unpack(deb: &[u8], limit: u64) -> Result<Unpacked> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(deb).unwrap();
        Unpacked::read(&file, tempfile::tempfile().unwrap(), "linux-image-x", limit, |_| {})
    }

    #[test]
    fn reads_members_in_any_order_from_every_compression() {
        for compression in ["", "xz", "zst", "gz"] {
            let deb = package(&[("./boot/a", b"first"), ("./boot/b", b"second")], compression);
            let unpacked = unpack(&deb, 1 << 20).unwrap();
            for (path, want) in [("boot/b", "second"), ("boot/a", "first")] {
                let mut text = String::new();
                unpacked.open(path).unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, want);
            }
            assert!(matches!(unpacked.open("boot/c"), Err(Error::MissingMember { .. })));
        }
    }

    #[test]
    fn paths_that_climb_are_refused() {
        for path in ["../evil", "./boot/../../evil", "/etc/passwd", "boot/.."] {
            let deb = package(&[("./boot/a", b"first"), (path, b"x")], "xz");
            assert!(matches!(unpack(&deb, 1 << 20), Err(Error::UnsafePath { .. })), "{path}");
        }
    }

    #[test]
    fn truncated_and_altered_packages_are_refused() {
        let deb = package(&[("./boot/a", &[7; 5000])], "xz");
        for cut in [0, 4, 70, 140, deb.len() - 40] {
            assert!(matches!(unpack(&deb[..cut], 1 << 20), Err(Error::BadPackage { .. })), "cut at {cut}");
        }
        let mut altered = deb.clone();
        let middle = deb.len() - 60;
        altered[middle] ^= 0xff;
        assert!(unpack(&altered, 1 << 20).is_err());
        assert!(matches!(unpack(&deb, 100), Err(Error::BadPackage { .. })), "larger than allowed");
    }
}
