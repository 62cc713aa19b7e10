//! Whole command lines, as far as they go without a guest.

use clap::{CommandFactory, Parser};

use super::args::{AccelArg, Cli, Command};
use super::meant::{self, Save};
use super::{exit, of};

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> String {
    Cli::try_parse_from(line.split_whitespace()).expect_err("it must be refused").to_string()
}

fn code(line: &str) -> u8 {
    of(line.split_whitespace().map(Into::into).collect())
}

#[test]
fn the_parser_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_run_as_typed_is_a_run_as_meant() {
    let line = "kfunc run --arch riscv64,arm64 --arch riscv64 --kernel stock:trixie --suite probe, --skip x strings:: \
                --accel tcg --jobs 2 --json -";
    let Command::Run(typed) = parse(line).command else { panic!("it is `run`") };
    assert_eq!(typed.host.accel, AccelArg::Tcg);
    let run = meant::run(typed, vec!["run".into()]);
    assert_eq!(run.selection.arches, ["riscv64", "arm64"]);
    assert_eq!(run.selection.kernels, ["stock:trixie"]);
    assert_eq!(run.selection.suites, ["probe"]);
    assert_eq!(
        (run.selection.filters.as_slice(), run.selection.skip.as_slice()),
        (&["strings::".to_owned()][..], &["x".to_owned()][..])
    );
    assert_eq!((run.options.jobs, run.save, run.list), (Some(2), Save::Stdout, false));
}

#[test]
fn a_bare_run_means_the_default() {
    let Command::Run(typed) = parse("kfunc run").command else { panic!("it is `run`") };
    let run = meant::run(typed, Vec::new());
    // For each arch the kernel in which most can be seen: `crate::defaults` chooses.
    assert!(run.selection.kernels.is_empty());
    assert!(run.selection.arches.is_empty() && run.selection.suites.is_empty() && run.selection.filters.is_empty());
    assert_eq!(run.save, Save::StateDir);
}

#[test]
fn wrong_arguments_are_usage_errors() {
    assert!(refused("kfunc rum").contains("'run'"), "a near subcommand is offered");
    assert!(refused("kfunc run --arhc x").contains("'--arch'"), "a near flag is offered");
    assert!(refused("kfunc run --accel kwm").contains("kvm"));
    assert!(refused("kfunc run --jobs 0").contains("1..=256"));
    assert!(refused("kfunc run --list --json x").contains("cannot be used with"));
    assert!(refused("kfunc run --offline --refresh").contains("cannot be used with"));
    for line in [
        "kfunc",
        "kfunc rum",
        "kfunc run --jobs many",
        "kfunc images prune",
        "kfunc table --format pdf",
        "kfunc report --format pdf",
    ] {
        assert_eq!(code(line), exit::USAGE, "{line}");
    }
}

#[test]
fn the_long_help_has_examples_and_exit_codes() {
    let help = refused("kfunc run --help");
    assert!(help.contains("Examples:") && help.contains("kfunc run --list"), "{help}");
    for topic in ["kfunc help exit-codes", "kfunc --help", "kfunc run --help"] {
        let help = refused(topic);
        for (code, name, _) in exit::TABLE {
            assert!(help.contains(&format!("{code:>3}  {name}")), "{topic} lacks {code}:\n{help}");
        }
    }
}

#[test]
fn compare_ends_with_the_documented_codes() {
    use crate::report::fixture;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, results: &crate::model::RunResults| {
        let path = dir.path().join(name);
        std::fs::write(&path, crate::results::to_text(results).expect("text")).expect("written");
        path.display().to_string()
    };
    let mut right = fixture::five();
    right.started -= 60;
    right.kernels[3].cells[4] = fixture::cell("stock", "strings::strchr");
    let (old, new) = (write("old.json", &right), write("new.json", &fixture::five()));
    let history = dir.path().display();
    assert_eq!(code(&format!("kfunc compare {old} {new} --history {history}")), exit::WRONG);
    assert_eq!(code(&format!("kfunc compare {new} {old} --format json")), exit::OK);
    assert_eq!(code(&format!("kfunc compare {old}")), exit::USAGE);
    assert_eq!(code("kfunc compare - -"), exit::USAGE);
    assert_eq!(code(&format!("kfunc compare {old} {new}.not")), exit::INFRASTRUCTURE);
    assert_eq!(code(&format!("kfunc compare {new} {old} --history {history}/no")), exit::INFRASTRUCTURE);
    std::fs::write(dir.path().join("cut.json"), "{").expect("written");
    assert_eq!(code(&format!("kfunc compare {old} {new}.not --history {history}")), exit::INFRASTRUCTURE);
    assert_eq!(code(&format!("kfunc compare {new} {old} --history {history}")), exit::INFRASTRUCTURE);
    assert_eq!(code(&format!("kfunc compare {old} {new} --history {history}")), exit::WRONG, "a finding is not hidden");
}

#[test]
fn a_report_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let run = crate::results::to_text(&crate::report::fixture::five()).unwrap();
    std::fs::write(at("run.json"), run).unwrap();
    let report = |out: &str| code(&format!("kfunc report {} --format html --out {out}", at("run.json")));
    std::fs::write(at("page.html"), "old").unwrap();
    assert_eq!(report(&at("page.html")), exit::OK);
    let page = std::fs::read_to_string(at("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(report(&at("absent/page.html")), exit::INFRASTRUCTURE);
    assert_eq!(report(&at("")), exit::INFRASTRUCTURE, "a directory");
    // What cannot be read leaves the page that was there.
    std::fs::write(at("run.json"), "{").unwrap();
    assert_eq!(report(&at("page.html")), exit::INFRASTRUCTURE);
    assert_eq!(std::fs::read_to_string(at("page.html")).unwrap(), page);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
}

#[test]
fn report_writes_a_whole_file() {
    use crate::report::fixture;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = dir.path().join("run.json");
    std::fs::write(&run, crate::results::to_text(&fixture::five()).expect("text")).expect("written");
    let (run, xml) = (run.display(), dir.path().join("run.xml"));
    assert_eq!(code(&format!("kfunc report {run} --format junit --out {}", xml.display())), exit::OK);
    let text = std::fs::read_to_string(&xml).expect("it is there");
    assert!(text.starts_with("<?xml") && text.ends_with("</testsuites>\n"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 2, "no temporary file is left");
    assert_eq!(
        code(&format!("kfunc report {run} --format ktap --out {}/no/x", dir.path().display())),
        exit::INFRASTRUCTURE
    );
    assert_eq!(code(&format!("kfunc report {run}.not --format ktap")), exit::INFRASTRUCTURE);
    assert_eq!(code(&format!("kfunc report {run} --format pdf")), exit::USAGE);
}

/// Two shards of a plan of two kernels, as files; gives their paths.
fn shards(dir: &std::path::Path) -> [String; 2] {
    use crate::model::{Shard, Unit};
    let whole = crate::report::fixture::five();
    let kernels = [whole.kernels[0].clone(), whole.kernels[3].clone()];
    let units: Vec<Unit> = kernels
        .iter()
        .map(|k| Unit { arch: k.arch.clone(), kernel: k.kernel.clone(), cases: u32::try_from(k.cells.len()).unwrap() })
        .collect();
    [1_u32, 2].map(|index| {
        let mut results = whole.clone();
        results.kernels = vec![kernels[index as usize - 1].clone()];
        results.shard = Some(Shard { index, count: 2, plan: "ab".repeat(32), unfiltered: true, units: units.clone() });
        let path = dir.join(format!("shard-{index}.json"));
        std::fs::write(&path, crate::results::to_text(&results).unwrap()).unwrap();
        path.display().to_string()
    })
}

#[test]
fn merge_joins_shards_or_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = shards(dir.path());
    let out = dir.path().join("night.json");
    let to = out.display();
    assert_eq!(code(&format!("kfunc merge {one} --out {to}")), exit::USAGE, "shard 2 of 2 is missing");
    assert_eq!(code(&format!("kfunc merge {one} {one} {two} --out {to}")), exit::USAGE, "shard 1 is there twice");
    assert_eq!(code(&format!("kfunc merge {one} {two}.not --out {to}")), exit::INFRASTRUCTURE);
    assert!(!out.exists(), "no partial file under the final name");
    assert_eq!(
        code(&format!("kfunc merge {one} {two} --out {}/no/night.json", dir.path().display())),
        exit::INFRASTRUCTURE
    );
    assert_eq!(code(&format!("kfunc merge {one} {two}")), exit::USAGE, "--out is missing");
    assert_eq!(code(&format!("kfunc merge {one} {two} --out {to}")), exit::OK);
    let merged = crate::results::load(&out).unwrap();
    assert_eq!((merged.kernels.len(), merged.shard), (2, None));
    assert_eq!(code(&format!("kfunc merge {one} --partial --out {to}")), exit::OK);
    let partial = crate::results::load(&out).unwrap();
    assert_eq!(partial.kernels[1].error.as_deref(), Some("not run: shard 2 of 2 is missing"));
    // A cut or edited file is refused, and leaves what was there.
    let text = std::fs::read_to_string(&two).unwrap();
    for bad in [&text[..text.len() / 2], &text.replace("\"broken\"", "\"conformant\"")] {
        std::fs::write(&two, bad).unwrap();
        assert_eq!(code(&format!("kfunc merge {one} {two} --out {to}")), exit::INFRASTRUCTURE);
    }
    assert_eq!(crate::results::load(&out).unwrap().kernels.len(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left behind");
}

#[test]
fn shards_and_matrices_as_typed() {
    let Command::Run(typed) = parse("kfunc run --matrix m.toml --shard 2/3 --unit a@b,c@d --seed 7").command else {
        panic!("it is `run`")
    };
    let run = meant::run(typed, Vec::new());
    assert_eq!(run.shard.map(|part| part.to_string()), Some("2/3".into()));
    assert_eq!(run.units, ["a@b", "c@d"]);
    assert_eq!((run.matrix, run.selection.abi.seed), (Some("m.toml".into()), 7));
    assert!(refused("kfunc run --shard 4/3").contains("there is no shard 4 of 3"));
    assert!(refused("kfunc run --unit a@b").contains("--shard <i/n>"));
    for flags in ["--arch x", "--kernel x", "--suite x", "--tree x", "strings::", "--skip x"] {
        assert!(refused(&format!("kfunc run --matrix m.toml {flags}")).contains("cannot be used with"), "{flags}");
    }
    for line in
        ["kfunc matrix --format pdf", "kfunc matrix --shards 0", "kfunc matrix --shards 257", "kfunc merge --out x"]
    {
        assert_eq!(code(line), exit::USAGE, "{line}");
    }
}

#[test]
fn annotations_are_reports_too() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.json");
    std::fs::write(&run, crate::results::to_text(&crate::report::fixture::five()).unwrap()).unwrap();
    let out = dir.path().join("out");
    for (format, begins) in [("github", "::error file=testcases/"), ("gitlab", "[\n")] {
        let line = format!("kfunc report {} --format {format} --out {}", run.display(), out.display());
        assert_eq!(code(&line), exit::OK);
        assert!(std::fs::read_to_string(&out).unwrap().starts_with(begins), "{format}");
    }
}

/// The exit code of words that may have blanks in them.
fn code_of(words: &[&str]) -> u8 {
    of(["kfunc"].iter().chain(words).map(Into::into).collect())
}

#[test]
fn bundles_are_written_for_what_failed_and_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut run = crate::report::fixture::five();
    run.kernels[0].cells[4] = crate::model::Cell {
        standing: crate::model::Standing::KnownFailure { reason: "r".into(), link: "l".into() },
        ..crate::report::fixture::wrong()
    };
    std::fs::write(at("run.json"), crate::results::to_text(&run).unwrap()).unwrap();
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(at(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let riscv64 = "riscv64-7.2.12+deb14-riscv64-stock-strings.strchr.tar.gz";
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("a/b")]), 0);
    assert_eq!(names("a/b"), [riscv64]);
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("known"), "--known"]), 0);
    assert_eq!(names("known"), [riscv64, "x86_64-7.2.12+deb14-amd64-stock-strings.strchr.tar.gz"]);
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("case"), "--case", "strings::strchr"]), 0);
    assert_eq!(names("case").len(), 2);
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("none"), "--case", "no_such"]), 2);
    // What cannot be written is an error, and nothing of it stays.
    std::fs::create_dir_all(dir.path().join("taken").join(riscv64)).unwrap();
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("taken")]), 4);
    assert_eq!(names("taken"), [riscv64]);
    assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at("run.json")]), 4);
}

#[test]
fn a_bundle_that_cannot_be_tried_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut run = crate::report::fixture::five();
    let bundle = |run: &crate::model::RunResults, folder: &str| {
        std::fs::write(at("run.json"), crate::results::to_text(run).unwrap()).unwrap();
        assert_eq!(code_of(&["bundle", &at("run.json"), "--out", &at(folder)]), 0);
        let entry = std::fs::read_dir(at(folder)).unwrap().next().unwrap().unwrap();
        entry.path().to_str().unwrap().to_owned()
    };
    let cache = at("cache");
    let repro = |bundle: &str| code_of(&["repro", bundle, "--offline", "--cache-dir", &cache]);
    // The fixture's case is none of ours.
    assert_eq!(repro(&bundle(&run, "unknown")), 2);
    run.kernels[3].cells[4].case = "dirty_arguments::char_second".into();
    for provider in ["built", "local", "stock"] {
        if let Some(image) = &mut run.kernels[3].image {
            image.provider = provider.into();
            image.key = "7.2-riscv64-000000000000".into();
            image.provenance.insert("suite".into(), "testing".into());
            image.provenance.insert("version".into(), "7.2.12-1".into());
        }
        assert_eq!(repro(&bundle(&run, provider)), 4, "{provider}");
    }
    if let Some(image) = &mut run.kernels[3].image {
        image.provenance.insert("suite".into(), "../x".into());
    }
    assert_eq!(repro(&bundle(&run, "hostile")), 2);
    assert_eq!(repro(&at("run.json")), 2);
    assert_eq!(repro(&at("absent")), 4);
}
