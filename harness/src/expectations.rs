//! Known failures as data: `testcases/expectations.toml`.
//!
//! An entry excuses a failing outcome of a case on some kernels, with reason and link. It is policed: a case that
//! passes although an entry says it fails is an unexpected pass, and an entry that matches no case of a complete run is
//! stale; both fail the run. Matching is pure.

use serde::Deserialize;

use crate::arch::Release;
use crate::model::Outcome;
use crate::plan::SUITES;

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
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}

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
    fn is_about(&self, on: &Subject<'_>) -> bool {
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
            for (key, value) in [("reason", &entry.reason), ("link", &entry.link)] {
                if value.trim().is_empty() {
                    return Err(fail(format!("`{key}` is empty")));
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

/// Most names that one pattern may stand for.
const NAMES_MAX: usize = 1000;

/// All names that a text with braces stands for: `a_{b,c}` is `a_b` and `a_c`, `a_{1..3}` is `a_1` to `a_3`.
fn braces(text: &str) -> Result<Vec<String>, String> {
    let unpaired = || format!("`{text}`: braces do not pair");
    let Some((before, rest)) = text.split_once('{') else {
        return if text.contains('}') { Err(unpaired()) } else { Ok(vec![text.to_owned()]) };
    };
    let (inside, after) = rest.split_once('}').ok_or_else(unpaired)?;
    if before.contains('}') || inside.contains('{') {
        return Err(unpaired());
    }
    let range = inside.split_once("..").map(|(from, to)| (from.parse::<u32>(), to.parse::<u32>()));
    let words: Vec<String> = match range {
        Some((Ok(from), Ok(to))) if from <= to && to - from < 100 => (from..=to).map(|n| n.to_string()).collect(),
        Some(_) => return Err(format!("`{text}`: `{{{inside}}}` is no range")),
        None => inside.split(',').map(|word| word.trim().to_owned()).collect(),
    };
    let tails = braces(after)?;
    if words.len() * tails.len() > NAMES_MAX {
        return Err(format!("`{text}` stands for more than {NAMES_MAX} names"));
    }
    Ok(words.iter().flat_map(|word| tails.iter().map(move |tail| format!("{before}{word}{tail}"))).collect())
}

/// `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A range of releases: comparisons joined by commas (`>=6.4, <6.9`), or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<(Comparison, Release)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    AtLeast,
    More,
    Equal,
}

impl Range {
    /// Whether a release is in it.
    pub fn holds(&self, release: Release) -> bool {
        self.0.iter().all(|(comparison, bound)| match comparison {
            Comparison::Less => release < *bound,
            Comparison::AtMost => release <= *bound,
            Comparison::AtLeast => release >= *bound,
            Comparison::More => release > *bound,
            Comparison::Equal => release == *bound,
        })
    }
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self(Vec::new()));
        }
        let comparisons = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ];
        let mut bounds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = comparisons.iter().find_map(|(sign, c)| part.strip_prefix(sign).map(|rest| (*c, rest.trim())));
            let Some((comparison, release)) = found else {
                return Err(format!(
                    "`kernels`: expected comparisons such as \">=6.4, <6.9\" or \"*\", found `{part}`"
                ));
            };
            bounds.push((comparison, release.parse().map_err(|e| format!("`kernels`: {e}"))?));
        }
        Ok(Self(bounds))
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
    fn braces_stand_for_each_of_their_words() {
        assert_eq!(braces("a_{b,c}_{8..10}").unwrap(), ["a_b_8", "a_b_9", "a_b_10", "a_c_8", "a_c_9", "a_c_10"]);
        assert_eq!(braces("a").unwrap(), ["a"]);
        for bad in ["a{b", "a}b", "{a{b}}", "{9..1}", "{a..b}", "{1..90}{1..90}"] {
            assert!(braces(bad).is_err(), "{bad}");
        }
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
        assert!(what(&ENTRY.replace("narrow arguments are not extended", "")).contains("`reason` is empty"));
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

    #[test]
    fn globs() {
        assert!(glob("a::*", "a::b") && glob("*", "x") && glob("a*c*e", "abcde") && glob("ab", "ab"));
        assert!(!glob("a::*", "b::a::") && !glob("ab", "abc") && !glob("a*c*e", "abcd") && !glob("a*a", "a"));
    }
}
