//! A run as KCIDB reports it, for KernelCI: schema 5.3 of `kcidb-io` (`kcidb_io/schema/v05_03.py`).
//!
//! One build per kernel, one test per cell with the path `kfunc.SUITE.CASE`. A known failure is `FAIL`, with an issue made
//! of the expectation's reason and link and an incident that ties the two; a case that passed although it is recorded as
//! failing is `PASS`, with an incident that says the issue is absent. Not applicable is `SKIP`, infrastructure `MISS`. A
//! control that did not come out as it must is `ERROR`: the test is at fault, not the kernel. The start of each test is that
//! of the run; only durations are known of each.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::provenance;
use super::row::CONTROL;
use super::suites::{Case, End, GUEST, Suite, suites};
use crate::model::{KernelResults, RunResults};
use crate::results;

/// Who reports, unless said otherwise.
pub const ORIGIN: &str = "kfunc_conformance";
/// Version of KCIDB's schema.
pub const VERSION: (u32, u32) = (5, 3);
/// Longest excerpt of a log (`log_excerpt`, `maxLength`).
const EXCERPT: usize = 16_384;

/// Whether KCIDB takes this for the name of a CI system: `^[a-z0-9_]+$`.
pub fn is_origin(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

type Facts = BTreeMap<String, String>;

#[derive(Serialize)]
struct Report<'a> {
    version: Version,
    checkouts: Vec<Checkout>,
    builds: Vec<Build>,
    tests: Vec<Test<'a>>,
    issues: Vec<Issue>,
    incidents: Vec<Incident>,
}

#[derive(Serialize)]
struct Version {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
struct Checkout {
    id: String,
    origin: String,
    comment: String,
}

#[derive(Serialize)]
struct Build {
    checkout_id: String,
    id: String,
    origin: String,
    comment: String,
    architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    misc: Facts,
}

/// `status` of KCIDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Fail,
    Error,
    Miss,
    Pass,
    Skip,
}

#[derive(Serialize)]
struct Test<'a> {
    build_id: String,
    id: String,
    origin: String,
    environment: &'a Environment,
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    log_excerpt: String,
    status: Status,
    start_time: String,
    /// Seconds.
    duration: f64,
    misc: Facts,
}

#[derive(Serialize)]
struct Environment {
    comment: String,
    misc: Facts,
}

#[derive(Serialize)]
struct Issue {
    id: String,
    version: u32,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_url: Option<String>,
    comment: String,
    culprit: Culprit,
    misc: Facts,
}

#[derive(Serialize)]
struct Culprit {
    code: bool,
}

#[derive(Serialize)]
struct Incident {
    id: String,
    origin: String,
    issue_id: String,
    issue_version: u32,
    test_id: String,
    present: bool,
}

/// The issue's version: what it is made of has no other.
const ISSUE: u32 = 1;

/// The run as KCIDB's JSON, reported by `origin`. Ends with a line feed.
///
/// # Errors
/// When serialisation fails, which these types give no reason to.
pub fn kcidb(results: &RunResults, origin: &str) -> Result<String, serde_json::Error> {
    let run = results::id(results)?;
    let suites = suites(results);
    let environments: Vec<Environment> =
        suites.iter().map(|suite| environment(results, &results.kernels[suite.kernel], suite)).collect();
    let mut report = Report {
        version: Version { major: VERSION.0, minor: VERSION.1 },
        checkouts: Vec::new(),
        builds: Vec::new(),
        tests: Vec::new(),
        issues: Vec::new(),
        incidents: Vec::new(),
    };
    for (index, (suite, environment)) in suites.iter().zip(&environments).enumerate() {
        let build_id = build(&mut report, &results.kernels[suite.kernel], origin, &run);
        for (number, case) in suite.cases.iter().enumerate() {
            let id = format!("{origin}:{run}-{index}-{number}");
            tie(&mut report, origin, suite, case, &id);
            report.tests.push(test(results, suite, case, (&id, &build_id, origin), environment));
        }
    }
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    Ok(text)
}

/// Adds the kernel's build and checkout, unless they are there; gives the build's id.
fn build(report: &mut Report<'_>, kernel: &KernelResults, origin: &str, run: &str) -> String {
    let name = match &kernel.image {
        Some(image) => plain(&format!("{}-{}", kernel.arch, image.key)),
        // Nothing was booted: what was asked for, in this run.
        None => plain(&format!("{run}-{}-{}", kernel.arch, kernel.kernel)),
    };
    let id = format!("{origin}:{name}");
    if report.builds.iter().any(|build| build.id == id) {
        return id;
    }
    let mut misc: Facts = BTreeMap::new();
    let mut comment = plain(&kernel.kernel);
    if let Some(image) = &kernel.image {
        comment = plain(&format!("{} {}", image.provider, image.release));
        let of_build = ["image", "image-key", "kernel-sha256", "config-sha256", "image-from"];
        let facts = provenance::of_kernel(kernel).into_iter().filter(|(name, _)| of_build.contains(name));
        misc.extend(facts.map(|(name, value)| (name.to_owned(), plain(&value))));
    }
    report.checkouts.push(Checkout { id: id.clone(), origin: origin.into(), comment: comment.clone() });
    let word = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    report.builds.push(Build {
        checkout_id: id.clone(),
        id: id.clone(),
        origin: origin.into(),
        comment,
        architecture: kernel.arch.chars().map(word).collect(),
        // What was booted had been built.
        status: kernel.guest.as_ref().map(|_| Status::Pass),
        misc,
    });
    id
}

fn environment(results: &RunResults, kernel: &KernelResults, suite: &Suite) -> Environment {
    let of_guest = ["btf-sha256", "qemu", "accelerator", "qemu-command"];
    let facts = provenance::of_kernel(kernel).into_iter().filter(|(name, _)| of_guest.contains(name));
    let misc: Facts =
        facts.chain(provenance::of_run(results)).map(|(name, value)| (name.to_owned(), plain(&value))).collect();
    let comment = match &kernel.guest {
        Some(guest) => plain(&format!("{} with {}, {}", suite.arch, guest.qemu, guest.accel)),
        None => plain(&suite.arch),
    };
    Environment { comment, misc }
}

fn test<'a>(
    results: &RunResults,
    suite: &Suite,
    case: &Case,
    (id, build_id, origin): (&str, &str, &str),
    environment: &'a Environment,
) -> Test<'a> {
    let is_control = case.name.split("::").next() == Some(CONTROL);
    let mut misc: Facts = BTreeMap::new();
    let mut say = |name: &str, value: &str| drop(misc.insert(name.to_owned(), plain(value)));
    say("verdict-of-kernel", suite.property("verdict"));
    if let Some(location) = &case.location {
        say("location", location);
    }
    let (status, comment) = match &case.end {
        End::Right => (Status::Pass, String::new()),
        End::Wrong { kind, message } => {
            say("outcome", kind);
            (if is_control { Status::Error } else { Status::Fail }, plain(message))
        }
        End::UnexpectedPass { reason, message } => {
            say("known-failure", reason);
            (Status::Pass, plain(message))
        }
        End::KnownFailure { kind, reason, link } => {
            say("outcome", kind);
            say("known-failure", reason);
            say("link", link);
            (Status::Fail, plain(&format!("known failure: {reason} ({link})")))
        }
        End::NotApplicable { reason } => (Status::Skip, plain(reason)),
        End::Infrastructure { error } => (Status::Miss, plain(error)),
    };
    Test {
        build_id: build_id.into(),
        id: id.into(),
        origin: origin.into(),
        environment,
        path: path(&case.name),
        comment,
        log_excerpt: excerpt(&plain(&case.evidence.join("\n"))),
        status,
        start_time: results::iso8601(results.started),
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of one case")]
        duration: case.duration_ms as f64 / 1000.0,
        misc,
    }
}

/// Ties a test to what is recorded of it.
fn tie(report: &mut Report<'_>, origin: &str, suite: &Suite, case: &Case, test_id: &str) {
    let (reason, link, present) = match &case.end {
        End::KnownFailure { reason, link, .. } => (reason, Some(link), true),
        End::UnexpectedPass { reason, .. } => (reason, None, false),
        _ => return,
    };
    let hash = images::hex(&Sha256::digest(reason)[..8]);
    let id = format!("{origin}:{}-{hash}", plain(&suite.arch));
    let link = link.map(|link| plain(link));
    match report.issues.iter_mut().find(|issue| issue.id == id) {
        // The entry's link is known of its failures only.
        Some(issue) => {
            if let (Some(link), None) = (link, issue.misc.get("link")) {
                issue.report_url = is_url(&link).then(|| link.clone());
                issue.misc.insert("link".into(), link);
            }
        }
        None => report.issues.push(Issue {
            id: id.clone(),
            version: ISSUE,
            origin: origin.into(),
            report_url: link.clone().filter(|link| is_url(link)),
            comment: plain(reason),
            culprit: Culprit { code: true },
            misc: link.map(|link| ("link".to_owned(), link)).into_iter().collect(),
        }),
    }
    report.incidents.push(Incident {
        id: test_id.into(),
        origin: origin.into(),
        issue_id: id,
        issue_version: ISSUE,
        test_id: test_id.into(),
        present,
    });
}

/// `kfunc.stock.strings.strchr`: letters, digits, `_` and `-` between the dots. What befell a kernel as a whole is `kfunc`.
fn path(name: &str) -> String {
    if name == GUEST {
        return "kfunc".into();
    }
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let parts = name.split("::").filter(|part| !part.is_empty());
    parts.fold("kfunc".to_owned(), |path, part| format!("{path}.{}", part.chars().map(word).collect::<String>()))
}

/// No text of KCIDB has a NUL.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}

fn excerpt(text: &str) -> String {
    super::clean::shorten(text, EXCERPT)
}

/// A link that is a URI without doubt (RFC 3986, 2).
fn is_url(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b);
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric()) && !host.contains(['[', ']']))
        && text.matches('#').count() < 2
        && text.bytes().all(allowed)
}

#[cfg(test)]
#[path = "kcidb_tests.rs"]
pub(super) mod tests;
