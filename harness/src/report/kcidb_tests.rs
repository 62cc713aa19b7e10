use serde_json::Value;

use super::super::suites::Counts;
use super::super::suites::tests::{every_end, hostile};
use super::*;
use crate::report::fixture;

fn parsed(results: &RunResults) -> Value {
    serde_json::from_str(&kcidb(results, ORIGIN).expect("it is written")).expect("it is JSON")
}

fn list<'a>(report: &'a Value, of: &str) -> &'a [Value] {
    report[of].as_array().expect("a list")
}

/// Counts by test suite, as a reader finds them who knows the format only: from statuses and incidents.
pub fn read(text: &str) -> Vec<Counts> {
    let report: Value = serde_json::from_str(text).expect("it is JSON");
    let mut out: BTreeMap<usize, Counts> = BTreeMap::new();
    for test in list(&report, "tests") {
        let id = test["id"].as_str().expect("an id");
        // `ORIGIN:RUN-SUITE-CASE`, in the order of the run.
        let suite = id.rsplit('-').nth(1).and_then(|number| number.parse().ok()).expect("a number");
        let present = list(&report, "incidents").iter().find(|one| one["test_id"] == *id).map(|one| &one["present"]);
        let counts = out.entry(suite).or_default();
        *match (test["status"].as_str().expect("a status"), present.and_then(Value::as_bool)) {
            ("PASS", None) => &mut counts.right,
            ("FAIL" | "ERROR", None) | ("PASS", Some(false)) => &mut counts.wrong,
            ("FAIL", Some(true)) => &mut counts.known,
            ("SKIP", None) => &mut counts.not_applicable,
            ("MISS", None) => &mut counts.infrastructure,
            other => panic!("{other:?}: {test}"),
        } += 1;
    }
    out.into_values().collect()
}

#[test]
fn a_known_failure_is_a_failure_with_an_issue() {
    let report = parsed(&every_end());
    let issue = &list(&report, "issues")[0];
    assert_eq!(issue["comment"], "s8 # SKIP");
    assert_eq!(issue["report_url"], "https://example.org/?a&b");
    let incident = &list(&report, "incidents")[0];
    assert_eq!((&incident["issue_id"], &incident["present"]), (&issue["id"], &Value::Bool(true)));
    let test = list(&report, "tests").iter().find(|test| test["id"] == incident["test_id"]).expect("its test");
    assert_eq!((&test["status"], &test["misc"]["outcome"]), (&"FAIL".into(), &"wrong_value".into()));
    // A pass that nobody expected: the issue is absent, and nothing is said against the kernel.
    let absent = list(&report, "incidents").iter().find(|one| one["present"] == false).expect("an absent issue");
    let test = list(&report, "tests").iter().find(|test| test["id"] == absent["test_id"]).expect("its test");
    assert_eq!((&test["status"], &test["path"]), (&"PASS".into(), &"kfunc.abi.passed".into()));
}

#[test]
fn a_failure_has_its_evidence_and_its_build() {
    let report = parsed(&fixture::five());
    let test = list(&report, "tests").iter().find(|test| test["status"] == "FAIL").expect("the wrong cell");
    assert_eq!(test["path"], "kfunc.stock.strings.strchr");
    assert_eq!((&test["start_time"], &test["duration"]), (&"2025-11-24T03:10:00Z".into(), &0.003.into()));
    assert!(test["log_excerpt"].as_str().is_some_and(|text| text.contains("1: call bpf_strchr")), "{test}");
    assert_eq!(test["environment"]["misc"]["btf-sha256"], "3".repeat(64));
    assert_eq!(test["environment"]["misc"]["commit"], "8a354db");
    let build = list(&report, "builds").iter().find(|build| build["id"] == test["build_id"]).expect("its build");
    assert_eq!((&build["architecture"], &build["status"]), (&"riscv64".into(), &"PASS".into()));
    assert_eq!(build["misc"]["kernel-sha256"], "1".repeat(64));
    let missed = list(&report, "tests").iter().find(|test| test["status"] == "MISS").expect("arm64 has no image");
    let build = list(&report, "builds").iter().find(|build| build["id"] == missed["build_id"]).expect("its build");
    assert_eq!((&missed["path"], build.get("status")), (&"kfunc".into(), None));
}

#[test]
fn a_control_that_passed_is_the_tests_fault() {
    let report = parsed(&fixture::control_passed());
    let controls = list(&report, "tests").iter().filter(|test| test["path"] == "kfunc.control.wrong_value");
    assert_eq!(controls.map(|test| &test["status"]).collect::<Vec<_>>(), ["ERROR"]);
}

#[test]
fn a_kernel_that_was_run_twice_is_one_build() {
    let mut results = fixture::five();
    results.kernels.push(results.kernels[0].clone());
    let report = parsed(&results);
    let ids: Vec<&Value> = list(&report, "builds").iter().map(|build| &build["id"]).collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
    let mut tests: Vec<&str> = list(&report, "tests").iter().filter_map(|test| test["id"].as_str()).collect();
    let all = tests.len();
    tests.sort_unstable();
    tests.dedup();
    assert_eq!(tests.len(), all, "every test has an id of its own");
}

#[test]
fn patterns_hold_whatever_a_guest_sent() {
    for results in [every_end(), hostile()] {
        let report = parsed(&results);
        let text = report.to_string();
        assert!(!text.contains("\\u0000"), "no NUL");
        for test in list(&report, "tests") {
            let path = test["path"].as_str().expect("a path");
            let word = |word: &str| {
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            };
            assert!(path.split('.').all(word), "{path}");
            assert!(test["log_excerpt"].as_str().is_none_or(|text| text.chars().count() <= EXCERPT));
        }
    }
}

#[test]
fn origins_and_links() {
    assert!(is_origin(ORIGIN) && is_origin("a_1") && !is_origin("") && !is_origin("A") && !is_origin("a-b"));
    assert!(is_url("https://example.org/?a&b#c") && is_url("http://a.b"));
    for bad in [
        "FINDINGS.md",
        "https://",
        "https://a b",
        "https://a/<x>",
        "javascript:alert(1)",
        "https://[x]",
        "https://a#b#c",
    ] {
        assert!(!is_url(bad), "{bad}");
    }
}
