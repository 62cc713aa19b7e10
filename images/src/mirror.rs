//! Which Debian mirror to use: the option, else `KFUNC_MIRROR`, else the Debian archive of the host's apt
//! configuration. No address is built in.

use std::path::{Path, PathBuf};

use crate::apt::{self, Source};
use crate::error::{Error, Result};

/// An archive: the directory that holds `dists/` and `pool/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Without a slash at the end.
    pub(crate) url: String,
    /// Keyrings of its apt entry.
    pub(crate) keyrings: Vec<PathBuf>,
    /// `Check-Valid-Until` of its apt entry.
    pub(crate) check_valid_until: Option<bool>,
}

/// Where apt keeps things.
pub(crate) const APT_DIR: &str = "/etc/apt";
const APT_LISTS: &str = "/var/lib/apt/lists";

/// Decides. `option` is `--mirror`, `variable` the value of `KFUNC_MIRROR`.
pub(crate) fn choose(option: Option<&str>, variable: Option<&str>) -> Result<Mirror> {
    match option.or(variable.filter(|v| !v.is_empty())) {
        Some(url) => explicit(url),
        None => from_apt(&apt::read_sources(Path::new(APT_DIR)), |url, suite| {
            known_origin(Path::new(APT_LISTS), url, suite)
        }),
    }
}

fn explicit(url: &str) -> Result<Mirror> {
    let bad = |reason: &str| Error::BadMirror { url: url.to_owned(), reason: reason.to_owned() };
    if !is_http(url) {
        return Err(bad("it must begin with http:// or https://"));
    }
    let trimmed = url.trim_end_matches('/');
    if trimmed.len() <= "https:/".len() || trimmed.contains(char::is_whitespace) {
        return Err(bad("it names no host"));
    }
    Ok(Mirror { url: trimmed.to_owned(), keyrings: Vec::new(), check_valid_until: None })
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Picks the Debian archive among apt's entries. `origin` tells the `Origin` that apt saw at (address, suite), if it
/// kept that. Third parties often use Debian's suite names and `main`, so an entry counts for more when apt saw that it
/// is Debian's, or when Debian's own keyring signs it.
fn from_apt(sources: &[Source], origin: impl Fn(&str, &str) -> Option<String>) -> Result<Mirror> {
    let mut best: Option<(u32, Mirror)> = None;
    for source in sources.iter().filter(|s| s.components.iter().any(|c| c == "main")) {
        for uri in source.uris.iter().filter(|u| is_http(u)) {
            let url = uri.trim_end_matches('/');
            let Some(score) = source.suites.iter().filter_map(|suite| rate(source, url, suite, &origin)).max() else {
                continue;
            };
            if best.as_ref().is_none_or(|(have, _)| score > *have) {
                let mirror = Mirror {
                    url: url.to_owned(),
                    keyrings: source.signed_by.clone(),
                    check_valid_until: source.check_valid_until,
                };
                best = Some((score, mirror));
            }
        }
    }
    best.map(|(_, mirror)| mirror).ok_or_else(|| Error::NoMirror {
        looked: match sources.len() {
            0 => format!("{APT_DIR} has no package source"),
            n => format!("none of the {n} package sources in {APT_DIR} is a Debian archive"),
        },
    })
}

/// `None`: not the base archive of Debian.
fn rate(source: &Source, url: &str, suite: &str, origin: &impl Fn(&str, &str) -> Option<String>) -> Option<u32> {
    let (base, pocket) = split_pocket(suite);
    // The security archive holds no full suites; it ends in -security in the address or in the suite (or `suite/updates`).
    if !is_debian_suite(base) || url.ends_with("-security") || pocket == "security" || pocket == "updates/" {
        return None;
    }
    let trust = match origin(url, suite).as_deref() {
        Some("Debian" | "Debian Backports") => 4,
        Some(_) => return None,
        None if source.signed_by.iter().any(|p| p.to_string_lossy().contains("debian-archive-")) => 3,
        None if url.ends_with("/debian") => 2,
        None => 1,
    };
    Some(trust * 2 + u32::from(pocket.is_empty()))
}

fn split_pocket(suite: &str) -> (&str, &str) {
    match suite.split_once('/') {
        Some((base, _)) => (base, "updates/"),
        None => suite.split_once('-').unwrap_or((suite, "")),
    }
}

/// Suites and codenames of Debian since 2019. Only to tell Debian's entries from others and for suggestions: a suite
/// is otherwise whatever the mirror has.
pub(crate) const DEBIAN_SUITES: [&str; 15] = [
    "testing",
    "stable",
    "oldstable",
    "oldoldstable",
    "unstable",
    "experimental",
    "sid",
    "rc-buggy",
    "duke",
    "forky",
    "trixie",
    "bookworm",
    "bullseye",
    "buster",
    "stretch",
];

fn is_debian_suite(name: &str) -> bool {
    DEBIAN_SUITES.contains(&name)
}

/// The `Origin` in the index that apt downloaded from there, if it is still there.
fn known_origin(lists: &Path, url: &str, suite: &str) -> Option<String> {
    let (_, address) = url.split_once("://")?;
    let file = lists.join(format!("{}_dists_{}_InRelease", address.replace('/', "_"), suite.replace('/', "_")));
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().take(40).find_map(|line| line.strip_prefix("Origin:")).map(|o| o.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str], components: &[&str], keyring: &str) -> Source {
        Source {
            uris: vec![uri.to_owned()],
            suites: suites.iter().map(|s| s.to_string()).collect(),
            components: components.iter().map(|s| s.to_string()).collect(),
            signed_by: if keyring.is_empty() { vec![] } else { vec![PathBuf::from(keyring)] },
            check_valid_until: None,
        }
    }

    fn unknown(_: &str, _: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_base_archive_wins_over_pockets_and_third_parties() {
        let sources = [
            source("http://b.example/debian", &["bookworm-backports"], &["main"], ""),
            source("https://third.example/apt", &["bookworm"], &["main"], "/usr/share/keyrings/third.gpg"),
            source(
                "http://s.example/debian-security",
                &["bookworm-security"],
                &["main"],
                "/k/debian-archive-keyring.gpg",
            ),
            source(
                "http://m.example/debian/",
                &["bookworm", "bookworm-updates"],
                &["main"],
                "/k/debian-archive-keyring.gpg",
            ),
        ];
        let mirror = from_apt(&sources, unknown).unwrap();
        assert_eq!(mirror.url, "http://m.example/debian");
        assert_eq!(mirror.keyrings, [PathBuf::from("/k/debian-archive-keyring.gpg")]);
    }

    #[test]
    fn what_apt_saw_decides() {
        let sources = [
            source("https://third.example/debian", &["trixie"], &["main"], ""),
            source("https://own.example/mirror", &["trixie"], &["main"], ""),
        ];
        let seen = |url: &str, _: &str| Some(if url.contains("third") { "Vendor" } else { "Debian" }.to_owned());
        assert_eq!(from_apt(&sources, seen).unwrap().url, "https://own.example/mirror");
    }

    #[test]
    fn another_distribution_is_no_debian() {
        let sources = [source("http://archive.example/ubuntu", &["noble", "noble-updates"], &["main"], "")];
        let error = from_apt(&sources, unknown).unwrap_err().to_string();
        assert!(error.contains("--mirror URL") && error.contains("none of the 1 package sources"), "{error}");
        assert!(from_apt(&[], unknown).unwrap_err().to_string().contains("has no package source"));
    }

    #[test]
    fn security_alone_is_not_enough() {
        let sources = [
            source("http://m.example/debian-security", &["bookworm-security"], &["main"], ""),
            source("http://m.example/debian", &["bookworm"], &["contrib"], ""),
            source("cdrom:[Debian]/", &["bookworm"], &["main"], ""),
        ];
        assert!(matches!(from_apt(&sources, unknown), Err(Error::NoMirror { .. })));
    }

    #[test]
    fn option_before_variable() {
        assert_eq!(
            choose(Some("http://a.example/debian/"), Some("http://b.example")).unwrap().url,
            "http://a.example/debian"
        );
        assert_eq!(choose(None, Some("https://b.example")).unwrap().url, "https://b.example");
        for bad in ["ftp://a.example", "a.example", "http://", "https:///"] {
            assert!(matches!(choose(Some(bad), None), Err(Error::BadMirror { .. })), "{bad}");
        }
    }

    #[test]
    fn origin_is_read_from_apts_lists() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("m.example_debian_dists_sid_InRelease"),
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n",
        )
        .unwrap();
        assert_eq!(known_origin(dir.path(), "http://m.example/debian", "sid").as_deref(), Some("Debian"));
        assert_eq!(known_origin(dir.path(), "http://m.example/debian", "forky"), None);
    }
}
