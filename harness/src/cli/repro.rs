//! `kfunc repro`: the cell of a bundle, run again.

use std::collections::BTreeMap;

use images::{KernelSpec, Store, StoreOptions, StoredImage};

use super::args::ReproArgs;
use super::bundle::typed;
use super::error::Error;
use super::{engine, exit, meant, out};
use crate::arch::Arch;
use crate::bundle::again::{self, Again};
use crate::bundle::read::Bundle;
use crate::bundle::{self, CellFile, readme};
use crate::doctor::needs;
use crate::event;
use crate::interrupt;
use crate::model::{AbiSettings, Cell, KernelResults};
use crate::plan::{Catalog, Selection};
use crate::report::progress::Progress;
use crate::report::{clean, evidence};
use crate::run::Options;

/// Most random calls that a bundle may ask for; as on the command line.
const CALLS_MAX: u64 = 10_000_000;

/// Reads the bundle, runs its cell, says what became of it; gives the exit code.
pub fn repro(args: ReproArgs, mut command: Vec<String>) -> Result<u8, Error> {
    let bundle = bundle::read(&args.bundle)?;
    if let Some(calls) = &bundle.file.abi {
        // Shown with the cell, as the command that runs it.
        command.extend([format!("--seed={}", calls.seed), format!("--cases={}", calls.cases)]);
    }
    let options = meant::options(args.host, command);
    let catalog = engine::catalog(&args.arch_file, options.cache_dir.as_deref())?;
    let arch = known(&bundle, &catalog)?;
    let _ = interrupt::watch();
    let progress = Progress::to_stderr();
    let kernel = match (args.kernel, args.tree) {
        (Some(kernel), _) => kernel,
        (None, Some(tree)) => format!("tree:{}", tree.display()),
        (None, None) => same_kernel(&bundle, arch, &options, &progress)?,
    };
    let file = &bundle.file;
    let selection = Selection {
        arches: vec![file.arch.clone()],
        kernels: vec![kernel],
        suites: vec![file.cell.suite.clone()],
        filters: vec![file.cell.name()],
        exact: true,
        abi: settings(file),
        ..Selection::default()
    };
    let plan = engine::plan(&selection, &catalog)?;
    let done = engine::run(&plan, &options, &|event| progress.event(&event));
    progress.finish();
    let results = done?;
    if let Some(signal) = interrupt::asked() {
        return Ok(interrupt::exit_code(signal));
    }
    let kernel = results.kernels.first();
    let cell = kernel.and_then(|kernel| kernel.cells.first());
    let (Some(kernel), Some(cell)) = (kernel, cell) else {
        let why = kernel.and_then(|kernel| kernel.error.clone()).unwrap_or_else(|| "no cell was run".into());
        return Err(Error::Infrastructure(format!("it could not be tried: {why}")));
    };
    let again = again::compare(&file.cell, cell);
    out::stdout(&text(&bundle, kernel, cell, &again, &options.command))?;
    Ok(match again {
        Again::Same | Again::Different => exit::WRONG,
        Again::Gone => exit::OK,
        Again::Unknown(_) => exit::INFRASTRUCTURE,
    })
}

/// The arch and the case of a bundle, which this kfunc must have.
fn known<'a>(bundle: &Bundle, catalog: &'a Catalog) -> Result<&'a Arch, Error> {
    let (file, path) = (&bundle.file, typed(&bundle.path));
    let lacks = |what: &str, name: &str| {
        Error::Usage(format!(
            "{path} is about the {what} `{}`, which this kfunc ({}) does not have; use kfunc {}, which wrote it",
            clean::shorten(&clean::line(name), 80),
            env!("CARGO_PKG_VERSION"),
            clean::shorten(&clean::line(&file.harness), 20),
        ))
    };
    let arch = catalog.arches.iter().find(|arch| arch.name == file.arch).ok_or_else(|| lacks("arch", &file.arch))?;
    let name = file.cell.name();
    if !catalog.cases.iter().any(|case| case.full_name() == name) {
        return Err(lacks("case", &name));
    }
    Ok(arch)
}

fn settings(file: &CellFile) -> crate::abi::Settings {
    let settings = file.abi.unwrap_or(AbiSettings { seed: crate::abi::SEED, cases: 0 });
    let random = usize::try_from(settings.cases.min(CALLS_MAX)).unwrap_or(0);
    crate::abi::Settings { seed: settings.seed, random }
}

/// The bundle's own kernel: in the cache, or the same package from the mirror.
fn same_kernel(bundle: &Bundle, arch: &Arch, options: &Options, progress: &Progress) -> Result<String, Error> {
    let file = &bundle.file;
    let Some(image) = &file.image else {
        let why = "the bundle does not say which kernel it was; name one with --kernel or --tree";
        return Err(Error::Infrastructure(format!("{}: {why}", typed(&bundle.path))));
    };
    let store = Store::open(StoreOptions {
        cache_dir: options.cache_dir.clone(),
        mirror: options.mirror.clone(),
        refresh: options.refresh,
        offline: options.offline,
        ..StoreOptions::default()
    })
    .map_err(|error| Error::Infrastructure(error.to_string()))?;
    if store.has_image(&image.key) {
        return Ok(format!("image:{}", image.key));
    }
    // Another version of the cache gives the same kernel another key.
    let all = store.list().map_err(|error| Error::Infrastructure(error.to_string()))?;
    let twin = |other: &&StoredImage| other.arch == file.arch && is_same_kernel(&image.provenance, &other.provenance);
    if let Some(twin) = all.iter().find(twin) {
        return Ok(format!("image:{}", twin.key));
    }
    let instead = |why: &str| {
        Error::Infrastructure(format!(
            "the kernel {} of {} {why}. How to get it: {} Or try the cell in another kernel: --kernel SPEC, --tree DIR",
            clean::shorten(&clean::line(&image.release), 80),
            typed(&bundle.path),
            readme::how_to_get(image, &file.arch).replace('`', ""),
        ))
    };
    if image.provider != "stock" {
        return Err(instead("is not in the cache"));
    }
    let fact = |name: &str| image.provenance.get(name).map_or("", String::as_str);
    // Through the text, so that what could lead out of the archive is refused as on the command line.
    let spec: KernelSpec = format!("stock:{}/{}", fact("suite"), fact("version"))
        .parse()
        .map_err(|error: images::Error| Error::Usage(format!("{}: {error}", typed(&bundle.path))))?;
    let shown = spec.to_string();
    let tell = |event| {
        if let Some(event) = event::of_image(arch.name.clone(), shown.clone(), event) {
            progress.event(&event);
        }
    };
    let found = store
        .resolve(&spec, &arch.target(), &tell)
        .map_err(|error| instead(&format!("cannot be had from the mirror: {}", needs::explain(&error))))?;
    if found.key != image.key && !is_same_kernel(&image.provenance, &found.provenance) {
        return Err(instead(&format!("is not what the mirror has under its version ({})", found.key)));
    }
    Ok(format!("image:{}", found.key))
}

/// Whether two kernels come from the same packages, or from the same source with the same configuration and tools.
fn is_same_kernel(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    let decides =
        |name: &&String| name.starts_with("sha256:") || ["source", "config", "tools"].contains(&name.as_str());
    let of = |facts: &BTreeMap<String, String>| -> Vec<(String, String)> {
        let names = facts.keys().filter(decides);
        names.map(|name| (name.clone(), facts[name].clone())).collect()
    };
    let (one, other) = (of(one), of(other));
    !one.is_empty() && one == other
}

/// What became of it, for people.
fn text(bundle: &Bundle, kernel: &KernelResults, cell: &Cell, again: &Again, command: &[String]) -> String {
    let file = &bundle.file;
    let release = |guest: &Option<crate::model::GuestInfo>| {
        guest.as_ref().map_or_else(|| "unknown kernel".to_owned(), |guest| clean::line(&guest.release))
    };
    let mut out = clean::line(&format!("{}::{}", file.arch, cell.name())) + "\n";
    let mut line =
        |who: &str, release: String, what: String| out.push_str(&format!("  {who:<6} ({release}): {what}\n"));
    line("bundle", release(&file.guest), evidence::headline(&file.cell));
    line("now", release(&kernel.guest), evidence::headline(cell));
    if let Some(note) = differs(bundle, kernel, cell) {
        out.push_str(&format!("  note: {note}\n"));
    }
    out.push_str(&match again {
        Again::Same => "it still fails, in the same way\n".to_owned(),
        Again::Different => "it still fails, in another way\n".to_owned(),
        Again::Gone => "it does not fail any more\n".to_owned(),
        Again::Unknown(why) => format!("it could not be tried: {}\n", clean::line(why)),
    });
    if matches!(again, Again::Same | Again::Different) {
        for shown in evidence::evidence(command, &kernel.arch, &kernel.kernel, cell).iter().skip(1) {
            out.push_str(&format!("  {shown}\n"));
        }
    }
    out
}

/// What is not the same as in the bundle although one might think so.
fn differs(bundle: &Bundle, kernel: &KernelResults, cell: &Cell) -> Option<String> {
    let file = &bundle.file;
    let key = |image: &Option<crate::model::ImageInfo>| image.as_ref().map(|image| image.key.clone());
    if key(&file.image) != key(&kernel.image) {
        return None;
    }
    let (old, new) = (&file.cell.observation.program, &cell.observation.program);
    let changed = !old.is_empty() && !new.is_empty() && old != new;
    changed.then(|| {
        format!("the program is not that of the bundle, byte for byte: kfunc {} wrote it", clean::line(&file.harness))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_kernel_is_known_by_what_it_was_made_of() {
        let bundle = facts(&[("sha256:linux-binary", "aa"), ("suite", "testing"), ("index_date", "today")]);
        assert!(is_same_kernel(&bundle, &facts(&[("sha256:linux-binary", "aa"), ("suite", "sid")])));
        assert!(!is_same_kernel(&bundle, &facts(&[("sha256:linux-binary", "bb"), ("suite", "testing")])));
        assert!(!is_same_kernel(&bundle, &facts(&[("sha256:linux-binary", "aa"), ("sha256:linux-base", "cc")])));
        let built = facts(&[("source", "git 1"), ("config", "sha256:c"), ("tools", "clang 19")]);
        assert!(is_same_kernel(&built, &built));
        assert!(!is_same_kernel(&built, &facts(&[("source", "git 1"), ("config", "sha256:c"), ("tools", "gcc")])));
        assert!(!is_same_kernel(&facts(&[("file", "Image")]), &facts(&[("file", "Image")])), "nothing says what it is");
    }
}
