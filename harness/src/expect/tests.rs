use super::*;
use crate::model::{GuestEnd, Standing};
use crate::report::fixture;

const FILE: &str = r#"# The head of the file.

# A comment of the first entry.
[[known]]
arch = "riscv64"
kernels = ">=7.2"     # since then
case = "stock::dirty::char_*"
outcome = "wrong_value"
reason = "narrow"
link = "x"

# Of a section.

# Of the second.
[[known]]
arch = "riscv64"
kernels = ">=7.0"
case = ["abi::dirty::{u8,bool}_{1..3}", "abi::objects::null"]
outcome = "wrong_value"
reason = "extended by nobody"
link = "y"

[[known]]
arch = "x86_64"
kernels = ">=7.2"
config = "CC_IS_CLANG"
case = "abi::saved::r6"
outcome = ["hang", "guest_lost"]
reason = "r6"
link = "z"
"#;

fn cell(name: &str, outcome: Outcome, standing: Standing) -> Cell {
    let (suite, case) = name.split_once("::").expect("suite and case");
    Cell { outcome, standing, ..fixture::cell(suite, case) }
}

fn wrong(name: &str) -> Cell {
    let outcome = Outcome::WrongValue { what: "return value".into(), expected: "1".into(), got: "-1".into() };
    cell(name, outcome, Standing::Wrong)
}

fn known(name: &str) -> Cell {
    Cell { standing: Standing::KnownFailure { reason: "r".into(), link: "l".into() }, ..wrong(name) }
}

fn right(name: &str) -> Cell {
    cell(name, Outcome::Pass, Standing::Right)
}

/// Everything in FILE fails as recorded on riscv64.
fn as_recorded() -> Vec<Cell> {
    let numbered = ["u8", "bool"].iter().flat_map(|ty| (1..=3).map(move |n| known(&format!("abi::dirty::{ty}_{n}"))));
    let others = ["stock::dirty::char_a", "stock::dirty::char_b", "abi::objects::null"].map(known);
    numbered.chain(others).chain([right("stock::strings::strlen")]).collect()
}

fn run(kernels: &[(&str, &str, Vec<Cell>)]) -> RunResults {
    let mut results = fixture::five();
    let whole = results.kernels[0].clone();
    results.kernels = kernels
        .iter()
        .map(|(arch, release, cells)| {
            let mut kernel = whole.clone();
            kernel.arch = (*arch).into();
            if let Some(guest) = &mut kernel.guest {
                guest.release = (*release).into();
            }
            kernel.cells = cells.clone();
            kernel
        })
        .collect();
    results
}

fn arches() -> Vec<String> {
    ["riscv64", "x86_64", "arm64"].map(str::to_owned).to_vec()
}

fn proposed(results: &RunResults) -> Proposal {
    proposed_for(results, FILE)
}

fn proposed_for(results: &RunResults, text: &str) -> Proposal {
    let proposal = propose(results, "e.toml", text, &arches()).expect("the file is good");
    // Only what a person must fill in keeps the harness from taking it.
    let filled = proposal.text.replace("reason = \"\"", "reason = \"r\"").replace("link = \"\"", "link = \"l\"");
    let known = Expectations::parse("e.toml", &filled, &arches()).unwrap_or_else(|e| panic!("{e}\n{}", proposal.text));
    if proposal.text.contains("reason = \"\"") {
        let refused = Expectations::parse("e.toml", &proposal.text, &arches()).expect_err("reasons are empty");
        assert!(refused.to_string().contains("`reason` is empty"), "{refused}");
    }
    assert!(!known.entries().is_empty());
    // The same run asks for nothing more.
    let again = propose(results, "e.toml", &filled, &arches()).expect("the file is good");
    assert_eq!((again.text == filled, again.edits.len()), (true, 0), "{:?}\n{}", again.edits, again.text);
    proposal
}

#[test]
fn what_is_as_recorded_asks_for_nothing() {
    let proposal = proposed(&run(&[("riscv64", "7.2.12+deb14", as_recorded())]));
    assert_eq!(proposal, Proposal { text: FILE.into(), ..Proposal::default() });
}

#[test]
fn new_wrong_cells_become_an_entry_to_be_filled_in() {
    let mut cells = as_recorded();
    cells.extend(["s8_1", "s8_2", "s8_3", "s16_1", "s16_2", "s16_3"].map(|name| wrong(&format!("abi::dirty::{name}"))));
    cells.push(wrong("stock::strings::strchr"));
    let died = Outcome::GuestLost { how: "panic".into() };
    cells.push(cell("stock::tasks::exit", died, Standing::Wrong));
    let proposal = proposed(&run(&[("riscv64", "7.2.12+deb14", cells)]));
    let new = r#"link = "y"

# Seen on 7.2.12+deb14.
# stock::tasks::exit: the guest was lost: panic
[[known]]
arch = "riscv64"
kernels = ">=7.2"
case = "stock::tasks::exit"
outcome = "guest_lost"
reason = ""
link = ""

# Seen on 7.2.12+deb14.
# abi::dirty::s16_1: return value: expected 1, got -1
[[known]]
arch = "riscv64"
kernels = ">=7.2"
case = [
    "abi::dirty::{s16,s8}_{1..3}",
    "stock::strings::strchr",
]
outcome = "wrong_value"
reason = ""
link = ""

[[known]]
arch = "x86_64"
"#;
    assert!(proposal.text.contains(new), "{}", proposal.text);
    assert_eq!(proposal.text.len() - FILE.len(), new.len() - "link = \"y\"\n\n[[known]]\narch = \"x86_64\"\n".len());
    assert_eq!(
        proposal.edits,
        [
            "new: riscv64 7.2.12+deb14: 1 case wrong and not recorded: stock::tasks::exit",
            "new: riscv64 7.2.12+deb14: 7 cases wrong and not recorded: abi::dirty::{s16,s8}_{1..3}, stock::strings::strchr",
        ]
    );
}

#[test]
fn ranges_come_from_the_releases_that_were_seen() {
    let range = |kernels: &[(&str, bool)]| -> Vec<String> {
        let kernels: Vec<(&str, &str, Vec<Cell>)> = kernels
            .iter()
            .map(|(release, fails)| {
                ("arm64", *release, vec![if *fails { wrong("stock::a::b") } else { right("stock::a::b") }])
            })
            .collect();
        let text = proposed(&run(&kernels)).text;
        let new = text.split("[[known]]").filter(|entry| entry.contains("arm64"));
        new.filter_map(|entry| entry.lines().find(|line| line.starts_with("kernels")).map(str::to_owned)).collect()
    };
    assert_eq!(range(&[("6.12.1", true)]), ["kernels = \">=6.12\""]);
    assert_eq!(range(&[("6.1.1", false), ("6.12.1", true), ("7.2.0", true)]), ["kernels = \">=6.12\""]);
    assert_eq!(range(&[("6.12.1", true), ("7.2.0", false)]), ["kernels = \">=6.12, <7.2\""]);
    assert_eq!(
        range(&[("6.1.1", true), ("6.12.1", false), ("7.2.0", true)]),
        ["kernels = \"=6.1\"", "kernels = \"=7.2\""]
    );
    assert_eq!(range(&[("6.12.1", false)]), [""; 0]);
}

#[test]
fn two_builds_of_one_release_differ_by_a_symbol() {
    let mut results = run(&[
        ("arm64", "7.2.12-kfunc", vec![wrong("abi::args::u8_1")]),
        ("arm64", "7.2.12-kfunc", vec![right("abi::args::u8_1")]),
    ]);
    let clang = results.kernels[0].image.as_mut().expect("an image");
    clang.kconfig = [("CC_IS_CLANG".to_owned(), true), ("CC_IS_GCC".to_owned(), false)].into();
    let proposal = proposed(&results);
    assert!(proposal.text.contains("kernels = \">=7.2\"\nconfig = \"CC_IS_CLANG\"\ncase = \"abi::args::u8_1\""));
}

#[test]
fn what_passes_ends_where_it_was_seen_to_pass() {
    let pass = |names: &[&str]| {
        let mut cells = as_recorded();
        for cell in cells.iter_mut().filter(|cell| names.contains(&cell.name().as_str())) {
            (cell.outcome, cell.standing) = (Outcome::Pass, Standing::UnexpectedPass { reason: "r".into() });
        }
        cells
    };
    // All of a pattern: the entry itself is narrowed, and keeps its pattern, its comment and its formatting.
    let both = ["stock::dirty::char_a", "stock::dirty::char_b"];
    let proposal = proposed(&run(&[("riscv64", "7.5.0", pass(&both))]));
    assert_eq!(proposal.text, FILE.replace("\">=7.2\"     # since then", "\">=7.2, <7.5\"     # since then"));
    assert_eq!(
        proposal.edits,
        ["line 4: passed on riscv64, recorded as failing: stock::dirty::char_a, stock::dirty::char_b"]
    );
    // Nothing of the range is left: the entry goes, with its own comment and no other.
    let proposal = proposed(&run(&[("riscv64", "7.2.0", pass(&both))]));
    let from = FILE.find("# A comment of the first").expect("it is there");
    let to = FILE.find("\n# Of a section").expect("it is there");
    assert_eq!(proposal.text, [&FILE[..from - 1], &FILE[to..]].concat());
    // Some of a pattern: the others stay, name by name, and what passes gets an entry that ends.
    let proposal = proposed(&run(&[("riscv64", "7.5.0", pass(&["abi::dirty::u8_1", "abi::dirty::u8_2"]))]));
    assert!(
        proposal.text.contains(
            "case = [\n    \"abi::dirty::bool_{1..3}\",\n    \"abi::dirty::u8_3\",\n    \"abi::objects::null\",\n]\n"
        ),
        "{}",
        proposal.text
    );
    let copy = "link = \"y\"\n\n[[known]]\narch = \"riscv64\"\nkernels = \">=7.0, <7.5\"\ncase = \"abi::dirty::u8_{1..2}\"\n\
                outcome = \"wrong_value\"\nreason = \"extended by nobody\"\nlink = \"y\"\n";
    assert!(proposal.text.contains(copy), "{}", proposal.text);
    // A star of which some pass is said by name.
    let proposal = proposed(&run(&[("riscv64", "7.2.0", pass(&["stock::dirty::char_a"]))]));
    assert_eq!(proposal.text, FILE.replace("char_*", "char_b"));
}

#[test]
fn what_passes_and_fails_on_one_release_is_for_a_person() {
    let mut pass = as_recorded();
    (pass[0].outcome, pass[0].standing) = (Outcome::Pass, Standing::UnexpectedPass { reason: "r".into() });
    let proposal = proposed(&run(&[("riscv64", "7.2.1", as_recorded()), ("riscv64", "7.2.2", pass)]));
    assert_eq!((proposal.text.as_str(), proposal.edits.len()), (FILE, 0));
    assert!(proposal.remarks[0].starts_with("line 15: `abi::dirty::u8_1` passes on 7.2 and fails on"), "{proposal:?}");
}

#[test]
fn stale_names_go() {
    let mut cells = as_recorded();
    cells.retain(|cell| cell.case != "dirty::bool_2");
    let error = "testcases/expectations.toml:15: no case matches `abi::dirty::bool_2`".to_owned();
    let stale = Cell { outcome: Outcome::Infrastructure { error }, ..wrong("control::expectations::stale") };
    let partial = proposed(&run(&[("riscv64", "7.2.1", cells.clone())]));
    assert!(partial.is_empty(), "a part of the suite says nothing: {partial:?}");
    cells.push(stale);
    let proposal = proposed(&run(&[("riscv64", "7.2.1", cells)]));
    assert!(
        proposal.text.contains("    \"abi::dirty::bool_{1,3}\",\n    \"abi::dirty::u8_{1..3}\",\n"),
        "{}",
        proposal.text
    );
    assert_eq!(proposal.edits, ["line 15: stale, no case of riscv64 matches: abi::dirty::bool_2"]);
}

#[test]
fn what_no_entry_may_excuse_is_said() {
    let mut cells = as_recorded();
    // Recorded as wrong_value.
    cells[0].outcome = Outcome::Hang { after_ms: 1 };
    cells[0].standing = Standing::Wrong;
    cells.push(cell("stock::a::b", Outcome::NoJit { line: "x".into() }, Standing::Wrong));
    cells.push(cell(
        "probe::jit",
        Outcome::WrongValue { what: "jit".into(), expected: "on".into(), got: "off".into() },
        Standing::Wrong,
    ));
    let broken = Outcome::Infrastructure { error: "the channel broke".into() };
    cells.push(cell("stock::a::c", broken, Standing::Wrong));
    let proposal = proposed(&run(&[("riscv64", "7.2.1", cells)]));
    assert_eq!((proposal.text.as_str(), proposal.edits.len()), (FILE, 0));
    let has =
        |text: &str| assert!(proposal.remarks.iter().any(|one| one.contains(text)), "{text}: {:?}", proposal.remarks);
    has("line 15: `abi::dirty::u8_1` is recorded as wrong_value, and came out as hang on riscv64 7.2.1");
    has("`stock::a::b` came out as no_jit, which no entry may excuse");
    has("riscv64 7.2.1: probe::jit is wrong");
    assert_eq!(proposal.remarks.len(), 3, "infrastructure says nothing of the kernel");
}

#[test]
fn text_of_a_guest_stays_in_its_comment() {
    let mut evil = wrong("stock::a::b");
    evil.outcome = Outcome::Splat { line: "x\n[[known]]\narch = \"*\"\u{1b}[31m".into() };
    evil.observation.guest_end = Some(GuestEnd::Panic { line: "x".into() });
    let proposal = proposed(&run(&[("arm64", "7.2.1\n[[known]]", vec![evil])]));
    assert_eq!(proposal.text.matches("\n[[known]]").count(), 4, "{}", proposal.text);
}

#[test]
fn the_real_file_is_cut_at_the_right_places() {
    let text = testcases::EXPECTATIONS;
    let entries = file::entries(text).expect("it is good");
    assert!(entries.len() > 10);
    for entry in &entries {
        assert!(text[entry.body.clone()].starts_with("[[known]]\narch = "), "{entry:?}");
        assert!(text[entry.body.clone()].trim_end().lines().last().is_some_and(|line| line.starts_with("link = ")));
        assert!(entry.body.start == entry.whole.start || text[entry.whole.clone()].starts_with('#'));
        assert!(text[entry.kernels.clone()].starts_with('"') && text[entry.case.clone()].starts_with(['"', '[']));
    }
    // The head of the file is no entry's comment.
    assert!(text[..entries[0].whole.start].contains("If several entries match a case"));
    assert_eq!(file::splice(text, Vec::new()), text);
}
