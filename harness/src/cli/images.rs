//! `kfunc images`: the cache of kernels.

use std::path::PathBuf;

use images::{BuildOptions, KernelSpec, Source, Store, StoreOptions, StoredImage};

use sha2::{Digest, Sha256};

use super::args::{BuildArgs, ImagesArgs, ImagesCommand, KeyArgs};
use super::error::Error;
use super::list::columns;
use super::{engine, matrix, meant, out, table};
use crate::abi::MODULE_SOURCES;
use crate::arch::{self, Arch};
use crate::doctor::needs;
use crate::event::{self, Event, Planned};
use crate::matrix::shard::Part;
use crate::model::RunResults;
use crate::report::near;
use crate::report::progress::Progress;

/// Shows, tidies or fills the cache.
pub fn images(args: ImagesArgs) -> Result<(), Error> {
    let dir = args.cache_dir;
    match args.command.unwrap_or(ImagesCommand::List) {
        ImagesCommand::List => {
            let text = listing(dir)?;
            out::stdout(if text.is_empty() { "the cache is empty; a run fills it\n" } else { &text })
        }
        ImagesCommand::Path => out::stdout(&format!("{}\n", open(dir)?.cache_dir().display())),
        ImagesCommand::Key(args) => key(args, dir),
        ImagesCommand::Prune { keys, not_in, builds, all } => {
            let store = open(dir)?;
            let keys = match not_in {
                Some(file) => not_booted(&store, &table::saved(Some(&file))?)?,
                None => keys,
            };
            prune(&store, &keys, builds, all)
        }
        ImagesCommand::Build(args) => build(args, dir),
        ImagesCommand::Show { key } => show(&open(dir)?, &key),
        ImagesCommand::Export { key, file } => export(&open(dir)?, &key, file),
        ImagesCommand::Import { files } => import(&open(dir)?, &files),
    }
}

/// Opens the cache; nothing is fetched.
pub fn open(cache_dir: Option<PathBuf>) -> Result<Store, Error> {
    let cache_dir = cache_dir.filter(|dir| !dir.as_os_str().is_empty());
    Store::open(StoreOptions { cache_dir, offline: true, ..StoreOptions::default() }).map_err(failed)
}

/// The kernels in the cache, one a line; empty when there is none.
pub fn listing(cache_dir: Option<PathBuf>) -> Result<String, Error> {
    let images = open(cache_dir)?.list().map_err(failed)?;
    Ok(columns(images.into_iter().map(|image| {
        vec![image.key, image.arch, image.release, image.provider.as_str().to_owned(), images::size(image.bytes)]
    })))
}

/// What decides the kernels of a selection or matrix.
fn key(args: KeyArgs, cache_dir: Option<PathBuf>) -> Result<(), Error> {
    let plan = {
        let file = args.matrix.as_deref().map(matrix::read).transpose()?;
        let catalog = engine::catalog(&args.select.arch_file, cache_dir.as_deref())?;
        match &file {
            Some(file) => matrix::plan(file, &catalog, meant::abi(args.select.seed, args.select.cases))?,
            None => engine::plan(&meant::selection(args.select), &catalog)?,
        }
    };
    let units = meant::present(args.unit);
    // Any shard will do: the units are named.
    let plan = if units.is_empty() { plan } else { matrix::cut(plan, Part { index: 1, count: 1 }, &units)? };
    let store = Store::open(StoreOptions {
        cache_dir: cache_dir.filter(|dir| !dir.as_os_str().is_empty()),
        mirror: args.mirror.filter(|mirror| !mirror.is_empty()),
        offline: args.offline,
        build: BuildOptions { toolchain: args.toolchain, jobs: None },
        ..StoreOptions::default()
    })
    .map_err(failed)?;
    let mut rows = Vec::new();
    for planned in &plan.kernels {
        let key = match store.identity(&planned.kernel, &planned.arch.target(), &|_| {}) {
            Ok(key) => key,
            // A run says so of this kernel and goes on; the key is that there is none.
            Err(images::Error::NotInSuite { .. } | images::Error::NoKernel { .. }) => "none".to_owned(),
            Err(error) => return Err(Error::Infrastructure(needs::explain(&error))),
        };
        rows.push(vec![planned.arch.name.clone(), planned.kernel.to_string(), key]);
    }
    let text = columns(rows);
    if !args.digest {
        return out::stdout(&text);
    }
    let hash = Sha256::digest(text.as_bytes());
    let word = images::hex(&hash[..8]);
    out::stdout(&format!("{word}\n"))
}

/// Keys of the kernels that a run did not boot.
fn not_booted(store: &Store, run: &RunResults) -> Result<Vec<String>, Error> {
    let booted = |key: &String| run.kernels.iter().any(|k| k.image.as_ref().is_some_and(|image| image.key == *key));
    Ok(store.list().map_err(failed)?.into_iter().map(|image| image.key).filter(|key| !booted(key)).collect())
}

fn prune(store: &Store, keys: &[String], builds: bool, all: bool) -> Result<(), Error> {
    if all {
        store.clear().map_err(failed)?;
        return out::stdout("the cache is empty now\n");
    }
    // Every key is looked up before the first is deleted: a mistyped one deletes nothing.
    let known = store.list().map_err(failed)?;
    let chosen = keys.iter().map(|key| find(&known, key)).collect::<Result<Vec<_>, _>>()?;
    for image in chosen {
        store.remove(&image.key).map_err(failed)?;
        out::stdout(&format!("deleted {} {}\n", image.arch, image.release))?;
    }
    if builds {
        let freed = store.remove_builds().map_err(failed)?;
        out::stdout(&format!("deleted sources and objects: {}\n", images::size(freed)))?;
    }
    Ok(())
}

/// The one image whose key begins so.
fn find<'a>(known: &'a [StoredImage], key: &str) -> Result<&'a StoredImage, Error> {
    let mut fitting = known.iter().filter(|image| image.key.starts_with(key));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Ok(image),
        (None, _) => Err(Error::Usage(format!("no kernel `{key}` in the cache; `kfunc images list` shows them"))),
        (Some(_), Some(_)) => match known.iter().find(|image| image.key == key) {
            Some(exact) => Ok(exact),
            None => Err(Error::Usage(format!("several kernels begin with `{key}`; write more of it"))),
        },
    }
}

fn show(store: &Store, key: &str) -> Result<(), Error> {
    let known = store.list().map_err(failed)?;
    let image = find(&known, key)?;
    let mut rows = vec![
        vec!["key".to_owned(), image.key.clone()],
        vec!["arch".to_owned(), image.arch.clone()],
        vec!["release".to_owned(), image.release.clone()],
        vec!["provider".to_owned(), image.provider.as_str().to_owned()],
        vec!["size".to_owned(), images::size(image.bytes)],
        vec!["needed to run".to_owned(), images::size(image.bytes_to_run)],
        vec!["modules".to_owned(), image.modules.join(" ")],
    ];
    for (name, value) in &image.provenance {
        for (index, line) in value.lines().enumerate() {
            rows.push(vec![if index == 0 { name.clone() } else { String::new() }, line.to_owned()]);
        }
    }
    out::stdout(&columns(rows))
}

fn export(store: &Store, key: &str, file: Option<PathBuf>) -> Result<(), Error> {
    let known = store.list().map_err(failed)?;
    let image = find(&known, key)?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}.kfunc.tar.zst", image.key)));
    let bytes = store.export(&image.key, &file).map_err(failed)?;
    out::stdout(&format!("{}: {}\n", file.display(), images::size(bytes)))
}

fn import(store: &Store, files: &[PathBuf]) -> Result<(), Error> {
    for file in files {
        let key = store.import(file).map_err(failed)?;
        out::stdout(&format!("{key}\n"))?;
    }
    Ok(())
}

/// Builds kernels, one after the other.
fn build(args: BuildArgs, cache_dir: Option<PathBuf>) -> Result<(), Error> {
    let arches = chosen(&args.arch, &args.arch_file)?;
    let source = match &args.source {
        Some(path) => Source::Path(path.clone()),
        None => Source::Suite(args.suite.clone()),
    };
    // Through the text, so that what is refused there is refused here.
    let text = format!("{}@{}", KernelSpec::Built { source, variant: images::Variant::Plain }, args.variant);
    let usage = |error: images::Error| Error::Usage(error.to_string());
    let spec: KernelSpec = text.parse().map_err(usage)?;
    spec.check_path().map_err(usage)?;
    let store = Store::open(StoreOptions {
        cache_dir: cache_dir.filter(|dir| !dir.as_os_str().is_empty()),
        mirror: args.mirror.filter(|mirror| !mirror.is_empty()),
        refresh: args.refresh,
        build: BuildOptions { toolchain: args.toolchain, jobs: args.jobs.map(usize::from) },
        ..StoreOptions::default()
    })
    .map_err(failed)?;
    let shown = spec.to_string();
    let takes_modules = crate::plan::takes_abi(&spec, &[]);
    let progress = Progress::to_stderr();
    let kernels = arches.iter().map(|a| Planned { arch: a.name.clone(), kernel: shown.clone(), cases: 0 }).collect();
    progress.event(&Event::PlanReady { kernels });
    let mut failures = Vec::new();
    for arch in &arches {
        let tell = |event| {
            if let Some(event) = event::of_image(arch.name.clone(), shown.clone(), event) {
                progress.event(&event);
            }
        };
        match store.build(&spec, &arch.target(), &tell) {
            Ok(image) => {
                out::stdout(&format!("{}  {}\n", image.key, image.kernel.display()))?;
                // A first run of the abi suite need not wait for them.
                if takes_modules
                    && let Err(error) = store.external_modules(&image, &arch.target(), &MODULE_SOURCES, &tell)
                {
                    failures.push(needs::explain(&error));
                }
            }
            // One that fails keeps no other from being built.
            Err(error) => failures.push(needs::explain(&error)),
        }
    }
    progress.finish();
    if failures.is_empty() { Ok(()) } else { Err(Error::Infrastructure(failures.join("\n"))) }
}

fn chosen(names: &[String], arch_files: &[PathBuf]) -> Result<Vec<Arch>, Error> {
    let arches = arch::load(arch_files).map_err(|error| Error::Usage(error.to_string()))?;
    let known = || arches.iter().map(|arch| arch.name.as_str());
    names
        .iter()
        .map(|name| {
            arches.iter().find(|arch| arch.name == *name).cloned().ok_or_else(|| {
                let near = near::did_you_mean(name, known());
                Error::Usage(format!(
                    "unknown arch `{name}`; known are {}{near}",
                    known().collect::<Vec<_>>().join(", ")
                ))
            })
        })
        .collect()
}

fn failed(error: images::Error) -> Error {
    Error::Infrastructure(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arch_that_is_misspelt_is_refused_before_anything_is_built() {
        let error = chosen(&["riscv64".into(), "loongarch46".into()], &[]).unwrap_err().to_string();
        assert!(error.contains("unknown arch `loongarch46`") && error.contains("x86_32"), "{error}");
        assert_eq!(chosen(&["arm32".into()], &[]).unwrap().len(), 1);
    }
}
