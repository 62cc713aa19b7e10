//! Which kernel is wanted, as typed: `stock`, `stock:SUITE/VERSION`, `built`, `built:SUITE`, `tree:DIR`, `image:KEY` or a path.
//! Pure parsing.

use std::fmt;
use std::path::{Path, PathBuf};
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
    /// A kernel that is built here.
    Built {
        /// From what.
        source: Source,
        /// With what left out.
        variant: Variant,
    },
    /// The very kernel that is in the cache under this key, wherever it came from.
    Cached(String),
}

/// What a kernel is built from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The newest `linux-source` package of a suite.
    Suite(String),
    /// The user's own: a directory, a git worktree or a tarball.
    Path(PathBuf),
}

/// What a built kernel lacks on purpose, so that a refusal of the kernel can be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// Nothing.
    #[default]
    Plain,
    /// `BPF_JIT_ALWAYS_ON`: the JIT can be turned off.
    Interpreter,
    /// BTF.
    NoBtf,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Plain, Self::Interpreter, Self::NoBtf];

    /// `plain`, `interpreter`, `no-btf`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Interpreter => "interpreter",
            Self::NoBtf => "no-btf",
        }
    }

    /// What it adds to the fragments of common and arch.
    pub(crate) fn fragment(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Interpreter => "# CONFIG_BPF_JIT_ALWAYS_ON is not set\n",
            // What needs BTF goes with it.
            Self::NoBtf => {
                "# CONFIG_DEBUG_INFO_BTF is not set\n# CONFIG_DEBUG_INFO_BTF_MODULES is not set\n\
                 # CONFIG_SCHED_CLASS_EXT is not set\n"
            }
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl KernelSpec {
    /// Looks whether the file or tree that it names is there, which is known before anything is started.
    ///
    /// # Errors
    /// [`Error::BadSpec`] or [`Error::NotSource`] when it is not.
    pub fn check_path(&self) -> Result<(), Error> {
        let absent = |path: &Path| matches!(path.try_exists(), Ok(false));
        match self {
            Self::Local(path) if absent(path) => {
                Err(Error::BadSpec { given: path.display().to_string(), reason: "there is no such file".to_owned() })
            }
            Self::Built { source: Source::Path(path), .. } if absent(path) => {
                Err(Error::NotSource { path: path.clone(), reason: "there is no such file".to_owned() })
            }
            _ => Ok(()),
        }
    }
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
        let (plain, variant) = match given.rsplit_once('@') {
            Some((plain, name)) if plain == "built" || plain.starts_with("built:") || plain.starts_with("tree:") => {
                let variant = Variant::ALL.into_iter().find(|variant| variant.as_str() == name);
                (plain, variant.ok_or_else(|| bad("the variants are plain, interpreter and no-btf"))?)
            }
            _ => (given, Variant::Plain),
        };
        if plain == "built" {
            return Ok(Self::Built { source: Source::Suite(DEFAULT_SUITE.to_owned()), variant });
        }
        if let Some(suite) = plain.strip_prefix("built:") {
            return match is_word(suite) {
                true => Ok(Self::Built { source: Source::Suite(suite.to_owned()), variant }),
                false => Err(bad("the suite is a name such as testing, trixie or bookworm-backports")),
            };
        }
        if let Some(path) = plain.strip_prefix("tree:") {
            return match path {
                "" => Err(bad("it names no directory")),
                path => Ok(Self::Built { source: Source::Path(PathBuf::from(path)), variant }),
            };
        }
        if let Some(key) = given.strip_prefix("image:") {
            return match is_word(key) {
                true => Ok(Self::Cached(key.to_owned())),
                false => Err(bad("the key is one that `kfunc images list` shows")),
            };
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
        if version.is_some_and(|version| !is_version(version)) {
            return Err(bad("the version is the beginning of a kernel version such as 6.12.107"));
        }
        Ok(Self::Stock { suite: suite.to_owned(), version: version.map(str::to_owned) })
    }
}

/// Releases and package versions begin with a number, and have something between their points.
fn is_version(text: &str) -> bool {
    is_word(text) && text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains("..")
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
            Self::Cached(key) => write!(f, "image:{key}"),
            Self::Built { source, variant } => {
                match source {
                    Source::Suite(suite) => write!(f, "built:{suite}")?,
                    Source::Path(path) => write!(f, "tree:{}", path.display())?,
                }
                match variant {
                    Variant::Plain => Ok(()),
                    other => write!(f, "@{other}"),
                }
            }
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
        let built = ["built:testing", "built:trixie@no-btf", "tree:/home/me/linux", "tree:../linux@interpreter"];
        for text in built.into_iter().chain(["image:7.2.12+deb14-riscv64-57d693127a71"]) {
            assert_eq!(text.parse::<KernelSpec>().unwrap().to_string(), text);
        }
        assert_eq!("built@plain".parse::<KernelSpec>().unwrap().to_string(), "built:testing");
        assert_eq!("./k@1".parse::<KernelSpec>().unwrap(), KernelSpec::Local("./k@1".into()));
    }

    #[test]
    fn refuses_what_could_leave_the_archive() {
        for text in [
            "",
            "stock:",
            "stock:../x",
            "stock:sid/",
            "stock:sid/../../x",
            "stock:a b",
            "stock:sid/6.1/2",
            "stock:sid/new",
            "stock:sid/6..1",
            "built:",
            "built:../x",
            "built@fast",
            "tree:",
            "tree:/l@fast",
            "image:",
            "image:../x",
            "image:.hidden",
        ] {
            assert!(matches!(text.parse::<KernelSpec>(), Err(Error::BadSpec { .. })), "{text}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_known_at_once() {
        let absent = tempfile::tempdir().unwrap().path().join("absent").display().to_string();
        let check = |text: &str| text.parse::<KernelSpec>().unwrap().check_path();
        assert!(matches!(check(&absent), Err(Error::BadSpec { .. })));
        assert!(matches!(check(&format!("tree:{absent}@no-btf")), Err(Error::NotSource { .. })));
        for there in ["/", "tree:/", "stock:sid", "built"] {
            assert!(check(there).is_ok(), "{there}");
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
