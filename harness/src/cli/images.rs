//! `kfunc images`: the cache of kernels.

use std::path::PathBuf;

use images::{Store, StoreOptions};

use super::args::{ImagesArgs, ImagesCommand};
use super::error::Error;
use super::list::columns;
use super::out;

/// Shows or tidies the cache.
pub fn images(args: ImagesArgs) -> Result<(), Error> {
    match args.command.unwrap_or(ImagesCommand::List) {
        ImagesCommand::List => {
            let text = listing(args.cache_dir)?;
            out::stdout(if text.is_empty() { "the cache is empty; a run fills it\n" } else { &text })
        }
        ImagesCommand::Path => out::stdout(&format!("{}\n", open(args.cache_dir)?.cache_dir().display())),
        ImagesCommand::Prune { keys, all } => prune(&open(args.cache_dir)?, &keys, all),
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

fn prune(store: &Store, keys: &[String], all: bool) -> Result<(), Error> {
    if all {
        store.clear().map_err(failed)?;
        return out::stdout("the cache is empty now\n");
    }
    let known = store.list().map_err(failed)?;
    // Every key is looked up before the first is deleted: a mistyped one deletes nothing.
    let mut chosen = Vec::new();
    for key in keys {
        let mut fitting = known.iter().filter(|image| image.key.starts_with(key.as_str()));
        match (fitting.next(), fitting.next()) {
            (Some(image), None) => chosen.push(image),
            (None, _) => {
                return Err(Error::Usage(format!("no kernel `{key}` in the cache; `kfunc images list` shows them")));
            }
            (Some(_), Some(_)) => {
                return Err(Error::Usage(format!("several kernels begin with `{key}`; write more of it")));
            }
        }
    }
    for image in chosen {
        store.remove(&image.key).map_err(failed)?;
        out::stdout(&format!("deleted {} {}\n", image.arch, image.release))?;
    }
    Ok(())
}

fn failed(error: images::Error) -> Error {
    Error::Infrastructure(error.to_string())
}
