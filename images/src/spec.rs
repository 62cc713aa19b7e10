//! Which kernel is wanted, as typed: `stock`, `stock:SUITE`, `stock:SUITE/VERSION` or a path. Pure parsing.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;

/// Suite that `stock` alone means: new kernels, every architecture.
pub const DEFAULT_SUITE: &str = "testing";

/// A wanted kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KernelSpec {
    /// A kernel package of Debian.
    Stock {
        /// Suite or codename.
        suite: String,
        /// Beginning of the kernel release or package version; the newest when absent.
        version: Option<String>,
    },
    /// The user's own kernel file.
    Local(PathBuf),
}

impl Default for KernelSpec {
    fn default() -> Self {
        Self::Stock { suite: DEFAULT_SUITE.to_owned(), version: None }
    }
}

impl FromStr for KernelSpec {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::BadSpec { given: given.to_owned(), reason: reason.to_owned() };
        if given == "stock" {
            return Ok(Self::default());
        }
        let Some(rest) = given.strip_prefix("stock:") else {
            return match given {
                "" => Err(bad("it is empty")),
                path => Ok(Self::Local(PathBuf::from(path))),
            };
        };
        let (suite, version) = match rest.split_once('/') {
            Some((suite, version)) => (suite, Some(version)),
            None => (rest, None),
        };
        // Both become parts of addresses and file names.
        if !is_word(suite) {
            return Err(bad("the suite is a name such as testing, trixie or bookworm-backports"));
        }
        if version.is_some_and(|version| !is_word(version)) {
            return Err(bad("the version is the beginning of a kernel version such as 6.12.107"));
        }
        Ok(Self::Stock { suite: suite.to_owned(), version: version.map(str::to_owned) })
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~' | '-' | '_'))
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock { suite, version: None } => write!(f, "stock:{suite}"),
            Self::Stock { suite, version: Some(version) } => write!(f, "stock:{suite}/{version}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whether `version` (a release such as `6.1.0-43-amd64`, or a package version) begins with `wanted`, in whole numbers:
/// `6.1` is no beginning of `6.12`.
pub fn version_matches(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| {
        !(wanted.ends_with(|c: char| c.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["stock:sid", "stock:trixie/6.12.107", "stock:bookworm-backports", "./bzImage", "/boot/vmlinuz-6.1"]
        {
            assert_eq!(text.parse::<KernelSpec>().unwrap().to_string(), text);
        }
        assert_eq!("stock".parse::<KernelSpec>().unwrap().to_string(), "stock:testing");
    }

    #[test]
    fn refuses_what_could_leave_the_archive() {
        for text in ["", "stock:", "stock:../x", "stock:sid/", "stock:sid/../../x", "stock:a b", "stock:sid/6.1/2"] {
            assert!(matches!(text.parse::<KernelSpec>(), Err(Error::BadSpec { .. })), "{text}");
        }
    }

    #[test]
    fn versions_match_in_whole_numbers() {
        assert!(version_matches("6.12.107+deb13-amd64", "6.12.107"));
        assert!(version_matches("6.12.107+deb13-amd64", "6.12"));
        assert!(!version_matches("6.12.107+deb13-amd64", "6.1"));
        assert!(!version_matches("6.1.0-43-amd64", "6.1.0-4"));
        assert!(version_matches("7.2.12-1", "7.2.12-1"));
    }
}
