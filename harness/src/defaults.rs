//! Which kernel an arch runs on when none is named.
//!
//! The distribution's, where kfuncs can be called in it. Where they cannot (no BTF, no kernel at all), one built here of
//! the same Debian release: but a build takes minutes, and a first run shall not. So a run takes a built kernel that
//! is in the cache, and otherwise does without and says so in one line. An arch that has no other kernel is left
//! out, unless it was asked for by name: then the kernel is built.

use std::path::Path;

use images::{DEFAULT_SUITE, KernelSpec, Source, Store, StoreOptions, Variant};

use crate::arch::Arch;

/// The built kernel that stands in for the stock one.
fn built() -> KernelSpec {
    KernelSpec::Built { source: Source::Suite(DEFAULT_SUITE.to_owned()), variant: Variant::Plain }
}

/// Whether the distribution's kernel is not what one wants to see.
fn prefers_built(arch: &Arch) -> bool {
    arch.build.as_ref().is_some_and(|names| names.instead_of_stock)
}

/// Names of the arches with a built kernel in the cache.
///
/// # Errors
/// When the cache cannot be opened.
pub fn built_earlier(cache: &Path, arches: &[Arch]) -> Result<Vec<String>, images::Error> {
    let store =
        Store::open(StoreOptions { cache_dir: Some(cache.to_owned()), offline: true, ..StoreOptions::default() })?;
    let has = |arch: &&Arch| arch.build.is_some() && store.has_built(&built(), &arch.target());
    Ok(arches.iter().filter(has).map(|arch| arch.name.clone()).collect())
}

/// Keys of the images in the cache that modules of ours can be built against.
///
/// # Errors
/// When the cache cannot be opened.
pub fn plain_built(cache: &Path) -> Result<Vec<String>, images::Error> {
    let options = StoreOptions { cache_dir: Some(cache.to_owned()), offline: true, ..StoreOptions::default() };
    Ok(Store::open(options)?.plain_built())
}

/// A kernel for each of `arches`, and what to tell the user. `named`: the user named these arches. `built_earlier`: names of
/// those whose built kernel is in the cache.
pub fn choose<'a>(
    arches: &'a [Arch],
    named: bool,
    built_earlier: &[String],
) -> (Vec<(KernelSpec, &'a Arch)>, Vec<String>) {
    let (mut chosen, mut stand_ins, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for arch in arches {
        if !prefers_built(arch) || built_earlier.contains(&arch.name) {
            let spec = if prefers_built(arch) { built() } else { KernelSpec::default() };
            chosen.push((spec, arch));
        } else if arch.debian.has_kernel {
            chosen.push((KernelSpec::default(), arch));
            stand_ins.push(arch.name.as_str());
        } else if named {
            chosen.push((built(), arch));
        } else {
            left_out.push(arch.name.as_str());
        }
    }
    let mut notes = Vec::new();
    let all: Vec<&str> = stand_ins.iter().chain(&left_out).copied().collect();
    if !all.is_empty() {
        let mut what = Vec::new();
        if !stand_ins.is_empty() {
            what.push(format!(
                "Debian's kernel for {} has no BTF, so kfuncs cannot be called in it",
                stand_ins.join(" and ")
            ));
        }
        if !left_out.is_empty() {
            what.push(format!("there is none for {}, which is left out", left_out.join(" and ")));
        }
        notes.push(format!(
            "{}; to build kernels that will do, some ten minutes each: kfunc images build --arch {}",
            what.join("; "),
            all.join(",")
        ));
    }
    (chosen, notes)
}

/// The kernels that are run for the `abi` suite alone, and what to tell the user. `chosen`: what is run anyway.
/// `by_name`: the user asked for the suite, so what is not there is built.
pub fn for_abi<'a>(
    arches: &'a [Arch],
    chosen: &[(&str, KernelSpec)],
    by_name: bool,
    built_earlier: &[String],
) -> (Vec<(KernelSpec, &'a Arch)>, Vec<String>) {
    let (mut kernels, mut left_out) = (Vec::new(), Vec::new());
    for arch in arches.iter().filter(|arch| arch.build.is_some()) {
        if chosen.iter().any(|(name, kernel)| *name == arch.name && *kernel == built()) {
            continue;
        }
        if by_name || built_earlier.contains(&arch.name) {
            kernels.push((built(), arch));
        } else if !arch.claims.kfunc_call.is_never() {
            left_out.push(arch.name.as_str());
        }
    }
    let mut notes = Vec::new();
    if !left_out.is_empty() {
        notes.push(format!(
            "the abi suite, which needs kernels built here, is left out for {}; to add it, some ten minutes each: \
             kfunc images build --arch {}",
            left_out.join(", "),
            left_out.join(",")
        ));
    }
    (kernels, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    fn shown(arches: &[Arch], named: bool, built_earlier: &[&str]) -> (Vec<String>, Vec<String>) {
        let earlier: Vec<String> = built_earlier.iter().map(|name| (*name).to_owned()).collect();
        let (chosen, notes) = choose(arches, named, &earlier);
        (chosen.iter().map(|(kernel, arch)| format!("{} {kernel}", arch.name)).collect(), notes)
    }

    #[test]
    fn a_first_run_builds_nothing_and_says_what_it_lacks() {
        let arches = arch::load(&[]).unwrap();
        let (chosen, notes) = shown(&arches, false, &[]);
        assert_eq!(chosen.len(), 5);
        assert!(chosen.iter().all(|line| line.ends_with(" stock:testing")), "{chosen:?}");
        assert_eq!(
            notes,
            [
                "Debian's kernel for loongarch64 and arm32 has no BTF, so kfuncs cannot be called in it; there is none for \
              x86_32, which is left out; to build kernels that will do, some ten minutes each: \
              kfunc images build --arch loongarch64,arm32,x86_32"
            ]
        );
    }

    #[test]
    fn what_was_built_earlier_is_used() {
        let arches = arch::load(&[]).unwrap();
        let (chosen, notes) = shown(&arches, false, &["loongarch64", "arm32", "x86_32"]);
        let built = ["loongarch64", "arm32", "x86_32"].map(|name| format!("{name} built:testing"));
        assert_eq!(chosen.len(), 6);
        assert!(built.iter().all(|line| chosen.contains(line)), "{chosen:?}");
        assert!(chosen.contains(&"riscv64 stock:testing".to_owned()));
        assert!(notes.is_empty());
    }

    #[test]
    fn an_arch_that_is_asked_for_and_has_no_other_kernel_gets_a_built_one() {
        let arches: Vec<Arch> =
            arch::load(&[]).unwrap().into_iter().filter(|a| a.name == "x86_32" || a.name == "arm32").collect();
        let (chosen, notes) = shown(&arches, true, &[]);
        assert_eq!(chosen, ["arm32 stock:testing", "x86_32 built:testing"]);
        assert!(
            notes[0].starts_with("Debian's kernel for arm32 has no BTF") && !notes[0].contains("x86_32"),
            "{notes:?}"
        );
    }
}
