use super::*;
use crate::bpf::Annotations;

fn judge(expected: &Annotations, seen: &Observation) -> Outcome {
    super::judge(expected, seen, WordSize::Bits64)
}

fn verdict(cells: &[Cell]) -> (Verdict, String) {
    super::verdict(cells, true)
}

fn annotations(tags: &[&str]) -> Annotations {
    let tags: Vec<String> = tags.iter().map(|tag| format!("comment:{tag}")).collect();
    Annotations::from_tags("case", None, &tags).unwrap()
}

fn success() -> Annotations {
    annotations(&["test_expect_success", "test_retval=0", "kfunc_observe=0:s32:-2"])
}

fn ran(retval: u32, slot: u64) -> Observation {
    Observation { load_errno: Some(0), retval: Some(retval), observed: [(0, slot)].into(), ..Observation::default() }
}

fn refused(errno: i32, log: &str) -> Observation {
    Observation { load_errno: Some(errno), verifier_log: log.into(), ..Observation::default() }
}

#[test]
fn only_the_bits_of_the_type_count() {
    for slot in [0xffff_ffff_ffff_fffe, 0x0000_0000_ffff_fffe, 0x1234_5678_ffff_fffe] {
        assert_eq!(judge(&success(), &ran(0, slot)), Outcome::Pass);
    }
    let Outcome::WrongValue { what, expected, got } = judge(&success(), &ran(0, 0xffff_fffe_0000_0000)) else {
        panic!()
    };
    assert_eq!((what.as_str(), expected.as_str()), ("observed[0] as s32", "-2"));
    assert!(got.starts_with("0 (all 64 bits: 0xfffffffe00000000)"), "{got}");
}

#[test]
fn an_unset_slot_is_never_a_value() {
    let expected = annotations(&["test_expect_success", "kfunc_observe=0:ptr:VALID"]);
    assert!(matches!(judge(&expected, &ran(0, UNSET)), Outcome::WrongValue { .. }));
    assert_eq!(judge(&expected, &ran(0, 0xffff_8880_0000_0000)), Outcome::Pass);
    // A pointer cut to 32 bits is none, where pointers have 64.
    assert!(matches!(judge(&expected, &ran(0, 0x8880_0000)), Outcome::WrongValue { .. }));
    assert_eq!(super::judge(&expected, &ran(0, 0x8880_0000), WordSize::Bits32), Outcome::Pass);
}

#[test]
fn what_the_host_did_is_no_kernel_fault() {
    let end = |by_guest| GuestEnd::Exit { status: "killed by SIGKILL".into(), by_guest };
    let seen = |by_guest| Observation { guest_end: Some(end(by_guest)), ..ran(0, 0xffff_fffe) };
    assert!(matches!(judge(&success(), &seen(false)), Outcome::Infrastructure { .. }));
    assert!(matches!(judge(&success(), &seen(true)), Outcome::GuestLost { .. }));
}

#[test]
fn a_refused_map_is_not_the_refusal_that_was_expected() {
    let expected = annotations(&["test_expect_failure", "test_expect_errno=12"]);
    let seen = Observation { setup: Some("the kernel refused map m".into()), ..refused(12, "") };
    assert_eq!(judge(&expected, &seen), Outcome::Rejected { errno: 12, line: "the kernel refused map m".into() });
}

#[test]
fn the_return_value_has_32_bits() {
    let Outcome::WrongValue { what, expected, got } = judge(&success(), &ran(u32::MAX, 0xffff_fffe)) else { panic!() };
    assert_eq!((what.as_str(), expected.as_str(), got.as_str()), ("return value", "0", "-1 (0xffffffff)"));
}

#[test]
fn the_three_refusals_are_told_apart_and_only_with_their_errno() {
    let log = |line: &str| format!("{line}\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n");
    let judged = |errno, line: &str| judge(&success(), &refused(errno, &log(line)));
    assert_eq!(judged(524, LINE_UNSUPPORTED), Outcome::Unsupported { line: LINE_UNSUPPORTED.into() });
    assert_eq!(judged(524, LINE_NO_BTF), Outcome::NoBtf { line: LINE_NO_BTF.into() });
    assert_eq!(judged(524, LINE_NO_JIT), Outcome::NoJit { line: LINE_NO_JIT.into() });
    assert_eq!(judged(22, LINE_UNSUPPORTED), Outcome::Rejected { errno: 22, line: LINE_UNSUPPORTED.into() });
    // A failure inside the JIT has no line (facts: case 33).
    assert_eq!(judge(&success(), &refused(524, "")), Outcome::Rejected { errno: 524, line: String::new() });
}

#[test]
fn an_expected_refusal_must_match_to_the_letter() {
    let expected =
        annotations(&["test_expect_failure", "test_expect_errno=22", "test_expect_msg=one", "test_expect_msg=two"]);
    assert_eq!(judge(&expected, &refused(22, "line one\nline two\n")), Outcome::Pass);
    for (errno, log) in [(13, "one\ntwo"), (22, "two\none"), (22, "one")] {
        assert!(matches!(judge(&expected, &refused(errno, log)), Outcome::Rejected { .. }), "{errno} {log}");
    }
    assert!(matches!(judge(&expected, &ran(0, 0)), Outcome::Rejected { errno: 0, .. }));
}

#[test]
fn infrastructure_and_lost_guests_come_first() {
    let seen = Observation { infrastructure: Some("disk".into()), ..ran(0, 0xffff_fffe) };
    assert!(matches!(judge(&success(), &seen), Outcome::Infrastructure { .. }));
    let seen = Observation { guest_end: Some(GuestEnd::Silent { after_ms: 5 }), ..ran(0, 0xffff_fffe) };
    assert_eq!(judge(&success(), &seen), Outcome::Hang { after_ms: 5 });
    let mut seen = ran(0, 0xffff_fffe);
    seen.facts.insert(FACT_SPLAT.into(), "WARNING: x".into());
    assert_eq!(judge(&success(), &seen), Outcome::Splat { line: "WARNING: x".into() });
    assert!(matches!(judge(&success(), &Observation::default()), Outcome::Infrastructure { .. }));
    let seen = Observation { run_errno: Some(22), ..ran(0, 0xffff_fffe) };
    assert!(matches!(judge(&success(), &seen), Outcome::Rejected { errno: 22, .. }));
}

#[test]
fn absence_is_excused_only_where_the_case_says_so() {
    let case = annotations(&["test_expect_success", "test_retval=0", "kfunc_since=6.17", "kfunc_config=KEYS"]);
    let absent = Outcome::KfuncAbsent { kfunc: "bpf_strchr".into() };
    let with = |outcome: &Outcome, release, config: bool| standing(&case, outcome, release, &|_| Some(config), None);
    assert!(matches!(with(&absent, Release(6, 12), true), Standing::NotApplicable { .. }));
    assert!(matches!(with(&absent, Release(6, 17), false), Standing::NotApplicable { .. }));
    assert_eq!(with(&absent, Release(6, 17), true), Standing::Wrong);
    // A wrong value is a fault on every kernel.
    let wrong = Outcome::WrongValue { what: "x".into(), expected: "1".into(), got: "2".into() };
    assert_eq!(with(&wrong, Release(6, 12), true), Standing::Wrong);
}

#[test]
fn known_failures_are_policed() {
    let case = success();
    let known = Known {
        config: None,
        arch: "*".into(),
        kernels: "*".parse().unwrap(),
        case: "*".into(),
        outcomes: vec!["splat".into()],
        reason: "r".into(),
        link: "l".into(),
        line: 1,
    };
    let with = |outcome: Outcome| standing(&case, &outcome, Release(7, 2), &|_| None, Some(&known));
    assert!(matches!(with(Outcome::Splat { line: "x".into() }), Standing::KnownFailure { .. }));
    assert!(with(Outcome::Pass).fails() && with(Outcome::Hang { after_ms: 1 }).fails());
}

#[test]
fn a_control_is_right_only_with_exactly_its_outcome() {
    let case =
        annotations(&["test_expect_success", "test_retval=1", "kfunc_must=wrong_value", "kfunc_must_say=return value"]);
    let with = |seen: &Observation| standing(&case, &judge(&case, seen), Release(7, 2), &|_| None, None);
    assert_eq!(with(&ran(0, 0)), Standing::Right);
    assert_eq!(with(&ran(1, 0)), Standing::Wrong);
    assert_eq!(with(&refused(22, "return value")), Standing::Wrong);
}

fn cell(suite: &str, case: &str, outcome: Outcome, standing: Standing, facts: &[(&str, &str)]) -> Cell {
    let facts = facts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Cell {
        suite: suite.into(),
        case: case.into(),
        location: None,
        kfuncs: Vec::new(),
        outcome,
        standing,
        observation: Observation { facts, ..Observation::default() },
        duration_ms: 0,
    }
}

fn claims(claim: &str) -> Vec<Cell> {
    vec![
        cell("probe", "jit", Outcome::Pass, Standing::Right, &[("jit", "on")]),
        cell("probe", "btf", Outcome::Pass, Standing::Right, &[("btf", "yes")]),
        cell("probe", "kfunc_call", Outcome::Pass, Standing::Right, &[("claim", claim), ("line", "the line")]),
    ]
}

#[test]
fn a_kernel_that_dies_of_a_kfunc_call_is_broken_whatever_was_not_asked() {
    let lost = || Outcome::GuestLost { how: "panic".into() };
    assert_eq!(verdict(&[cell("probe", "kfunc_call", lost(), Standing::Wrong, &[])]).0, Verdict::Broken);
    assert_eq!(verdict(&[cell("stock", "a", lost(), Standing::Wrong, &[])]).0, Verdict::Broken);
}

#[test]
fn nothing_is_believed_beside_a_control_that_passed() {
    let mut cells = claims("yes");
    cells.push(cell("stock", "a", Outcome::Pass, Standing::Right, &[]));
    cells.push(cell("control", "b", Outcome::Pass, Standing::Wrong, &[]));
    assert_eq!(verdict(&cells).0, Verdict::Unknown);
}

#[test]
fn a_control_that_nobody_noticed_has_passed() {
    assert_eq!(of_control(&Observation::default()), Outcome::Pass);
    let seen = Observation { guest_end: Some(GuestEnd::Silent { after_ms: 5 }), ..Observation::default() };
    assert_eq!(of_control(&seen), Outcome::Hang { after_ms: 5 });
}

#[test]
fn a_part_of_the_suite_is_called_one() {
    let mut cells = claims("yes");
    cells.push(cell("stock", "a", Outcome::Pass, Standing::Right, &[]));
    let (verdict, reason) = super::verdict(&cells, false);
    assert!(verdict == Verdict::Unknown && reason.contains("a part of the suite"), "{reason}");
}

#[test]
fn verdicts() {
    assert_eq!(verdict(&[]).0, Verdict::Unknown);
    assert_eq!(verdict(&claims("no")), (Verdict::Unsupported, "the line".into()));
    let mut cells = claims("yes");
    assert_eq!(verdict(&cells).0, Verdict::Unknown);
    cells.push(cell("stock", "a", Outcome::Pass, Standing::Right, &[]));
    assert_eq!(verdict(&cells), (Verdict::Conformant, "all 1 cases right".into()));
    let not_applicable = Standing::NotApplicable { reason: "old".into() };
    cells.push(cell("stock", "b", Outcome::KfuncAbsent { kfunc: "k".into() }, not_applicable, &[]));
    assert_eq!(verdict(&cells).0, Verdict::Conformant);
    // What the harness could not do is no conformance and no kernel fault.
    cells.push(cell("stock", "c", Outcome::Infrastructure { error: "e".into() }, Standing::Wrong, &[]));
    assert_eq!(verdict(&cells).0, Verdict::Unknown);
    // A known failure is still a wrong call.
    let known = Standing::KnownFailure { reason: "r".into(), link: "l".into() };
    cells.push(cell("stock", "d", Outcome::Splat { line: "x".into() }, known, &[]));
    assert_eq!(verdict(&cells), (Verdict::Broken, "1 of 3 cases wrong, the first: stock::d".into()));
    assert_eq!(verdict(&claims("no BTF")), (Verdict::NoBtf, "the line".into()));
}

#[test]
fn without_probes_the_cases_tell_whether_calls_are_accepted() {
    let mut accepted = cell("stock", "a", Outcome::Pass, Standing::Right, &[]);
    accepted.kfuncs = vec!["bpf_strchr".into()];
    accepted.observation.load_errno = Some(0);
    assert_eq!(verdict(&[accepted]).0, Verdict::Conformant);
    let standing = Standing::NotApplicable { reason: "unsupported".into() };
    let mut refused = cell("stock", "a", Outcome::Unsupported { line: LINE_UNSUPPORTED.into() }, standing, &[]);
    refused.kfuncs = vec!["bpf_strchr".into()];
    assert_eq!(verdict(&[refused]), (Verdict::Unsupported, LINE_UNSUPPORTED.into()));
}

#[test]
fn a_skip_without_a_reason_fails_the_run() {
    let not_run = |reason: &str| Outcome::NotRun { reason: reason.into() };
    let not_applicable = |reason: &str| Standing::NotApplicable { reason: reason.into() };
    let fails = |outcome: Outcome, standing: Standing| {
        let (outcome, standing) = explained(outcome, standing);
        matches!(outcome, Outcome::Infrastructure { .. }) && standing == Standing::Wrong
    };
    assert!(fails(not_run(""), not_applicable("")));
    assert!(fails(not_run(" "), not_applicable("is for x86_64")));
    assert!(fails(Outcome::Rejected { errno: 22, line: "x".into() }, not_applicable(" ")));
    assert!(fails(not_run("is for x86_64"), Standing::Right), "what was not run is not right");
    assert!(fails(not_run("is for x86_64"), Standing::KnownFailure { reason: "x".into(), link: "y".into() }));
    assert!(!fails(not_run("is for x86_64"), not_applicable("is for x86_64")));
    assert!(!fails(Outcome::NoBtf { line: String::new() }, not_applicable("no BTF: the line")));
    assert!(!fails(Outcome::Pass, Standing::Right));
}
