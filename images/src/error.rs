//! Everything that can go wrong between a kernel's name and a bootable image, as one enum.
//!
//! Messages are fragments that read well after "failed to …:" or "error: "; each says what was being done, to what,
//! and what to do next. No host name is built in, so remedies name options, variables and packages only.

use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `--kernel` value that is neither a stock kernel nor a path.
    #[error(
        "kernel '{given}' is not understood: {reason}; write stock, stock:SUITE, stock:SUITE/VERSION, built, built:SUITE, tree:DIR, image:KEY or a path"
    )]
    BadSpec {
        /// As typed.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The mirror has no suite of that name.
    #[error("the archive at {mirror} has no suite '{suite}'{}", did_you_mean(near))]
    UnknownSuite {
        /// As asked for.
        suite: String,
        /// Where it was looked for.
        mirror: String,
        /// Suites with a similar name.
        near: Vec<String>,
    },
    /// The suite exists, but not for this architecture.
    #[error("suite '{suite}' has no packages for {arch}{}", elsewhere(suites))]
    NotInSuite {
        /// Debian's name of the architecture.
        arch: String,
        /// The suite.
        suite: String,
        /// Suites that are known to have it.
        suites: Vec<String>,
    },
    /// The suite has the architecture, but no kernel of the flavour.
    #[error("suite '{suite}' has no {flavour} kernel for {arch}; another suite may (--kernel stock:SUITE)")]
    NoKernel {
        /// Debian's name of the architecture.
        arch: String,
        /// Debian's name of the kernel flavour.
        flavour: String,
        /// The suite.
        suite: String,
    },
    /// The suite has kernels, but none of that version.
    #[error("suite '{suite}' has no kernel {version} for {arch}; it has {}", available.join(", "))]
    UnknownVersion {
        /// As asked for.
        version: String,
        /// The suite.
        suite: String,
        /// Debian's name of the architecture.
        arch: String,
        /// What there is, nearest first.
        available: Vec<String>,
    },
    /// The host does not say where Debian packages come from.
    #[error(
        "no Debian mirror is known: {looked}; name one with --mirror URL or KFUNC_MIRROR (the directory that holds \
         dists/ and pool/)"
    )]
    NoMirror {
        /// Where it was looked for and what was there.
        looked: String,
    },
    /// A mirror address that cannot be used.
    #[error("mirror '{url}' cannot be used: {reason}")]
    BadMirror {
        /// As given.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A download failed.
    #[error("could not fetch {url}: {reason}; check the network, or name another mirror with --mirror")]
    Fetch {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The mirror says that a file of its own index does not exist.
    #[error(
        "{url} does not exist although the index lists it; the mirror may have moved on: refresh the index (--refresh)"
    )]
    Gone {
        /// The address.
        url: String,
    },
    /// Nothing may be fetched and the cache does not have it.
    #[error("{what} is not in the cache and the network is not to be used (offline); run once without --offline")]
    Offline {
        /// What is missing.
        what: String,
    },
    /// No program to check signatures with.
    #[error("neither gpgv nor sqv was found, so the index of {url} cannot be verified; install the package gpgv")]
    NoVerifier {
        /// The index.
        url: String,
    },
    /// No keys to check signatures with.
    #[error(
        "no keyring of the Debian archive was found ({looked}), so the index of {url} cannot be verified; install the \
         package debian-archive-keyring or name a keyring with KFUNC_KEYRING"
    )]
    NoKeyring {
        /// Places looked at.
        looked: String,
        /// The index.
        url: String,
    },
    /// The index's signature is missing, broken, or of an unknown key.
    #[error(
        "the signature of {url} does not verify ({said}); the index was altered, truncated or signed by a key that is \
         not in {keyring}: do not use this mirror, or update the package debian-archive-keyring"
    )]
    BadSignature {
        /// The index.
        url: String,
        /// The verifier's words.
        said: String,
        /// The keyring used.
        keyring: String,
    },
    /// A verified index that makes no sense.
    #[error("the index {url} is not understood: {reason}")]
    BadIndex {
        /// The index.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The index is of another suite than the one asked for.
    #[error(
        "the index {url} is of suite '{suite}' ({codename}) and not of '{asked}': the mirror is wrong, use another"
    )]
    WrongSuite {
        /// The index.
        url: String,
        /// Suite asked for.
        asked: String,
        /// Suite inside.
        suite: String,
        /// Codename inside.
        codename: String,
    },
    /// The index is past its date.
    #[error(
        "the index {url} was valid until {valid_until} only: the mirror is stale or this machine's clock is wrong; \
         use another mirror, or set Acquire::Check-Valid-Until \"false\" in apt's configuration to accept it"
    )]
    Expired {
        /// The index.
        url: String,
        /// Its date.
        valid_until: String,
    },
    /// A file that is not the one the verified index describes.
    #[error(
        "{what} from {url} is not what the signed index lists: expected {expected}, got {got}; nothing of it was used"
    )]
    Altered {
        /// Package or index.
        what: String,
        /// The address.
        url: String,
        /// Size or SHA-256 expected.
        expected: String,
        /// Size or SHA-256 found.
        got: String,
    },
    /// A package that cannot be read.
    #[error("package {package} cannot be read: {reason}")]
    BadPackage {
        /// Its name.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// A package with a member that would be written outside the target directory.
    #[error("package {package} is refused: its member '{path}' climbs out of the directory it is unpacked to")]
    UnsafePath {
        /// Its name.
        package: String,
        /// The member, escaped.
        path: String,
    },
    /// A package without the file it must have.
    #[error("package {package} has no {member}; its layout is not known to this version")]
    MissingMember {
        /// Its name.
        package: String,
        /// The file.
        member: String,
    },
    /// A file that is no kernel image.
    #[error("{path} is not a kernel that can be booted: {reason}")]
    NotAKernel {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A kernel for another architecture.
    #[error("{path} is a kernel for {found}, not for {arch} ({wanted}); name a matching --arch or another --kernel")]
    WrongArch {
        /// The file.
        path: String,
        /// What it is for.
        found: String,
        /// The arch asked for.
        arch: String,
        /// What its kernels look like.
        wanted: String,
    },
    /// A module that this kernel does not have.
    #[error("kernel {release} has no module '{module}'{}", did_you_mean(near))]
    UnknownModule {
        /// As asked for.
        module: String,
        /// The kernel.
        release: String,
        /// Modules with a similar name.
        near: Vec<String>,
    },
    /// Modules are asked of a kernel that came without any.
    #[error(
        "kernel {release} came without modules, so '{module}' cannot be loaded; put them beside it in lib/modules/{release}"
    )]
    NoModules {
        /// As asked for.
        module: String,
        /// The kernel.
        release: String,
    },
    /// Modules that depend on each other in a circle.
    #[error("modules of kernel {release} depend on each other in a circle: {}", cycle.join(" -> "))]
    ModuleCycle {
        /// The kernel.
        release: String,
        /// The circle.
        cycle: Vec<String>,
    },
    /// The suite has no package with the kernel's source.
    #[error(
        "suite '{suite}' has no package linux-source; another suite may (--kernel built:SUITE), or name a --source"
    )]
    NoSource {
        /// The suite.
        suite: String,
    },
    /// What should be a kernel's source is none.
    #[error("{} is no source of a kernel: {reason}; name the top of a tree, or a tarball of one", path.display())]
    NotSource {
        /// The directory or tarball.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The source does not know the architecture.
    #[error("the source {} has no arch/{arch}; it has {}", path.display(), known.join(", "))]
    NoArchInSource {
        /// The tree.
        path: PathBuf,
        /// As asked for.
        arch: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The user's tree was built in place, so that it cannot be built elsewhere.
    #[error(
        "{0} was built in place ({1} exists), and the kernel's build system then refuses to build it with its objects \
         elsewhere; run `make mrproper` there, or give us a clean worktree: git -C {0} worktree add ../clean && kfunc run --tree ../clean",
        path.display(), trace.display()
    )]
    BuiltInPlace {
        /// The tree.
        path: PathBuf,
        /// What gives it away.
        trace: PathBuf,
    },
    /// The user's tree is in the middle of a merge.
    #[error("the tree {} has merge conflicts in {}; resolve them first", path.display(), files.join(", "))]
    Unmerged {
        /// The tree.
        path: PathBuf,
        /// The first few files.
        files: Vec<String>,
    },
    /// The arch file does not say how its kernels are built.
    #[error("kernels for {arch} cannot be built: its arch file has no [build] table")]
    NotBuildable {
        /// The arch.
        arch: String,
    },
    /// A configuration fragment that cannot be used.
    #[error("the configuration of kernels for {arch} cannot be made: {reason}")]
    BadFragment {
        /// The arch.
        arch: String,
        /// What is wrong.
        reason: String,
    },
    /// Programs that build kernels are missing.
    #[error("building a kernel for {arch} needs {}, which {} not here", missing.join(", "), if missing.len() == 1 { "is" } else { "are" })]
    MissingBuildTools {
        /// The arch.
        arch: String,
        /// Their names.
        missing: Vec<String>,
    },
    /// The final configuration is not what was asked for; nothing was built.
    #[error("the {what} would lack what it is built for, so it was not built:\n  {}", lost.join("\n  "))]
    LostSymbols {
        /// What was to be built.
        what: String,
        /// Symbols, with what was wanted, what came out, and why.
        lost: Vec<String>,
    },
    /// Modules were to be built against a kernel that came without what that takes.
    #[error(
        "kernel {release} for {arch} came without the tree that modules are built against; use one that was built here: --kernel built"
    )]
    NoBuildTree {
        /// The kernel.
        release: String,
        /// The arch.
        arch: String,
    },
    /// `make` failed.
    #[error("the {what} could not be built: {first}\n  the whole log: {}", log.display())]
    BuildFailed {
        /// What was to be built.
        what: String,
        /// The first line that says what is wrong.
        first: String,
        /// The log.
        log: PathBuf,
    },
    /// A file that should hold an exported image does not, or was changed.
    #[error("{} cannot be imported: {reason}", path.display())]
    BadBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file operation failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// A verb.
        doing: &'static str,
        /// Its object.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No room.
    #[error(
        "the filesystem of {} is full: {what} {}; free some space, or name another directory with KFUNC_CACHE",
        path.display(), needed.map_or("ran out of room".to_owned(), |n| format!("needs {} and {} are free", size(n), size(*available)))
    )]
    DiskFull {
        /// A directory on it.
        path: PathBuf,
        /// For what.
        what: String,
        /// Bytes needed, if that was known beforehand.
        needed: Option<u64>,
        /// Bytes free.
        available: u64,
    },
    /// No place for the cache.
    #[error("there is no place for the cache: none of KFUNC_CACHE, XDG_CACHE_HOME and HOME is set")]
    NoCacheDir,
    /// A program of the host is missing.
    #[error(
        "{tool} was not found, which {purpose} needs; install it (`kfunc doctor` prints the command) or set {variable}"
    )]
    MissingTool {
        /// Its name.
        tool: &'static str,
        /// What needs it.
        purpose: &'static str,
        /// Variable that names it.
        variable: &'static str,
    },
    /// A program of the host failed.
    #[error("{command} failed ({status}): {stderr}")]
    ToolFailed {
        /// The command, shell-quoted.
        command: String,
        /// Its exit status.
        status: String,
        /// Its last words.
        stderr: String,
    },
    /// An arch file names a start file that does not exist.
    #[error("there is no agent start file '{name}'; there is {}", available.join(", "))]
    UnknownStart {
        /// As in the arch file.
        name: String,
        /// What there is.
        available: Vec<String>,
    },
    /// No such image in the cache.
    #[error("the cache has no image '{key}'; `kfunc images list` prints what there is")]
    UnknownImage {
        /// As asked for.
        key: String,
    },
    /// The image is for another arch.
    #[error("the image '{key}' is for {found}, not for {arch}; name its arch with --arch")]
    ImageOfArch {
        /// As asked for.
        key: String,
        /// Its arch.
        found: String,
        /// The one it was asked for.
        arch: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds what was being done to an `io::Error`. A full disk becomes [`Error::DiskFull`].
pub(crate) trait IoContext<T> {
    /// `doing` is a verb, `path` its object.
    fn context(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn context(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.into(), source })
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

fn elsewhere(suites: &[String]) -> String {
    match suites {
        [] => "; another suite may have it (--kernel stock:SUITE)".to_owned(),
        suites => format!("; {} has them (--kernel stock:{})", suites.join(", "), suites[0]),
    }
}

/// A size for people: `14.3 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(14_251_100), "14.3 MB");
        assert_eq!(size(999_999), "1.0 MB");
    }

    #[test]
    fn remedies_are_part_of_the_message() {
        let error =
            Error::NotInSuite { arch: "riscv64".into(), suite: "bookworm".into(), suites: vec!["testing".into()] };
        assert_eq!(
            error.to_string(),
            "suite 'bookworm' has no packages for riscv64; testing has them (--kernel stock:testing)"
        );
    }
}
