//! Known failures as data: `testcases/expectations.toml`.
//!
//! An entry excuses a failing outcome of a case on some kernels, with reason and link. It is policed: a case that
//! passes although an entry says it fails is an unexpected pass, and an entry that matches no case of a complete run is
//! stale; both fail the run. Matching is pure.

mod names;
mod range;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::arch::Release;
use crate::model::Outcome;
use crate::plan::SUITES;
use crate::report::near::did_you_mean;

pub use names::{braces, glob};
pub use range::Range;

/// All entries.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    entries: Vec<Known>,
}

/// One known failure.
#[derive(Debug, Clone)]
pub struct Known {
    /// Arch, `*` for any.
    pub arch: String,
    /// Kernels.
    pub kernels: Range,
    /// A Kconfig symbol that must be set for it to count, if the kernel's build decides whether it fails.
    pub config: Option<String>,
    /// Case by full name (`stock::strings::strchr`), `*` standing for any text.
    pub case: String,
    /// The kinds of outcome it excuses, as in [`kind`]: one, or several where what happens is not determined.
    pub outcomes: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where to read more.
    pub link: String,
    /// Line in the file.
    pub line: usize,
}

/// Why the file cannot be used. Always names the file and the line or entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct ExpectationError {
    /// The file.
    pub file: String,
    /// What is wrong and where.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<toml::Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    arch: String,
    kernels: String,
    config: Option<String>,
    case: OneOrMore,
    outcome: OneOrMore,
    reason: String,
    link: String,
}

/// One text, or a list: `"hang"` or `["hang", "guest_lost"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}

/// The control that fails for each entry of which a run shows that it is stale.
pub const STALE: &str = "expectations::stale";

/// Names of outcomes, as in results and in `outcome = "…"`.
pub const KINDS: [&str; 12] = [
    "pass",
    "wrong_value",
    "rejected",
    "unsupported",
    "no_btf",
    "no_jit",
    "kfunc_absent",
    "splat",
    "hang",
    "guest_lost",
    "infrastructure",
    "not_run",
];

/// Outcomes that an entry may excuse: what a kernel does. Not what happened to this machine, and not what was never asked.
pub const EXCUSABLE: [&str; 7] =
    ["wrong_value", "rejected", "unsupported", "kfunc_absent", "splat", "hang", "guest_lost"];

/// The name of an outcome's kind.
pub fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::WrongValue { .. } => "wrong_value",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Unsupported { .. } => "unsupported",
        Outcome::NoBtf { .. } => "no_btf",
        Outcome::NoJit { .. } => "no_jit",
        Outcome::KfuncAbsent { .. } => "kfunc_absent",
        Outcome::Splat { .. } => "splat",
        Outcome::Hang { .. } => "hang",
        Outcome::GuestLost { .. } => "guest_lost",
        Outcome::Infrastructure { .. } => "infrastructure",
        Outcome::NotRun { .. } => "not_run",
    }
}

/// A kernel, as far as expectations are about it.
pub struct Subject<'a> {
    /// Its arch's name.
    pub arch: &'a str,
    /// Its release.
    pub release: Release,
    /// Whether a Kconfig symbol is set; `None` where the kernel's configuration is not known.
    pub config: &'a dyn Fn(&str) -> Option<bool>,
}

impl Known {
    /// Whether it is about this kernel.
    pub fn is_about(&self, on: &Subject<'_>) -> bool {
        (self.arch == "*" || self.arch == on.arch)
            && self.kernels.holds(on.release)
            && self.config.as_ref().is_none_or(|symbol| (on.config)(symbol) == Some(true))
    }

    /// The suite it is about, if it is about one.
    pub fn suite(&self) -> Option<&str> {
        self.case.split("::").next().filter(|suite| !suite.contains('*'))
    }

    /// Whether it excuses this outcome.
    pub fn excuses(&self, outcome: &Outcome) -> bool {
        self.outcomes.iter().any(|name| name == kind(outcome))
    }
}

impl Expectations {
    /// Reads the file. `arches` are the known arches: an entry for another one is an error.
    ///
    /// # Errors
    /// [`ExpectationError`] with the line.
    pub fn parse(file: &str, text: &str, arches: &[String]) -> Result<Self, ExpectationError> {
        let fail = |what: String| ExpectationError { file: file.into(), what };
        let parsed: File = toml::from_str(text).map_err(|e| fail(e.to_string().trim_end().to_owned()))?;
        let mut entries = Vec::new();
        for spanned in parsed.known {
            let line = text[..spanned.span().start].matches('\n').count() + 1;
            let entry = spanned.into_inner();
            let fail = |what: String| fail(format!("line {line}: {what}"));
            if entry.arch != "*" && !arches.contains(&entry.arch) {
                return Err(fail(format!("unknown arch `{}`; known are {}", entry.arch, arches.join(", "))));
            }
            let (outcomes, cases) = (entry.outcome.into_vec(), entry.case.into_vec());
            if outcomes.is_empty() {
                return Err(fail("`outcome` is empty".into()));
            }
            if cases.is_empty() || cases.iter().any(|case| case.trim().is_empty()) {
                return Err(fail("`case` is empty".into()));
            }
            for (index, name) in outcomes.iter().enumerate() {
                if !EXCUSABLE.contains(&name.as_str()) {
                    let there_are = EXCUSABLE.join(", ");
                    return Err(fail(format!("no failing outcome is called `{name}`; there are {there_are}")));
                }
                if outcomes[..index].contains(name) {
                    return Err(fail(format!("`outcome` names `{name}` twice")));
                }
            }
            let remedies = [
                ("reason", &entry.reason, "say in one sentence what is wrong"),
                ("link", &entry.link, "say where that is written: a kernel commit, a mail, an issue"),
            ];
            for (key, value, remedy) in remedies {
                if value.trim().is_empty() {
                    return Err(fail(format!("`{key}` is empty: {remedy}")));
                }
            }
            let kernels = entry.kernels.parse().map_err(fail)?;
            let config = match entry.config {
                Some(symbol)
                    if !symbol.is_empty() && symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
                {
                    Some(symbol)
                }
                Some(symbol) => return Err(fail(format!("`config`: `{symbol}` is no Kconfig symbol"))),
                None => None,
            };
            let Entry { arch, reason, link, .. } = entry;
            let rest = Known { arch, kernels, config, case: String::new(), outcomes, reason, link, line };
            for case in cases {
                for case in braces(&case).map_err(fail)? {
                    let suite = case.split("::").next().unwrap_or_default();
                    if !suite.contains('*') && !SUITES.iter().any(|(name, _)| *name == suite) {
                        return Err(fail(format!("`{case}`: no suite is called `{suite}`")));
                    }
                    entries.push(Known { case, ..rest.clone() });
                }
            }
        }
        Ok(Self { entries })
    }

    /// Refuses an entry that names no case there is: `cases` gives the full names of an arch's cases, or of all for `*`.
    ///
    /// # Errors
    /// [`ExpectationError`] with the line, and names that are near.
    pub fn check_cases(&self, file: &str, cases: &dyn Fn(&str) -> Vec<String>) -> Result<(), ExpectationError> {
        let mut by_arch: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for known in &self.entries {
            let names = by_arch.entry(&known.arch).or_insert_with(|| cases(&known.arch));
            if !names.iter().any(|name| glob(&known.case, name)) {
                let near = did_you_mean(&known.case, names.iter().map(String::as_str));
                let what = format!(
                    "line {}: no case of {} is called `{}`{near}; `kfunc list cases` shows them all",
                    known.line, known.arch, known.case
                );
                return Err(ExpectationError { file: file.into(), what });
            }
        }
        Ok(())
    }

    /// All entries, one for each name that a `case` stands for.
    pub fn entries(&self) -> &[Known] {
        &self.entries
    }

    /// The entry for a case on a kernel.
    pub fn find(&self, on: &Subject<'_>, case: &str) -> Option<&Known> {
        self.entries.iter().find(|known| known.is_about(on) && glob(&known.case, case))
    }

    /// Entries about this kernel that match no case, although the suites they are about were run whole. `case` is asked
    /// whether a pattern matches any of the cases, `taken` whether a suite was taken; `all`: every suite was.
    pub fn stale<'a>(
        &'a self,
        on: &'a Subject<'a>,
        case: &dyn Fn(&str) -> bool,
        taken: &dyn Fn(&str) -> bool,
        all: bool,
    ) -> Vec<&'a Known> {
        self.applicable(on)
            .filter(|known| known.suite().map_or(all, taken))
            .filter(|known| !case(&known.case))
            .collect()
    }

    /// The Kconfig symbols that decide whether entries count.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|known| known.config.as_deref())
    }

    /// Entries for one kernel: those that match no case of a complete run are stale.
    pub fn applicable<'a>(&'a self, on: &'a Subject<'a>) -> impl Iterator<Item = &'a Known> {
        self.entries.iter().filter(move |known| known.is_about(on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
[[known]]
arch = "riscv64"
kernels = ">=6.4, <6.9"
case = "stock::dirty::*"
outcome = "wrong_value"
reason = "narrow arguments are not extended"
link = "commit 443574b03387"
"#;

    fn parse(text: &str) -> Result<Expectations, ExpectationError> {
        Expectations::parse("expectations.toml", text, &["riscv64".into(), "arm64".into()])
    }

    fn on(arch: &str, release: Release) -> Subject<'_> {
        Subject { arch, release, config: &|symbol| (symbol != "UNKNOWN").then_some(symbol == "CC_IS_CLANG") }
    }

    #[test]
    fn the_configuration_can_decide() {
        let with = |symbol: &str| parse(&format!("{ENTRY}config = \"{symbol}\"\n"));
        let counts =
            |symbol: &str| with(symbol).unwrap().find(&on("riscv64", Release(6, 8)), "stock::dirty::a").is_some();
        assert!(counts("CC_IS_CLANG") && !counts("CC_IS_GCC") && !counts("UNKNOWN"));
        assert!(with("CC IS").unwrap_err().what.contains("`CC IS` is no Kconfig symbol"));
    }

    #[test]
    fn an_entry_matches_its_arch_range_and_case() {
        let known = parse(ENTRY).unwrap();
        let case = "stock::dirty::s32_argument";
        assert!(known.find(&on("riscv64", Release(6, 8)), case).is_some());
        assert!(known.find(&on("riscv64", Release(6, 9)), case).is_none());
        assert!(known.find(&on("arm64", Release(6, 8)), case).is_none());
        assert!(known.find(&on("riscv64", Release(6, 8)), "stock::strings::strchr").is_none());
    }

    #[test]
    fn a_list_of_cases_is_an_entry_for_each() {
        let known = parse(&ENTRY.replace("\"stock::dirty::*\"", "[\"stock::a::*\", \"stock::b::c\"]")).unwrap();
        // Each is policed on its own: one that matches nothing is stale.
        assert_eq!(known.applicable(&on("riscv64", Release(6, 8))).count(), 2);
        assert!(known.find(&on("riscv64", Release(6, 8)), "stock::b::c").is_some());
        assert!(known.find(&on("riscv64", Release(6, 8)), "stock::b::d").is_none());
    }

    #[test]
    fn an_entry_excuses_what_it_names_and_nothing_else() {
        let hang = Outcome::Hang { after_ms: 1 };
        let lost = Outcome::GuestLost { how: "panic".into() };
        let ours = Outcome::Infrastructure { error: "QEMU was killed".into() };
        let first = |known: &Expectations| known.applicable(&on("riscv64", Release(6, 8))).next().unwrap().clone();
        let several = first(&parse(&ENTRY.replace("\"wrong_value\"", "[\"hang\", \"guest_lost\"]")).unwrap());
        assert!(several.excuses(&hang) && several.excuses(&lost));
        assert!(!several.excuses(&ours) && !several.excuses(&Outcome::Pass));
        let one = first(&parse(ENTRY).unwrap());
        assert!(!one.excuses(&hang));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let what = |text: &str| parse(text).unwrap_err().to_string();
        assert!(
            what(&ENTRY.replace("riscv64", "riscv46")).starts_with("expectations.toml: line 2: unknown arch `riscv46`")
        );
        assert!(what(&ENTRY.replace("wrong_value", "wrong")).contains("no failing outcome is called `wrong`"));
        for never in ["pass", "infrastructure", "not_run", "no_btf", "no_jit"] {
            let error = what(&ENTRY.replace("wrong_value", never));
            assert!(error.contains(&format!("line 2: no failing outcome is called `{never}`")), "{error}");
        }
        let listed = |list: &str| what(&ENTRY.replace("\"wrong_value\"", list));
        assert!(listed("[]").contains("`outcome` is empty"));
        assert!(listed("[\"hang\", \"infrastructure\"]").contains("no failing outcome is called `infrastructure`"));
        assert!(listed("[\"hang\", \"hang\"]").contains("names `hang` twice"));
        assert!(listed("7").contains("expected a text or a list of texts"), "{}", listed("7"));
        let cases = |list: &str| what(&ENTRY.replace("\"stock::dirty::*\"", list));
        assert!(cases("\"stokc::a\"").contains("no suite is called `stokc`"));
        assert!(cases("[]").contains("`case` is empty") && cases("[\"a\", \" \"]").contains("`case` is empty"));
        assert!(what(&ENTRY.replace("<6.9", "6.9")).contains("found `6.9`"));
        assert!(what(&ENTRY.replace("reason", "raeson")).contains("unknown field `raeson`"));
        assert!(
            what(&ENTRY.replace("narrow arguments are not extended", "")).contains("line 2: `reason` is empty: say")
        );
        assert!(what(&ENTRY.replace("commit 443574b03387", "")).contains("line 2: `link` is empty: say where"));
        assert!(what(&ENTRY.replace(">=6.4, <6.9", ">=6.9, <6.4")).contains("line 2: `kernels`: no release is in"));
    }

    #[test]
    fn a_case_that_nothing_is_called_is_refused_with_its_line() {
        let cases = |_: &str| vec!["stock::dirty::s8".to_owned(), "abi::dirty::u8_1".to_owned()];
        assert_eq!(parse(ENTRY).unwrap().check_cases("e.toml", &cases), Ok(()));
        let misspelt = parse(&ENTRY.replace("\"stock::dirty::*\"", "\"abi::dirty::u8_{1,7}\"")).unwrap();
        let error = misspelt.check_cases("e.toml", &cases).unwrap_err().to_string();
        assert_eq!(
            error,
            "e.toml: line 2: no case of riscv64 is called `abi::dirty::u8_7`; did you mean `abi::dirty::u8_1`?; \
             `kfunc list cases` shows them all"
        );
    }

    #[test]
    fn an_entry_is_stale_where_its_suite_was_run_whole() {
        let known =
            parse(&ENTRY.replace("\"stock::dirty::*\"", "[\"stock::dirty::*\", \"abi::a\", \"*::b\"]")).unwrap();
        let stale = |arch, suites: &[&str], all, cases: &[&str]| -> Vec<String> {
            let matched = |pattern: &str| cases.iter().any(|case| glob(pattern, case));
            let taken = |suite: &str| suites.contains(&suite);
            let subject = on(arch, Release(6, 8));
            let found = known.stale(&subject, &matched, &taken, all);
            found.into_iter().map(|known| known.case.clone()).collect()
        };
        assert_eq!(stale("riscv64", &["stock"], false, &["stock::x"]), ["stock::dirty::*"]);
        assert_eq!(stale("riscv64", &["stock"], false, &["stock::dirty::s8"]), [""; 0]);
        assert_eq!(stale("riscv64", &["stock", "abi"], true, &["stock::dirty::s8"]), ["abi::a", "*::b"]);
        // Another shard has its kernel: nothing is said of it here.
        assert_eq!(stale("arm64", &["stock", "abi"], true, &[]), [""; 0]);
    }
}
