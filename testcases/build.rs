//! Embeds every case, header and expectation, so that an installed binary has them.
//!
//! The list is made from the directories, so a new `stock/*.bpf.c` cannot be forgotten; and a file that is neither a
//! case nor known stops the build, so a misspelt name cannot remove one.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Suites whose cases are C files, in the order they are listed.
const SUITES: [&str; 3] = ["probe", "stock", "control"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut code = String::from("/// Every file of cases, by suite and then by name.\n");
    code.push_str("pub static SOURCES: &[Source] = &[\n");
    for suite in SUITES {
        for (name, path) in files(&root.join(suite), ".bpf.c")? {
            writeln!(
                code,
                "    Source {{ suite: {suite:?}, name: {name:?}, path: \"testcases/{suite}/{name}.bpf.c\", \
                 text: include_str!({path:?}) }},"
            )?;
        }
    }
    code.push_str(
        "];\n/// Every header that a source may include, by file name; all in one directory of the include path.\n",
    );
    code.push_str("pub static HEADERS: &[(&str, &str)] = &[\n");
    for (name, path) in files(&root.join("include"), ".h")? {
        writeln!(code, "    (\"{name}.h\", include_str!({path:?})),")?;
    }
    code.push_str("];\n");
    code.push_str("/// Sources of the conformance modules: every file of `testcases/kmod` but its README.\n");
    code.push_str("pub static KMOD: &[(&str, &str)] = &[\n");
    for path in kmod(&root.join("kmod"))? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        writeln!(code, "    ({name:?}, include_str!({path:?})),")?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), code)?;
    Ok(())
}

/// The source files of the conformance modules, sorted. Objects that a build by hand left there are none.
fn kmod(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .map_err(|e| format!("cannot list {}: {e}", dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let is_source = [".c", ".h", ".S"].iter().any(|end| name.ends_with(end)) && !name.ends_with(".mod.c");
            !name.starts_with('.') && (is_source || name == "Kbuild")
        })
        .collect();
    found.sort();
    found.iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
    Ok(found)
}

/// The files of a directory, sorted: (name without suffix, path).
fn files(dir: &Path, suffix: &str) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| format!("cannot list {}: {e}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // Editors leave hidden files and backups behind.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let Some(stem) = name.strip_suffix(suffix).filter(|s| is_module_name(s)) else {
            return Err(format!("{}: expected a name such as my_topic{suffix}", path.display()).into());
        };
        println!("cargo::rerun-if-changed={}", path.display());
        found.push((stem.to_owned(), path));
    }
    if found.is_empty() {
        return Err(format!("{} has no *{suffix} in it", dir.display()).into());
    }
    found.sort();
    Ok(found)
}

/// A file's name is part of the names of its cases: `stock::my_topic::my_case`.
fn is_module_name(stem: &str) -> bool {
    !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
