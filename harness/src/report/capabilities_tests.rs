use super::*;
use crate::model::Observation;
use crate::report::fixture;

fn cell(case: &str, fact: Option<&str>, outcome: Outcome, standing: Standing) -> Cell {
    let facts = fact.map(|value| (case.to_owned(), value.to_owned())).into_iter().collect();
    Cell {
        outcome,
        standing,
        observation: Observation { facts, ..Observation::default() },
        ..fixture::cell("probe", case)
    }
}

/// x86_64, arm64 without an image, loongarch64 and arm32 without BTF, riscv64.
fn results() -> RunResults {
    let mut results = fixture::five();
    for kernel in &mut results.kernels {
        if let Some(image) = &mut kernel.image {
            image.provider = "stock".into();
        }
    }
    let na = |reason: &str| Standing::NotApplicable { reason: reason.into() };
    let no = |line: &str| Outcome::Unsupported { line: line.into() };
    let hidden = |reason: &str| Outcome::NotRun { reason: reason.into() };
    let x86 = &mut results.kernels[0].cells;
    x86.push(cell("arena", Some("yes"), Outcome::Pass, Standing::Right));
    x86.push(cell("far_kfunc_call", Some("no"), no("a distance"), na("none")));
    x86.push(cell("stack_args", Some("no"), hidden("before Linux 7.2"), na("before Linux 7.2")));
    x86.push(cell("fsession", Some("yes"), Outcome::Pass, Standing::Wrong));
    let loong = &mut results.kernels[2].cells;
    loong.push(cell("subprograms", None, hidden("no kfunc can be named without BTF"), na("no BTF")));
    loong.push(cell("far_kfunc_call", Some("not observable"), hidden("no kfunc can be named without BTF"), na("x")));
    let mut accepted = cell("arena", Some("yes"), Outcome::Pass, Standing::Right);
    accepted.observation.facts.insert("not_run".into(), "accepted, no page".into());
    loong.push(accepted);
    results
}

fn at<'a>(table: &'a Table, name: &str, kernel: usize) -> &'a Value {
    &table.capabilities.iter().find(|line| line.name == name).unwrap().cells[kernel]
}

#[test]
fn every_cell_says_how_it_is_known() {
    let table = table(&results());
    assert_eq!(table.capabilities.len(), Capability::ALL.len() + 4);
    let how = |name, kernel| (at(&table, name, kernel).value.as_str(), at(&table, name, kernel).how());
    assert_eq!(how("arena", 0), ("yes", "measured (probe::arena)".into()));
    assert_eq!(how("far_kfunc_call", 0), ("no", "measured (probe::far_kfunc_call): a distance".into()));
    assert_eq!(how("stack_args", 0), ("no", "not observable: before Linux 7.2".into()));
    assert_eq!(table.kernels.len(), 4);
    assert_eq!(table.left_out, ["arm64 stock:testing: no image: the mirror did not answer"]);
    assert_eq!(how("arena", 1), ("yes", "measured (probe::arena): accepted, no page".into()));
    let why = "not observable: no kfunc can be named without BTF";
    assert_eq!(how("subprograms", 1), ("not observable", why.into()));
    assert_eq!(how("far_kfunc_call", 1), ("not observable", why.into()));
    assert_eq!(how("ptr_xchg", 1), ("-", "not asked: probe::ptr_xchg was not run".into()));
    assert_eq!(how("jit", 0), ("on", "measured (probe::jit)".into()));
    assert_eq!(how("kfunc_call", 0), ("yes", "measured (probe::kfunc_call)".into()));
    assert_eq!(at(&table, "verdict", 3).value, "no BTF");
    // Only what a program was loaded for counts as measured.
    assert_eq!(at(&table, "far_kfunc_call", 0).measured(), Some(false));
    assert_eq!(at(&table, "stack_args", 0).measured(), None);
    assert_eq!(at(&table, "subprograms", 1).measured(), None);
    assert_eq!((at(&table, "arena", 0).right, at(&table, "fsession", 0).right), (Some(true), Some(false)));
}

#[test]
fn text_has_marks_and_what_they_stand_for() {
    let grid = grid(&table(&results()));
    let text = grid.terminal(|bad| format!("<{bad}>"));
    assert!(text.lines().all(|line| line.chars().count() <= 102), "{text}");
    for part in [
        "x86_64        loongarch64",
        "7.2.12+deb14  7.2.12+deb14",
        "<yes !>",
        "left out: arm64 stock:testing: no image: the mirror did not answer\n",
        "no kfunc can be named without BTF\n",
        "accepted, no page\n",
        "kfunc table --failures",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(text.matches("] no kfunc can be named without BTF\n").count(), 1, "said once\n{text}");
    let markdown = markdown(&table(&results()));
    assert!(markdown.starts_with("| capability | measured by | x86_64<br>7.2.12+deb14 |"), "{markdown}");
    assert!(markdown.contains("| far kfunc calls | probe::far_kfunc_call | no |"), "{markdown}");
    assert!(markdown.contains("**yes !**"), "{markdown}");
}

#[test]
fn json_has_value_and_source_of_each_cell() {
    let results = results();
    let text = json(&results, &table(&results)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["kernels"][0]["arch"], "x86_64");
    let line = value["capabilities"].as_array().unwrap().iter().find(|line| line["name"] == "far_kfunc_call").unwrap();
    assert_eq!(line["hook"], "bpf_jit_supports_far_kfunc_call");
    assert_eq!(line["cells"][0]["value"], "no");
    assert_eq!(line["cells"][0]["how"], "measured");
    assert_eq!(line["cells"][0]["case"], "probe::far_kfunc_call");
    assert_eq!(line["cells"][1]["how"], "not_observable");
    assert_eq!(value["schema"], results.schema);
}

#[test]
fn two_kernels_of_one_release_keep_their_whole_names() {
    let mut results = results();
    let mut twin = results.kernels[0].clone();
    twin.guest.as_mut().unwrap().release = "7.2.12+deb14-rt-amd64".into();
    results.kernels.push(twin);
    let mut other = results.kernels[0].clone();
    other.guest.as_mut().unwrap().release = "7.2.12+deb14-cloud".into();
    results.kernels.push(other);
    let short: Vec<String> = table(&results).kernels.into_iter().map(|kernel| kernel.short).collect();
    assert_eq!(short[0], "7.2.12+deb14-amd64");
    assert_eq!(short[3], "7.2.12+deb14");
    assert_eq!(short[4], "7.2.12+deb14-rt");
    assert_eq!(short[5], "7.2.12+deb14-cloud");
}

#[test]
fn hostile_text_stays_one_line() {
    let mut results = results();
    results.kernels[0].cells.push(cell(
        "ptr_xchg",
        Some("no\u{1b}[2J\nx"),
        Outcome::Unsupported { line: "a\u{1b}]0;t\u{7}\nb".into() },
        Standing::Wrong,
    ));
    let table = table(&results);
    let text = grid(&table).terminal(|bad| bad.to_owned()) + &markdown(&table) + &json(&results, &table).unwrap();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
