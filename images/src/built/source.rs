//! Where a kernel's source is, and what it is: a Debian package, a tarball, a git worktree or a plain directory.
//!
//! The user's tree is only read. A package or tarball is unpacked into the cache, once for all arches.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::cache::Cache;
use crate::deb::decompress;
use crate::error::{Error, IoContext, Result};
use crate::event::{Activity, Progress, Task};
use crate::format::{HEAD, compression};
use crate::hex::hex;
use crate::index::{self, Package};
use crate::stock;
use crate::store::Target;

/// Room that an unpacked kernel source takes.
const UNPACKED: u64 = 2 << 30;

/// A source tree that can be built.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Its top.
    pub(crate) dir: PathBuf,
    /// Version and patch level, from its Makefile.
    pub(crate) release: (u32, u32),
}

/// The newest `linux-source` package of a suite.
pub(crate) fn package(
    cache: &Cache,
    archive: &Archive,
    suite: &str,
    target: &Target,
    progress: &Progress,
) -> Result<Package> {
    let own = archive.packages(cache, suite, &target.debian.arch, progress);
    // It is for all architectures, but an architecture outside of the suite has no list; amd64 is in every one.
    let (packages, _) = match own {
        Err(Error::NotInSuite { .. }) => archive.packages(cache, suite, "amd64", progress)?,
        other => other?,
    };
    index::newest_source(&packages).cloned().ok_or_else(|| Error::NoSource { suite: suite.to_owned() })
}

/// What a package is: its version and the hash of the file.
pub(crate) fn package_identity(package: &Package) -> String {
    format!("{} {} sha256:{}", package.name, package.version, package.sha256)
}

/// The unpacked source of a package.
pub(crate) fn of_package(cache: &Cache, archive: &Archive, package: &Package, progress: &Progress) -> Result<PathBuf> {
    let name = format!("{}_{}", package.name, package.version);
    let place = sources(cache).join(&name);
    if place.is_dir() {
        return Ok(place);
    }
    let _lock = cache.lock(&format!("source-{name}"), &format!("source package {name}"), progress)?;
    if place.is_dir() {
        return Ok(place);
    }
    cache.require(UNPACKED, &name)?;
    let unpacked = stock::fetch(cache, archive, package, progress)?;
    let member = unpacked
        .paths()
        .find(|path| path.starts_with("usr/src/linux-source-") && path.contains(".tar."))
        .ok_or_else(|| Error::MissingMember {
            package: package.name.clone(),
            member: format!("usr/src/{}.tar.xz", package.name),
        })?
        .to_owned();
    unpack(cache, unpacked.open(&member)?, &member, &name, &place, progress)?;
    Ok(place)
}

/// The unpacked source of a tarball, and the tarball's hash.
pub(crate) fn of_tarball(cache: &Cache, path: &Path, progress: &Progress) -> Result<(PathBuf, String)> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).context("open the source", path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).context("read the source", path)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let sha256 = hex(&hash.finalize());
    let place = sources(cache).join(format!("tarball-{}", &sha256[..16]));
    if !place.is_dir() {
        let name = path.display().to_string();
        let _lock = cache.lock(&format!("source-{}", &sha256[..16]), &format!("source {name}"), progress)?;
        if !place.is_dir() {
            cache.require(UNPACKED, &name)?;
            let file = File::open(path).context("open the source", path)?;
            unpack(cache, file, &name, &name, &place, progress)?;
        }
    }
    Ok((place, sha256))
}

fn sources(cache: &Cache) -> PathBuf {
    cache.root().join("sources")
}

/// Unpacks a compressed tar whose members lie in one directory; that directory becomes `place`.
fn unpack(cache: &Cache, input: impl Read, name: &str, what: &str, place: &Path, progress: &Progress) -> Result<()> {
    let not = |reason: String| Error::NotSource { path: name.into(), reason };
    let mut input = BufReader::with_capacity(HEAD, input);
    let head = std::io::BufRead::fill_buf(&mut input).map_err(|e| not(e.to_string()))?;
    let suffix = match compression(head) {
        Some(compression) => compression.suffix(),
        None if head.get(257..262) == Some(b"ustar") => "",
        None => return Err(not("it is no tar archive, plain or with gzip, xz or zstd".to_owned())),
    };
    let mut task = Task::start(Activity::Unpack, what, None, progress);
    let reader = decompress(suffix, input).map_err(|e| not(e.to_string()))?;
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_mtime(true);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(false);
    let staged = cache.staging()?;
    let mut done = 0;
    for entry in archive.entries().map_err(|e| not(e.to_string()))? {
        let mut entry = entry.map_err(|e| not(format!("it is damaged: {e}")))?;
        done += entry.size();
        // Neither climbs out of the directory nor follows a link out of it: the crate sees to that.
        if !entry.unpack_in(staged.path()).map_err(|e| cache.io("unpack into", staged.path(), e, UNPACKED))? {
            return Err(not(format!("its member '{}' climbs out", entry.path_bytes().escape_ascii())));
        }
        task.at(done);
    }
    let mut tops = fs::read_dir(staged.path()).context("read", staged.path())?.flatten().map(|e| e.path());
    let top = match (tops.next(), tops.next()) {
        (Some(top), None) if top.is_dir() => top,
        _ => return Err(not("its members are not in one directory".to_owned())),
    };
    inspect(&top).map_err(|error| match error {
        Error::NotSource { reason, .. } => not(reason),
        other => other,
    })?;
    let parent = place.parent().unwrap_or(cache.root());
    fs::create_dir_all(parent).context("create", parent)?;
    fs::rename(&top, place).context("move into place", place)?;
    task.finish(done);
    Ok(())
}

/// Whether this is the top of a kernel source tree, and of which release.
pub(crate) fn inspect(dir: &Path) -> Result<Tree> {
    let not = |reason: &str| Error::NotSource { path: dir.to_owned(), reason: reason.to_owned() };
    let Ok(makefile) = fs::read_to_string(dir.join("Makefile")) else {
        return Err(not("it has no Makefile"));
    };
    if !dir.join("Kconfig").is_file() || !dir.join("kernel/bpf").is_dir() {
        return Err(not("it has no Kconfig or no kernel/bpf"));
    }
    let number = |name: &str| {
        makefile.lines().take(20).find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().parse::<u32>().ok())?
        })
    };
    match (number("VERSION"), number("PATCHLEVEL")) {
        (Some(version), Some(patch_level)) => Ok(Tree { dir: dir.to_owned(), release: (version, patch_level) }),
        _ => Err(not("its Makefile has no VERSION and PATCHLEVEL")),
    }
}

/// Checks that a tree can be built for an arch (`arm`, `x86`, …) with its objects elsewhere.
pub(crate) fn check(tree: &Tree, src_arch: &str) -> Result<()> {
    if !tree.dir.join("arch").join(src_arch).join("Makefile").is_file() {
        let known = fs::read_dir(tree.dir.join("arch")).into_iter().flatten().flatten();
        let mut known: Vec<_> = known
            .filter(|entry| entry.path().join("Makefile").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        known.sort();
        return Err(Error::NoArchInSource { path: tree.dir.clone(), arch: src_arch.to_owned(), known });
    }
    // As in the kernel's own outputmakefile rule: it refuses to build elsewhere, after some work.
    let generated = tree.dir.join("arch").join(src_arch).join("include/generated");
    let traces = [tree.dir.join(".config"), tree.dir.join("include/config"), generated];
    if let Some(trace) = traces.into_iter().find(|path| path.exists()) {
        return Err(Error::BuiltInPlace { path: tree.dir.clone(), trace });
    }
    Ok(())
}

/// What a directory is: for a git worktree its commit and what differs from it, else the names, sizes and times of all
/// of its files.
pub(crate) fn directory_identity(dir: &Path) -> Result<String> {
    if !dir.join(".git").exists() {
        return Ok(format!("files {}", listing_hash(dir)?));
    }
    let unmerged = git(dir, &["diff", "--name-only", "--diff-filter=U"])?;
    if !unmerged.is_empty() {
        let files: Vec<_> = unmerged.lines().take(5).map(str::to_owned).collect();
        return Err(Error::Unmerged { path: dir.to_owned(), files });
    }
    let head = git(dir, &["rev-parse", "HEAD"])?;
    let changes = git(dir, &["diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv"])?;
    let untracked = git(dir, &["ls-files", "--others", "--exclude-standard"])?;
    if changes.is_empty() && untracked.is_empty() {
        return Ok(format!("git {}", head.trim()));
    }
    let mut hash = Sha256::new();
    hash.update(&changes);
    for name in untracked.lines() {
        hash.update(format!("\n{name} "));
        hash.update(fs::read(dir.join(name)).unwrap_or_default());
    }
    Ok(format!("git {} with changes {}", head.trim(), &hex(&hash.finalize())[..16]))
}

/// Git, without anything that the tree's own configuration could make it run.
fn git(dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    let output = command
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0") // `diff` would refresh the index of the user's tree
        .stdin(Stdio::null())
        .output()
        .context("run git in", dir)?;
    if !output.status.success() {
        return Err(Error::NotSource {
            path: dir.to_owned(),
            reason: format!("git cannot read it: {}", String::from_utf8_lossy(&output.stderr).trim()),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Hash over path, size and time of every file.
fn listing_hash(dir: &Path) -> Result<String> {
    let (mut lines, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).context("read", &at)?.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            if meta.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                lines.push(format!("{name} {} {}.{}\n", meta.len(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    lines.sort();
    let mut hash = Sha256::new();
    lines.iter().for_each(|line| hash.update(line));
    Ok(hex(&hash.finalize())[..32].to_owned())
}

/// Where Kconfig files of a tree mention a symbol as their own: to tell a misspelling from an unmet dependency.
pub(crate) fn defines(tree: &Path, symbols: &[&str]) -> (Vec<String>, Vec<String>) {
    let (mut all, mut todo) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let name = entry.file_name();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && name != "Documentation" => todo.push(entry.path()),
                Ok(kind) if kind.is_file() && name.to_string_lossy().starts_with("Kconfig") => {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    let own = text.lines().filter_map(|line| {
                        line.strip_prefix("config ").or_else(|| line.strip_prefix("menuconfig ")).map(str::trim)
                    });
                    all.extend(own.map(str::to_owned));
                }
                _ => {}
            }
        }
    }
    let unknown = symbols.iter().filter(|s| !all.iter().any(|known| known == *s)).map(|s| (*s).to_owned()).collect();
    (all, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that passes for a kernel source.
    fn tree(dir: &Path) {
        for sub in ["kernel/bpf", "arch/riscv", "arch/arm"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        fs::write(dir.join("Kconfig"), "config MAIN\n").unwrap();
        fs::write(dir.join("arch/riscv/Makefile"), "").unwrap();
        fs::write(dir.join("Makefile"), "# SPDX\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 12\n").unwrap();
    }

    fn run_git(dir: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(dir).args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"]).args(arguments);
        // A conflicting merge exits with 1.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    }

    #[test]
    fn a_kernel_tree_is_recognised_and_others_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |dir: &Path| match inspect(dir).unwrap_err() {
            Error::NotSource { reason, .. } => reason,
            other => other.to_string(),
        };
        assert_eq!(reason(dir.path()), "it has no Makefile");
        fs::write(dir.path().join("Makefile"), "all:\n").unwrap();
        assert_eq!(reason(dir.path()), "it has no Kconfig or no kernel/bpf");
        tree(dir.path());
        let tree = inspect(dir.path()).unwrap();
        assert_eq!(tree.release, (7, 2));
        check(&tree, "riscv").unwrap();
        let error = check(&tree, "loongarch").unwrap_err();
        assert!(matches!(&error, Error::NoArchInSource { known, .. } if known == &["riscv"]), "{error}");
        fs::write(dir.path().join(".config"), "").unwrap();
        assert!(check(&tree, "riscv").unwrap_err().to_string().contains("mrproper"));
    }

    #[test]
    fn a_plain_directory_changes_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let before = directory_identity(dir.path()).unwrap();
        assert_eq!(before, directory_identity(dir.path()).unwrap());
        fs::write(dir.path().join("kernel/bpf/core.c"), "x").unwrap();
        assert_ne!(before, directory_identity(dir.path()).unwrap());
    }

    #[test]
    fn a_worktree_is_its_commit_and_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        run_git(dir.path(), &["init", "-q", "-b", "main"]);
        run_git(dir.path(), &["add", "."]);
        run_git(dir.path(), &["commit", "-qm", "one"]);
        let clean = directory_identity(dir.path()).unwrap();
        assert!(clean.starts_with("git ") && !clean.contains("changes"), "{clean}");
        fs::write(dir.path().join("Kconfig"), "config OTHER\n").unwrap();
        let edited = directory_identity(dir.path()).unwrap();
        assert!(edited.contains("with changes"), "{edited}");
        fs::write(dir.path().join("new.c"), "").unwrap();
        assert_ne!(edited, directory_identity(dir.path()).unwrap());

        // The same line, changed on two branches.
        run_git(dir.path(), &["commit", "-qam", "two"]);
        run_git(dir.path(), &["checkout", "-q", "-b", "b", "HEAD~1"]);
        fs::write(dir.path().join("Kconfig"), "config THIRD\n").unwrap();
        run_git(dir.path(), &["commit", "-qam", "three"]);
        run_git(dir.path(), &["merge", "main"]);
        let error = directory_identity(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Unmerged { files, .. } if files == &["Kconfig"]), "{error}");
    }

    fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        zstd::stream::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
    }

    #[test]
    fn tarballs_are_unpacked_once_and_those_of_other_things_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        let path = dir.path().join("linux.tar.zst");
        let good = [("l/Makefile", "VERSION = 6\nPATCHLEVEL = 1\n"), ("l/Kconfig", ""), ("l/kernel/bpf/core.c", "")];
        fs::write(&path, tarball(&good)).unwrap();
        let (place, first) = of_tarball(&cache, &path, &|_| {}).unwrap();
        assert_eq!(inspect(&place).unwrap().release, (6, 1));
        assert_eq!(of_tarball(&cache, &path, &|_| {}).unwrap(), (place, first));

        for (bytes, part) in [
            (b"hello".to_vec(), "no tar archive"),
            (tarball(&[("l/Makefile", "all:\n")]), "no Kconfig"),
            (tarball(&[("a/Makefile", ""), ("b/Makefile", "")]), "not in one directory"),
            (tarball(&good)[..60].to_vec(), "damaged"),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = of_tarball(&cache, &path, &|_| {}).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
