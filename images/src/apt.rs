//! What the host's apt configuration says: where packages come from, through which proxy, checked with which keys.
//!
//! Parsing is pure; only [`read_sources`] and [`Settings::read`] look at the machine. The formats are those of
//! sources.list(5) and apt.conf(5).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One `deb` entry: an archive and what is used of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uris: Vec<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    /// Keyring files; fingerprints and embedded keys are left out.
    pub(crate) signed_by: Vec<PathBuf>,
    /// `Check-Valid-Until` of this entry alone.
    pub(crate) check_valid_until: Option<bool>,
}

/// All enabled `deb` entries under an apt directory (`/etc/apt`), in the order apt reads them.
pub(crate) fn read_sources(apt_dir: &Path) -> Vec<Source> {
    let mut files = vec![apt_dir.join("sources.list")];
    if let Ok(dir) = std::fs::read_dir(apt_dir.join("sources.list.d")) {
        let mut parts: Vec<_> = dir.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|e| e.to_str()) {
            Some("list") => sources.extend(parse_one_line(&text)),
            Some("sources") => sources.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    sources
}

/// `deb [signed-by=… arch=…] URI SUITE COMPONENT…`
pub(crate) fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut source = Source::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        rest = after;
        for option in options.split_whitespace() {
            match option.split_once('=') {
                Some(("signed-by", value)) => source.signed_by = keyring_paths(value),
                Some(("check-valid-until", value)) => source.check_valid_until = Some(is_true(value)),
                _ => {}
            }
        }
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    source.uris = vec![words.next()?];
    source.suites = vec![words.next()?];
    source.components = words.collect();
    Some(source)
}

/// Stanzas of `Field: value`, continued by lines that begin with a blank.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut stanza = BTreeMap::<String, String>::new();
    let mut field = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(source_of(&std::mem::take(&mut stanza)));
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some(value) = stanza.get_mut(&field) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            field = name.trim().to_ascii_lowercase();
            stanza.insert(field.clone(), value.trim().to_owned());
        }
    }
    sources
}

fn source_of(stanza: &BTreeMap<String, String>) -> Option<Source> {
    let words = |field: &str| -> Vec<String> {
        stanza.get(field).map(|v| v.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    if !words("types").iter().any(|t| t == "deb") || stanza.get("enabled").is_some_and(|v| !is_true(v)) {
        return None;
    }
    Some(Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: stanza.get("signed-by").map(|v| keyring_paths(v)).unwrap_or_default(),
        check_valid_until: stanza.get("check-valid-until").map(|v| is_true(v)),
    })
}

fn keyring_paths(value: &str) -> Vec<PathBuf> {
    value.split([',', ' ', '\n']).map(str::trim).filter(|p| p.starts_with('/')).map(PathBuf::from).collect()
}

/// apt's idea of true (apt-pkg/contrib/strutl.cc, StringToBool).
fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "with" | "on" | "enable" | "1")
}

/// Settings of apt.conf that concern downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Asks `apt-config dump`; on a host without apt nothing is set.
    pub(crate) fn read() -> Self {
        let output = Command::new("apt-config").arg("dump").stdin(Stdio::null()).stderr(Stdio::null()).output();
        Self::parse(&output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default())
    }

    /// Lines of `Name::Of::Setting "value";`.
    pub(crate) fn parse(dump: &str) -> Self {
        let values = dump
            .lines()
            .filter_map(|line| {
                let (name, value) = line.strip_suffix(';')?.split_once(' ')?;
                Some((name.to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
            })
            .collect();
        Self { values }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_ascii_lowercase()).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Whether `Valid-Until` of indexes counts: apt's default is yes.
    pub(crate) fn check_valid_until(&self) -> bool {
        self.get("Acquire::Check-Valid-Until").is_none_or(is_true)
    }

    /// The proxy for an address: `Some("DIRECT")` means none, `None` means that apt does not say.
    pub(crate) fn proxy(&self, scheme: &str, host: &str) -> Option<&str> {
        self.get(&format!("Acquire::{scheme}::Proxy::{host}"))
            .or_else(|| self.get(&format!("Acquire::{scheme}::Proxy")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_deb822() {
        let text = "# comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n# comment inside\nSuites: trixie\n trixie-updates\n\
                    Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\nCheck-Valid-Until: no\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n";
        let sources = parse_deb822(text);
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(sources[0].suites, ["trixie", "trixie-updates"]);
        assert_eq!(sources[0].signed_by, [PathBuf::from("/usr/share/keyrings/debian-archive-keyring.pgp")]);
        assert_eq!(sources[0].check_valid_until, Some(false));
    }

    #[test]
    fn an_embedded_key_is_no_path() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSuites: sid\nComponents: main\nSigned-By:\n \
                    -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(parse_deb822(text)[0].signed_by, Vec::<PathBuf>::new());
    }

    #[test]
    fn reads_one_line_style() {
        let text = "# deb http://no.example/debian sid main\ndeb-src http://no.example/debian sid main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://m.example/debian/ bookworm main contrib # why\n\
                    deb\thttp://n.example/debian\tsid\tmain\ndeb http://short.example\n";
        let sources = parse_one_line(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uris, ["https://m.example/debian/"]);
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[0].signed_by, [PathBuf::from("/k.gpg")]);
        assert_eq!(sources[1].suites, ["sid"]);
    }

    #[test]
    fn reads_settings() {
        let settings = Settings::parse(
            "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://cache.example:3142/\";\n\
             Acquire::http::Proxy::near.example \"DIRECT\";\nAcquire::Check-Valid-Until \"false\";\n",
        );
        assert_eq!(settings.proxy("http", "far.example"), Some("http://cache.example:3142/"));
        assert_eq!(settings.proxy("http", "near.example"), Some("DIRECT"));
        assert_eq!(settings.proxy("https", "far.example"), None);
        assert!(!settings.check_valid_until());
        assert!(Settings::parse("").check_valid_until());
    }
}
