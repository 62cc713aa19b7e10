//! A run as JUnit XML, for CI systems.
//!
//! Wrong is a failure with the outcome's kind as its type; infrastructure is an error; a known failure is skipped, with the
//! reason and link, and has a property `known-failure`; not applicable is skipped.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::suites::{Case, End, Suite, suites};
use crate::model::RunResults;

/// The run as JUnit XML. Ends with a line feed.
///
/// # Errors
/// When the XML cannot be written, which memory gives no reason to.
pub fn junit(results: &RunResults) -> Result<String, SerializeError> {
    let mut report = Report::new("kfunc-conformance");
    report.set_time(Duration::from_millis(results.duration_ms));
    for one in suites(results) {
        report.add_test_suite(suite(&one));
    }
    let mut text = report.to_string()?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn suite(suite: &Suite) -> TestSuite {
    let mut out = TestSuite::new(xml(&suite.name));
    out.set_time(Duration::from_millis(suite.cases.iter().map(|case| case.duration_ms).sum()));
    for (name, value) in &suite.properties {
        out.add_property(Property::new(*name, xml(value)));
    }
    for one in &suite.cases {
        out.add_test_case(case(&suite.arch, one));
    }
    out
}

fn case(arch: &str, case: &Case) -> TestCase {
    let skipped = |message: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(xml(message));
        status
    };
    let failed = |how, ty: &str, message: &str| {
        let mut status = TestCaseStatus::non_success(how);
        status.set_type(ty).set_message(xml(message));
        status
    };
    let status = match &case.end {
        End::Right => TestCaseStatus::success(),
        End::Wrong { kind, message } => failed(NonSuccessKind::Failure, kind, message),
        End::UnexpectedPass { message, .. } => failed(NonSuccessKind::Failure, "unexpected_pass", message),
        End::Infrastructure { error } => failed(NonSuccessKind::Error, "infrastructure", error),
        End::NotApplicable { reason } => skipped(&format!("not applicable: {reason}")),
        End::KnownFailure { reason, link, .. } => skipped(&format!("known failure: {reason} ({link})")),
    };
    let mut out = TestCase::new(xml(&case.name), status);
    out.set_classname(xml(arch));
    out.set_time(Duration::from_millis(case.duration_ms));
    if let End::KnownFailure { kind, link, .. } = &case.end {
        out.add_property(Property::new("known-failure", *kind));
        out.add_property(Property::new("link", xml(link)));
    }
    if let Some(location) = &case.location {
        out.add_property(Property::new("location", xml(location)));
    }
    if !case.evidence.is_empty() {
        out.set_system_out(xml(&case.evidence.join("\n")));
    }
    out
}

/// Text without the characters that XML 1.0 has no way to write (2.2, `Char`).
fn xml(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::suites::Counts;
    use super::super::suites::tests::{every_end, hostile};
    use super::*;
    use crate::report::fixture;

    /// Suites and their counts as a reader finds them; what a suite says of itself must be what its cases come to.
    pub fn read(text: &str) -> Vec<(String, Counts)> {
        let report = Report::deserialize_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let one = |suite: &TestSuite| {
            let mut counts = Counts::default();
            for case in &suite.test_cases {
                let known = case.properties.iter().any(|property| property.name.as_str() == "known-failure");
                *match &case.status {
                    TestCaseStatus::Success { .. } => &mut counts.right,
                    TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => &mut counts.wrong,
                    TestCaseStatus::NonSuccess { .. } => &mut counts.infrastructure,
                    TestCaseStatus::Skipped { .. } if known => &mut counts.known,
                    TestCaseStatus::Skipped { .. } => &mut counts.not_applicable,
                } += 1;
            }
            assert_eq!(
                (suite.tests, suite.failures, suite.errors, suite.skipped),
                (suite.test_cases.len(), counts.wrong, counts.infrastructure, counts.known + counts.not_applicable)
            );
            (suite.name.to_string(), counts)
        };
        report.test_suites.iter().map(one).collect()
    }

    #[test]
    fn a_failure_has_its_kind_message_and_evidence() {
        let text = junit(&fixture::five()).expect("it is written");
        let at = text.find("<testcase name=\"stock::strings::strchr\" classname=\"riscv64\"").expect("the case");
        let case = &text[at..at + text[at..].find("</testcase>").expect("its end")];
        assert!(case.contains("type=\"wrong_value\""), "{case}");
        assert!(case.contains("message=\"observed[0] as s32: expected 1, got -1\""), "{case}");
        assert!(case.contains("<property name=\"location\" value=\"testcases/stock/strings.bpf.c:42\"/>"), "{case}");
        assert!(case.contains("<system-out>observed[0] as s32"), "{case}");
        assert!(case.contains("again: cargo kfunc run --arch riscv64"), "{case}");
    }

    #[test]
    fn a_known_failure_is_skipped_with_its_link() {
        let text = junit(&every_end()).expect("it is written");
        assert!(text.contains("<property name=\"known-failure\" value=\"wrong_value\"/>"), "{text}");
        assert!(
            text.contains("<skipped message=\"known failure: s8 # SKIP (https://example.org/?a&amp;b)\"/>"),
            "{text}"
        );
        assert!(text.contains("<error message=\"the channel broke\" type=\"infrastructure\"/>"), "{text}");
        assert!(text.contains("type=\"unexpected_pass\""), "{text}");
    }

    #[test]
    fn whatever_a_guest_sent_it_is_xml() {
        let text = junit(&hostile()).expect("it is written");
        let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
        assert!(!text.contains(bad), "{:?}", text.chars().find(|c| bad(*c)));
        assert_eq!(read(&text).len(), read(&junit(&every_end()).expect("it is written")).len());
    }
}
