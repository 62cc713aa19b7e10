//! The matrix file (`ci/matrix.toml`): arch by kernel by suite. Reading it is pure; every mistake has its line.

use std::ops::Range;

use images::KernelSpec;
use serde::Deserialize;
use toml::Spanned;

use crate::abi::Settings;
use crate::plan::{self, Catalog, Plan, PlanError, SUITES, Selection};
use crate::report::near::did_you_mean;

/// The suite that is part of every entry: without it nothing shows that a run can tell right from wrong.
const CONTROL: &str = "control";

/// Why a matrix cannot be used: `FILE:LINE: what is wrong; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct MatrixError {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and the remedy.
    pub what: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    run: Vec<Spanned<Entry>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    arch: Spanned<Vec<Spanned<String>>>,
    kernel: Spanned<Vec<Spanned<String>>>,
    suite: Spanned<Vec<Spanned<String>>>,
}

/// A matrix file that is well formed. Whether its names mean something is seen by [`Matrix::plan`].
#[derive(Debug, Clone)]
pub struct Matrix {
    name: String,
    text: String,
    entries: Vec<Spanned<Entry>>,
}

impl Matrix {
    /// Reads the text of a file; `name` is for messages.
    ///
    /// # Errors
    /// When it is no such text, has no entry, or an entry has an empty list.
    pub fn parse(name: &str, text: &str) -> Result<Self, MatrixError> {
        let mut matrix = Self { name: name.into(), text: text.into(), entries: Vec::new() };
        let parsed: File = toml::from_str(text).map_err(|error| {
            matrix.error(&error.span().unwrap_or(0..0), error.message().trim_end().replace('\n', "; "))
        })?;
        if parsed.run.is_empty() {
            return Err(
                matrix.error(&(0..0), "the matrix has no entry; add a [[run]] with arch, kernel and suite".into())
            );
        }
        for entry in &parsed.run {
            let entry = entry.get_ref();
            for (what, list) in [("arch", &entry.arch), ("kernel", &entry.kernel), ("suite", &entry.suite)] {
                let blank = list.get_ref().iter().find(|one| one.get_ref().trim().is_empty());
                if list.get_ref().is_empty() || blank.is_some() {
                    let span = blank.map_or(list.span(), Spanned::span);
                    let what = format!("an empty cell: `{what}` selects none; name one, or take the entry out");
                    return Err(matrix.error(&span, what));
                }
            }
        }
        matrix.entries = parsed.run;
        Ok(matrix)
    }

    fn error(&self, span: &Range<usize>, what: String) -> MatrixError {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        MatrixError { file: self.name.clone(), line: before.matches('\n').count() + 1, what }
    }

    /// The plan of the whole matrix: its entries one after the other.
    ///
    /// # Errors
    /// For a name that nothing has, a cell for which there is no case or no kernel, and an (arch, kernel) in two entries.
    pub fn plan(&self, catalog: &Catalog, abi: Settings) -> Result<Plan, MatrixError> {
        let mut whole = Plan::default();
        let mut lines: Vec<(String, usize)> = Vec::new();
        for spanned in &self.entries {
            let entry = spanned.get_ref();
            self.check_names(entry, catalog)?;
            let words = |list: &Spanned<Vec<Spanned<String>>>| -> Vec<String> {
                list.get_ref().iter().map(|one| one.get_ref().clone()).collect()
            };
            let mut suites = words(&entry.suite);
            if !suites.iter().any(|suite| suite == CONTROL) {
                suites.push(CONTROL.into());
            }
            let selection = Selection {
                arches: words(&entry.arch),
                kernels: words(&entry.kernel),
                suites,
                abi,
                ..Selection::default()
            };
            let plan = plan::plan(&selection, catalog)
                .map_err(|error: PlanError| self.error(&spanned.span(), error.to_string()))?;
            self.check_cells(entry, &plan)?;
            let line = self.error(&spanned.span(), String::new()).line;
            for planned in plan.kernels {
                let name = format!("{} by {}", planned.arch.name, planned.kernel);
                if let Some((_, first)) = lines.iter().find(|(other, _)| *other == name) {
                    let what = format!("{name} is in the entry of line {first} already; name all its suites there");
                    return Err(self.error(&spanned.span(), what));
                }
                lines.push((name, line));
                whole.kernels.push(planned);
            }
        }
        Ok(whole)
    }

    fn check_names(&self, entry: &Entry, catalog: &Catalog) -> Result<(), MatrixError> {
        let arches: Vec<&str> = catalog.arches.iter().map(|arch| arch.name.as_str()).collect();
        let suites: Vec<&str> = SUITES.iter().map(|(suite, _)| *suite).collect();
        for (what, list, known) in [("arch", &entry.arch, &arches), ("suite", &entry.suite, &suites)] {
            for name in list.get_ref() {
                if !known.contains(&name.get_ref().as_str()) {
                    let near = did_you_mean(name.get_ref(), known.iter().copied());
                    let hint = if near.is_empty() { format!("; known are {}", known.join(", ")) } else { near };
                    return Err(self.error(&name.span(), format!("unknown {what} `{}`{hint}", name.get_ref())));
                }
            }
        }
        for name in entry.kernel.get_ref() {
            let refused = |error: images::Error| {
                let word = name.get_ref().split([':', '@']).next().unwrap_or_default();
                let near = did_you_mean(word, ["stock", "built", "tree"]);
                self.error(&name.span(), format!("{error}{near}"))
            };
            let spec: KernelSpec = name.get_ref().parse().map_err(refused)?;
            spec.check_path().map_err(refused)?;
            for one in entry.arch.get_ref() {
                let Some(arch) = catalog.arches.iter().find(|arch| arch.name == *one.get_ref()) else { continue };
                let why = match &spec {
                    KernelSpec::Built { .. } if arch.build.is_none() => "no kernel can be built for it",
                    stock if *stock == KernelSpec::default() && !arch.debian.has_kernel => {
                        "Debian has no kernel for it any more; use `built`"
                    }
                    _ => continue,
                };
                return Err(self.error(&one.span(), format!("an empty cell: {} by {spec}: {why}", arch.name)));
            }
        }
        Ok(())
    }

    /// Every cell of the entry must have a case.
    fn check_cells(&self, entry: &Entry, plan: &Plan) -> Result<(), MatrixError> {
        for suite in entry.suite.get_ref() {
            for arch in entry.arch.get_ref() {
                for kernel in entry.kernel.get_ref() {
                    let spec = kernel.get_ref().parse::<KernelSpec>().ok();
                    let has = plan.kernels.iter().any(|planned| {
                        planned.arch.name == *arch.get_ref()
                            && Some(&planned.kernel) == spec.as_ref()
                            && planned.cases.iter().any(|case| case.suite == suite.get_ref())
                    });
                    if !has {
                        let (arch, kernel) = (arch.get_ref(), kernel.get_ref());
                        let why = match suite.get_ref().as_str() {
                            "abi" => {
                                "; that suite needs kernels that are built here: give it an entry with kernel = [\"built\"]"
                            }
                            _ => "; take it out of the entry",
                        };
                        let cell = format!("{arch} by {kernel} by {}", suite.get_ref());
                        return Err(self.error(&suite.span(), format!("an empty cell: {cell} has no case{why}")));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::{Case, CaseKind};

    /// Three arches, four kernels of them.
    pub const NIGHTLY: &str = r#"
[[run]]
arch = ["x86_64", "riscv64"]
kernel = ["stock", "stock:trixie"]
suite = ["probe", "stock"]

[[run]]
arch = ["riscv64", "arm64"]
kernel = ["built"]
suite = ["probe", "stock", "abi", "control"]
"#;

    /// The real arches, and a few cases for each suite; those of `abi` are all arches'.
    pub fn catalog() -> Catalog {
        let arches = crate::arch::load(&[]).unwrap();
        let case = |suite, name: &str| Case {
            suite,
            name: name.into(),
            location: None,
            kfuncs: Vec::new(),
            description: String::new(),
            kind: CaseKind::Abi,
        };
        let mut cases = vec![case("probe", "jit"), case("probe", "btf"), case("stock", "a"), case("stock", "b")];
        let mut names = std::collections::BTreeSet::new();
        for arch in &arches {
            names.extend(crate::abi::cells::cells(arch, false).into_iter().map(|(name, _)| name));
        }
        cases.extend(names.iter().map(|name| case("abi", name)));
        cases.extend([case("control", "x"), case("control", "y")]);
        Catalog { arches, cases, expectations: std::sync::Arc::default(), built: Vec::new(), plain_built: Vec::new() }
    }

    /// The matrix of a text.
    pub fn read(text: &str) -> Result<Matrix, MatrixError> {
        Matrix::parse("ci/matrix.toml", text)
    }

    fn refused(text: &str) -> String {
        match read(text).and_then(|matrix| matrix.plan(&catalog(), Settings::default())) {
            Ok(_) => panic!("it must be refused:\n{text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_matrix_is_a_plan() {
        let plan = read(NIGHTLY).unwrap().plan(&catalog(), Settings::default()).unwrap();
        let rows: Vec<String> = plan
            .kernels
            .iter()
            .map(|planned| {
                let has = |suite: &&str| planned.cases.iter().any(|case| case.suite == *suite);
                let suites: Vec<&str> = ["probe", "stock", "abi", "control"].into_iter().filter(has).collect();
                format!("{} {}: {}", planned.arch.name, planned.kernel, suites.join(" "))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "x86_64 stock:testing: probe stock control",
                "riscv64 stock:testing: probe stock control",
                "x86_64 stock:trixie: probe stock control",
                "riscv64 stock:trixie: probe stock control",
                "riscv64 built:testing: probe stock abi control",
                "arm64 built:testing: probe stock abi control",
            ]
        );
        assert!(plan.kernels.iter().all(|planned| planned.unfiltered));
    }

    #[test]
    fn the_example_is_sound_whatever_cases_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/matrix.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let plan = Matrix::parse("ci/matrix.toml", &text).unwrap().plan(&catalog(), Settings::default()).unwrap();
        let arches: std::collections::BTreeSet<&str> = plan.kernels.iter().map(|k| k.arch.name.as_str()).collect();
        assert!(arches.len() >= 6, "{arches:?}");
    }

    #[test]
    fn an_empty_cell_is_named_with_its_line() {
        for what in ["arch", "kernel", "suite"] {
            let list = |line: &&str| line.starts_with(what);
            let text: String = NIGHTLY
                .lines()
                .map(|line| if list(&line) { format!("{what} = []\n") } else { format!("{line}\n") })
                .collect();
            let line = 1 + text.lines().position(|line| list(&line)).unwrap();
            let expected =
                format!("ci/matrix.toml:{line}: an empty cell: `{what}` selects none; name one, or take the entry out");
            assert_eq!(refused(&text), expected);
            assert!(
                refused(&NIGHTLY.replacen(&format!("{what} = ["), &format!("{what} = [\" \", "), 1))
                    .contains("an empty cell")
            );
        }
        // Lists that are full and plan nothing.
        let text = NIGHTLY.replacen("\"probe\", \"stock\"]", "\"probe\", \"abi\"]", 1);
        let said = refused(&text);
        assert!(said.starts_with("ci/matrix.toml:5: an empty cell: x86_64 by stock by abi has no case; "), "{said}");
        assert!(said.ends_with("give it an entry with kernel = [\"built\"]"), "{said}");
        let said = refused(&NIGHTLY.replacen("\"x86_64\"", "\"x86_32\"", 1));
        assert!(said.starts_with("ci/matrix.toml:3: an empty cell: x86_32 by stock:testing: Debian has no"), "{said}");
    }

    #[test]
    fn a_matrix_without_entries_is_none() {
        assert_eq!(refused(""), "ci/matrix.toml:1: the matrix has no entry; add a [[run]] with arch, kernel and suite");
        assert!(refused("[[run]]\n").contains("ci/matrix.toml:1: missing field `arch`"), "{}", refused("[[run]]\n"));
    }

    #[test]
    fn unknown_names_have_line_and_remedy() {
        let instead = |old: &str, new: &str| refused(&NIGHTLY.replacen(old, new, 1));
        assert_eq!(
            instead("\"riscv64\"", "\n \"riscv46\""),
            "ci/matrix.toml:4: unknown arch `riscv46`; did you mean `riscv64`?"
        );
        assert_eq!(instead("\"probe\"", "\"prob\""), "ci/matrix.toml:5: unknown suite `prob`; did you mean `probe`?");
        assert!(instead("\"probe\"", "\"zz\"").ends_with("unknown suite `zz`; known are probe, stock, abi, control"));
        let said = instead("\"stock:trixie\"", "\"stok:trixie\"");
        assert!(said.starts_with("ci/matrix.toml:4: kernel 'stok:trixie' is not understood"), "{said}");
        assert!(said.ends_with("did you mean `stock`?"), "{said}");
        assert!(instead("\"stock:trixie\"", "\"stock:../x\"").starts_with("ci/matrix.toml:4: kernel 'stock:../x'"));
    }

    #[test]
    fn what_is_misspelt_or_malformed_is_refused() {
        let said = refused(&NIGHTLY.replacen("suite =", "suites =", 1));
        assert!(said.starts_with("ci/matrix.toml:5: unknown field `suites`, expected one of"), "{said}");
        let said = refused(&NIGHTLY.replacen("[[run]]", "[[runs]]", 1));
        assert!(said.starts_with("ci/matrix.toml:2: unknown field `runs`"), "{said}");
        let said = refused(&NIGHTLY.replacen("[\"probe\", \"stock\"]", "\"probe\"", 1));
        assert!(said.starts_with("ci/matrix.toml:5: invalid type: string \"probe\""), "{said}");
        let said = refused(&NIGHTLY.replacen("[\"probe\"", "[[", 1));
        assert!(said.starts_with("ci/matrix.toml:"), "{said}");
    }

    #[test]
    fn an_arch_and_kernel_belong_to_one_entry() {
        let said = refused(&format!(
            "{NIGHTLY}\n[[run]]\narch = [\"arm64\"]\nkernel = [\"built:testing\"]\nsuite = [\"probe\"]\n"
        ));
        assert_eq!(
            said,
            "ci/matrix.toml:12: arm64 by built:testing is in the entry of line 7 already; name all its suites there"
        );
    }
}
