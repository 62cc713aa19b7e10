//! Signatures of indexes, checked by the host's own `gpgv` (or `sqv`) with the host's keys of the Debian archive.
//!
//! Only what the verifier itself says was signed is used afterwards, never the file as it came.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, IoContext, Result};
use crate::mirror::{APT_DIR, Mirror};

const KEYRING_DIR: &str = "/usr/share/keyrings";

/// The keyrings to use, binary ones first choice: `KFUNC_KEYRING`, those of the apt entry, Debian's package
/// `debian-archive-keyring`, apt's trusted keys.
pub(crate) fn keyrings(mirror: &Mirror, variable: Option<&Path>, url: &str) -> Result<Vec<PathBuf>> {
    if let Some(path) = variable.filter(|p| !p.as_os_str().is_empty()) {
        return match path.is_file() {
            true => Ok(vec![path.to_owned()]),
            false => Err(Error::NoKeyring { looked: format!("KFUNC_KEYRING={}", path.display()), url: url.to_owned() }),
        };
    }
    let of_entry: Vec<_> = mirror.keyrings.iter().filter(|p| p.is_file()).cloned().collect();
    if !of_entry.is_empty() {
        return Ok(of_entry);
    }
    for name in ["debian-archive-keyring.pgp", "debian-archive-keyring.gpg"] {
        let path = Path::new(KEYRING_DIR).join(name);
        if path.is_file() {
            return Ok(vec![path]);
        }
    }
    let trusted = Path::new(APT_DIR).join("trusted.gpg.d");
    let mut keys: Vec<_> = std::fs::read_dir(&trusted)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("debian-archive-")))
        .collect();
    keys.sort();
    match keys.is_empty() {
        true => Err(Error::NoKeyring { looked: format!("{KEYRING_DIR}, {}", trusted.display()), url: url.to_owned() }),
        false => Ok(keys),
    }
}

/// Verifies a clear-signed file and returns the text that is covered by the signature. `tmp` is a directory for
/// the verifier's input.
pub(crate) fn clear_signed(signed: &[u8], keyrings: &[PathBuf], url: &str, tmp: &Path) -> Result<String> {
    let dir = tempfile::Builder::new().prefix("verify-").tempdir_in(tmp).context("create a directory in", tmp)?;
    let keyrings = binary_keyrings(keyrings, dir.path())?;
    let input = dir.path().join("InRelease");
    write(&input, signed)?;
    let bad = |said: String| Error::BadSignature {
        url: url.to_owned(),
        said,
        keyring: keyrings.iter().map(|k| k.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    match gpgv(&input, &keyrings, dir.path()) {
        Ok(outcome) => outcome.map_err(bad),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => sqv(signed, &keyrings, dir.path())
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::NoVerifier { url: url.to_owned() },
                _ => Error::Io { doing: "run", path: "sqv".into(), source: error },
            })?
            .map_err(bad),
        Err(source) => Err(Error::Io { doing: "run", path: "gpgv".into(), source }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).context("write", path)
}

/// The outer result: whether gpgv could be run. The inner: the signed text, or why it is not trusted.
fn gpgv(input: &Path, keyrings: &[PathBuf], dir: &Path) -> std::io::Result<Result<String, String>> {
    let plain = dir.join("plain");
    let mut command = Command::new("gpgv");
    command.args(["--status-fd", "1", "--homedir"]).arg(dir).env("LC_ALL", "C");
    for keyring in keyrings {
        command.arg("--keyring").arg(keyring);
    }
    let output = command.arg("--output").arg(&plain).arg(input).stdin(Stdio::null()).output()?;
    let status = String::from_utf8_lossy(&output.stdout);
    Ok(match judge_status(&status, output.status.success()) {
        Ok(()) => std::fs::read_to_string(&plain).map_err(|e| format!("gpgv wrote no text: {e}")),
        Err(said) => Err(said),
    })
}

/// Reads gpgv's status lines (GnuPG doc/DETAILS). One valid signature of a known key is enough, as for apt: suites
/// are signed by several keys, and an old host does not know the newest. A bad one spoils the file.
fn judge_status(status: &str, success: bool) -> Result<(), String> {
    let mut good = false;
    let mut unknown = Vec::new();
    for line in status.lines() {
        let Some(rest) = line.strip_prefix("[GNUPG:] ") else { continue };
        let mut words = rest.split(' ');
        match words.next() {
            Some("VALIDSIG") => good = true,
            Some("BADSIG") => return Err("bad signature".to_owned()),
            Some("EXPKEYSIG" | "REVKEYSIG" | "EXPSIG") => return Err(format!("not a valid signature: {rest}")),
            Some("NODATA" | "BADARMOR") => return Err("it holds no signature".to_owned()),
            Some("NO_PUBKEY") => unknown.extend(words.next().map(str::to_owned)),
            _ => {}
        }
    }
    match (good, unknown.is_empty()) {
        (true, false) => Ok(()), // gpgv exits with an error when it lacks one of the keys
        (true, true) if success => Ok(()),
        (false, false) => Err(format!("signed by unknown key {}", unknown.join(", "))),
        _ => Err("gpgv reports no valid signature".to_owned()),
    }
}

/// sqv checks detached signatures only (as apt 3 uses it), so the clear-signed file is taken apart first.
fn sqv(signed: &[u8], keyrings: &[PathBuf], dir: &Path) -> std::io::Result<Result<String, String>> {
    let Some((text, signature)) = take_apart(&String::from_utf8_lossy(signed)) else {
        return Ok(Err("it holds no signature".to_owned()));
    };
    let (data, detached) = (dir.join("data"), dir.join("data.sig"));
    std::fs::write(&data, &text)?;
    std::fs::write(&detached, signature)?;
    let mut command = Command::new("sqv");
    for keyring in keyrings {
        command.arg("--keyring").arg(keyring);
    }
    let output = command.arg(&detached).arg(&data).stdin(Stdio::null()).output()?;
    // sqv prints the fingerprint of each good signature and exits with success only if there are enough of them.
    match output.status.success() && !output.stdout.is_empty() {
        true => Ok(Ok(text)),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Ok(Err(stderr.lines().next().unwrap_or("sqv reports no valid signature").to_owned()))
        }
    }
}

/// The signed text (dash escapes undone, trailing blanks removed: RFC 9580, 7.1) and the armoured signature.
fn take_apart(signed: &str) -> Option<(String, String)> {
    let body = signed.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----\n")?;
    let (_, body) = body.split_once("\n\n")?;
    let (text, rest) = body.split_once("\n-----BEGIN PGP SIGNATURE-----\n")?;
    let (signature, after) = rest.split_once("-----END PGP SIGNATURE-----")?;
    if !after.trim().is_empty() {
        return None;
    }
    let text =
        text.lines().map(|line| line.strip_prefix("- ").unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n");
    Some((text, format!("-----BEGIN PGP SIGNATURE-----\n{signature}-----END PGP SIGNATURE-----\n")))
}

/// gpgv reads binary keyrings only; armoured ones (`.asc`) are decoded into `dir`.
fn binary_keyrings(keyrings: &[PathBuf], dir: &Path) -> Result<Vec<PathBuf>> {
    keyrings
        .iter()
        .enumerate()
        .map(|(i, path)| {
            let bytes = std::fs::read(path).context("read the keyring", path)?;
            if !bytes.starts_with(b"-----BEGIN PGP") {
                return Ok(path.clone());
            }
            let binary = dir.join(format!("keyring-{i}.gpg"));
            let mut file = std::fs::File::create(&binary).context("create", &binary)?;
            file.write_all(&dearmour(&String::from_utf8_lossy(&bytes))).context("write", &binary)?;
            Ok(binary)
        })
        .collect()
}

/// All armoured blocks of a text, decoded (RFC 9580, 6.2). A damaged key is no danger: nothing verifies with it.
fn dearmour(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut in_body = false;
    let (mut bits, mut count) = (0_u32, 0_u32);
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN") {
            (in_body, bits, count) = (false, 0, 0);
        } else if line.starts_with("-----END") || (in_body && line.starts_with('=')) {
            in_body = false;
        } else if line.is_empty() {
            in_body = true;
        } else if in_body {
            for value in line.bytes().filter_map(base64_value) {
                bits = (bits << 6) | value;
                count += 6;
                if count >= 8 {
                    count -= 8;
                    out.push((bits >> count) as u8);
                }
            }
        }
    }
    out
}

fn base64_value(byte: u8) -> Option<u32> {
    Some(
        match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }
        .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_known_key_is_enough_and_a_bad_signature_is_too_much() {
        let valid = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 6ED0 x\n[GNUPG:] VALIDSIG 4CB5 2026-10-30\n";
        let unknown = "[GNUPG:] ERRSIG 78DB\n[GNUPG:] NO_PUBKEY 78DBA3BC47EF2265\n";
        assert_eq!(judge_status(valid, true), Ok(()));
        assert_eq!(judge_status(&format!("{valid}{unknown}"), false), Ok(()));
        assert!(judge_status(valid, false).is_err());
        assert!(judge_status(unknown, false).unwrap_err().contains("78DBA3BC47EF2265"));
        assert!(judge_status(&format!("{valid}[GNUPG:] BADSIG 1 x\n"), false).is_err());
        assert!(judge_status("", true).is_err());
        assert!(judge_status("[GNUPG:] NODATA 1\n", false).is_err());
    }

    #[test]
    fn takes_clear_signed_text_apart() {
        let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n- -dashed \n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        let (text, signature) = take_apart(signed).unwrap();
        assert_eq!(text, "Origin: Debian\n-dashed");
        assert!(signature.contains("\nabc\n"));
        assert!(take_apart(&signed[..signed.len() - 40]).is_none());
        assert!(take_apart(&format!("{signed}more")).is_none());
    }

    #[test]
    fn decodes_armour() {
        let text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: no data\n\nSGVsbG8s\nIHdvcmxk\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(dearmour(text), b"Hello, world");
    }
}
