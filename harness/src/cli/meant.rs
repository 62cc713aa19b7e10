//! What the command line means: typed arguments become a selection and options. Pure.

use std::path::PathBuf;

use super::args::{AccelArg, HostArgs, RunArgs, SelectArgs};
use crate::abi::{SEED, Settings};
use crate::matrix::shard::Part;
use crate::plan::Selection;
use crate::run::{Accel, Options};

/// What `kfunc run` is to do.
#[derive(Debug)]
pub struct Run {
    /// Which kernels and cases.
    pub selection: Selection,
    /// Arch files of the user.
    pub arch_files: Vec<PathBuf>,
    /// How and from where.
    pub options: Options,
    /// Where the results go.
    pub save: Save,
    /// Where bundles of failing cells go.
    pub bundles: Option<PathBuf>,
    /// Print the plan only.
    pub list: bool,
    /// Run what this file says instead of the selection.
    pub matrix: Option<PathBuf>,
    /// Run this part of it only.
    pub shard: Option<Part>,
    /// The units of that part.
    pub units: Vec<String>,
}

/// Where results go.
#[derive(Debug, PartialEq, Eq)]
pub enum Save {
    /// The user's state directory.
    StateDir,
    /// A file.
    File(PathBuf),
    /// Standard output, and nothing else there.
    Stdout,
}

/// What `kfunc run` was asked.
pub fn run(typed: RunArgs, command: Vec<String>) -> Run {
    let save = match typed.json {
        None => Save::StateDir,
        Some(path) if path.as_os_str() == "-" => Save::Stdout,
        Some(path) => Save::File(path),
    };
    let arch_files = typed.select.arch_file.clone();
    let selection = Selection {
        filters: present(typed.filters),
        exact: typed.exact,
        skip: present(typed.skip),
        ..selection(typed.select)
    };
    Run {
        selection,
        arch_files,
        options: options(typed.host, command),
        save,
        bundles: typed.bundles,
        list: typed.list,
        matrix: typed.matrix,
        shard: typed.shard,
        units: unique(present(typed.unit)),
    }
}

/// The selection without name filters.
pub fn selection(typed: SelectArgs) -> Selection {
    let trees = typed.tree.iter().filter(|dir| !dir.as_os_str().is_empty());
    let trees = trees.map(|dir| format!("tree:{}", dir.display()));
    Selection {
        arches: unique(present(typed.arch)),
        kernels: unique(present(typed.kernel).into_iter().chain(trees).collect()),
        suites: unique(present(typed.suite)),
        abi: abi(typed.seed, typed.cases),
        ..Selection::default()
    }
}

/// Seed and random calls.
pub fn abi(seed: Option<u64>, cases: Option<u32>) -> Settings {
    let random = cases.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    Settings { seed: seed.unwrap_or(SEED), random }
}

/// The options of the engine.
pub fn options(typed: HostArgs, command: Vec<String>) -> Options {
    Options {
        mirror: typed.mirror.filter(|mirror| !mirror.is_empty()),
        cache_dir: typed.cache_dir.filter(|dir| !dir.as_os_str().is_empty()),
        offline: typed.offline,
        refresh: typed.refresh,
        accel: match typed.accel {
            AccelArg::Auto => Accel::Auto,
            AccelArg::Tcg => Accel::Tcg,
            AccelArg::Kvm => Accel::Kvm,
        },
        toolchain: typed.toolchain,
        jobs: typed.jobs.map(usize::from),
        qemu: typed.qemu,
        command,
        ..Options::default()
    }
}

/// An empty element comes from `--arch a,` or an empty environment variable and asks for nothing.
pub fn present(list: Vec<String>) -> Vec<String> {
    list.into_iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// Naming a thing twice asks for it once.
fn unique(list: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(list.len());
    for one in list {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}
