//! The `built` provider: from a kernel's source to a kernel in the cache.
//!
//! The way: source (`source`) → demands (`fragment`) → tools (`tools`) → `make allnoconfig` with the demands, and the check
//! that all of them were met → `make` (`make`, `log`) → files (`collect`). Nothing of a source tree is run except its
//! own build system.
//!
//! Objects lie in `builds/` of the cache. For a package or tarball they are gone when the kernel is done, and until then
//! an interrupted build goes on where it was; for the user's tree they stay, so that an edit costs what it changed.

pub(crate) mod collect;
mod fragment;
mod log;
pub(crate) mod make;
mod source;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::event::{Event, Progress};
use crate::hex::hex;
use crate::image::{Image, MANIFEST, Manifest, Provider, SCHEMA};
use crate::index::Package;
use crate::spec::{Source, Variant};
use crate::store::{BuildNames, Target};
use crate::version;

use fragment::Demand;
use make::Make;
use source::Tree;
pub use tools::Toolchain;
use tools::Tools;

/// Room that the objects of one kernel take.
const OBJECTS: u64 = 3 << 30;
/// In an object directory: what its configuration was made for.
const STAMP: &str = "kfunc.stamp";
/// In an object directory: the image that was made last.
const LAST: &str = "kfunc.image";

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The toolchain; LLVM when none is named.
    pub toolchain: Option<Toolchain>,
    /// Processes at a time; as many as there are processors by default.
    pub jobs: Option<usize>,
}

/// What is to be built, for which arch, with what.
pub(crate) struct Job<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) options: &'a BuildOptions,
    pub(crate) source: &'a Source,
    pub(crate) variant: Variant,
    pub(crate) target: &'a Target<'a>,
    pub(crate) progress: &'a Progress<'a>,
}

/// A source that was found.
enum Found {
    Package(Package),
    Tarball(PathBuf, String),
    Directory(PathBuf, String),
}

impl Found {
    fn identity(&self) -> String {
        match self {
            Self::Package(package) => source::package_identity(package),
            Self::Tarball(_, identity) | Self::Directory(_, identity) => identity.clone(),
        }
    }
}

/// One kernel is built at a time: two would each take twice as long, and twice the memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Job<'_> {
    /// A kernel that was built earlier, if there is one that will do: of this recipe, the newest of the suite. Asks nobody.
    pub(crate) fn cached(&self) -> Result<Option<Image>> {
        let Source::Suite(suite) = self.source else { return Ok(None) };
        let recipe = self.recipe()?;
        let mut found: Vec<Manifest> = manifests(self.cache)
            .filter(|(m, _)| fact(m, "suite") == suite && self.made_by(m, &recipe))
            .map(|(manifest, _)| manifest)
            .collect();
        let by_version = |a: &Manifest, b: &Manifest| version::compare(fact(a, "version"), fact(b, "version"));
        found.sort_by(|a, b| by_version(a, b).then(self.is_usual(a).cmp(&self.is_usual(b))));
        Ok(found.pop().map(|manifest| self.image(manifest)))
    }

    /// What decides the kernel that [`Job::resolve`] would give for the newest source: source, recipe, toolchain. Builds and
    /// fetches nothing.
    pub(crate) fn identity<'a>(&self, archive: impl FnOnce() -> Result<&'a Archive>) -> Result<String> {
        let found = match self.source {
            Source::Suite(suite) => {
                Found::Package(source::package(self.cache, archive()?, suite, self.target, self.progress)?)
            }
            Source::Path(path) => self.own(path)?,
        };
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n{}", found.identity(), self.recipe()?, self.toolchain().as_str()));
        Ok(format!("built-{}", &hex(&hash.finalize())[..16]))
    }

    /// A kernel: the one in the cache, or built now. `newest`: the mirror is asked whether there is a newer source.
    pub(crate) fn resolve<'a>(&self, archive: impl FnOnce() -> Result<&'a Archive>, newest: bool) -> Result<Image> {
        if !newest && let Some(image) = self.cached()? {
            return Ok(image);
        }
        let names = self.names()?;
        let (found, archive) = match self.source {
            Source::Suite(suite) => {
                let archive = archive()?;
                (
                    Found::Package(source::package(self.cache, archive, suite, self.target, self.progress)?),
                    Some(archive),
                )
            }
            Source::Path(path) => (self.own(path)?, None),
        };
        self.made(&found, archive, || tools::find(self.toolchain(), names, self.target.name))
    }

    /// The image of a source: from the cache, or built.
    fn made(&self, found: &Found, archive: Option<&Archive>, tools: impl FnOnce() -> Result<Tools>) -> Result<Image> {
        let (names, recipe) = (self.names()?, self.recipe()?);
        let identity = found.identity();
        let done = || {
            let all = manifests(self.cache).map(|(manifest, _)| manifest);
            let fit = all.filter(|m| fact(m, "source") == identity && self.made_by(m, &recipe));
            fit.max_by_key(|m| self.is_usual(m)).map(|m| self.image(m))
        };
        if let Some(image) = done() {
            return Ok(image);
        }
        let tools = tools()?;
        let (id, title) = self.place(found, &recipe);
        let lock = self.cache.lock(&format!("build-{id}"), &title, self.progress)?;
        if let Some(image) = done() {
            return Ok(image); // the run that held the lock built it
        }
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = self.tree(found, archive)?;
        source::check(&tree, &names.source)?;
        let (builds, logs) = (self.cache.root().join("builds"), self.cache.root().join("logs"));
        let objects = builds.join(&id);
        fs::create_dir_all(&objects).context("create", &objects)?;
        fs::create_dir_all(&logs).context("create", &logs)?;
        let log = logs.join(format!("{id}.log"));
        self.rotate(&log)?;
        let mut arguments = vec![format!("ARCH={}", names.arch)];
        arguments.extend(tools.arguments.iter().cloned());
        let make = Make {
            cache: self.cache,
            tree: &tree.dir,
            objects: &objects,
            arguments,
            jobs: self.options.jobs.unwrap_or_else(processors),
            log,
            lock: &lock,
            what: title,
        };
        let fresh = self.configure(&make, &tree, &tools.identity)?;
        let expected = self.expected(&id, names, fresh);
        self.announce(&make, &identity, &tools.identity, expected, fresh)?;
        let steps = make.build(&[names.target.clone(), "modules".to_owned()], expected, self.progress)?;
        let identity = self.still(found, identity)?;
        let facts = BTreeMap::from(
            [
                ("source", identity),
                ("recipe", recipe),
                ("variant", self.variant.as_str().to_owned()),
                ("toolchain", self.toolchain().as_str().to_owned()),
                ("tools", tools.identity.clone()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let image = self.file(&make, found, facts, steps)?;
        match found {
            Found::Directory(..) => self.replace_last(&objects, &image.key),
            // Nothing will be built there again: the same source and recipe are found in the cache.
            Found::Package(_) | Found::Tarball(..) => {
                let _ = fs::remove_dir_all(&objects);
            }
        }
        if fresh {
            let _ = self.cache.write(&builds.join(format!("steps-{}", names.fragment)), steps.to_string().as_bytes());
        }
        Ok(image)
    }

    /// The identity that the image gets: a tree that was edited while it was built is none that will be seen again.
    fn still(&self, found: &Found, identity: String) -> Result<String> {
        match found {
            Found::Directory(dir, _) if source::directory_identity(dir)? != identity => {
                (self.progress)(Event::Note(format!(
                    "{} was changed while it was built: the kernel has some of the changes or all",
                    dir.display()
                )));
                Ok(format!("{identity}, changed during the build"))
            }
            _ => Ok(identity),
        }
    }

    fn toolchain(&self) -> Toolchain {
        self.options.toolchain.unwrap_or_default()
    }

    fn names(&self) -> Result<&BuildNames> {
        self.target.build.ok_or_else(|| Error::NotBuildable { arch: self.target.name.to_owned() })
    }

    fn demands(&self) -> Result<Vec<Demand>> {
        let names = self.names()?;
        let bad = |reason: String| Error::BadFragment { arch: self.target.name.to_owned(), reason };
        fragment::demands(&names.fragment, self.variant.fragment())
            .ok_or_else(|| {
                let known = fragment::names().collect::<Vec<_>>().join(", ");
                bad(format!("there is no fragment '{}'; known are {known}", names.fragment))
            })?
            .map_err(bad)
    }

    /// Hash of all that decides what comes out, except source and tools.
    fn recipe(&self) -> Result<String> {
        let names = self.names()?;
        let mut hash = Sha256::new();
        hash.update(format!("kfunc recipe 1\n{} {} {}\n", names.arch, names.target, names.kernel));
        hash.update(fragment::text(&self.demands()?));
        Ok(hex(&hash.finalize())[..16].to_owned())
    }

    /// Whether an image was made by this recipe, for this arch, with the toolchain if one is asked for.
    fn made_by(&self, manifest: &Manifest, recipe: &str) -> bool {
        manifest.provider == Provider::Built
            && manifest.arch == self.target.name
            && fact(manifest, "recipe") == recipe
            && self.options.toolchain.is_none_or(|t| fact(manifest, "toolchain") == t.as_str())
    }

    /// Whether an image was made with the toolchain that is taken when none is asked for: of two that differ in nothing
    /// else it is the one that is meant.
    fn is_usual(&self, manifest: &Manifest) -> bool {
        fact(manifest, "toolchain") == self.toolchain().as_str()
    }

    fn image(&self, manifest: Manifest) -> Image {
        let dir = self.cache.root().join("images").join(&manifest.key);
        manifest.into_image(&dir)
    }

    /// The user's own source.
    fn own(&self, path: &Path) -> Result<Found> {
        let absolute = std::path::absolute(path).context("find", path)?;
        if absolute.is_dir() {
            source::inspect(&absolute)?;
            let identity = source::directory_identity(&absolute)?;
            return Ok(Found::Directory(absolute, identity));
        }
        if !absolute.is_file() {
            return Err(Error::NotSource { path: path.to_owned(), reason: "there is no such file".to_owned() });
        }
        let (dir, sha256) = source::of_tarball(self.cache, &absolute, self.progress)?;
        Ok(Found::Tarball(dir, format!("tarball sha256:{sha256}")))
    }

    /// Name of the object directory, and what is built, for people. A tree has one directory whatever state it is in.
    fn place(&self, found: &Found, recipe: &str) -> (String, String) {
        let (source, shown) = match found {
            Found::Package(package) => {
                (source::package_identity(package), format!("{} {}", package.name, package.version))
            }
            Found::Tarball(_, identity) => (identity.clone(), "the tarball".to_owned()),
            Found::Directory(dir, _) => (dir.display().to_string(), dir.display().to_string()),
        };
        let mut hash = Sha256::new();
        hash.update(format!("{source}\n{recipe}\n{}", self.toolchain().as_str()));
        let id = format!("{}-{}", self.target.name, &hex(&hash.finalize())[..12]);
        let variant = match self.variant {
            Variant::Plain => String::new(),
            other => format!(" ({other})"),
        };
        (id, format!("kernel for {} from {shown}{variant}", self.target.name))
    }

    fn tree(&self, found: &Found, archive: Option<&Archive>) -> Result<Tree> {
        match (found, archive) {
            (Found::Package(package), Some(archive)) => {
                source::inspect(&source::of_package(self.cache, archive, package, self.progress)?)
            }
            (Found::Package(package), None) => Err(Error::Offline { what: format!("package {}", package.name) }),
            (Found::Tarball(dir, _) | Found::Directory(dir, _), _) => source::inspect(dir),
        }
    }

    /// Makes the configuration, unless the object directory has it, and checks it. Tells whether it was made now.
    fn configure(&self, make: &Make, tree: &Tree, tools: &str) -> Result<bool> {
        let demands = fragment::for_release(self.demands()?, tree.release);
        let text = fragment::text(&demands);
        let stamp = make.objects.join(STAMP);
        let wanted = format!("{text}\n{tools}\n{}", make.tree.display());
        let fresh = fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted);
        if fresh {
            make.keep_steps(None);
            self.cache.require(OBJECTS, &make.what)?;
            let path = make.objects.join("kfunc.config");
            self.cache.write(&path, text.as_bytes())?;
            make.quick(&[format!("KCONFIG_ALLCONFIG={}", path.display()), "allnoconfig".to_owned()])?;
        }
        let config = make.objects.join(".config");
        let config = fs::read_to_string(&config).context("read the configuration", &config)?;
        let lost = fragment::lost(&demands, &config);
        if !lost.is_empty() {
            let symbols: Vec<_> = lost.iter().map(|l| l.symbol.as_str()).collect();
            let (all, unknown) = source::defines(make.tree, &symbols);
            let near = |symbol: &str| {
                let near = all.iter().filter(|known| strsim::damerau_levenshtein(known, symbol) <= 2).min();
                near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
            };
            let lost = lost.iter().map(|l| match unknown.contains(&l.symbol) {
                true => format!("{l}: this source has no such symbol{}", near(&l.symbol)),
                false => format!("{l}: what it depends on is not set"),
            });
            return Err(Error::LostSymbols { what: make.what.clone(), lost: lost.collect() });
        }
        if fresh {
            self.cache.write(&stamp, wanted.as_bytes())?;
        }
        Ok(fresh)
    }

    /// Steps of a build from nothing: as the last one had on this machine, else as measured by us.
    fn expected(&self, id: &str, names: &BuildNames, fresh: bool) -> Option<u64> {
        let builds = self.cache.root().join("builds");
        let known = fs::read_to_string(builds.join(format!("steps-{}", names.fragment)));
        let all = known.ok().and_then(|text| text.trim().parse().ok()).or(Some(names.steps));
        match self.source {
            // A tree that was built before: nobody knows how much an edit changes.
            Source::Path(_) if !fresh && builds.join(id).join(LAST).exists() => None,
            _ => all,
        }
    }

    fn announce(&self, make: &Make, identity: &str, tools: &str, expected: Option<u64>, fresh: bool) -> Result<()> {
        let how_long = match expected {
            Some(steps) => {
                let left = steps.saturating_sub(make.steps_before());
                format!("about {} minutes", make::estimate(left, make.jobs).as_secs().div_ceil(60).max(1))
            }
            None => "what has changed".to_owned(),
        };
        let goes_on = if fresh { "building" } else { "going on with" };
        (self.progress)(Event::Note(format!(
            "{goes_on} the {}: {how_long} on {} processors; --kernel stock does without, `kfunc images import` takes one \
             that was built elsewhere. Nothing of the source is run but its own build system",
            make.what, make.jobs
        )));
        if let Some(version) = tools::pahole_without_kfuncs(tools) {
            (self.progress)(Event::Note(format!(
                "pahole {version} is older than 1.27 and does not mark kfuncs in the kernel's types: recent kernels then refuse programs \
                 that call kfuncs with implicit arguments"
            )));
        }
        use std::io::Write;
        let mut file = fs::File::options().append(true).create(true).open(&make.log).context("open", &make.log)?;
        writeln!(file, "# source: {identity}").context("write", &make.log)
    }

    /// Keeps the log of the build before this one.
    fn rotate(&self, log: &Path) -> Result<()> {
        match log.exists() {
            true => fs::rename(log, log.with_extension("log.old")).context("rename", log),
            false => Ok(()),
        }
    }

    /// Files the image.
    fn file(&self, make: &Make, found: &Found, mut facts: BTreeMap<String, String>, steps: u64) -> Result<Image> {
        let staged = self.cache.staging()?;
        let (release, files) = collect::collect(self.cache, make, self.names()?, self.target, staged.path())?;
        let config = fs::read(staged.path().join("config")).context("read", staged.path())?;
        let config = hex(&Sha256::digest(&config));
        let mut hash = Sha256::new();
        hash.update(format!("kfunc image {SCHEMA}\n{}\n{config}\n{}\n", facts["source"], facts["tools"]));
        let key = format!("{}-{}-{}", release, self.target.name, &hex(&hash.finalize())[..12]);
        facts.insert("config".into(), format!("sha256:{config}"));
        facts.insert("steps".into(), steps.to_string());
        match (found, self.source) {
            (Found::Package(package), Source::Suite(suite)) => {
                facts.insert("suite".into(), suite.clone());
                facts.insert("package".into(), package.name.clone());
                facts.insert("version".into(), package.version.clone());
            }
            (Found::Directory(dir, _), _) => {
                facts.insert("tree".into(), dir.display().to_string());
            }
            _ => {}
        }
        let manifest = Manifest {
            schema: SCHEMA,
            key: key.clone(),
            provider: Provider::Built,
            arch: self.target.name.to_owned(),
            release,
            files,
            provenance: facts,
            modules: None,
        };
        let path = staged.path().join(MANIFEST);
        fs::write(&path, serde_json::to_vec_pretty(&manifest).unwrap_or_default()).context("write", &path)?;
        let dir = self.cache.root().join("images").join(&key);
        self.cache.publish(staged, &dir)?;
        Ok(manifest.into_image(&dir))
    }

    /// An edited tree's image takes the place of the one before the edit: nobody will ask for that again.
    fn replace_last(&self, objects: &Path, key: &str) {
        let path = objects.join(LAST);
        if let Ok(last) = fs::read_to_string(&path)
            && last != key
            && !last.contains('/')
            && !last.is_empty()
        {
            let _ = fs::remove_dir_all(self.cache.root().join("images").join(last));
        }
        let _ = self.cache.write(&path, key.as_bytes());
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn fact<'m>(manifest: &'m Manifest, name: &str) -> &'m str {
    manifest.provenance.get(name).map_or("", String::as_str)
}

/// Whole images in the cache.
pub(crate) fn manifests(cache: &Cache) -> impl Iterator<Item = (Manifest, PathBuf)> {
    let entries = fs::read_dir(cache.root().join("images")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((Manifest::of(&entry.path())?, entry.path())))
}

#[cfg(test)]
mod tests;
