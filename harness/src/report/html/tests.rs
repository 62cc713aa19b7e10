use super::*;
use crate::model::{Cell, Observation, Outcome, Standing};
use crate::report::evidence::again;
use crate::report::fixture;

fn known() -> Cell {
    let standing = Standing::KnownFailure { reason: "narrow".into(), link: "https://example.org/1?a=1&b=2".into() };
    Cell { standing, case: "strings::known".into(), ..fixture::wrong() }
}

/// Tags that are opened must be closed.
fn well_formed(page: &str) {
    for tag in
        ["details", "summary", "table", "tbody", "tr", "td", "th", "dl", "div", "dd", "ul", "pre", "p", "section"]
    {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn the_fixture_has_everything() {
    let results = fixture::five();
    let page = html(&results);
    well_formed(&page);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("2025-11-24 03:10:00 UTC") && page.contains("datetime=\"2025-11-24T03:10:00Z\""), "{page}");
    for (kernel, cell) in results.kernels.iter().flat_map(|kernel| kernel.cells.iter().map(move |cell| (kernel, cell)))
    {
        let there = page.contains(&format!("<code>{}</code>", cell.name()));
        if cell.standing.fails() {
            assert!(there, "{}", cell.name());
            let again = again(&results.command, &kernel.arch, &kernel.kernel, cell);
            assert!(page.contains(&again), "{again}");
        }
    }
    for part in [
        "<dt>Expected</dt><dd><code>1</code>",
        "<dt>Got</dt><dd><code>-1</code>",
        "testcases/stock/strings.bpf.c:42",
        "1: call bpf_strchr\n",
        "[ 1.000000] a line",
        "<li>riscv64: broken: 1 of 7 calls is wrong</li>",
        "<li>arm64: unknown: no image: the mirror did not answer</li>",
        "controls: 1 of 1 came out wrong, as they must",
        "<dt>Harness</dt><dd>0.1.0 (8a354db)</dd>",
        "<dt>Kernel, SHA-256</dt><dd><code>1111",
        "<dt>Configuration, SHA-256</dt><dd><code>2222",
        "<dt>BTF, SHA-256</dt><dd><code>3333",
        "<code>qemu-system-riscv64 -m 512 -append &#39;console=ttyS0 quiet&#39;</code>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "nothing is loaded");
}

#[test]
fn each_capability_opens_to_how_it_is_known() {
    let page = html(&fixture::five());
    assert!(page.contains("<a href=\"#can\">Capabilities</a>"), "{page}");
    assert!(page.contains("<small>bpf_jit_supports_arena()</small>"), "{page}");
    let table = crate::report::capabilities::table(&fixture::five());
    let cells: Vec<_> = table.capabilities.iter().flat_map(|line| &line.cells).collect();
    assert_eq!(page.matches("<details class=\"how\">").count(), cells.len());
    for cell in cells {
        let how = text::line(&cell.how());
        assert!(page.contains(&format!("</summary><small>{how}</small></details>")), "{how}");
    }
    let mut without = fixture::five();
    without.kernels.iter_mut().for_each(|kernel| kernel.cells.retain(|cell| cell.suite != "probe"));
    assert!(!html(&without).contains("id=\"can\""));
}

#[test]
fn a_clean_run_says_so() {
    let page = html(&fixture::clean());
    assert!(page.contains("No cell is wrong.") && page.contains("none wrong"), "{page}");
    assert!(!page.contains("id=\"known\""), "{page}");
}

#[test]
fn counts_are_those_of_the_table() {
    let mut results = fixture::five();
    results.kernels[3].cells.push(known());
    results.kernels[0].cells[5].standing = Standing::UnexpectedPass { reason: "old".into() };
    let page = html(&results);
    well_formed(&page);
    let rows = rows(&results);
    let suites = matrix::count(&results, |cell| [cell.suite.as_str()]);
    for (index, row) in rows.iter().enumerate() {
        assert!(page.contains(&format!("<td class=\"num\">{}/{}</td>", row.right, row.run)), "{}", row.arch);
        let counted: Vec<_> = suites.iter().filter(|(suite, _)| **suite != "control").map(|(_, t)| t[index]).collect();
        assert_eq!(counted.iter().map(|t| t.right).sum::<usize>(), row.right);
        assert_eq!(counted.iter().map(|t| t.run()).sum::<usize>(), row.run);
        assert_eq!(counted.iter().map(|t| t.known).sum::<usize>(), row.known_failures);
        assert_eq!(counted.iter().map(|t| t.not_applicable).sum::<usize>(), row.not_applicable);
    }
    let all = matrix::all(&results);
    assert_eq!(all.right, rows.iter().map(|row| row.right).sum::<usize>());
    assert_eq!(all.run(), rows.iter().map(|row| row.run).sum::<usize>());
    // bpf_strchr is called by the wrong cell and by the known one.
    let strchr = matrix::by_kfunc(&results)["bpf_strchr"][3];
    assert_eq!((strchr.wrong, strchr.known, strchr.right), (1, 1, 0));
    assert!(page.contains("✗</span> 0/2 <small>1 wrong</small> <small>1 known</small>"), "{page}");
    assert!(page.contains("<a href=\"https://example.org/1?a=1&amp;b=2\""), "{page}");
    assert!(page.contains("✗ passed"), "{page}");
}

#[test]
fn families_of_the_abi_suite_are_counted() {
    let mut results = fixture::clean();
    results.abi = Some(crate::model::AbiSettings { seed: 7, cases: 300 });
    results.kernels[0].cells =
        ["args::u8_1", "args::u8_2", "dirty::u8_1"].map(|case| fixture::cell("abi", case)).to_vec();
    results.kernels[0].cells[1].standing = Standing::Wrong;
    let page = html(&results);
    assert!(
        page.contains("<tr><th scope=\"row\">args <small>arguments, type by position</small></th><td class=\"bad\">")
    );
    assert!(page.contains("</span> 1/2 <small>1 wrong</small>"), "{page}");
    assert!(page.contains("<dt>Seed</dt><dd>7, 300 random calls</dd>"), "{page}");
}

/// Puts hostile text wherever a guest or a stranger's file could.
#[test]
fn hostile_text_stays_text() {
    const EVIL: &str = "</pre></style><script>alert(\"x\")</script>&'\u{1b}]0;t\u{7}\u{202e}";
    let evil = || EVIL.to_owned();
    let mut results = fixture::five();
    results.command = vec![evil()];
    results.harness = evil();
    results.commit = Some(evil());
    results.host.kernel = evil();
    for kernel in &mut results.kernels {
        kernel.arch = evil();
        kernel.kernel = evil();
        kernel.reason = evil();
        kernel.error = Some(evil());
        if let Some(guest) = &mut kernel.guest {
            (guest.qemu, guest.accel, guest.command, guest.release) = (evil(), evil(), evil(), evil());
            guest.btf_sha256 = Some(evil());
        }
        if let Some(image) = &mut kernel.image {
            (image.provider, image.release, image.key) = (evil(), evil(), evil());
            image.provenance = [(evil(), evil())].into();
            (image.kernel_sha256, image.config_sha256) = (Some(evil()), Some(evil()));
        }
        for cell in &mut kernel.cells {
            cell.case.push_str(EVIL);
            cell.kfuncs = vec![evil()];
            cell.location = Some(crate::model::Location { file: evil(), line: 1 });
            cell.observation = Observation {
                setup: Some(evil()),
                verifier_log: format!("{EVIL}\n{EVIL}"),
                facts: [(evil(), evil()), (format!("2{EVIL}"), format!("{EVIL}\n{EVIL}"))].into(),
                console: vec![evil()],
                guest_end: Some(crate::model::GuestEnd::Panic { line: evil() }),
                ..Observation::default()
            };
        }
        let standings = [
            Standing::Wrong,
            Standing::UnexpectedPass { reason: evil() },
            Standing::KnownFailure { reason: evil(), link: evil() },
            Standing::KnownFailure { reason: evil(), link: "javascript:alert(1)".into() },
            Standing::KnownFailure { reason: evil(), link: format!("https://x/{EVIL}") },
            Standing::NotApplicable { reason: evil() },
        ];
        let outcomes = [
            Outcome::WrongValue { what: evil(), expected: evil(), got: evil() },
            Outcome::Rejected { errno: 22, line: evil() },
            Outcome::Splat { line: evil() },
            Outcome::GuestLost { how: evil() },
            Outcome::Infrastructure { error: evil() },
            Outcome::KfuncAbsent { kfunc: evil() },
        ];
        for (cell, (standing, outcome)) in kernel.cells.iter_mut().zip(standings.into_iter().zip(outcomes)) {
            (cell.standing, cell.outcome) = (standing, outcome);
        }
    }
    let page = html(&results);
    well_formed(&page);
    assert!(!page.contains("<script") && !page.contains("href=\"javascript"), "{page}");
    assert!(!page.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "no control character");
    assert_eq!(page.matches("</style>").count(), 1);
    // Nothing but our own tags is left, and their attributes end where we end them.
    let tags = page.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
    for tag in tags {
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains("alert") || tag.starts_with("a href=\"https://x/&lt;"), "{tag}");
    }
}

/// `cells` cells on four kernels, of which every `nth` is wrong with a long log.
fn many(cells: usize, nth: usize) -> RunResults {
    let mut results = fixture::five();
    results.kernels.remove(1);
    for kernel in &mut results.kernels {
        kernel.cells = (0..cells / 4)
            .map(|n| {
                let mut cell = if n % nth == 0 { fixture::wrong() } else { fixture::cell("stock", "") };
                cell.case = format!("family{}::case_{n}", n % 50);
                cell.kfuncs = vec![format!("bpf_kfunc_{}", n % 300)];
                if n % nth == 0 {
                    cell.observation.verifier_log = "0: (85) call bpf_strchr#1 <x>\n".repeat(100);
                }
                cell
            })
            .collect();
    }
    results
}

#[test]
fn a_hundred_thousand_cells_are_a_small_page() {
    let results = many(100_000, 100);
    let started = std::time::Instant::now();
    let page = html(&results);
    let took = started.elapsed();
    well_formed(&page);
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
    assert!(took.as_millis() < 2_000, "{took:?}");
    // In the order of the run, so that one walk over the page finds them all.
    let mut rest = page.as_str();
    for cell in results.kernels.iter().flat_map(|kernel| &kernel.cells).filter(|cell| cell.standing.fails()) {
        let name = format!("<code>{}</code>", cell.name());
        let at = rest.find(&name).unwrap_or_else(|| panic!("{name}"));
        rest = &rest[at + name.len()..];
    }
    assert_eq!(page.matches("<b class=\"bad\">✗ wrong</b>").count(), 1_000, "every failing cell is named");
    assert!(page.contains("evidence in the saved results"), "what is left out is said");
}

#[test]
fn a_hundred_thousand_wrong_cells_are_bounded() {
    let started = std::time::Instant::now();
    let page = html(&many(100_000, 1));
    let took = started.elapsed();
    well_formed(&page);
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    // What is not named is counted.
    let named = page.matches("<b class=\"bad\">✗ wrong</b>").count();
    let left_out: Vec<usize> = page
        .split(" more wrong</b>, left out of this page")
        .filter_map(|before| before.rsplit("<b>").next()?.parse().ok())
        .collect();
    assert_eq!((named + left_out.iter().sum::<usize>(), left_out.len()), (100_000, 4), "{named} {left_out:?}");
    assert!(page.contains(" stock::family10, "), "by topic");
    // A machine may be busy; what matters is that it is not quadratic.
    assert!(took.as_secs() < 10, "{took:?}");
}
