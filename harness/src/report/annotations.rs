//! What is wrong, as annotations on the files of a change: workflow commands of GitHub Actions, Code Quality of GitLab.
//!
//! One annotation for each case and what it came to, with all kernels on which it came to that: GitHub shows ten errors of
//! a step, and a case that is wrong is often wrong on several kernels. Known failures are no news and get none.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::clean;
use super::suites::{Case, End, suites};
use crate::model::RunResults;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    case: String,
    location: Option<(String, u32)>,
    /// `None`: infrastructure, which is no fault of a kernel.
    kind: Option<&'static str>,
    /// Kernel and what was found there.
    on: Vec<(String, String)>,
    /// The command that runs it again.
    again: Option<String>,
}

fn findings(results: &RunResults) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::new();
    for suite in suites(results) {
        for case in &suite.cases {
            let (kind, message) = match &case.end {
                End::Wrong { kind, message } => (Some(*kind), message),
                End::UnexpectedPass { message, .. } => (Some("unexpected_pass"), message),
                End::Infrastructure { error } => (None, error),
                End::Right | End::KnownFailure { .. } | End::NotApplicable { .. } => continue,
            };
            let location = place(case);
            let seen = (suite.name.clone(), message.clone());
            let same = |one: &&mut Finding| one.case == case.name && one.kind == kind && one.location == location;
            match out.iter_mut().find(same) {
                Some(one) => one.on.push(seen),
                None => {
                    let again = case.evidence.iter().find_map(|line| line.strip_prefix("again: ")).map(str::to_owned);
                    out.push(Finding { case: case.name.clone(), location, kind, on: vec![seen], again });
                }
            }
        }
    }
    // What a kernel did comes before what befell us, and what has a line before what has none.
    out.sort_by_key(|one| (one.kind.is_none(), one.location.is_none()));
    out
}

fn place(case: &Case) -> Option<(String, u32)> {
    let (file, line) = case.location.as_deref()?.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

impl Finding {
    fn text(&self) -> String {
        let mut out = String::new();
        for (kernel, message) in &self.on {
            let _ = writeln!(out, "{kernel}: {}", clean::shorten(message, 300));
        }
        if let Some(again) = &self.again {
            let _ = writeln!(out, "again: {again}");
        }
        out.trim_end().to_owned()
    }
}

/// Workflow commands for GitHub Actions, one a line, to be printed in a step. Wrong is an error, infrastructure a warning.
pub fn github(results: &RunResults) -> String {
    let mut out = String::new();
    for one in findings(results) {
        let command = if one.kind.is_some() { "error" } else { "warning" };
        let place =
            one.location.as_ref().map_or(String::new(), |(file, line)| format!("file={},line={line},", property(file)));
        let title = format!("{}: {}", one.case, one.kind.unwrap_or("infrastructure").replace('_', " "));
        let _ = writeln!(out, "::{command} {place}title={}::{}", property(&title), data(&one.text()));
    }
    out
}

/// As the runner reads a command's message (actions/toolkit, packages/core/src/command.ts, `escapeData`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As the runner reads a command's property (the same file, `escapeProperty`).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Where a case is described that has no line of its own: GitLab wants a path.
fn described(case: &str) -> &'static str {
    if case.starts_with("abi::") { "testcases/kmod/README.md" } else { "testcases/README.md" }
}

/// A Code Quality report: a JSON array with description, check_name, fingerprint, severity and location of each finding, as
/// GitLab documents it.
///
/// # Errors
/// When the JSON cannot be written, which these types give no reason to.
pub fn gitlab(results: &RunResults) -> Result<String, serde_json::Error> {
    let entry = |one: &Finding| {
        let check = one.kind.unwrap_or("infrastructure");
        let (file, line) = one.location.clone().unwrap_or_else(|| (described(&one.case).to_owned(), 1));
        let kernels: Vec<&str> = one.on.iter().map(|(kernel, _)| kernel.as_str()).collect();
        // The same from night to night, so that GitLab tells new from old.
        let print = Sha256::digest(format!("{}\n{check}\n{}", one.case, kernels.join("\n")));
        let print = images::hex(&print[..16]);
        json!({
            "description": format!("{}: {}", one.case, one.text()),
            "check_name": check,
            "fingerprint": print,
            "severity": if one.kind.is_some() { "major" } else { "info" },
            "location": { "path": file, "lines": { "begin": line } },
        })
    };
    let all: Vec<serde_json::Value> = findings(results).iter().map(entry).collect();
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::suites::tests::{every_end, hostile};
    use super::*;
    use crate::report::fixture;

    #[test]
    fn github_gets_file_line_and_evidence() {
        let text = github(&fixture::five());
        assert_eq!(
            text,
            "::error file=testcases/stock/strings.bpf.c,line=42,title=stock%3A%3Astrings%3A%3Astrchr%3A wrong value::\
             riscv64 stock:testing (7.2.12+deb14-riscv64): observed[0] as s32: expected 1, got -1%0Aagain: cargo kfunc run \
             --arch riscv64 --kernel stock:testing --suite stock --exact stock::strings::strchr\n\
             ::warning title=guest%3A infrastructure::arm64 stock:testing: no image: the mirror did not answer\n"
        );
        assert_eq!(github(&fixture::clean()), "");
    }

    #[test]
    fn a_case_that_is_wrong_on_several_kernels_is_one_annotation() {
        let mut results = fixture::five();
        results.kernels[0].cells[4] = fixture::wrong();
        let text = github(&results);
        assert_eq!(text.lines().filter(|line| line.starts_with("::error ")).count(), 1, "{text}");
        assert!(text.contains("x86_64 stock:testing") && text.contains("%0Ariscv64 stock:testing"), "{text}");
    }

    #[test]
    fn what_is_known_is_no_news() {
        let text = github(&every_end());
        assert!(!text.contains("known failure"), "{text}");
        assert!(text.contains("unexpected pass"), "{text}");
    }

    #[test]
    fn whatever_a_guest_sent_it_is_one_command_a_line() {
        let text = github(&hostile());
        assert!(!text.is_empty());
        for line in text.lines() {
            assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{line}");
        }
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn gitlab_gets_what_it_documents() {
        let text = gitlab(&fixture::five()).expect("it is written");
        let value: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.len(), 2);
        assert_eq!(value[0]["location"], json!({ "path": "testcases/stock/strings.bpf.c", "lines": { "begin": 42 } }));
        assert_eq!((&value[0]["severity"], &value[0]["check_name"]), (&json!("major"), &json!("wrong_value")));
        assert_eq!(value[1]["severity"], "info");
        assert_ne!(value[0]["fingerprint"], value[1]["fingerprint"]);
        assert_eq!(text, gitlab(&fixture::five()).expect("again"), "the same from night to night");
        assert_eq!(gitlab(&fixture::clean()).expect("it is written"), "[]\n");
    }
}
