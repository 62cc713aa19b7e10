//! A suite's index of indexes (`InRelease`), once its signature was verified. Pure: text in, facts out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is used of a `Release` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    pub(crate) suite: String,
    pub(crate) codename: String,
    /// As written there.
    pub(crate) date: String,
    /// Seconds since 1970.
    pub(crate) date_seconds: u64,
    /// As written there, with its seconds since 1970.
    pub(crate) valid_until: Option<(String, u64)>,
    pub(crate) by_hash: bool,
    /// `main/binary-ARCH/Packages.xz` by Debian's name of the architecture.
    pub(crate) packages: BTreeMap<String, IndexFile>,
}

/// One file of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexFile {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Release {
    /// Reads the verified text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        let mut packages = BTreeMap::new();
        let mut field = "";
        for line in text.lines() {
            if let Some(item) = line.strip_prefix([' ', '\t']) {
                if field == "SHA256"
                    && let Some((arch, file)) = packages_line(item)?
                {
                    packages.insert(arch, file);
                }
            } else if let Some((name, value)) = line.split_once(':') {
                field = name;
                fields.insert(name, value.trim());
            }
        }
        let need = |name: &str| fields.get(name).copied().ok_or_else(|| format!("it has no field {name}"));
        if !fields.contains_key("SHA256") {
            return Err("it lists no SHA-256".to_owned());
        }
        let seconds = |value: &str| parse_date(value).ok_or_else(|| format!("'{value}' is not a date"));
        let date = need("Date")?;
        let suite = need("Suite")?;
        Ok(Self {
            suite: suite.to_owned(),
            codename: fields.get("Codename").copied().unwrap_or(suite).to_owned(),
            date: date.to_owned(),
            date_seconds: seconds(date)?,
            valid_until: match fields.get("Valid-Until") {
                Some(until) => Some(((*until).to_owned(), seconds(until)?)),
                None => None,
            },
            by_hash: fields.get("Acquire-By-Hash") == Some(&"yes"),
            packages,
        })
    }

    /// Whether this is the suite asked for, by either of its names.
    pub(crate) fn is_suite(&self, asked: &str) -> bool {
        self.suite == asked || self.codename == asked
    }

    /// Until when it was valid, if that is before `now`.
    pub(crate) fn expired(&self, now: u64) -> Option<&str> {
        self.valid_until.as_ref().filter(|(_, seconds)| *seconds < now).map(|(text, _)| text.as_str())
    }

    /// `stable` for `trixie` and the other way round, if it has two names.
    pub(crate) fn other_name(&self, asked: &str) -> Option<&str> {
        [&self.suite, &self.codename].into_iter().map(String::as_str).find(|name| *name != asked)
    }
}

/// `HASH SIZE main/binary-ARCH/Packages.xz`
fn packages_line(line: &str) -> Result<Option<(String, IndexFile)>, String> {
    let mut words = line.split_whitespace();
    let (Some(sha256), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
        return Err(format!("'{line}' is not hash, size and name"));
    };
    let Some(arch) = path.strip_prefix("main/binary-").and_then(|p| p.strip_suffix("/Packages.xz")) else {
        return Ok(None);
    };
    if !is_sha256(sha256) || !arch.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(format!("'{line}' is not hash, size and name"));
    }
    let size = size.parse().map_err(|_| format!("'{line}' is not hash, size and name"))?;
    Ok(Some((arch.to_owned(), IndexFile { size, sha256: sha256.to_owned() })))
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `Fri, 30 Oct 2026 08:08:01 UTC` (RFC 822, UTC only, as Debian writes it) in seconds since 1970.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = rest.split_whitespace();
    let day: u64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !matches!(words.next(), Some("UTC" | "GMT" | "+0000"))
        || !(1970..10_000).contains(&year)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    // Days since 1970 of a civil date, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SAMPLE: &str = "Origin: Debian\nLabel: Debian\nSuite: testing\nCodename: forky\n\
        Date: Fri, 30 Oct 2026 08:08:01 UTC\nValid-Until: Fri, 06 Nov 2026 08:08:01 UTC\nAcquire-By-Hash: yes\n\
        Architectures: all amd64 riscv64\nComponents: main contrib\nMD5Sum:\n \
        c70c68439ebd4e0402d17e70e9d29030 7 main/binary-amd64/Packages.xz\nSHA256:\n \
        3ee7e248a1323f66e6bbac87d686442bdc650d66f6a4ffc087a485d49d4c1493 10093888 main/binary-amd64/Packages.xz\n \
        d4a0e1fe06de38fa149c8bb6e36fd76356173481ae3edcd218432bfafaf0d87e  9786936 main/binary-riscv64/Packages.xz\n \
        d4a0e1fe06de38fa149c8bb6e36fd76356173481ae3edcd218432bfafaf0d87e  1 main/binary-riscv64/Packages.gz\n";

    #[test]
    fn reads_a_release() {
        let release = Release::parse(SAMPLE).unwrap();
        assert_eq!(release.packages.len(), 2);
        assert_eq!(release.packages["amd64"].size, 10_093_888);
        assert_eq!(release.date_seconds, 1_793_347_681);
        assert!(
            release.by_hash && release.is_suite("testing") && release.is_suite("forky") && !release.is_suite("sid")
        );
    }

    #[test]
    fn dates() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:00:00 UTC"), Some(1_709_208_000));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:00:00 CET"), None);
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn refuses_a_truncated_one() {
        let cut = &SAMPLE[..SAMPLE.find("SHA256:").unwrap()];
        assert_eq!(Release::parse(cut).unwrap_err(), "it lists no SHA-256");
        assert!(Release::parse("").is_err());
        assert!(Release::parse(&SAMPLE.replace("10093888 ", "")).is_err());
        assert!(Release::parse(&SAMPLE.replace("3ee7", "3EE7")).is_err());
    }
}
